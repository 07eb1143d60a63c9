//! What a reviewer broke who meant to: destructors, watches, clocks and foreign timers at their worst.

use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use weirs_conformance::{Held, poll};
use weirs_runtime::{Clock, Ending, JoinError, Runtime, Task, TaskId, Tokio, Verdict, Watch, block_on};
use weirs_testing::{ManualClock, apply, runtime_test};

const MS: Duration = Duration::from_millis(1);

/// Its destructor panics, and it tells that it ran.
struct Bomb(Arc<AtomicBool>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        panic!("boom");
    }
}

#[apply(runtime_test)]
async fn the_last_task_may_take_its_hook_with_it(runtime: Runtime) {
    let gone = Arc::new(AtomicBool::new(false));
    let bomb = Bomb(Arc::clone(&gone));
    let hooked = runtime.with_panic_hook(move |_| {
        let _ = &bomb;
    });
    let (release, released) = async_channel::bounded::<()>(1);
    let task = hooked.spawn(async move { assert!(released.recv().await.is_err()) });
    task.detach();
    drop(hooked);
    drop(release);
    weirs_conformance::until(runtime.clock(), || gone.load(Ordering::Relaxed)).await;
    assert_eq!(runtime.spawn(async { 1 }).await.unwrap(), 1, "the executor's threads live");
}

/// Panics where it is told to.
struct PanicsIn(&'static str);

impl Watch for PanicsIn {
    fn spawned(&self, _: &weirs_runtime::Spawned<'_>) {
        assert_ne!(self.0, "spawned", "by the watch");
    }

    fn poll_begins(&self, _: TaskId) -> Verdict {
        assert_ne!(self.0, "poll_begins", "by the watch");
        Verdict::Poll
    }

    fn poll_ends(&self, _: TaskId) {
        assert_ne!(self.0, "poll_ends", "by the watch");
    }

    fn ended(&self, _: TaskId, _: Ending) {
        assert_ne!(self.0, "ended", "by the watch");
    }
}

#[apply(runtime_test)]
async fn a_watch_that_panics_fails_the_task_and_blinds_no_other(runtime: Runtime) {
    let quiet = runtime.with_panic_hook(|_| {});
    for place in ["spawned", "poll_begins", "poll_ends", "ended"] {
        let (watching, watched) = quiet.with_watch(Arc::new(PanicsIn(place))).watched();
        let result = watching.spawn(async { 1 }).await;
        match place {
            "ended" => assert_eq!(result.unwrap(), 1, "it was over by then"),
            _ => assert!(matches!(result, Err(JoinError::Panic(_))), "{place}"),
        }
        assert!(watched.is_empty(), "{place}: {watched}");
    }
}

#[apply(runtime_test)]
async fn a_watch_may_panic_beside_a_bomb(runtime: Runtime) {
    let quiet = runtime.with_panic_hook(|_| {});
    let bomb = || Bomb(Arc::default());
    let watching = quiet.with_watch(Arc::new(PanicsIn("poll_ends")));

    let output = bomb();
    assert!(watching.spawn(async move { output }).await.is_err());
    let payload = bomb();
    let Err(JoinError::Panic(payload)) = watching.spawn(async move { panic_any(payload) }).await else {
        panic!("it panicked");
    };
    // What is inside goes off where it is dropped, and not before.
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload))).is_err());

    struct Condemns;
    impl Watch for Condemns {
        fn poll_begins(&self, _: TaskId) -> Verdict {
            Verdict::Panic(Box::new(Bomb(Arc::default())))
        }
    }
    let condemned =
        quiet.with_watch(Arc::new(Condemns)).with_watch(Arc::new(PanicsIn("poll_begins"))).spawn(async {});
    assert!(condemned.await.unwrap_err().to_string().contains("by the watch"));
}

#[test]
fn a_chain_of_results_goes_without_a_deep_stack() {
    struct Link(#[allow(dead_code, reason = "it is there to be dropped")] Option<Task<Self>>);
    let held = Held::default();
    let runtime = Runtime::new(held.clone());
    let mut chain = runtime.spawn(async { Link(None) });
    for _ in 0..100_000 {
        let before = chain;
        chain = runtime.spawn(async move { Link(Some(before)) });
    }
    assert_eq!(held.run_once(), 0);
    drop(chain);
}

#[test]
fn a_destructor_may_wait_for_what_it_cancels_however_deep() {
    struct Waits(Option<Task<()>>);
    impl Drop for Waits {
        fn drop(&mut self) {
            if let Some(task) = self.0.take() {
                let _ = block_on(task.cancel());
            }
        }
    }
    let runtime = Runtime::new(Held::default());
    let mut chain = runtime.spawn(std::future::pending());
    for _ in 0..40 {
        let waits = Waits(Some(chain));
        chain = runtime.spawn(async move {
            let _waits = waits;
            std::future::pending::<()>().await;
        });
    }
    assert!(block_on(chain.cancel()).unwrap_err().is_cancelled());
}

#[test]
fn a_foreign_sleep_that_ends_at_once_holds_nobody_up() {
    let (clock, drive) = Clock::hosted(|| Duration::ZERO, |_| std::future::ready(()));
    let mut sleep = Box::pin(clock.sleep(10 * MS));
    let mut drive = Box::pin(drive);
    assert!(poll(&mut sleep).is_pending());
    for _ in 0..10 {
        assert_eq!(poll(&mut drive), Poll::Pending, "it comes back from each poll");
    }
}

#[test]
fn a_foreign_sleep_is_asked_for_a_day_at_most() {
    let (asked, spans) = async_channel::unbounded();
    let sleep = move |span| {
        asked.try_send(span).unwrap();
        std::future::pending()
    };
    let (clock, drive) = Clock::hosted(|| Duration::ZERO, sleep);
    let mut sleep = Box::pin(clock.sleep(Duration::from_secs(400 * 365 * 86_400)));
    let mut drive = Box::pin(drive);
    assert!(poll(&mut sleep).is_pending());
    assert!(poll(&mut drive).is_pending());
    assert_eq!(spans.try_recv(), Ok(Duration::from_secs(86_400)));
}

#[test]
#[should_panic(expected = "timers are disabled")]
fn tokios_clock_without_its_timers_is_told_at_once() {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _ = Tokio::on(tokio.handle().clone()).clock();
}

#[test]
#[cfg(debug_assertions)]
fn another_clocks_instant_is_no_deadline() {
    let clocks = [ManualClock::new(), ManualClock::new()];
    let [one, two] = clocks.each_ref().map(ManualClock::clock);
    let foreign = two.now() + MS;
    let panics = |what: &dyn Fn()| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(what)).expect_err("it should panic");
    };
    panics(&|| drop(one.sleep_until(foreign)));
    panics(&|| one.sleep(MS).reset(foreign));
    panics(&|| drop(one.timeout_at(foreign, async {})));
    panics(&|| drop(one.interval_at(foreign, MS)));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "it is the standard's instants that this is about")]
fn a_standard_instant_is_not_later_than_it_was() {
    let clock = Clock::default();
    for _ in 0..1_000 {
        // tidy: allow(ambient): it is the standard's instants that this is about
        let standard = std::time::Instant::now();
        let now = clock.now();
        assert!(clock.from_std(standard).unwrap() <= now);
    }
}
