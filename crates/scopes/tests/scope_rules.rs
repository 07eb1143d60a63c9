//! The fifteen rules of scopes, each a named test on every runtime, and what follows from them.
//!
//! Rule by rule: `cargo test -p weirs-scopes rule_07`. The tests without a number are corollaries.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::Runtime;
use weirs_scopes::{Ended, Reason, Refusal, Scope, ScopeError, scope, try_scope};
use weirs_testing::{ManualClock, apply, runtime_test, sim_test, yields};

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[apply(runtime_test)]
async fn smoke(_: Runtime) {
    let text = String::from("borrowed");
    let mut written = 0;
    let length = scope(async |s| {
        s.spawn(async { written = text.len() });
        s.spawn(async { text.len() }).await.unwrap()
    })
    .await;
    assert_eq!((length, written), (8, 8));
}

#[apply(runtime_test)]
async fn a_scope_waits_for_all_children(_: Runtime) {
    let done = AtomicUsize::new(0);
    scope(async |s| {
        for times in 0..20 {
            let done = &done;
            s.spawn(async move {
                yields(times).await;
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    })
    .await;
    assert_eq!(done.load(Ordering::Relaxed), 20);
}

#[apply(runtime_test)]
async fn rule_01_children_may_spawn_until_none_is_left(_: Runtime) {
    fn grow<'env>(s: Scope<'env>, depth: usize, count: &'env AtomicUsize) {
        s.clone().spawn(async move {
            count.fetch_add(1, Ordering::Relaxed);
            yields(1).await;
            if depth > 0 {
                grow(s.clone(), depth - 1, count);
                grow(s, depth - 1, count);
            }
        });
    }
    let count = AtomicUsize::new(0);
    scope(async |s| grow(s, 5, &count)).await;
    assert_eq!(count.into_inner(), 63);
}

#[apply(runtime_test)]
async fn a_closed_scope_gives_the_future_back(_: Runtime) {
    scope(async |s| {
        let running = s.spawn(yields(3));
        s.close();
        let rejected = s.try_spawn(async { 5 }).unwrap_err();
        assert_eq!(rejected.why(), Refusal::Closed);
        assert_eq!(rejected.into_inner().await, 5);
        assert_eq!(s.spawn(async {}).await, Err(Ended::Refused(Refusal::Closed)));
        assert_eq!(running.await, Ok(()));
    })
    .await;
}

#[apply(runtime_test)]
async fn a_cancelled_scope_gives_the_future_back(_: Runtime) {
    scope(async |s| {
        let child = s.spawn(std::future::pending::<()>());
        assert!(s.cancel(Reason::Requested));
        assert!(!s.cancel(Reason::Shutdown));
        assert_eq!(s.try_spawn(async { 5 }).unwrap_err().why(), Refusal::Cancelled);
        assert_eq!(child.await, Err(Ended::Cancelled));
    })
    .await;
}

#[apply(runtime_test)]
async fn rule_02_the_first_cause_decides_and_cancels_the_rest(_: Runtime) {
    let dropped = AtomicBool::new(false);
    let result: Result<(), &str> = try_scope(async |s| {
        let guard = OnDrop(|| dropped.store(true, Ordering::Relaxed));
        s.spawn(async move {
            let _guard = guard;
            std::future::pending::<Result<(), &str>>().await
        });
        s.spawn(async {
            yields(2).await;
            Err::<(), _>("first")
        });
        s.spawn(async {
            yields(3).await;
            Err::<(), _>("second")
        });
        std::future::pending().await
    })
    .await;
    assert_eq!(result, Err("first"));
    assert!(dropped.into_inner());
}

#[apply(runtime_test)]
async fn a_body_that_returned_ok_loses_to_a_child(_: Runtime) {
    let result: Result<u8, &str> = try_scope(async |s| {
        s.spawn(async {
            yields(3).await;
            Err::<(), _>("late")
        });
        Ok(7)
    })
    .await;
    assert_eq!(result, Err("late"));
}

#[apply(runtime_test)]
async fn a_body_that_fails_after_it_cancelled_gives_its_error(_: Runtime) {
    let result: Result<u8, &str> = try_scope(async |s| {
        s.spawn(std::future::pending::<Result<(), &str>>());
        s.cancel(Reason::Requested);
        yields(3).await;
        Err("after all")
    })
    .await;
    assert_eq!(result, Err("after all"));
}

#[apply(runtime_test)]
async fn rule_04_a_cancelled_child_is_no_failure(_: Runtime) {
    let result: Result<u8, &str> = try_scope(async |s| {
        let child = s.spawn(std::future::pending::<Result<(), &str>>());
        child.cancel();
        assert_eq!(child.await, Err(Ended::Cancelled));
        Ok(1)
    })
    .await;
    assert_eq!(result, Ok(1));
}

#[apply(runtime_test)]
async fn rule_03_a_panic_goes_on_after_all_have_ended_and_beats_an_error(_: Runtime) {
    let dropped = AtomicBool::new(false);
    let caught = AssertUnwindSafe(try_scope(async |s| {
        let guard = OnDrop(|| dropped.store(true, Ordering::Relaxed));
        s.spawn(async move {
            let _guard = guard;
            std::future::pending::<Result<(), &str>>().await
        });
        s.spawn(async {
            yields(1).await;
            let _panics_when_it_is_dropped = OnDrop(|| std::panic::panic_any(77_u8));
            std::future::pending::<Result<(), &str>>().await
        });
        yields(3).await;
        Err::<(), _>("an error")
    }))
    .catch_unwind()
    .await;
    assert_eq!(caught.unwrap_err().downcast_ref::<u8>(), Some(&77));
    assert!(dropped.into_inner());
}

/// Whether one fails or two, and whoever is first: the type is the same, and one error is a list of one.
#[apply(runtime_test)]
async fn rule_05_the_shape_of_errors_does_not_depend_on_time(_: Runtime) {
    for failing in [1, 2] {
        let plain: Result<(), usize> = try_scope(async |s| {
            (0..failing).for_each(|number| drop(s.spawn(async move { Err::<(), _>(number) })));
            Ok(())
        })
        .await;
        assert_eq!(plain, Err(0));
        let collects = Scope::builder().collect_errors(NonZeroUsize::MAX).keep_going();
        let all = collects.try_run(async |s| {
            (0..failing).for_each(|number| drop(s.spawn(async move { Err::<(), _>(number) })));
            Ok(())
        });
        let Err(ScopeError::Failed(errors)) = all.await else { panic!("they failed") };
        assert_eq!((errors.len(), errors.first()), (failing, &0));
    }
}

#[apply(sim_test)]
async fn rule_06_grace_lets_children_end_by_themselves(runtime: Runtime) {
    let clock = runtime.clock();
    let ms = Duration::from_millis;
    let log = Mutex::new(Vec::new());
    let start = clock.now();
    let result = Scope::builder()
        .clock(clock)
        .deadline(start + ms(10))
        .grace(ms(5))
        .run(async |s| {
            let token = s.token().clone();
            let log = &log;
            s.spawn(async move {
                token.cancelled().await;
                clock.sleep(ms(3)).await;
                log.lock().unwrap().push(("polite", clock.now() - start));
            });
            let guard = OnDrop(|| log.lock().unwrap().push(("stubborn", clock.now() - start)));
            s.spawn(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
        })
        .await;
    assert!(result.unwrap_err().is_deadline());
    assert_eq!(*log.lock().unwrap(), [("polite", ms(13)), ("stubborn", ms(15))]);
}

#[apply(runtime_test)]
async fn rule_06_the_token_fires_first_and_grace_ends_early_when_all_have_ended(runtime: Runtime) {
    let polite = AtomicBool::new(false);
    let builder = Scope::builder().clock(runtime.clock()).grace(Duration::from_secs(3600));
    let result = builder.run(async |s| {
        let token = s.token().clone();
        s.spawn(async {
            token.cancelled_owned().await;
            polite.store(true, Ordering::Relaxed);
        });
        yields(1).await;
        s.cancel(Reason::Requested);
    });
    result.await.unwrap();
    assert!(polite.into_inner());
}

#[apply(runtime_test)]
async fn rule_07_the_last_spawned_is_dropped_first_and_services_last(_: Runtime) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let waits = |name: &'static str| {
        let log = Arc::clone(&log);
        let guard = OnDrop(move || log.lock().unwrap().push(name));
        async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }
    };
    let spawn = async |s: Scope<'_>| {
        s.spawn_service("service", waits("service"));
        s.spawn(waits("one"));
        s.spawn(waits("two"));
        s.spawn(waits("three"));
        waits("body").await;
    };
    let mut abandoned = Box::pin(scope(spawn));
    assert!(futures::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    assert_eq!(std::mem::take(&mut *log.lock().unwrap()), ["three", "two", "one", "body", "service"]);

    let result = Scope::builder()
        .run(async |s| {
            spawn(s.clone()).now_or_never();
            log.lock().unwrap().clear();
            s.cancel(Reason::Shutdown);
            waits("body").await;
        })
        .await;
    assert!(matches!(result, Err(ScopeError::Cancelled(Reason::Shutdown))));
    assert_eq!(std::mem::take(&mut *log.lock().unwrap()), ["three", "two", "one", "body", "service"]);
}

