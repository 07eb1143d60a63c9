// tidy: allow(size): the rules stand together
//! The rules of scopes, for parallel ones: each a named test on every runtime.

use std::future::{Future, pending};
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::Runtime;
use weirs_scopes::{
    CancelToken, Ended, PanicPolicy, Reason, Refusal, ScopeError, TaskScope, task_scope, try_task_scope,
};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, runtime_test, sim_test, yields};

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn say(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Says its name when it is dropped.
    fn waits(&self, name: &'static str) -> impl Future<Output = ()> + Send + use<> {
        let log = self.clone();
        let guard = OnDrop(move || log.say(name));
        async move {
            let _guard = guard;
            pending::<()>().await;
        }
    }
}

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let text = String::from("borrowed");
    let length = task_scope(&runtime, async |s| {
        let child = s.spawn(async { 8 });
        child.await.unwrap() + text.len()
    })
    .await;
    assert_eq!(length, 16);
}

#[apply(runtime_test)]
async fn rule_01_children_may_spawn_until_none_is_left(runtime: Runtime) {
    fn grow(s: &TaskScope, depth: usize, count: &Arc<AtomicUsize>) {
        let (inner, count) = (s.clone(), Arc::clone(count));
        s.spawn(async move {
            count.fetch_add(1, Ordering::Relaxed);
            yields(1).await;
            if depth > 0 {
                grow(&inner, depth - 1, &count);
                grow(&inner, depth - 1, &count);
            }
        });
    }
    let count = Arc::new(AtomicUsize::new(0));
    task_scope(&runtime, async |s| grow(&s, 5, &count)).await;
    assert_eq!(count.load(Ordering::Relaxed), 63);
}

#[apply(runtime_test)]
async fn rule_01_a_closed_scope_gives_the_future_back(runtime: Runtime) {
    let after = task_scope(&runtime, async |s| {
        let running = s.spawn(yields(3));
        s.close();
        let rejected = s.try_spawn(async { 5 }).unwrap_err();
        assert_eq!(rejected.why(), Refusal::Closed);
        assert_eq!(rejected.into_inner().await, 5);
        assert_eq!(s.spawn(async {}).await, Err(Ended::Refused(Refusal::Closed)));
        assert_eq!(running.await, Ok(()));
        s
    })
    .await;
    assert_eq!(after.try_spawn(async {}).unwrap_err().why(), Refusal::Closed);
}

#[apply(runtime_test)]
async fn rule_01_a_cancelled_scope_gives_the_future_back(runtime: Runtime) {
    task_scope(&runtime, async |s| {
        let child = s.spawn(pending::<()>());
        assert!(s.cancel(Reason::Requested));
        assert!(!s.cancel(Reason::Shutdown));
        assert_eq!(s.try_spawn(async { 5 }).unwrap_err().why(), Refusal::Cancelled);
        assert_eq!(child.await, Err(Ended::Cancelled));
    })
    .await;
}

#[apply(runtime_test)]
async fn rule_02_the_first_cause_decides_what_everybody_hears(runtime: Runtime) {
    let result: Result<(), &str> = try_task_scope(&runtime, async |s| {
        let token = s.token().clone();
        s.spawn(async { Err::<(), _>("first") });
        let reason = token.cancelled().await;
        assert_eq!(reason, Reason::SiblingFailed);
        s.cancel(Reason::Shutdown);
        pending().await
    })
    .await;
    assert_eq!(result, Err("first"));
}

#[apply(runtime_test)]
async fn rule_03_the_first_error_cancels_the_rest(runtime: Runtime) {
    let log = Log::default();
    let result: Result<(), &str> = try_task_scope(&runtime, async |s| {
        let waits = log.waits("dropped");
        s.spawn(async move {
            waits.await;
            Ok(())
        });
        s.spawn(async {
            yields(2).await;
            Err::<(), _>("first")
        });
        pending().await
    })
    .await;
    assert_eq!((result, log.take()), (Err("first"), vec!["dropped"]));
}

