//! Chance comes from the clock, and the simulator replays it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use weirs_runtime::{Clock, Runtime, SeededEntropy};
use weirs_testing::sim::Explore;
use weirs_testing::{apply, runtime_test};

#[apply(runtime_test)]
async fn numbers_are_within_their_bounds(runtime: Runtime) {
    let clock = runtime.clock();
    for _ in 0..100 {
        assert!(clock.random_below(6) < 6);
        assert!((0.0..1.0).contains(&clock.random_f64()));
    }
    assert_eq!(clock.random_below(0), 0);
    assert_eq!(clock.random_below(1), 0);
    assert!((0..100).map(|_| clock.random_u64()).any(|number| number != clock.random_u64()));
}

#[apply(runtime_test)]
async fn a_clock_may_bring_its_own_chance(runtime: Runtime) {
    let draw = || {
        let clock = runtime.clock().with_entropy(SeededEntropy::new(17));
        let runtime = runtime.with_clock(clock);
        (0..10).map(|_| runtime.clock().random_u64()).collect::<Vec<_>>()
    };
    assert_eq!(draw(), draw());
}

#[test]
fn real_time_cannot_be_foretold() {
    let clock = Clock::default();
    assert_ne!(clock.random_u64(), clock.random_u64());
}

#[test]
fn the_simulator_draws_the_same_from_the_same_seed() {
    /// What tasks draw, in the order in which they do, seed by seed.
    fn drawn() -> Vec<u64> {
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let failure = Explore::new().seeds(0..50).find(|runtime| {
            let drawn = Arc::clone(&drawn);
            async move {
                let draw = || {
                    let (clock, drawn) = (runtime.clock().clone(), Arc::clone(&drawn));
                    runtime.spawn(async move { drawn.lock().unwrap().push(clock.random_u64()) })
                };
                for task in [draw(), draw(), draw()] {
                    task.await.unwrap();
                }
            }
        });
        assert!(failure.is_none());
        std::mem::take(&mut *drawn.lock().unwrap())
    }
    let (once, again) = (drawn(), drawn());
    assert_eq!(once, again);
    let different: BTreeSet<u64> = once.iter().copied().collect();
    // Some seeds are run twice, to see whether they go the same way.
    assert_eq!(different.len(), 50 * 3, "no two seeds and no two tasks draw the same");
}