#[apply(runtime_test)]
async fn rule_08_a_shield_keeps_a_child_until_its_part_is_done(_: Runtime) {
    let log = Mutex::new(Vec::new());
    let result: Result<(), &str> = try_scope(async |s| {
        let (inner, log) = (s.clone(), &log);
        s.spawn(async move {
            let commits = async {
                yields(5).await;
                log.lock().unwrap().push("committed");
            };
            inner.shield(Duration::from_secs(60), commits).await;
            yields(1).await;
            log.lock().unwrap().push("too far");
            Ok(())
        });
        s.spawn(async move {
            yields(5).await;
            log.lock().unwrap().push("unshielded");
            Ok(())
        });
        yields(2).await;
        Err("stop")
    })
    .await;
    assert_eq!(result, Err("stop"));
    assert_eq!(*log.lock().unwrap(), ["committed"]);
}

#[apply(runtime_test)]
async fn rule_09_what_was_deferred_last_runs_first_also_after_a_panic(_: Runtime) {
    let log = Mutex::new(Vec::new());
    let caught = AssertUnwindSafe(scope(async |s| {
        let log = &log;
        s.defer(async move {
            yields(2).await;
            log.lock().unwrap().push(1);
        });
        s.defer(async { log.lock().unwrap().push(2) });
        s.spawn(async { panic!("on purpose") });
        std::future::pending::<()>().await;
    }))
    .catch_unwind()
    .await;
    assert!(caught.is_err());
    assert_eq!(*log.lock().unwrap(), [2, 1]);
}

