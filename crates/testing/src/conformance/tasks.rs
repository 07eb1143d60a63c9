//! Tasks: joining, cancelling, detaching.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use weirs_runtime::{AbortHandle, JoinError, Runtime, Task};

use super::tools::{Dropped, Flag, Slot, until};
use crate::yields;

/// Awaiting a task gives its output.
pub async fn a_join_gives_the_value(runtime: Runtime) {
    assert_eq!(runtime.spawn(async { "value".to_owned() }).await.unwrap(), "value");
    let waits = async {
        yields(5).await;
        7
    };
    assert_eq!(runtime.spawn(waits).await.unwrap(), 7);
}

/// A task runs without being awaited, and its output is kept for whoever comes.
pub async fn a_joiner_may_come_late(runtime: Runtime) {
    let task = runtime.spawn(async { 7 });
    until(&runtime, || task.is_finished()).await;
    assert_eq!(task.await.unwrap(), 7);
}

/// A handle that was polled by one task may be awaited by another; the first one's waker is forgotten.
pub async fn a_joiner_may_give_way_to_another(runtime: Runtime) {
    let go = Flag::default();
    let mut task = {
        let (runtime, go) = (runtime.clone(), go.clone());
        runtime.clone().spawn(async move {
            until(&runtime, || go.is_set()).await;
            7
        })
    };
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    poll_fn(|cx| {
        assert!(Pin::new(&mut task).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    let joiner = runtime.spawn(async move { task.await.unwrap() });
    yields(3).await;
    go.set();
    assert_eq!(joiner.await.unwrap(), 7);
}

/// Dropping the handle cancels the task.
pub async fn dropping_the_handle_cancels(runtime: Runtime) {
    let dropped = Dropped::default();
    let task = runtime.spawn(endless(&dropped, &Flag::default()));
    yields(3).await;
    drop(task);
    until(&runtime, || dropped.is_set()).await;
}

/// A detached task runs to its end.
pub async fn detaching_lets_it_run(runtime: Runtime) {
    let done = Flag::default();
    let at_the_end = done.clone();
    let work = async move {
        yields(5).await;
        at_the_end.set();
    };
    runtime.spawn(work).detach();
    until(&runtime, || done.is_set()).await;
}

/// `cancel().await` returns after the future was dropped, with [`JoinError::Cancelled`].
pub async fn cancelling_waits_until_the_future_is_dropped(runtime: Runtime) {
    for rounds in 0..10 {
        let dropped = Dropped::default();
        let guard = dropped.on_drop();
        let task = runtime.spawn(async move {
            let _guard = guard;
            yields(3).await;
            pending::<()>().await;
        });
        yields(rounds).await;
        let error = task.cancel().await.unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
        assert!(dropped.is_set());
    }
}

/// Cancelling a task that waits drops its future within the call, on the thread that cancels.
pub async fn cancelling_an_idle_task_drops_it_at_once(runtime: Runtime) {
    // That it has begun to wait does not tell that its poll has returned: with several threads it may be
    // about to.
    for _ in 0..1_000 {
        let (dropped, begun) = (Dropped::default(), Flag::default());
        let task = runtime.spawn(endless(&dropped, &begun));
        until(&runtime, || begun.is_set()).await;
        task.abort();
        let thread = dropped.thread();
        assert!(task.await.unwrap_err().is_cancelled());
        if let Some(thread) = thread {
            assert_eq!(thread, thread::current().id());
            return;
        }
    }
    panic!("no task was dropped within the call that cancelled it");
}

/// Cancelling a task that has finished gives its output.
pub async fn cancelling_a_finished_task_gives_its_value(runtime: Runtime) {
    let task = runtime.spawn(async { 7 });
    until(&runtime, || task.is_finished()).await;
    task.abort();
    assert_eq!(task.cancel().await.unwrap(), 7);
}

/// A task that is being polled is dropped at the end of that poll.
pub async fn a_task_may_cancel_itself(runtime: Runtime) {
    let (dropped, own) = (Dropped::default(), Slot::default());
    let (guard, seen, handle) = (dropped.on_drop(), dropped.clone(), own.clone());
    let task = runtime.spawn(async move {
        let _guard = guard;
        AbortHandle::abort(&handle.take().await);
        assert!(!seen.is_set(), "dropped within its own poll");
        pending::<()>().await;
    });
    own.put(task.abort_handle());
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(dropped.is_set());
}

/// A task that is ready in the poll in which it is cancelled has finished.
pub async fn finishing_beats_being_cancelled(runtime: Runtime) {
    let own = Slot::default();
    let handle = own.clone();
    let task = runtime.spawn(async move {
        AbortHandle::abort(&handle.take().await);
        7
    });
    own.put(task.abort_handle());
    assert_eq!(task.await.unwrap(), 7);
}

/// An abort handle cancels from anywhere, any number of times, and does nothing after the end.
pub async fn an_abort_handle_cancels_from_elsewhere(runtime: Runtime) {
    let task = runtime.spawn(pending::<()>());
    let handle = task.abort_handle();
    let other = handle.clone();
    runtime.spawn(async move { other.abort() }).await.unwrap();
    assert!(task.await.unwrap_err().is_cancelled());
    handle.abort();

    let finished = runtime.spawn(async { 7 });
    let handle = finished.abort_handle();
    until(&runtime, || finished.is_finished()).await;
    handle.abort();
    assert_eq!(finished.await.unwrap(), 7);
}

/// Awaited again after its end a task gives [`JoinError::Taken`].
pub async fn a_result_is_given_once(runtime: Runtime) {
    let mut task = runtime.spawn(async { 7 });
    assert_eq!((&mut task).await.unwrap(), 7);
    assert!(task.is_finished());
    for _ in 0..2 {
        assert!(matches!((&mut task).await, Err(JoinError::Taken)));
    }
}

/// A task may drop its own handle while it runs: it is dropped at the end of that poll.
pub async fn a_handle_may_be_dropped_by_its_own_task(runtime: Runtime) {
    let dropped = Dropped::default();
    let own = Slot::<Task<()>>::default();
    let (guard, seen, handle) = (dropped.on_drop(), dropped.clone(), own.clone());
    let task = runtime.spawn(async move {
        let _guard = guard;
        drop(handle.take().await);
        assert!(!seen.is_set(), "dropped within its own poll");
        pending::<()>().await;
    });
    own.put(task);
    until(&runtime, || dropped.is_set()).await;
}

/// A task that owns tasks takes them along when it is cancelled.
pub async fn tasks_may_own_tasks(runtime: Runtime) {
    let (dropped, begun) = (Dropped::default(), Flag::default());
    let (inner, spawner, started) = (dropped.clone(), runtime.clone(), begun.clone());
    let outer = runtime.spawn(async move {
        let _child = spawner.spawn(endless(&inner, &started));
        pending::<()>().await;
    });
    until(&runtime, || begun.is_set()).await;
    assert!(outer.cancel().await.unwrap_err().is_cancelled());
    until(&runtime, || dropped.is_set()).await;
}

/// A handle tells its task's name, if there is one, and where it was spawned.
pub async fn a_task_knows_its_name_and_place(runtime: Runtime) {
    let named = runtime.builder().name(format!("number {}", 7)).spawn(async {});
    let line = line!() - 1;
    assert_eq!(named.name(), Some("number 7"));
    let location = named.location().unwrap();
    assert_eq!((location.file(), location.line()), (file!(), line));
    named.await.unwrap();

    let nameless = runtime.spawn(async {});
    assert_eq!(nameless.name(), None);
    assert_eq!(nameless.location().unwrap().line(), line!() - 2);
    nameless.await.unwrap();
}

/// Of many tasks, half of them cancelled on the way, each one ends.
pub async fn many_tasks_all_end(runtime: Runtime) {
    let tasks: Vec<_> = (0..200_usize)
        .map(|number| {
            runtime.spawn(async move {
                yields(number % 7).await;
                number
            })
        })
        .collect();
    for task in tasks.iter().step_by(2) {
        task.abort();
    }
    for (number, task) in tasks.into_iter().enumerate() {
        match task.await {
            Ok(value) => assert_eq!(value, number),
            Err(error) => assert!(error.is_cancelled() && number % 2 == 0, "task {number}: {error}"),
        }
    }
}

/// Says when it has begun, waits for ever, and tells when it is dropped.
fn endless(dropped: &Dropped, begun: &Flag) -> impl Future<Output = ()> + Send + use<> {
    let (guard, begun) = (dropped.on_drop(), begun.clone());
    async move {
        let _guard = guard;
        begun.set();
        pending::<()>().await;
    }
}
