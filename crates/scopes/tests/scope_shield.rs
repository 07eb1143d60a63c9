//! Shields, and the grace of scopes in each other.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::Runtime;
use weirs_scopes::{CancelToken, Reason, Scope, ScopeError, scope, try_scope};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, runtime_test, sim_test, yields};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[apply(sim_test)]
async fn a_shielded_part_comes_to_its_end_and_then_the_child_is_dropped(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let log = Mutex::new(Vec::new());
    let result = Scope::builder().clock(clock).try_run::<(), _, _, _>(async |s| {
        let (inner, log) = (s.clone(), &log);
        let say = move |what| log.lock().unwrap().push((what, clock.now() - start));
        let in_flight = InFlight::new();
        s.spawn(async move {
            let _guard = in_flight.enter();
            inner.shield(MS(50), clock.sleep(MS(30))).await;
            say("committed");
            yields(1).await;
            say("beyond the shield");
            Ok(())
        });
        s.spawn(async move {
            clock.sleep(MS(15)).await;
            say("unshielded");
            Ok(())
        });
        clock.sleep(MS(10)).await;
        Err("stop")
    });
    assert_eq!((result.await.unwrap_err().failed(), clock.now() - start), (Some("stop"), MS(30)));
    assert_eq!(*log.lock().unwrap(), [("committed", MS(30))]);
}

#[apply(sim_test)]
async fn the_budget_counts_from_the_cancelling_and_nested_ones_add_nothing(runtime: Runtime) {
    let clock = runtime.clock();
    let spent = async |grace: Duration| {
        let start = clock.now();
        let builder = Scope::builder().clock(clock).grace(grace).deadline(start + MS(10));
        let result = builder.run(async |s| {
            let inner = s.clone();
            s.spawn(async move {
                let forever = inner.shield(Duration::MAX, std::future::pending::<()>());
                inner.shield(MS(7), forever).await;
            });
        });
        assert!(result.await.unwrap_err().is_deadline());
        clock.now() - start
    };
    assert_eq!(spent(Duration::ZERO).await, MS(17));
    assert_eq!(spent(MS(100)).await, MS(117));
}

#[apply(sim_test)]
async fn several_shields_of_one_child_end_with_the_last(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let builder = Scope::builder().clock(clock).deadline(start + MS(10));
    let result = builder.run(async |s| {
        for (one, other) in [(20, 5), (3, 9)] {
            let inner = s.clone();
            s.spawn(async move {
                let one = inner.shield(MS(one), std::future::pending::<()>());
                let other = inner.shield(MS(other), std::future::pending::<()>());
                futures::join!(one, other);
            });
        }
        let zero = s.clone();
        s.spawn(async move { zero.shield(Duration::ZERO, std::future::pending::<()>()).await });
    });
    assert!(result.await.unwrap_err().is_deadline());
    assert_eq!(clock.now() - start, MS(30));
}

#[apply(sim_test)]
async fn the_body_may_have_a_shield_and_services_serve_it(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let answered = Mutex::new(None);
    let builder = Scope::builder().clock(clock).deadline(start + MS(10));
    let result = builder.run(async |s| {
        let (send, requests) = async_channel::bounded::<async_channel::Sender<u8>>(1);
        s.spawn_service("answers", async move {
            while let Ok(request) = requests.recv().await {
                clock.sleep(MS(5)).await;
                request.send(7).await.unwrap();
            }
        });
        let ask = async {
            clock.sleep(MS(20)).await;
            let (reply, answer) = async_channel::bounded(1);
            send.send(reply).await.unwrap();
            *answered.lock().unwrap() = Some((answer.recv().await.unwrap(), clock.now() - start));
        };
        s.shield(MS(500), ask).await;
        std::future::pending::<()>().await;
    });
    assert!(result.await.unwrap_err().is_deadline());
    assert_eq!(*answered.lock().unwrap(), Some((7, MS(25))));
    assert_eq!(clock.now() - start, MS(25));
}

