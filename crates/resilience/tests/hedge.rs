//! The promises of a hedge.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::future::yield_now;
use weirs_resilience::{
    Attempt, Budget, Bulkhead, ByDefault, Class, Classify, Error, Event, EventKind, Hedge, Observer, Reason,
    Retry, Stack, hedge,
};
use weirs_runtime::Runtime;
use weirs_testing::{InFlight, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn never<T>() -> T {
    std::future::pending().await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fail {
    /// It never goes well.
    Gone(u16),
    Busy(u16),
    Later(u16, Duration),
}

fn judge(result: &Result<u16, Error<Fail>>) -> Class {
    match result {
        Err(Error::Inner(Fail::Gone(_))) => Class::Permanent,
        Err(Error::Inner(Fail::Busy(_))) => Class::Throttled,
        Err(Error::Inner(Fail::Later(_, pause))) => Class::After(*pause),
        other => ByDefault.classify(other),
    }
}

/// Who succeeds wins, also when another one ended before it: the first to end is not enough.
#[apply(runtime_test)]
async fn the_first_success_wins_not_the_first_to_end(runtime: Runtime) {
    let stack = Stack::builder().clock(runtime.clock()).hedge(Hedge::after(Duration::ZERO)).build().unwrap();
    let report = stack
        .call_reported(async |at| match at.hedge() {
            0 => {
                yield_now().await;
                yield_now().await;
                Ok(0)
            }
            // It ends first, with an error.
            _ => Err("broken"),
        })
        .await;
    assert_eq!(report.result, Ok(0));
    assert_eq!((report.attempts, report.hedges), (2, 1));
}

#[apply(runtime_test)]
async fn all_fail_and_the_error_is_the_first_ones(runtime: Runtime) {
    let stack =
        Stack::builder().clock(runtime.clock()).hedge(Hedge::after(ms(60_000)).max(3)).build().unwrap();
    let report = stack
        .call_reported(async |at| {
            yield_now().await;
            Err::<(), _>(at.hedge())
        })
        .await;
    assert_eq!(report.result, Err(Error::Inner(0)));
    assert_eq!((report.attempts, report.hedges), (4, 3), "each failure begins the next at once");
}

#[apply(sim_test)]
async fn the_next_begins_after_the_delay_and_the_one_after_it_after_another(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let stack = Stack::builder().clock(&clock).hedge(Hedge::after(ms(10)).max(3)).build().unwrap();
    let (start, began) = (clock.now(), RefCell::new(Vec::new()));
    let answer = stack
        .call(async |at| {
            began.borrow_mut().push((at.hedge(), clock.now() - start));
            if at.hedge() == 2 {
                clock.sleep(ms(25)).await;
                return Ok::<_, ()>("two");
            }
            never().await
        })
        .await;
    assert_eq!((answer, clock.now() - start), (Ok("two"), ms(45)));
    assert_eq!(*began.borrow(), [(0, ms(0)), (1, ms(10)), (2, ms(20)), (3, ms(30))]);
}

#[apply(sim_test)]
async fn the_first_in_time_is_alone(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let stack = Stack::builder().clock(&clock).hedge(Hedge::after(ms(10))).build().unwrap();
    let report = stack
        .call_reported(async |_| {
            clock.sleep(ms(10) - Duration::from_nanos(1)).await;
            Ok::<_, ()>(1)
        })
        .await;
    assert_eq!((report.result, report.attempts), (Ok(1), 1));
}

#[apply(sim_test)]
async fn a_permanent_error_cancels_all(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let stack =
        Stack::builder().clock(&clock).hedge(Hedge::after(ms(10)).max(2).judging(judge)).build().unwrap();
    let (start, lives) = (clock.now(), InFlight::new());
    let result = stack
        .call(async |at| {
            let _lives = lives.enter();
            if at.hedge() == 1 {
                clock.sleep(ms(1)).await;
                return Err(Fail::Gone(1));
            }
            never().await
        })
        .await;
    assert_eq!((result, clock.now() - start), (Err(Error::Inner(Fail::Gone(1))), ms(11)));
    assert_eq!(lives.now(), 0);
}

/// What is told by the other side: not at once, but after the delay, or after the time that it says.
#[apply(sim_test)]
async fn a_busy_server_is_not_asked_again_at_once(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let stack =
        Stack::builder().clock(&clock).hedge(Hedge::after(ms(10)).max(2).judging(judge)).build().unwrap();
    let (start, began) = (clock.now(), RefCell::new(Vec::new()));
    let result = stack
        .call(async |at| {
            began.borrow_mut().push(clock.now() - start);
            match at.hedge() {
                0 => Err(Fail::Busy(0)),
                1 => Err(Fail::Later(1, ms(70))),
                number => Ok(number),
            }
        })
        .await;
    assert_eq!(result, Ok(2));
    assert_eq!(*began.borrow(), [ms(0), ms(10), ms(80)]);
}

/// A refusal further in begins no other attempt, and costs no budget.
#[apply(runtime_test)]
async fn who_is_refused_further_in_is_not_hedged(runtime: Runtime) {
    let (budget, full) = (Budget::share(1.0).floor(0).build().unwrap(), Bulkhead::new(1));
    let stack = Stack::builder()
        .clock(runtime.clock())
        .hedge(Hedge::after(ms(60_000)).max(5).budget(&budget))
        .bulkhead(&full)
        .build()
        .unwrap();
    let place = full.try_enter().unwrap();
    let report = stack.call_reported(async |_| Ok::<_, ()>(())).await;
    assert_eq!(report.result.unwrap_err().rejected(), Some(Reason::BulkheadFull));
    assert_eq!((report.attempts, report.hedges, budget.stats().available), (0, 0, 1));
    drop(place);
}

/// The loser's place is free when the call is ready, not some time later; the work is dropped before it.
#[apply(runtime_test)]
async fn losers_are_dropped_before_the_result(runtime: Runtime) {
    for winner in 0..4 {
        let (places, lives) = (Bulkhead::new(4), InFlight::new());
        let stack = Stack::builder()
            .clock(runtime.clock())
            .hedge(Hedge::after(Duration::ZERO).max(3))
            .bulkhead(&places)
            .build()
            .unwrap();
        let won = stack
            .call(async |at| {
                let _lives = lives.enter();
                while lives.now() < 4 {
                    yield_now().await;
                }
                if at.hedge() == winner { Ok::<_, ()>(winner) } else { never().await }
            })
            .await;
        assert_eq!(won, Ok(winner));
        assert_eq!((places.stats().taken, lives.now(), lives.peak()), (0, 0, 4));
    }
}

#[apply(runtime_test)]
async fn a_hedge_is_dropped_at_every_poll(runtime: Runtime) {
    let (outer, inner) = (Bulkhead::new(1).queue(9), Bulkhead::new(3));
    let budget = Budget::in_flight(1.0).build().unwrap();
    let stack = Stack::builder()
        .clock(runtime.clock())
        .bulkhead(&outer)
        .hedge(Hedge::after(Duration::ZERO).max(2).budget(&budget))
        .timeout(ms(60_000))
        .bulkhead(&inner)
        .build()
        .unwrap();
    let lives = InFlight::new();
    let make = || {
        stack.call(async |at| {
            let _lives = lives.enter();
            for _ in 0..=at.hedge() {
                yield_now().await;
            }
            if at.hedge() == 2 { Ok(2) } else { Err(at.hedge()) }
        })
    };
    let check = async |_| {
        assert_eq!((outer.stats().taken, inner.stats().taken, lives.now()), (0, 0, 0));
        assert_eq!(budget.stats().running, 0);
    };
    assert!(cancel_at_every_poll(make, check).await > 1);
    cancel_at_every_wake(make, check).await;
}

/// R4J#332, failsafe#393: a permit is lost to an abandoned waiter. Here hedges wait in the queue of a
/// bulkhead.
#[apply(runtime_test)]
async fn hedges_that_wait_for_a_place_lose_none(runtime: Runtime) {
    let places = Bulkhead::new(1).queue(10);
    let stack = Stack::builder()
        .clock(runtime.clock())
        .hedge(Hedge::after(Duration::ZERO).max(2))
        .bulkhead(&places)
        .build()
        .unwrap();
    let make = || {
        stack.call(async |_| {
            yield_now().await;
            yield_now().await;
            Ok::<_, ()>(())
        })
    };
    let check = async |_| {
        let stats = places.stats();
        assert_eq!((stats.taken, stats.waiting), (0, 0));
        drop(places.try_enter().unwrap());
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

/// FG#141: a spent budget ended hedges that ran. It is only the new one that does not begin.
#[apply(sim_test)]
async fn fg_141_a_spent_budget_ends_nothing_that_runs(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let budget = Budget::share(1.0).floor(0).build().unwrap();
    let stack =
        Stack::builder().clock(&clock).hedge(Hedge::after(ms(10)).max(5).budget(&budget)).build().unwrap();
    let start = clock.now();
    let report = stack
        .call_reported(async |at| match at.hedge() {
            0 => never().await,
            number => {
                clock.sleep(ms(100)).await;
                Ok::<_, ()>(number)
            }
        })
        .await;
    // One call brings one.
    assert_eq!((report.result, report.attempts, clock.now() - start), (Ok(1), 2, ms(110)));
    assert_eq!(budget.stats().refused, 4);
}

#[apply(sim_test)]
async fn without_a_budget_a_failure_is_the_end(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let budget = Budget::share(0.0).floor(0).build().unwrap();
    let stack =
        Stack::builder().clock(&clock).hedge(Hedge::after(ms(10)).max(5).budget(&budget)).build().unwrap();
    let report = stack.call_reported(async |_| Err::<(), _>(7)).await;
    assert_eq!((report.result, report.elapsed), (Err(Error::Inner(7)), ms(0)));
    assert_eq!(budget.stats().refused, 1);
}

/// What is paid for a hedge that is refused before it begins comes back.
#[apply(sim_test)]
async fn a_hedge_that_does_not_begin_costs_nothing(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let (budget, places) = (Budget::share(1.0).floor(0).build().unwrap(), Bulkhead::new(1));
    let stack = Stack::builder()
        .clock(&clock)
        .hedge(Hedge::after(ms(10)).budget(&budget))
        .bulkhead(&places)
        .build()
        .unwrap();
    let work = async |_: Attempt| {
        clock.sleep(ms(30)).await;
        Ok::<_, ()>(())
    };
    for calls in 1..4 {
        let report = stack.call_reported(work).await;
        assert_eq!((report.result, report.attempts, report.hedges), (Ok(()), 1, 1));
        assert_eq!(budget.stats().available, calls);
    }
}

#[apply(sim_test)]
async fn only_eligible_calls_with_enough_time_are_hedged(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let slow = async |_: Attempt| {
        clock.sleep(ms(50)).await;
        Ok::<_, ()>(())
    };
    let attempts = async |hedge: Hedge| {
        let stack = Stack::builder().clock(&clock).timeout(ms(100)).hedge(hedge).build().unwrap();
        stack.call_reported(slow).await.attempts
    };
    assert_eq!(attempts(Hedge::after(ms(10)).when(|at| at.number() > 1)).await, 1);
    assert_eq!(attempts(Hedge::after(ms(10)).when(|at| at.number() == 1)).await, 2);
    assert_eq!(attempts(Hedge::after(ms(10)).needs(ms(90))).await, 1);
    assert_eq!(attempts(Hedge::after(ms(10)).needs(ms(90) - Duration::from_nanos(1))).await, 2);
    assert_eq!(attempts(Hedge::after(ms(1)).max(9).delay_with(|number, _| ms(8) * number.into())).await, 4);
}

#[apply(sim_test)]
async fn the_delay_follows_the_percentile_of_the_last_period(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let hedge = Hedge::after(ms(500)).percentile(0.9, 20).period(ms(1_000));
    let stack = Stack::builder().clock(&clock).hedge(hedge).build().unwrap();
    let call = async |first: Duration| {
        let report = stack.call_reported(async |at| {
            clock.sleep(if at.hedge() == 0 { first } else { ms(1) }).await;
            Ok::<_, ()>(())
        });
        report.await
    };
    // Nothing is known as yet.
    assert_eq!(call(ms(600)).await.elapsed, ms(501));
    for sample in 0..40 {
        call(ms(10) + ms(sample % 10)).await;
    }
    let delay = call(ms(10_000)).await.elapsed - ms(1);
    assert!((ms(17)..=ms(20)).contains(&delay), "{delay:?}");
    // It gets slower. Attempts that are dropped count with their time, so the delay follows.
    for _ in 0..2_000 {
        call(ms(40)).await;
    }
    let delay = call(ms(10_000)).await.elapsed - ms(1);
    assert!(delay > ms(17), "it did not run away downwards: {delay:?}");
}

/// A hedge of hedges: all attempts have numbers of their own, and all are gone at the end.
#[apply(runtime_test)]
async fn hedges_of_hedges_know_each_other(runtime: Runtime) {
    let places = Bulkhead::new(6);
    let stack = Stack::builder()
        .clock(runtime.clock())
        .hedge(Hedge::after(Duration::ZERO).max(1))
        .timeout(ms(60_000))
        .hedge(Hedge::after(Duration::ZERO).max(2))
        .bulkhead(&places)
        .build()
        .unwrap();
    for winner in 0..6 {
        let seen = RefCell::new(Vec::new());
        let make = || {
            stack.call(async |at| {
                seen.borrow_mut().push(at.hedge());
                while seen.borrow().len() < 6 {
                    yield_now().await;
                }
                if at.hedge() == winner { Ok::<_, ()>(winner) } else { never().await }
            })
        };
        assert_eq!(make().await, Ok(winner));
        seen.borrow_mut().sort_unstable();
        assert_eq!(*seen.borrow(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(places.stats().taken, 0);
        let check = async |_| {
            seen.borrow_mut().clear();
            assert_eq!(places.stats().taken, 0);
        };
        cancel_at_every_poll(make, check).await;
    }
}

/// It panics in the middle: what the others held is given back.
#[apply(runtime_test)]
async fn a_panic_in_one_loses_nothing_of_the_others(runtime: Runtime) {
    for who in 0..3 {
        let places = std::sync::Arc::new(Bulkhead::new(3));
        let clock = runtime.clock().clone();
        let shared = std::sync::Arc::clone(&places);
        let task = runtime.spawn(async move {
            let stack = Stack::builder()
                .clock(&clock)
                .hedge(Hedge::after(Duration::ZERO).max(2))
                .bulkhead(&*shared)
                .build()
                .unwrap();
            let call = stack.call(|at: Attempt| {
                let shared = std::sync::Arc::clone(&shared);
                async move {
                    while shared.stats().taken < 3 {
                        yield_now().await;
                    }
                    assert!(at.hedge() != who, "on purpose");
                    never::<Result<(), ()>>().await
                }
            });
            call.await
        });
        assert!(task.await.is_err());
        assert_eq!(places.stats().taken, 0);
    }
}

#[apply(sim_test)]
async fn the_observer_hears_of_it(runtime: Runtime) {
    struct Log(std::sync::Arc<std::sync::Mutex<Vec<EventKind>>>);
    impl Observer for Log {
        fn on_event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(event.kind());
        }
    }
    let (clock, log) = (runtime.clock().clone(), std::sync::Arc::default());
    let stack = Stack::builder()
        .clock(&clock)
        .observer(Log(std::sync::Arc::clone(&log)))
        .hedge(Hedge::after(ms(1)).max(2))
        .build()
        .unwrap();
    let answer = stack.call(async |at| if at.hedge() == 2 { Ok::<_, ()>(()) } else { never().await });
    assert_eq!(answer.await, Ok(()));
    let expected = [
        EventKind::HedgeStarted { hedge: 1 },
        EventKind::HedgeStarted { hedge: 2 },
        EventKind::HedgeWon { hedge: 2 },
    ];
    assert_eq!(*log.lock().unwrap(), expected);
}

/// A thousand calls of one stack: each gets its own answer, and nothing is left.
#[apply(runtime_test)]
async fn many_calls_at_once_stay_apart(runtime: Runtime) {
    let places = Bulkhead::new(10_000);
    let stack = Stack::builder()
        .clock(runtime.clock())
        .hedge(Hedge::after(Duration::ZERO).max(2))
        .bulkhead(&places)
        .build()
        .unwrap();
    let begun = AtomicUsize::new(0);
    let calls = (0..1_000_usize).map(|number| {
        let (stack, begun) = (&stack, &begun);
        async move {
            let answer = stack
                .call(async |at: Attempt| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    for _ in 0..(number + usize::from(at.hedge()) * 7) % 5 {
                        yield_now().await;
                    }
                    if (number + usize::from(at.hedge())) % 3 == 0 { Err(number) } else { Ok(number) }
                })
                .await;
            assert_eq!(answer, Ok(number));
        }
    });
    futures::future::join_all(calls).await;
    assert_eq!(places.stats().taken, 0);
    assert!(begun.load(Ordering::Relaxed) > 1_000);
}

/// A hedge over retries over a bulkhead, and retries over a hedge, with one budget for all.
#[apply(runtime_test)]
async fn hedges_and_retries_share_a_budget(runtime: Runtime) {
    let (places, budget) = (Bulkhead::new(9), Budget::in_flight(1.0).build().unwrap());
    let retry = || Retry::immediate().retries(1).budget(&budget);
    let hedge = || Hedge::after(Duration::ZERO).max(1).budget(&budget);
    let over = Stack::builder()
        .clock(runtime.clock())
        .hedge(hedge())
        .retry(retry())
        .bulkhead(&places)
        .build()
        .unwrap();
    let under = Stack::builder()
        .clock(runtime.clock())
        .retry(retry())
        .hedge(hedge())
        .bulkhead(&places)
        .build()
        .unwrap();
    let work = async |at: Attempt| {
        yield_now().await;
        if at.number() == 2 && at.hedge() == 1 { Ok(()) } else { Err((at.number(), at.hedge())) }
    };
    let check = async |_| {
        assert_eq!((places.stats().taken, budget.stats().running), (0, 0));
    };
    let report = over.call_reported(work).await;
    assert_eq!((report.result, report.attempts), (Ok(()), 4));
    cancel_at_every_poll(|| over.call(work), check).await;
    let report = under.call_reported(work).await;
    assert_eq!((report.result, report.attempts), (Ok(()), 4));
    cancel_at_every_poll(|| under.call(work), check).await;
    // A call is one call for the budget.
    let budget = Budget::share(1.0).floor(0).build().unwrap();
    let both = Stack::builder()
        .clock(runtime.clock())
        .retry(Retry::immediate().retries(1).budget(&budget))
        .hedge(Hedge::after(ms(60_000)).budget(&budget))
        .build()
        .unwrap();
    assert_eq!(both.call(async |_| Ok::<_, ()>(())).await, Ok(()));
    assert_eq!(budget.stats().available, 1);
}

#[test]
fn settings_that_make_no_sense_are_an_error_at_build() {
    let field = |hedge: Hedge| Stack::builder().hedge(hedge).build().unwrap_err().field();
    let after = || Hedge::after(ms(10));
    assert_eq!(field(after().max(0)), "hedge.max");
    for share in [0.0, 1.0, -1.0, 1.5, f64::NAN, f64::INFINITY] {
        assert_eq!(field(after().percentile(share, 10)), "hedge.percentile");
    }
    assert_eq!(field(after().percentile(0.5, 0)), "hedge.min_samples");
    assert_eq!(field(after().percentile(0.5, 1).period(Duration::ZERO)), "hedge.period");
    assert_eq!(field(after().period(ms(1))), "hedge.period");
    let refused = weirs_runtime::block_on(hedge(after().max(0)).call(async |_| Ok::<_, ()>(())));
    assert_eq!(refused.unwrap_err().rejected(), Some(Reason::Invalid));
    let plan = Stack::builder().hedge(after()).build().unwrap().plan().to_string();
    assert_eq!(plan, "hedge: 1 more beside the first, each after 10ms\n");
}

#[test]
fn a_call_with_a_hedge_is_send() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    async fn fetch(name: &str) -> Result<usize, ()> {
        yield_now().await;
        Ok(name.len())
    }
    let name = String::from("anna");
    let work = async move {
        let stack = hedge(Hedge::after(Duration::ZERO));
        stack.call(async |_| fetch(&name).await).await
    };
    assert_eq!(smol::block_on(smol::spawn(sent(work))), Ok(4));
}
