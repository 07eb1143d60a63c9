//! The cache under random scripts.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use weirs_resilience::{Cache, CacheTerms, Error};
use weirs_runtime::Runtime;
use weirs_testing::{ManualClock, apply, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Random scripts against the simplest cache there could be.
#[apply(sim_test)]
async fn it_agrees_with_a_model(runtime: Runtime) {
    #[derive(Clone, Copy)]
    struct Known {
        value: u32,
        since: u64,
        used: u64,
    }
    const CAPACITY: usize = 3;
    let chance = runtime.clock().clone();
    let time = ManualClock::new();
    let terms = CacheTerms::ttl(ms(10)).stale_for(ms(10)).clock(time.clock());
    let cache = Cache::<u64, u32, ()>::new(CAPACITY, terms).unwrap();
    let mut model = HashMap::<u64, Known>::new();
    let mut now = 0;
    for step in 1..300_u64 {
        let key = chance.random_below(6);
        match chance.random_below(10) {
            0 => {
                cache.invalidate(&key);
                model.remove(&key);
            }
            1 => {
                let millis = chance.random_below(8);
                time.advance(ms(millis));
                now += millis;
            }
            kind => {
                let called = Cell::new(false);
                let answer = if kind < 4 { Err(Error::Inner(())) } else { Ok(step as u32) };
                let got = cache.get(&key, || {
                    called.set(true);
                    std::future::ready(answer.clone())
                });
                let got = got.await;
                let known = model.get(&key).copied();
                let is_good = known.is_some_and(|known| now - known.since < 10);
                assert_eq!(called.get(), !is_good, "step {step}");
                let is_usable = known.is_some_and(|known| now - known.since < 20);
                let expected = match (&known, &answer) {
                    (Some(known), _) if is_good => Ok(known.value),
                    (_, Ok(value)) => Ok(*value),
                    (Some(known), Err(_)) if is_usable => Ok(known.value),
                    (_, Err(error)) => Err(error.clone()),
                };
                assert_eq!(got, expected, "step {step}");
                if let Some(known) = model.get_mut(&key) {
                    known.used = step;
                }
                if let (false, Ok(value)) = (is_good, answer) {
                    model.insert(key, Known { value, since: now, used: step });
                    if model.len() > CAPACITY {
                        let oldest = *model.iter().min_by_key(|(_, known)| known.used).unwrap().0;
                        model.remove(&oldest);
                    }
                }
            }
        }
        assert_eq!(cache.stats().kept, model.len(), "step {step}");
    }
}

/// Many callers of few keys, who give up, fail and panic as they please: all end, and no two calls of one key
/// run at the same time.
#[apply(sim_test)]
async fn whatever_callers_do_nobody_hangs(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let terms = CacheTerms::ttl(ms(3)).clock(&clock);
    let cache = Arc::new(Cache::<u64, u64, ()>::new(2, terms).unwrap());
    let running: Arc<Vec<AtomicUsize>> = Arc::new((0..3).map(|_| AtomicUsize::new(0)).collect());
    let tasks: Vec<_> = (0..60)
        .map(|_| {
            let (cache, clock, running) = (cache.clone(), clock.clone(), running.clone());
            runtime.spawn(async move {
                clock.sleep(ms(clock.random_below(10))).await;
                let key = clock.random_below(3);
                let call = || async {
                    struct Leaves<'r>(&'r AtomicUsize);
                    impl Drop for Leaves<'_> {
                        fn drop(&mut self) {
                            self.0.fetch_sub(1, Ordering::Relaxed);
                        }
                    }
                    let inside = &running[key as usize];
                    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                    let _leaves = Leaves(inside);
                    clock.sleep(ms(clock.random_below(4))).await;
                    match clock.random_below(4) {
                        0 => Err(Error::Inner(())),
                        _ => Ok(key),
                    }
                };
                let patience = ms(clock.random_below(6) + 1);
                if let Ok(Ok(value)) = clock.timeout(patience, cache.get(&key, call)).await {
                    assert_eq!(value, key);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(running.iter().all(|running| running.load(Ordering::Relaxed) == 0));
    assert!(cache.stats().kept <= 2);
}