#[apply(sim_test)]
async fn rule_10_what_is_ready_at_the_deadline_is_delivered(runtime: Runtime) {
    let clock = runtime.clock();
    let at = clock.now() + Duration::from_millis(5);
    let value = Scope::builder()
        .clock(clock)
        .deadline(at)
        .run(async |_| {
            clock.sleep_until(at).await;
            7
        })
        .await;
    // Which timer fires first is the simulator's choice; whoever finds the work done takes it.
    assert!(matches!(value, Ok(7) | Err(ScopeError::Cancelled(Reason::Deadline))), "{value:?}");

    // Both at once: by hand, so that one poll finds the work done and the deadline passed.
    let time = ManualClock::new();
    let at = time.clock().now() + Duration::from_millis(5);
    let body = async |_| {
        time.clock().sleep_until(at).await;
        7
    };
    let mut both = pin!(Scope::builder().clock(time.clock()).deadline(at).run(body));
    assert!(futures_lite::future::poll_once(both.as_mut()).await.is_none());
    time.advance(Duration::from_millis(5));
    assert_eq!(futures_lite::future::poll_once(both.as_mut()).await.unwrap().unwrap(), 7);

    let past = Scope::builder().clock(clock).deadline(clock.now()).run(async |_| ()).await;
    assert!(past.unwrap_err().is_deadline());
}

#[apply(runtime_test)]
async fn rule_10_a_deadline_in_the_past_cancels_before_the_body_begins(runtime: Runtime) {
    let clock = runtime.clock();
    let began = AtomicBool::new(false);
    let late = Scope::builder()
        .clock(clock)
        .deadline(clock.now())
        .run(async |_| began.store(true, Ordering::Relaxed));
    assert!(late.await.unwrap_err().is_deadline());
    assert!(!began.into_inner());
    // The earlier of its own and the one above.
    let token = weirs_scopes::CancelToken::with_clock(clock.clone());
    let above = token.child_after(Duration::from_secs(10));
    let builder = Scope::builder().under(&above).deadline(clock.now() + Duration::from_secs(20));
    let result = builder.run(async |s| {
        assert_eq!(s.deadline(), above.deadline());
        assert!(s.remaining().unwrap() <= Duration::from_secs(10));
    });
    result.await.unwrap();
}

