//! What is deferred, and its budget.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::{Clock, Runtime};
use weirs_scopes::{CancelToken, Reason, Scope, ScopeBuilder, scope};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, runtime_test, sim_test, yields};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A builder that counts what is skipped.
fn counting(clock: &Clock) -> (ScopeBuilder, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let builder = Scope::builder().clock(clock).on_skipped(move |skipped| {
        assert_eq!(skipped.count(), skipped.places().len());
        assert!(skipped.to_string().contains("scope_cleanup.rs:"), "{skipped}");
        assert_eq!(seen.swap(skipped.count(), Ordering::Relaxed), 0, "told twice");
    });
    (builder, count)
}

#[apply(sim_test)]
async fn an_endless_defer_does_not_hang_the_scope(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let log = Mutex::new(Vec::new());
    let (builder, skipped) = counting(clock);
    let value = builder
        .cleanup(MS(50))
        .run(async |s| {
            let log = &log;
            s.defer(async { log.lock().unwrap().push("never") });
            s.defer(std::future::pending());
            s.defer(async {
                clock.sleep(MS(20)).await;
                log.lock().unwrap().push("in time");
            });
            clock.sleep(MS(500)).await;
            7
        })
        .await;
    assert_eq!(value.unwrap(), 7);
    assert_eq!(clock.now() - start, MS(550));
    assert_eq!(*log.lock().unwrap(), ["in time"]);
    assert_eq!(skipped.load(Ordering::Relaxed), 2);
}

#[apply(sim_test)]
async fn the_budget_of_every_scope_is_thirty_seconds(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let (builder, skipped) = counting(clock);
    builder.run(async |s| s.defer(std::future::pending())).await.unwrap();
    assert_eq!(clock.now() - start, Duration::from_secs(30));
    assert_eq!(skipped.load(Ordering::Relaxed), 1);
}

#[apply(sim_test)]
async fn one_that_always_wakes_itself_is_ended_too(runtime: Runtime) {
    let clock = runtime.clock();
    let mut scope = Box::pin(Scope::builder().clock(clock).cleanup(MS(5)).run(async |s| {
        s.defer(async {
            loop {
                yields(1).await;
            }
        });
    }));
    // Time stands still while somebody is busy, so it is moved by hand.
    for _ in 0..3 {
        assert!(futures::poll!(&mut scope).is_pending());
    }
    clock.sleep(MS(5)).await;
    assert!(futures::poll!(&mut scope).is_ready());
}

#[apply(runtime_test)]
async fn without_a_budget_what_does_not_wait_is_run(runtime: Runtime) {
    let log = Mutex::new(Vec::new());
    let (builder, skipped) = counting(runtime.clock());
    let result = builder.cleanup(Duration::ZERO).run(async |s| {
        s.defer(async { log.lock().unwrap().push("not reached") });
        s.defer(std::future::pending());
        s.defer(async { log.lock().unwrap().push("at once") });
    });
    result.await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["at once"]);
    assert_eq!(skipped.load(Ordering::Relaxed), 2);
}

/// Nobody looks at the clock for a scope that defers nothing, or nothing that waits.
#[test]
fn no_timer_without_need() {
    let time = ManualClock::new();
    let run = |defers: usize| {
        let builder = Scope::builder().clock(time.clock());
        let scope = builder.run(async |s| {
            for _ in 0..defers {
                s.defer(async {});
            }
            s.spawn(async {});
        });
        scope.now_or_never().unwrap().unwrap();
        assert_eq!((time.timers_set(), time.times_read()), (0, 0));
    };
    run(0);
    run(3);
}

#[apply(sim_test)]
async fn neither_deadline_nor_cancelling_changes_a_settled_outcome(runtime: Runtime) {
    let clock = runtime.clock();
    let token = CancelToken::with_clock(clock.clone());
    let done = AtomicUsize::new(0);
    let scope = Scope::builder().clock(clock).deadline(clock.now() + MS(10)).grace(MS(1)).under(&token);
    let scope = scope.run(async |s| {
        s.defer(async {
            clock.sleep(MS(30)).await;
            done.fetch_add(1, Ordering::Relaxed);
        });
        7
    });
    let cancels = async {
        clock.sleep(MS(5)).await;
        token.cancel(Reason::Requested);
    };
    let (value, ()) = futures::join!(scope, cancels);
    assert_eq!(value.unwrap(), 7);
    assert_eq!(done.into_inner(), 1);
}

#[apply(runtime_test)]
async fn a_panic_in_cleanup_counts_and_the_rest_is_run(_: Runtime) {
    let ran = AtomicUsize::new(0);
    let caught = AssertUnwindSafe(scope(async |s| {
        s.defer(async {
            yields(2).await;
            ran.fetch_add(1, Ordering::Relaxed);
        });
        s.defer(async { panic!("in cleanup") });
        7
    }));
    let payload = caught.catch_unwind().await.unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"in cleanup"));
    assert_eq!(ran.into_inner(), 1);
}

#[apply(runtime_test)]
async fn what_cleanup_defers_is_run_too(_: Runtime) {
    let log = Mutex::new(Vec::new());
    scope(async |s| {
        let (inner, log) = (s.clone(), &log);
        s.defer(async { log.lock().unwrap().push(1) });
        s.defer(async move {
            inner.defer(async { log.lock().unwrap().push(3) });
            yields(1).await;
            log.lock().unwrap().push(2);
            // Children are too late.
            assert!(inner.try_spawn(async {}).is_err());
        });
    })
    .await;
    assert_eq!(log.into_inner().unwrap(), [2, 3, 1]);
}

#[apply(runtime_test)]
async fn a_dropped_scope_tells_what_it_skipped(runtime: Runtime) {
    let polls = cancel_at_every_poll(
        || {
            let (builder, _) = counting(runtime.clock());
            builder.run(async |s| {
                s.defer(yields(3));
                s.defer(yields(70));
                yields(70).await;
            })
        },
        async |_| (),
    )
    .await;
    assert!(polls >= 2, "{polls}");

    let (builder, skipped) = counting(runtime.clock());
    let mut scope = Box::pin(builder.run(async |s| {
        s.defer(async {});
        s.defer(async {});
        std::future::pending::<()>().await;
    }));
    assert!(futures::poll!(&mut scope).is_pending());
    drop(scope);
    assert_eq!(skipped.load(Ordering::Relaxed), 2);
}

#[apply(sim_test)]
async fn a_hook_that_panics_panics_the_scope(runtime: Runtime) {
    let builder = Scope::builder().clock(runtime.clock()).cleanup(MS(1)).on_skipped(|_| panic!("hook"));
    let caught =
        AssertUnwindSafe(builder.run(async |s| s.defer(std::future::pending()))).catch_unwind().await;
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"hook"));
}

#[apply(sim_test)]
async fn a_nested_scope_can_only_shorten_the_budget(runtime: Runtime) {
    let clock = runtime.clock();
    let spent = async |longer: Duration| {
        let builder = Scope::builder().clock(clock).cleanup(MS(20));
        let result = builder.run(async |outer| {
            let start = clock.now();
            let inner = outer.nested().cleanup(longer);
            inner.run(async |s| s.defer(std::future::pending())).await.unwrap();
            clock.now() - start
        });
        result.await.unwrap()
    };
    assert_eq!(spent(MS(5)).await, MS(5));
    assert_eq!(spent(Duration::MAX).await, MS(20));
}
