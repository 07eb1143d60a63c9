//! Panics: none is lost, none reaches the executor.

use std::any::Any;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use weirs_runtime::{JoinError, PanicOrigin, Runtime};

use super::tools::{Flag, LostPanics, PanicsInDrop, panic_quietly, until};
use crate::yields;

/// A panic in a task is an error to whoever awaits it, and the runtime runs on.
pub async fn a_panic_is_an_error_to_the_joiner(runtime: Runtime) {
    let task = runtime.spawn(async {
        yields(1).await;
        fail("in the task");
    });
    assert_eq!(message(task.await), "in the task");
    runs_on(&runtime).await;
}

/// What a task panicked with reaches the joiner, whatever it is.
pub async fn a_payload_may_be_anything(runtime: Runtime) {
    let task = runtime.spawn(async { fail(7_u32) });
    let Err(JoinError::Panic(payload)) = task.await else { panic!("it has panicked") };
    assert_eq!(payload.into_inner().downcast_ref::<u32>(), Some(&7));

    let task = runtime.spawn(async { fail("some text".to_owned()) });
    assert_eq!(message(task.await), "some text");
}

/// A destructor that panics while its task is being cancelled is an error to the joiner; the process lives.
pub async fn a_destructor_may_panic_while_cancelled(runtime: Runtime) {
    let begun = Flag::default();
    let start = begun.clone();
    let task = runtime.spawn(async move {
        let _bad = PanicsInDrop("in the destructor");
        start.set();
        pending::<()>().await;
    });
    until(&runtime, || begun.is_set()).await;
    assert_eq!(message(task.cancel().await), "in the destructor");

    // The same for a task that holds it from the beginning, polled or not.
    let bad = PanicsInDrop("in another destructor");
    let task = runtime.spawn(async move {
        let _bad = bad;
        pending::<()>().await;
    });
    assert_eq!(message(task.cancel().await), "in another destructor");
    runs_on(&runtime).await;
}

/// A destructor that panics when its task has finished is an error to the joiner.
pub async fn a_destructor_may_panic_after_the_end(runtime: Runtime) {
    struct Finished(#[expect(dead_code, reason = "it is there to be dropped")] PanicsInDrop);
    impl Future for Finished {
        type Output = u32;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
            Poll::Ready(7)
        }
    }
    let task = runtime.spawn(Finished(PanicsInDrop("after the end")));
    assert_eq!(message(task.await), "after the end");

    // A local's destructor runs within the last poll.
    let task = runtime.spawn(async {
        let _bad = PanicsInDrop("at the end");
        yields(1).await;
    });
    assert_eq!(message(task.await), "at the end");
    runs_on(&runtime).await;
}

/// A panic that no joiner will hear of goes to the runtime's hook, with the task's name and place.
pub async fn a_detached_panic_goes_to_the_hook(runtime: Runtime) {
    let (hooked, panics) = LostPanics::of(&runtime);
    let fails = async {
        yields(1).await;
        fail("with nobody there");
    };
    hooked.builder().name("the lonely one").spawn(fails).detach();
    let line = line!() - 1;
    let lost = panics.first(&runtime).await;
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].name.as_deref(), Some("the lonely one"));
    assert_eq!((lost[0].file, lost[0].line), (file!(), line));
    assert_eq!((lost[0].origin, lost[0].message.as_str()), (PanicOrigin::Task, "with nobody there"));

    // A panic that was not heard of before the handle was dropped.
    let (hooked, panics) = LostPanics::of(&runtime);
    let task = hooked.spawn(async { fail("before it was dropped") });
    until(&runtime, || task.is_finished()).await;
    drop(task);
    assert_eq!(panics.all()[0].message, "before it was dropped");
    runs_on(&runtime).await;
}

/// An output that nobody took and that panics when it is dropped goes to the hook.
pub async fn an_output_that_nobody_takes_may_panic(runtime: Runtime) {
    let (hooked, panics) = LostPanics::of(&runtime);
    let task = hooked.spawn(async { PanicsInDrop("the output") });
    until(&runtime, || task.is_finished()).await;
    drop(task);
    assert_eq!((panics.all()[0].origin, panics.all()[0].message.as_str()), (PanicOrigin::Drop, "the output"));

    let (hooked, panics) = LostPanics::of(&runtime);
    hooked.spawn(async { PanicsInDrop("the detached output") }).detach();
    let lost = panics.first(&runtime).await;
    assert_eq!((lost[0].origin, lost[0].message.as_str()), (PanicOrigin::Drop, "the detached output"));
    runs_on(&runtime).await;
}

/// A payload that panics when it is dropped is no danger to the executor.
pub async fn a_payload_may_panic_when_dropped(runtime: Runtime) {
    let (hooked, panics) = LostPanics::of(&runtime);
    hooked.spawn(async { fail(PanicsInDrop("the payload")) }).detach();
    let lost = panics.first(&runtime).await;
    assert_eq!(lost[0].origin, PanicOrigin::Task);
    runs_on(&runtime).await;
}

/// A joiner's waker that panics is no danger to the executor, and the result is there all the same.
pub async fn a_joiners_waker_may_panic(runtime: Runtime) {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic_quietly("in the waker");
        }
    }
    let (hooked, panics) = LostPanics::of(&runtime);
    let go = Flag::default();
    let mut task = {
        let (runtime, go) = (runtime.clone(), go.clone());
        hooked.spawn(async move {
            until(&runtime, || go.is_set()).await;
            7
        })
    };
    let bad = Waker::from(Arc::new(Panics));
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&bad)).is_pending());
    go.set();
    let lost = panics.first(&runtime).await;
    assert_eq!((lost[0].origin, lost[0].message.as_str()), (PanicOrigin::Waker, "in the waker"));
    assert_eq!(task.await.unwrap(), 7);
    runs_on(&runtime).await;
}

/// A panic hook that panics itself is no danger to the executor.
pub async fn a_hook_may_panic(runtime: Runtime) {
    let told = Flag::default();
    let heard = told.clone();
    let hooked = runtime.with_panic_hook(move |_| {
        heard.set();
        panic_quietly("in the hook");
    });
    hooked.spawn(async { fail("in the task") }).detach();
    until(&runtime, || told.is_set()).await;
    runs_on(&runtime).await;
}

/// The executor still runs what it is given.
async fn runs_on(runtime: &Runtime) {
    assert_eq!(runtime.spawn(async { 1 }).await.unwrap(), 1);
}

/// Panics, and leaves the type of what it would have given open to nobody's guess.
fn fail(payload: impl Any + Send) {
    std::panic::resume_unwind(Box::new(payload));
}

fn message<T>(result: Result<T, JoinError>) -> String {
    match result {
        Err(JoinError::Panic(payload)) => payload.message().to_owned(),
        Err(other) => panic!("it should have panicked, but: {other}"),
        Ok(_) => panic!("it should have panicked, but it gave a value"),
    }
}
