//! The promises of the registry of breakers.

use std::time::Duration;

use weirs_resilience::{Breaker, Breakers, Circuit, Error, Stack, WhenFull};
use weirs_runtime::Runtime;
use weirs_testing::{ManualClock, apply, runtime_test};

#[apply(runtime_test)]
async fn each_key_has_its_own(_: Runtime) {
    let breakers = Breakers::<String>::builder(Breaker::consecutive(1)).build().unwrap();
    let (eu, us) = (breakers.get("eu"), breakers.get("us"));
    let stack = Stack::builder().breaker(breakers.get("eu")).build().unwrap();
    assert_eq!(stack.call(async |_| Err::<(), _>(7)).await, Err(Error::Inner(7)));
    assert_eq!((eu.state(), us.state()), (Circuit::Open, Circuit::Closed));
    assert_eq!(breakers.stats().keys, 2);
    assert_eq!(breakers.list().len(), 2);
}

/// Seen: a registry that threw out closed breakers threw out their failures as well.
#[apply(runtime_test)]
async fn only_who_knows_nothing_is_forgotten(_: Runtime) {
    let settings = Breaker::failure_rate(1.0).min_calls(5);
    let breakers = Breakers::<u32>::builder(settings).max_keys(8).build().unwrap();
    // Guilty though closed, held, open.
    breakers.get(&0).try_acquire().unwrap().failure();
    let held = breakers.get(&1);
    let permit = breakers.get(&2).try_acquire_owned().unwrap();
    breakers.get(&3).force_open("a test");
    for key in 4..1_000 {
        breakers.get(&key).try_acquire().unwrap().success();
    }
    assert_eq!(breakers.get(&0).stats().counts.failures, 1);
    assert!(std::sync::Arc::ptr_eq(&held, &breakers.get(&1)));
    assert!(std::sync::Arc::ptr_eq(permit.breaker(), &breakers.get(&2)));
    assert_eq!(breakers.get(&3).state(), Circuit::ForcedOpen);
    let stats = breakers.stats();
    assert_eq!((stats.keys, stats.shared, stats.forgotten), (8, 0, 0));
    assert_eq!(stats.evicted, 1_000 - 8);
    permit.success();
}

#[test]
fn full_of_guilty_ones_it_does_what_it_was_told() {
    for when_full in [WhenFull::Share, WhenFull::Forget] {
        let settings = Breaker::consecutive(1);
        let breakers = Breakers::<u32>::builder(settings).max_keys(3).when_full(when_full).build().unwrap();
        for key in 0..3 {
            breakers.get(&key).try_acquire().unwrap().failure();
        }
        let new = breakers.get(&9);
        assert_eq!(new.state(), Circuit::Closed);
        let stats = breakers.stats();
        match when_full {
            WhenFull::Share => {
                assert_eq!((stats.keys, stats.shared, stats.forgotten), (3, 1, 0));
                assert!(std::sync::Arc::ptr_eq(&new, &breakers.get(&10)));
            }
            _ => {
                assert_eq!((stats.keys, stats.shared, stats.forgotten), (3, 0, 1));
                // It is held, and so are the others now: who comes next shares.
                let all: Vec<_> = breakers.list();
                breakers.get(&10);
                assert_eq!((all.len(), breakers.stats().shared), (3, 1));
            }
        }
    }
}

#[test]
fn who_is_not_asked_for_goes_away() {
    let time = ManualClock::new();
    let settings = Breaker::consecutive(2).clock(time.clock());
    let minute = Duration::from_secs(60);
    let breakers = Breakers::<u32>::builder(settings).idle_for(minute).build().unwrap();
    for key in 0..10 {
        breakers.get(&key);
    }
    breakers.get(&3).try_acquire().unwrap().failure();
    time.advance(minute / 2);
    breakers.get(&4);
    time.advance(minute / 2);
    assert_eq!(breakers.sweep(), 8);
    let mut left: Vec<_> = breakers.list().into_iter().map(|(key, _)| key).collect();
    left.sort_unstable();
    assert_eq!(left, [3, 4]);
    // New keys take the old ones with them.
    time.advance(minute);
    for key in 100..200 {
        breakers.get(&key);
    }
    assert_eq!(breakers.stats().keys, 101);
    assert_eq!(breakers.stats().evicted, 9);
}

#[test]
fn keys_may_have_settings_of_their_own() {
    let breakers = Breakers::<String>::builder(Breaker::consecutive(9))
        .settings_for(|key| key.starts_with("fragile").then(|| Breaker::consecutive(1)))
        .build()
        .unwrap();
    for (key, expected) in [("fragile-1", Circuit::Open), ("solid", Circuit::Closed)] {
        breakers.get(key).try_acquire().unwrap().failure();
        assert_eq!(breakers.get(key).state(), expected);
    }
    let no_room = Breakers::<u32>::builder(Breaker::consecutive(1)).max_keys(0).build().unwrap_err();
    assert_eq!(no_room.field(), "breakers.max_keys");
    let invalid = Breakers::<u32>::builder(Breaker::consecutive(0)).build().unwrap_err();
    assert_eq!(invalid.field(), "breaker.consecutive_failures");
}
