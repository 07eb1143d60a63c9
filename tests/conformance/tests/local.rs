//! Tasks that stay on one thread mean the same as those that do not.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use weirs_conformance::{fail, until};
use weirs_runtime::{JoinError, LocalRuntime, PanicOrigin};
use weirs_testing::{apply, runtime_test_local, yields};

/// Counts when it is dropped.
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[apply(runtime_test_local)]
async fn a_join_gives_the_value(runtime: LocalRuntime) {
    let shared = Rc::new(7);
    let inner = Rc::clone(&shared);
    let task = runtime.spawn(async move {
        yields(3).await;
        inner
    });
    assert!(Rc::ptr_eq(&task.await.unwrap(), &shared));
}

#[apply(runtime_test_local)]
async fn dropping_and_cancelling(runtime: LocalRuntime) {
    let dropped = Rc::new(Cell::new(0));
    let endless = || {
        let counted = Counted(Rc::clone(&dropped));
        runtime.spawn(async move {
            let _counted = counted;
            pending::<()>().await;
        })
    };
    drop(endless());
    assert_eq!(dropped.get(), 1, "on one thread every waiting task is idle");
    let task = endless();
    yields(3).await;
    let cancelled = task.cancel();
    assert_eq!(dropped.get(), 2);
    assert!(cancelled.await.unwrap_err().is_cancelled());
    let task = endless();
    task.abort();
    assert!(task.is_finished());
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(dropped.get(), 3);
}

#[apply(runtime_test_local)]
async fn detaching_lets_it_run(runtime: LocalRuntime) {
    let done = Rc::new(Cell::new(false));
    let at_the_end = Rc::clone(&done);
    let work = async move {
        yields(2).await;
        at_the_end.set(true);
    };
    runtime.spawn(work).detach();
    until(runtime.clock(), || done.get()).await;
}

#[apply(runtime_test_local)]
async fn a_result_is_given_once(runtime: LocalRuntime) {
    let mut task = runtime.spawn(async { 7 });
    assert_eq!((&mut task).await.unwrap(), 7);
    assert!(matches!(task.await, Err(JoinError::Taken)));
}

#[apply(runtime_test_local)]
async fn panics_are_values(runtime: LocalRuntime) {
    assert!(runtime.spawn(async { fail("in the task") }).await.unwrap_err().is_panic());
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            fail("in the destructor");
        }
    }
    let bad = Bad;
    let task = runtime.spawn(async move {
        let _bad = bad;
        pending::<()>().await;
    });
    yields(2).await;
    assert!(task.cancel().await.unwrap_err().is_panic());
    assert_eq!(runtime.spawn(async { 1 }).await.unwrap(), 1);
}

#[apply(runtime_test_local)]
async fn a_detached_panic_goes_to_the_hook(runtime: LocalRuntime) {
    let (sender, told) = async_channel::unbounded();
    let hooked = runtime.with_panic_hook(move |lost| {
        sender.try_send((lost.name.map(str::to_owned), lost.origin, lost.message.to_owned())).unwrap();
    });
    hooked.builder().name("the lonely one").spawn(async { fail("with nobody there") }).detach();
    let lost = told.recv().await.unwrap();
    assert_eq!(lost, (Some("the lonely one".to_owned()), PanicOrigin::Task, "with nobody there".to_owned()));
}

#[apply(runtime_test_local)]
async fn sleeps_end(runtime: LocalRuntime) {
    let order = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = (0..20_u32)
        .map(|number| {
            let (clock, order) = (runtime.clock().clone(), Rc::clone(&order));
            runtime.spawn(async move {
                clock.sleep(Duration::from_micros(50) * (number % 4)).await;
                order.borrow_mut().push(number);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    order.borrow_mut().sort_unstable();
    assert!(order.borrow().iter().copied().eq(0..20));
}

#[apply(runtime_test_local)]
async fn are_listed(runtime: LocalRuntime) {
    let (runtime, watched) = runtime.watched();
    let task = runtime.builder().name("waits").spawn(pending::<()>());
    assert_eq!(watched.tasks()[0].kind, weirs_runtime::TaskKind::Local);
    assert_eq!(task.name(), Some("waits"));
    drop(task);
    assert!(watched.is_empty());
}