#[apply(runtime_test)]
async fn rule_03_a_body_that_returned_ok_loses_to_a_child(runtime: Runtime) {
    let result: Result<u8, &str> = try_task_scope(&runtime, async |s| {
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
async fn rule_03_a_panic_goes_on_after_all_have_ended_and_beats_an_error(runtime: Runtime) {
    let log = Log::default();
    let caught = AssertUnwindSafe(try_task_scope(&runtime, async |s| {
        let waits = log.waits("dropped");
        s.spawn(async move {
            waits.await;
            Ok::<(), &str>(())
        });
        let panics_when_it_is_dropped = OnDrop(|| std::panic::panic_any(77_u8));
        s.spawn(async move {
            let _guard = panics_when_it_is_dropped;
            pending::<Result<(), &str>>().await
        });
        yields(3).await;
        Err::<(), _>("an error")
    }))
    .catch_unwind()
    .await;
    assert_eq!(caught.unwrap_err().downcast_ref::<u8>(), Some(&77));
    assert_eq!(log.take(), ["dropped"]);
}

#[apply(runtime_test)]
async fn rule_03_a_panic_may_become_an_error(runtime: Runtime) {
    let builder = TaskScope::builder().panics(PanicPolicy::AsError);
    let result = builder
        .run_on(&runtime, async |s| {
            let child = s.spawn(async { panic!("as a value") });
            assert_eq!(child.await, Err::<(), _>(Ended::Panicked));
            pending::<()>().await;
        })
        .await;
    let Err(ScopeError::Panicked(payload)) = result else { panic!("{result:?}") };
    assert_eq!(payload.message(), "as a value");
}

#[apply(runtime_test)]
async fn rule_03_a_body_that_panics_takes_its_children_along(runtime: Runtime) {
    let log = Log::default();
    let caught = AssertUnwindSafe(task_scope(&runtime, async |s| {
        s.spawn(log.waits("child"));
        panic!("the body");
    }))
    .catch_unwind();
    assert_eq!(caught.await.unwrap_err().downcast_ref::<&str>(), Some(&"the body"));
    assert_eq!(log.take(), ["child"]);
}

#[apply(runtime_test)]
async fn rule_04_a_cancelled_child_is_no_failure(runtime: Runtime) {
    let result: Result<u8, &str> = try_task_scope(&runtime, async |s| {
        let child = s.spawn(pending::<Result<(), &str>>());
        child.cancel();
        assert_eq!(child.await, Err(Ended::Cancelled));
        Ok(1)
    })
    .await;
    assert_eq!(result, Ok(1));
}

#[apply(runtime_test)]
async fn rule_05_the_error_is_the_plain_error(runtime: Runtime) {
    let builder = TaskScope::builder();
    let result: Result<(), ScopeError<&str>> = builder.try_run_on(&runtime, async |_| Err("mine")).await;
    assert_eq!(result.unwrap_err().failed(), Some("mine"));
}

#[apply(sim_test)]
async fn rule_06_grace_lets_children_end_by_themselves(runtime: Runtime) {
    let clock = runtime.clock();
    let ms = Duration::from_millis;
    let log = Arc::new(Mutex::new(Vec::new()));
    let start = clock.now();
    let result = TaskScope::builder()
        .deadline(start + ms(10))
        .grace(ms(5))
        .run_on(&runtime, async |s| {
            let (token, heard, at) = (s.token().clone(), Arc::clone(&log), clock.clone());
            s.spawn(async move {
                token.cancelled().await;
                at.sleep(ms(3)).await;
                heard.lock().unwrap().push(("polite", at.now() - start));
            });
            let (heard, at) = (Arc::clone(&log), clock.clone());
            let guard = OnDrop(move || heard.lock().unwrap().push(("stubborn", at.now() - start)));
            s.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
        })
        .await;
    assert!(result.unwrap_err().is_deadline());
    assert_eq!(*log.lock().unwrap(), [("polite", ms(13)), ("stubborn", ms(15))]);
}

#[apply(sim_test)]
async fn rule_07_the_last_spawned_is_dropped_first_and_services_last(runtime: Runtime) {
    let log = Log::default();
    let order = ["three", "two", "one", "body", "service"];
    let spawn = async |s: TaskScope| {
        s.spawn_service("service", log.waits("service"));
        for name in ["one", "two", "three"] {
            s.spawn(log.waits(name));
        }
        log.waits("body").await;
    };
    let mut abandoned = Box::pin(task_scope(&runtime, spawn));
    assert!(futures::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    assert_eq!(log.take(), order);

    let token = CancelToken::new();
    let mut cancelled = Box::pin(TaskScope::builder().under(&token).run_on(&runtime, spawn));
    assert!(futures::poll!(&mut cancelled).is_pending());
    token.cancel(Reason::Shutdown);
    assert_eq!(log.take(), order[..3], "the canceller drops those that wait");
    assert!(matches!(cancelled.await, Err(ScopeError::Cancelled(Reason::Shutdown))));
    assert_eq!(log.take(), order[3..]);
}

#[apply(runtime_test)]
async fn rule_09_what_was_deferred_last_runs_first_also_after_a_panic(runtime: Runtime) {
    let log = Log::default();
    let caught = AssertUnwindSafe(task_scope(&runtime, async |s| {
        let (one, two, gone) = (log.clone(), log.clone(), log.waits("child"));
        s.defer(async move {
            yields(2).await;
            one.say("first deferred");
        });
        s.defer(async move { two.say("last deferred") });
        s.spawn(gone);
        s.spawn(async { panic!("on purpose") });
        pending::<()>().await;
    }))
    .catch_unwind()
    .await;
    assert!(caught.is_err());
    assert_eq!(log.take(), ["child", "last deferred", "first deferred"]);
}

#[apply(sim_test)]
async fn rule_09_what_is_deferred_has_thirty_seconds(runtime: Runtime) {
    let log = Log::default();
    let start = runtime.clock().now();
    task_scope(&runtime, async |s| {
        s.defer(log.waits("skipped"));
        s.defer(log.waits("given up"));
        let (clock, log) = (runtime.clock().clone(), log.clone());
        s.defer(async move {
            clock.sleep(Duration::from_secs(10)).await;
            log.say("done");
        });
    })
    .await;
    assert_eq!(log.take(), ["done", "given up", "skipped"]);
    assert_eq!(runtime.clock().now() - start, Duration::from_secs(30));
}

#[apply(runtime_test)]
async fn rule_09_what_a_dropped_scope_deferred_goes_to_the_one_around(runtime: Runtime) {
    let log = Log::default();
    task_scope(&runtime, async |s| {
        let outer = log.clone();
        s.defer(async move { outer.say("outer") });
        let mut inner = Box::pin(s.scope(async |inner| {
            let (one, two) = (log.clone(), log.clone());
            inner.defer(async move { one.say("inner one") });
            inner.defer(async move { two.say("inner two") });
            pending::<()>().await;
        }));
        assert!(futures::poll!(&mut inner).is_pending());
        drop(inner);
        assert!(log.take().is_empty());
    })
    .await;
    assert_eq!(log.take(), ["inner two", "inner one", "outer"]);

    let mut alone = Box::pin(task_scope(&runtime, async |s| {
        let skipped = log.waits("skipped");
        s.defer(skipped);
        pending::<()>().await;
    }));
    assert!(futures::poll!(&mut alone).is_pending());
    drop(alone);
    assert_eq!(log.take(), ["skipped"]);
}

#[apply(sim_test)]
async fn rule_10_a_deadline_is_its_own_outcome(runtime: Runtime) {
    let clock = runtime.clock();
    let at = clock.now() + Duration::from_millis(5);
    let late = TaskScope::builder().deadline(at).run_on(&runtime, async |s| {
        s.spawn(pending::<()>());
    });
    assert!(late.await.unwrap_err().is_deadline());
    assert_eq!(clock.now(), at);
    let past = TaskScope::builder().deadline(clock.now()).run_on(&runtime, async |_| panic!("it begins"));
    assert!(past.await.unwrap_err().is_deadline());

    // Both at once: by hand, so that one poll finds the work done and the deadline passed.
    let time = ManualClock::new();
    let runtime = runtime.with_clock(time.clock().clone());
    let at = time.clock().now() + Duration::from_millis(5);
    let body = async |_| {
        time.clock().sleep_until(at).await;
        7
    };
    let mut both = pin!(TaskScope::builder().deadline(at).run_on(&runtime, body));
    assert!(futures::poll!(both.as_mut()).is_pending());
    time.advance(Duration::from_millis(5));
    assert_eq!(both.await.unwrap(), 7);
}

#[apply(runtime_test)]
async fn rule_11_services_end_with_the_last_child(runtime: Runtime) {
    let ticks = Arc::new(AtomicUsize::new(0));
    task_scope(&runtime, async |s| {
        let service = Arc::clone(&ticks);
        s.spawn_service("ticker", async move {
            loop {
                service.fetch_add(1, Ordering::Relaxed);
                yields(1).await;
            }
        });
        let ticks = Arc::clone(&ticks);
        s.spawn(async move {
            while ticks.load(Ordering::Relaxed) < 5 {
                yields(1).await;
            }
        });
    })
    .await;
    let after = ticks.load(Ordering::Relaxed);
    yields(20).await;
    assert_eq!(ticks.load(Ordering::Relaxed), after);
}

#[apply(runtime_test)]
async fn rule_11_a_service_that_fails_stops_the_scope(runtime: Runtime) {
    let result: Result<(), &str> = try_task_scope(&runtime, async |s| {
        s.spawn_service("bad", async { Err::<(), _>("the service broke") });
        pending().await
    })
    .await;
    assert_eq!(result, Err("the service broke"));
}

#[apply(runtime_test)]
async fn rule_12_a_dropped_handle_changes_nothing(runtime: Runtime) {
    let done = Arc::new(AtomicBool::new(false));
    task_scope(&runtime, async |s| {
        let done = Arc::clone(&done);
        drop(s.spawn(async move {
            yields(3).await;
            done.store(true, Ordering::Relaxed);
        }));
    })
    .await;
    assert!(done.load(Ordering::Relaxed));
}

#[apply(runtime_test)]
async fn rule_12_the_value_of_a_dropped_handle_is_gone_when_the_scope_returns(runtime: Runtime) {
    let live = Arc::new(AtomicUsize::new(0));
    task_scope(&runtime, async |s| {
        for _ in 0..50 {
            live.fetch_add(1, Ordering::Relaxed);
            let live = Arc::clone(&live);
            let value = OnDrop(move || {
                live.fetch_sub(1, Ordering::Relaxed);
            });
            drop(s.spawn(async move { value }));
            yields(1).await;
        }
    })
    .await;
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

#[apply(runtime_test)]
async fn rule_12_the_value_of_a_kept_handle_is_there_when_the_scope_returns(runtime: Runtime) {
    let children = task_scope(&runtime, async |s| [1, 2, 3, 4].map(|n| s.spawn(async move { n }))).await;
    for (child, n) in children.into_iter().zip(1..) {
        assert!(child.is_finished());
        assert_eq!(child.now_or_never(), Some(Ok(n)));
    }
}

#[apply(runtime_test)]
async fn rule_13_at_most_as_many_as_the_limit_exist(runtime: Runtime) {
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let result = TaskScope::builder()
        .limit(NonZeroUsize::new(3).unwrap())
        .run_on(&runtime, async |s| {
            for number in 0..20 {
                let counts = Arc::clone(&counts);
                let child = async move {
                    let (existing, most) = &*counts;
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
    assert_eq!(counts.0.load(Ordering::Relaxed), 0);
    assert!(counts.1.load(Ordering::Relaxed) <= 3);
}

#[apply(runtime_test)]
async fn rule_13_a_child_whose_value_is_seen_has_given_its_place_back(runtime: Runtime) {
    let result = TaskScope::builder().limit(NonZeroUsize::MIN).run_on(&runtime, async |s| {
        for number in 0..100 {
            assert_eq!(s.try_spawn(async move { number }).unwrap().await, Ok(number));
        }
    });
    assert!(result.await.is_ok());
}

#[apply(runtime_test)]
async fn rule_13_whoever_waits_for_room_hears_of_the_cancelling(runtime: Runtime) {
    let result = TaskScope::builder()
        .limit(NonZeroUsize::MIN)
        .grace(Duration::from_secs(60))
        .run_on(&runtime, async |s| {
            let token = s.token().clone();
            s.spawn(async move {
                token.cancelled().await;
            });
            let mut waiting = Box::pin(s.spawn_when_free(async {}));
            assert!(futures::poll!(&mut waiting).is_pending());
            s.cancel(Reason::Requested);
            assert_eq!(waiting.await.unwrap_err().why(), Refusal::Cancelled);
        })
        .await;
    assert!(result.is_ok(), "{result:?}");
}

#[apply(runtime_test)]
async fn rule_13_waiting_for_room_may_be_given_up(runtime: Runtime) {
    let result = TaskScope::builder()
        .limit(NonZeroUsize::MIN)
        .run_on(&runtime, async |s| {
            let ran = AtomicUsize::new(0);
            let polls = cancel_at_every_poll(
                || async {
                    let token = s.token().child();
                    let blocker = s.spawn_when_free(token.clone().cancelled_owned()).await.unwrap();
                    let stop = async {
                        yields(3).await;
                        token.cancel(Reason::Requested);
                    };
                    let _guard = token.guard();
                    let (child, ()) = futures::join!(s.spawn_when_free(async { 3 }), stop);
                    ran.fetch_add(1, Ordering::Relaxed);
                    drop(blocker);
                    assert_eq!(child.unwrap().await, Ok(3));
                },
                async |k| {
                    // Nobody holds the place that was given up.
                    while s.live() > 0 {
                        yields(1).await;
                    }
                    assert_eq!(s.try_spawn(async { 1 }).unwrap().await, Ok(1), "given up after {k} polls");
                    while s.live() > 0 {
                        yields(1).await;
                    }
                },
            )
            .await;
            assert!(polls >= 3, "{polls}");
        })
        .await;
    assert!(result.is_ok(), "{result:?}");
}

#[apply(runtime_test)]
async fn rule_15_a_scope_that_is_given_up_leaves_nothing_behind(runtime: Runtime) {
    let live = Arc::new(AtomicUsize::new(0));
    let polls = cancel_at_every_poll(
        || {
            task_scope(&runtime, async |s| {
                for number in 0..20 {
                    let live = Arc::clone(&live);
                    live.fetch_add(1, Ordering::Relaxed);
                    let guard = OnDrop(move || {
                        live.fetch_sub(1, Ordering::Relaxed);
                    });
                    let inner = s.clone();
                    s.spawn(async move {
                        let _guard = guard;
                        yields(number % 5).await;
                        let _ = inner.spawn(yields(2)).await;
                    });
                }
                yields(2).await;
            })
        },
        async |k| {
            // Only one that another thread was polling may be there for the rest of that poll.
            for _ in 0..1_000_000 {
                if live.load(Ordering::Relaxed) == 0 {
                    return;
                }
                yields(1).await;
            }
            panic!("dropped after {k} polls, there are {live:?}");
        },
    )
    .await;
    assert!(polls >= 2, "{polls}");
}

#[apply(runtime_test)]
async fn rule_15_a_waiting_handle_may_be_given_up_and_taken_up(runtime: Runtime) {
    task_scope(&runtime, async |s| {
        let token = s.token().child();
        let waits = token.clone().cancelled_owned();
        let mut child = s.spawn(async move {
            waits.await;
            "kept"
        });
        assert!(futures::poll!(&mut child).is_pending());
        token.cancel(Reason::Requested);
        assert_eq!((&mut child).await, Ok("kept"));
        assert_eq!(child.await, Err(Ended::Taken));
    })
    .await;
}

#[apply(runtime_test)]
async fn errors_of_an_isolated_child_are_its_own(runtime: Runtime) {
    let result: Result<bool, String> = try_task_scope(&runtime, async |s| {
        let isolated = s.isolate(async { Err::<(), _>("mine") });
        Ok(isolated.await == Ok(Err("mine")))
    })
    .await;
    assert_eq!(result, Ok(true));
}

#[apply(runtime_test)]
async fn a_snapshot_names_what_lives(runtime: Runtime) {
    let builder = TaskScope::builder().named("pages");
    let result = builder.run_on(&runtime, async |s| {
        s.spawn_service("cache", pending::<()>());
        let child = s.spawn_named("fetch", pending::<()>());
        let text = s.snapshot().to_string();
        assert!(text.starts_with("scope \"pages\": 2 live\n  #1 \"cache\" service, spawned at "), "{text}");
        assert!(text.contains("#2 \"fetch\" spawned at") && text.contains("task_scope_rules.rs:"), "{text}");
        assert_eq!(child.name(), Some("fetch"));
        assert!(child.location().unwrap().file().ends_with("task_scope_rules.rs"));
        child.cancel();
        let room = s.spawn_when_free(pending::<()>()).await.unwrap();
        assert!(room.location().unwrap().file().ends_with("task_scope_rules.rs"));
        room.cancel();
    });
    assert!(result.await.is_ok());
}

#[apply(runtime_test)]
async fn scopes_of_all_sorts_are_send(runtime: Runtime) {
    let inner = runtime.clone();
    let task = runtime.spawn(async move {
        let text = String::from("borrowed");
        let sum: Result<usize, String> = try_task_scope(&inner, async |s| {
            let child = s.spawn(async { Ok(3) });
            let nested = s.scope(async |n| n.spawn(async { 4 }).await.unwrap()).await;
            Ok(child.await.unwrap() + nested + text.len())
        })
        .await;
        sum
    });
    assert_eq!(task.await.unwrap(), Ok(15));
}