#[apply(runtime_test)]
async fn rule_11_services_end_with_the_last_child(_: Runtime) {
    let ticks = AtomicUsize::new(0);
    scope(async |s| {
        s.spawn_service("ticker", async {
            loop {
                ticks.fetch_add(1, Ordering::Relaxed);
                yields(1).await;
            }
        });
        s.spawn(yields(10));
    })
    .await;
    assert!(ticks.into_inner() >= 10);
}

#[apply(runtime_test)]
async fn rule_12_a_dropped_handle_changes_nothing(_: Runtime) {
    let done = AtomicBool::new(false);
    scope(async |s| {
        drop(s.spawn(async {
            yields(3).await;
            done.store(true, Ordering::Relaxed);
        }));
    })
    .await;
    assert!(done.into_inner());
}

#[apply(runtime_test)]
async fn rule_13_at_most_as_many_as_the_limit_exist(_: Runtime) {
    let (existing, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let result = Scope::builder()
        .limit(NonZeroUsize::new(3).unwrap())
        .run(async |s| {
            for number in 0..20 {
                let (existing, most) = (&existing, &most);
                let child = async move {
                    let now = existing.fetch_add(1, Ordering::Relaxed) + 1;
                    most.fetch_max(now, Ordering::Relaxed);
                    yields(number % 4).await;
                    existing.fetch_sub(1, Ordering::Relaxed);
                };
                s.spawn_when_free(child).await.unwrap();
                assert!(s.live() <= 3);
            }
        })
        .await;
    assert!(result.is_ok());
    assert_eq!((existing.into_inner(), most.into_inner()), (0, 3));
}

#[apply(runtime_test)]
async fn whoever_waits_for_room_hears_of_the_cancelling(runtime: Runtime) {
    let limit = NonZeroUsize::MIN;
    let result = Scope::builder()
        .limit(limit)
        .clock(runtime.clock())
        .grace(Duration::from_secs(60))
        .run(async |s| {
            let token = s.token().clone();
            s.spawn(async move { token.cancelled().await });
            let mut waiting = Box::pin(s.spawn_when_free(async {}));
            assert!(futures::poll!(&mut waiting).is_pending());
            s.cancel(Reason::Requested);
            assert_eq!(waiting.await.unwrap_err().why(), Refusal::Cancelled);
        })
        .await;
    assert!(result.is_ok(), "{result:?}");
}

#[apply(runtime_test)]
async fn rule_14_whoever_starts_a_child_may_wait_until_it_is_ready(_: Runtime) {
    let gone = AtomicBool::new(false);
    scope(async |s| {
        let (port, child) = s
            .spawn_ready(async |started| {
                yields(2).await;
                started.ready(8080);
                yields(2).await;
            })
            .await
            .unwrap();
        assert_eq!((port, child.is_finished()), (8080, false));
        let early = s.spawn_ready(async |_: weirs_scopes::Started<()>| ()).await;
        assert_eq!(early.unwrap_err(), Ended::NotReady);
        // Until it is ready it is its caller's: given up with the waiting.
        let guard = OnDrop(|| gone.store(true, Ordering::Relaxed));
        let waits = s.spawn_ready(async move |_: weirs_scopes::Started<()>| {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        drop(waits);
        yields(2).await;
        assert!(gone.load(Ordering::Relaxed));
    })
    .await;
}

#[apply(runtime_test)]
async fn rule_15_a_waiting_handle_may_be_given_up_and_taken_up(_: Runtime) {
    scope(async |s| {
        let mut child = s.spawn(async {
            yields(3).await;
            "kept"
        });
        assert!(futures::poll!(&mut child).is_pending());
        yields(9).await;
        assert!(child.is_finished());
        assert_eq!((&mut child).await, Ok("kept"));
        assert_eq!(child.await, Err(Ended::Taken));
    })
    .await;
}
