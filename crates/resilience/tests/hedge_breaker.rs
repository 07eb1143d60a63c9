//! Hedges with a breaker further in: what their losers are to it.

use std::time::Duration;

use futures_lite::future::yield_now;
use weirs_resilience::{Abandoned, Attempt, Breaker, Circuit, Hedge, Stack};
use weirs_runtime::Runtime;
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn never<T>() -> T {
    std::future::pending().await
}

/// The losers of a hedge are dropped outside of the breaker: by their age they count as failures, or not
/// at all.
#[apply(sim_test)]
async fn losers_count_by_their_age_in_a_breaker_further_in(runtime: Runtime) {
    let clock = runtime.clock();
    // The first takes for ever, its hedge is quick.
    let work = async |at: Attempt| match at.hedge() {
        0 => never().await,
        _ => {
            clock.sleep(ms(5)).await;
            Ok::<_, ()>(1)
        }
    };
    for (slow_after, failures) in [(ms(200), 0), (ms(100), 10)] {
        let breaker = Breaker::failure_rate(0.5).min_calls(21).slow_after(slow_after);
        let breaker = breaker.abandoned(Abandoned::ByAge).clock(clock).build().unwrap();
        let hedge = Hedge::after(ms(100));
        let stack = Stack::builder().clock(clock).hedge(hedge).breaker(&breaker).build().unwrap();
        for _ in 0..10 {
            assert_eq!(stack.call(work).await, Ok(1));
        }
        let stats = breaker.stats();
        assert_eq!((stats.abandoned, stack.stats().hedges_won), (10, 10));
        // Young losers are nothing. Those that hung for long make half of all calls failures.
        assert_eq!((stats.counts.calls, stats.counts.failures), (10 + failures, failures));
        breaker.try_acquire().unwrap().failure();
        assert_eq!(breaker.stats().openings, u64::from(failures > 0));
    }
}

/// A probe that loses to its hedge, or is dropped with the call, gives its place back.
#[apply(runtime_test)]
async fn a_probe_that_loses_gives_its_place_back(runtime: Runtime) {
    let time = ManualClock::new();
    let breaker = Breaker::consecutive(1).probes(2).successes_needed(2).pace(Duration::ZERO);
    let breaker = breaker.open_for(ms(10)).lease(ms(3_600_000)).clock(time.clock()).build().unwrap();
    let hedge = Hedge::after(Duration::ZERO);
    let stack = Stack::builder().clock(runtime.clock()).hedge(hedge).breaker(&breaker).build().unwrap();
    let make = || {
        breaker.reset();
        breaker.try_acquire().unwrap().failure();
        time.advance(ms(10));
        stack.call(async |at| {
            yield_now().await;
            if at.hedge() == 0 {
                never().await
            }
            yield_now().await;
            Ok::<_, ()>(at.hedge())
        })
    };
    let check = async |_| {
        // One success at least is missing. If a place were lost, there would not be room for it.
        while breaker.state() != Circuit::Closed {
            breaker.try_acquire().expect("every place was given back").success();
        }
        assert_eq!(breaker.stats().probes_lost, 0);
    };
    assert!(cancel_at_every_poll(make, check).await >= 2);
}