#[apply(runtime_test)]
async fn a_shield_does_not_hold_against_the_handle_or_the_drop_of_the_scope(_: Runtime) {
    let in_flight = InFlight::new();
    scope(async |s| {
        let (inner, guard) = (s.clone(), in_flight.enter());
        let child = s.spawn(async move {
            let _guard = guard;
            inner.shield(Duration::MAX, std::future::pending::<()>()).await;
        });
        yields(2).await;
        child.cancel();
    })
    .await;
    assert_eq!(in_flight.now(), 0);
    let polls = cancel_at_every_poll(
        || {
            let in_flight = &in_flight;
            try_scope(async move |s| {
                for number in 0..60 {
                    let (inner, guard) = (s.clone(), in_flight.enter());
                    s.spawn(async move {
                        let _guard = guard;
                        inner.shield(Duration::MAX, yields(number % 7)).await;
                        Ok(())
                    });
                }
                yields(2).await;
                Err::<(), _>("stop")
            })
        },
        async |k| assert_eq!(in_flight.now(), 0, "dropped after {k} polls"),
    )
    .await;
    assert!(polls >= 2, "{polls}");
}

/// A value that is there when the shielded part ends is the child's.
#[apply(runtime_test)]
async fn a_shielded_child_gives_its_value(_: Runtime) {
    scope(async |s| {
        let inner = s.clone();
        let child = s.spawn(async move {
            inner.shield(Duration::from_secs(60), yields(3)).await;
            "done"
        });
        yields(1).await;
        s.cancel(Reason::Requested);
        assert_eq!(child.await, Ok("done"));
    })
    .await;
}

#[apply(sim_test)]
async fn a_scope_in_a_scope_can_only_shorten_the_grace(runtime: Runtime) {
    let clock = runtime.clock();
    for (own, is) in [(None, 20), (Some(MS(5)), 5), (Some(Duration::MAX), 20)] {
        let start = clock.now();
        let inner_end = Mutex::new(None);
        let builder = Scope::builder().clock(clock).grace(MS(20)).deadline(start + MS(10));
        let outer = builder.run(async |outer| {
            assert_eq!(outer.remaining(), Some(MS(10)));
            let nested = outer.nested();
            let nested = match own {
                Some(own) => nested.grace(own),
                None => nested,
            };
            let inner = nested.run(async |s| {
                // Deeper still: the shortest counts.
                let deepest = s.nested().grace(Duration::MAX);
                deepest.run(async |_| std::future::pending::<()>().await).await.unwrap_err();
                std::future::pending::<()>().await;
            });
            let error = inner.await.unwrap_err();
            *inner_end.lock().unwrap() = Some((clock.now() - start, error.is_deadline()));
        });
        let error = outer.await.unwrap_err();
        assert!(error.is_deadline());
        if is < 20 {
            assert_eq!(*inner_end.lock().unwrap(), Some((MS(10 + is), true)));
        }
        assert_eq!(clock.now() - start, MS(10 + is));
    }
}

#[apply(runtime_test)]
async fn numbers_without_sense_are_harmless(runtime: Runtime) {
    let clock = runtime.clock();
    for length in [Duration::ZERO, Duration::MAX] {
        for far in [clock.now() + Duration::MAX, clock.now()] {
            let builder = Scope::builder()
                .clock(clock)
                .deadline(far)
                .grace(length)
                .cleanup(length)
                .limit(NonZeroUsize::MAX)
                .under(&CancelToken::with_clock(clock.clone()));
            let result = builder.run(async |s| {
                s.defer(async {});
                assert!(s.results::<()>(NonZeroUsize::MAX).is_empty());
                let inner = s.clone();
                s.spawn(async move { inner.shield(length, yields(2)).await });
                s.nested().grace(length).cleanup(length).run(async |_| 1).await.unwrap();
                7
            });
            match result.await {
                Ok(value) => assert!(value == 7 && far > clock.now()),
                Err(ScopeError::Cancelled(Reason::Deadline)) => assert!(far <= clock.now()),
                other => panic!("{other:?}"),
            }
        }
    }
    let past =
        Scope::builder().clock(clock).deadline(clock.now() - Duration::MAX).run(async |_| unreachable!());
    let past: Result<(), _> = past.now_or_never().unwrap();
    assert!(past.unwrap_err().is_deadline());
}
