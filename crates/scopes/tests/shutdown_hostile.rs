//! Tasks that panic where it hurts, executors that refuse, handles that are used from within.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::{FutureObj, Spawn, SpawnError};
use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{MemberEnd, Report, Scope, Shutdown, ShutdownGroup, Tracker};
use weirs_testing::{apply, runtime_test, yields};

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        std::panic::panic_any("in a destructor");
    }
}

#[test]
fn they_go_where_their_tasks_go() {
    fn is_send_and_sync<T: Send + Sync>() {}
    fn is_send<T: Send>(_: &T) {}
    is_send_and_sync::<(Shutdown, ShutdownGroup, Tracker, Report)>();
    let shutdown = Shutdown::new(&Runtime::new(Refuses));
    is_send(&shutdown.run(async {}));
    let tracker = Tracker::new(&Runtime::new(Refuses));
    is_send(&tracker.wait_idle());
}

#[apply(runtime_test)]
async fn destructors_that_panic_keep_nobody_from_ending(runtime: Runtime) {
    let runtime = runtime.with_panic_hook(|_| {});
    let shutdown = Shutdown::new(&runtime);
    for number in 0..4 {
        shutdown.spawn(number.to_string(), async {
            let _panics = PanicsOnDrop;
            pending::<()>().await;
        });
    }
    shutdown.spawn("quiet", pending());
    let main = async {
        yields(3).await;
        shutdown.force();
        let _panics = PanicsOnDrop;
        pending::<()>().await;
    };
    let report = shutdown.run(main).await;
    // One that was never polled has nothing to drop.
    assert_eq!(report.count(MemberEnd::Panicked) + report.count(MemberEnd::Dropped), 5, "{report}");
    assert_eq!(report.count(MemberEnd::StillRunning), 0);
    assert_eq!(report.main().to_string(), "panicked: in a destructor");
}

struct Refuses;

impl Spawn for Refuses {
    fn spawn_obj(&self, _: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        Err(SpawnError::shutdown())
    }
}

#[test]
fn an_executor_that_refuses_is_seen_in_the_report() {
    let shutdown = Shutdown::new(&Runtime::new(Refuses));
    assert!(shutdown.spawn("before", async {}));
    shutdown.trigger("enough");
    assert!(shutdown.spawn("after", async {}));
    shutdown.defer("cleanup", async {});
    let report = block_on(shutdown.run(async {}));
    let [after] = report.group("").unwrap().named() else { panic!("{report}") };
    assert_eq!((after.name(), after.end()), ("after", MemberEnd::Dropped));
    assert_eq!(report.unfinished_cleanup()[0].end(), MemberEnd::Dropped);
}

/// Never polls, and keeps what it is given.
struct Sleeps(std::sync::Mutex<Vec<FutureObj<'static, ()>>>);

impl Spawn for Sleeps {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.0.lock().unwrap().push(future);
        Ok(())
    }
}

#[test]
fn idle_tasks_are_dropped_even_when_nobody_drives_them() {
    let shutdown = Shutdown::new(&Runtime::new(Sleeps(Default::default())));
    let shared = Arc::new(());
    for _ in 0..1000 {
        let shared = Arc::clone(&shared);
        shutdown.group("idle").spawn("idle", async move { drop(shared) });
    }
    shutdown.force();
    let report = block_on(shutdown.run(async {}));
    assert_eq!(Arc::strong_count(&shared), 1);
    let idle = report.group("idle").unwrap();
    assert_eq!((idle.count(MemberEnd::Dropped), idle.named().len()), (1000, 64));
}

#[apply(runtime_test)]
async fn a_task_may_end_all_from_within(runtime: Runtime) {
    let shutdown = Arc::new(Shutdown::new(&runtime));
    let inner = Arc::clone(&shutdown);
    shutdown.spawn("ends all", async move {
        inner.trigger("from within");
        inner.force();
        inner.group("late").spawn("late", async {});
        drop(inner);
        pending::<()>().await;
    });
    let report = shutdown.run(pending::<()>()).await;
    assert!(report.is_forced());
    assert_eq!(report.reason().to_string(), "from within");
    assert_eq!(shutdown.group("late").live(), 0);
}

/// Wakers that panic.
struct Panics(AtomicU32);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::panic::panic_any("in a waker");
    }
}

#[apply(runtime_test)]
async fn a_waker_that_panics_keeps_nobody_waiting(runtime: Runtime) {
    let runtime = runtime.with_panic_hook(|_| {});
    let tracker = Tracker::new(&runtime);
    let panics = Arc::new(Panics(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&panics));
    let mut hostile = Box::pin(tracker.wait_idle());
    let mut patient = Box::pin(tracker.wait_idle());

    let task = tracker.runtime().spawn(pending::<()>());
    assert_eq!(hostile.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
    assert!(futures_lite::future::poll_once(&mut patient).await.is_none());
    let _ = task.cancel().await;
    patient.as_mut().await;
    assert_eq!(panics.0.load(Ordering::Relaxed), 1);

    let scope = Scope::builder().tracked(&tracker).run(async |s| {
        s.spawn(yields(1));
        assert_eq!(hostile.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
        assert!(futures_lite::future::poll_once(&mut patient).await.is_none());
        7
    });
    assert_eq!(scope.await.unwrap(), 7);
    patient.await;
    assert_eq!(panics.0.load(Ordering::Relaxed), 2);
}
