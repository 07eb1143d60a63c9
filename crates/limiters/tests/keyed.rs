//! The promises of keyed limits.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{
    Denied, Keyed, KeyedBuilder, Limit, OnFull, Outcome, Quota, QuotaId, Rate, RateLimiter, acquire,
};
use weirs_runtime::{Entropy, Instant, Runtime, SeededEntropy};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn quota(rate: u64, burst: u64) -> Quota {
    Quota::new(Rate::per_second(rate), burst).unwrap()
}

fn builder(time: &ManualClock, quota: Quota) -> KeyedBuilder<u64> {
    Keyed::builder(quota).clock(time.clock().clone())
}

#[test]
fn smoke() {
    for exact in [false, true] {
        let time = ManualClock::new();
        let keyed = builder(&time, quota(10, 2));
        let keyed = if exact { keyed.exact() } else { keyed }.build();
        keyed.try_acquire(&1, 2).unwrap();
        assert_eq!(keyed.try_acquire(&1, 1), Err(Denied::Later { retry_after: ms(100) }));
        assert_eq!(keyed.try_acquire(&1, 3), Err(Denied::TooLarge { max: 2 }));
        assert_eq!(keyed.try_acquire(&2, 1).unwrap().remaining(), 1);
        keyed.try_acquire(&3, 0).unwrap();
        assert_eq!((keyed.stats().keys, keyed.available(&1), keyed.available(&3)), (2, 0, 2));
        time.advance(ms(100));
        keyed.try_acquire(&1, 1).unwrap();
        time.advance(ms(200));
        assert_eq!(keyed.sweep(usize::MAX), 2);
        assert_eq!(keyed.stats().keys, 0);
    }
}

/// Against a limiter for each key: the same answers, to two nanoseconds. (A cell has other parts there.)
#[apply(sim_test)]
async fn each_key_is_a_limiter_of_its_own(runtime: Runtime) {
    for exact in [false, true, false, true] {
        let seed = runtime.clock().random_u64();
        let entropy = SeededEntropy::new(seed);
        let below = |bound: u64| entropy.next_u64() % bound;
        let time = ManualClock::new();
        let rates = [(1_u64, 1_u64), (3, 7), (7, 3), (997, 1_009)];
        let quotas: Vec<_> = rates
            .iter()
            .map(|(cells, nanos)| {
                let rate = Rate::new(*cells, Duration::from_nanos(nanos * 10_000)).unwrap();
                Quota::new(rate, 1 + below(8)).unwrap()
            })
            .collect();
        let keyed = builder(&time, quotas[0]).quotas(quotas.clone(), |key| QuotaId((key % 4) as u8));
        let keyed = if exact { keyed.exact() } else { keyed }.build();
        let single =
            |key: u64| RateLimiter::builder(quotas[key as usize % 4]).clock(time.clock().clone()).build();
        let mut model: HashMap<u64, RateLimiter> = (0..6).map(|key| (key, single(key))).collect();
        for _ in 0..100 {
            time.advance(Duration::from_nanos(below(20_000)));
            let (key, n) = (below(6), below(5));
            let limit = keyed.limit_of(&key);
            let now = time.clock().now();
            let expected = model[&key].try_acquire(n);
            let peeked = limit.peek_at(now, n).is_ok();
            let result = keyed.try_acquire(&key, n);
            assert_eq!(peeked, result.is_ok(), "{seed}");
            match (result, expected) {
                (Err(Denied::Later { retry_after: one }), Err(Denied::Later { retry_after: other })) => {
                    assert!(one.abs_diff(other) <= Duration::from_nanos(2), "{seed}: {one:?} {other:?}");
                    time.advance(one.max(other));
                    keyed.try_acquire(&key, n).unwrap();
                    model[&key].try_acquire(n).unwrap();
                }
                (Ok(grant), Ok(other)) => {
                    assert!(grant.remaining().abs_diff(other.remaining()) <= 1, "{seed}");
                    if below(4) == 0 {
                        limit.release(grant, Outcome::Unused);
                        model[&key].release(other, Outcome::Unused);
                    }
                }
                (Ok(_), Err(Denied::Later { retry_after })) => {
                    assert!(retry_after <= Duration::from_nanos(2), "{seed}: {retry_after:?}");
                    time.advance(retry_after);
                    model[&key].try_acquire(n).unwrap();
                }
                (Err(Denied::Later { retry_after }), Ok(_)) => {
                    assert!(retry_after <= Duration::from_nanos(2), "{seed}: {retry_after:?}");
                    time.advance(retry_after);
                    keyed.try_acquire(&key, n).unwrap();
                }
                (one, other) => assert_eq!(one, other, "{seed}"),
            }
            if below(10) == 0 {
                keyed.sweep(below(40) as usize);
                let gone = below(6);
                if model[&gone].available() == model[&gone].quota().burst() {
                    model.insert(gone, single(gone));
                }
            }
        }
    }
}

#[test]
fn pitfall_01_overflow_with_keys() {
    let time = ManualClock::new();
    let slow = Rate::new(1, Duration::from_nanos(u64::MAX)).unwrap();
    let quotas = [
        Quota::new(slow, Quota::MAX_BURST).unwrap(),
        Quota::new(Rate::new(1, Duration::from_nanos(1)).unwrap(), Quota::MAX_BURST).unwrap(),
        Quota::new(Rate::ZERO, 3).unwrap(),
        Quota::UNLIMITED,
    ];
    let keyed = builder(&time, quotas[0]).quotas(quotas, |key| QuotaId(*key as u8)).build();
    for now in [0, 1 << 40, u64::MAX - 1] {
        time.set(Instant::from_nanos(now));
        for key in 0..4 {
            for cost in [Quota::MAX_BURST + 1, 3_689_348_816 << 30, u64::MAX] {
                let expected = if key == 3 { Ok(u64::MAX) } else { Err(()) };
                assert_eq!(
                    keyed.try_acquire(&key, cost).map(|grant| grant.remaining()).map_err(drop),
                    expected
                );
            }
        }
        keyed.try_acquire(&1, 1).unwrap();
    }
    keyed.try_acquire(&2, 3).unwrap();
    assert_eq!(keyed.try_acquire(&2, 1), Err(Denied::Later { retry_after: Duration::MAX }));
}

/// Eviction of a drained key is a gift to the attacker; of the fullest it is the smallest gift there is.
#[test]
fn pitfall_11_a_flood_of_keys() {
    for exact in [false, true] {
        let build = |on_full| {
            let time = ManualClock::new();
            let keyed = builder(&time, quota(1, 100)).max_keys(64).on_full(on_full);
            (time, if exact { keyed.exact() } else { keyed }.build())
        };
        let (_time, keyed) = build(OnFull::EvictFullest);
        (0..8).for_each(|key| assert!(keyed.try_acquire(&key, 100).is_ok()));
        (100..10_100).for_each(|key| assert!(keyed.try_acquire(&key, 1).is_ok()));
        let drained = (0..8).filter(|key| keyed.try_acquire(key, 1).is_err()).count();
        assert_eq!(drained, 8, "{exact}: those that spent most stay");
        assert!(keyed.stats().evicted >= 9_000 && keyed.stats().keys <= keyed.stats().places);

        let (time, keyed) = build(OnFull::DenyNew);
        let admitted = (0..10_000).filter(|key| keyed.try_acquire(key, 1).is_ok()).count();
        assert_eq!(admitted, keyed.stats().keys);
        assert!(admitted >= 64 && admitted <= keyed.stats().places, "{admitted}");
        assert_eq!(keyed.stats().denied_new as usize, 10_000 - admitted);
        let denied = keyed.try_acquire(&20_000, 1).unwrap_err();
        time.advance(denied.retry_after().unwrap());
        keyed.try_acquire(&20_000, 1).unwrap();

        let (_time, keyed) = build(OnFull::SharedOverflow);
        let admitted = (0..10_000).filter(|key| keyed.try_acquire(key, 1).is_ok()).count();
        let shared = admitted - keyed.stats().keys;
        assert_eq!(shared, 100, "they share the cells of one");
    }
}

#[test]
fn waiting_is_first_come_first_served_for_each_key() {
    for exact in [false, true] {
        let time = ManualClock::new();
        let keyed = builder(&time, quota(10, 4)).max_waiters(4);
        let keyed = if exact { keyed.exact() } else { keyed }.build();
        keyed.try_acquire(&1, 4).unwrap();
        let mut large = Hand::new(keyed.acquire(&1, 3));
        let mut small = Hand::new(keyed.acquire(&1, 1));
        let mut late = Hand::new(keyed.acquire_by(&1, 1, Instant::from_nanos(499_999_999)));
        assert!(large.poll().is_pending() && small.poll().is_pending());
        assert_eq!(late.poll(), Poll::Ready(Err(Denied::WouldMissDeadline { needed: ms(500) })));
        assert_eq!((large.wakes(), small.wakes()), (0, 0));
        assert_eq!(keyed.try_acquire(&1, 1), Err(Denied::Later { retry_after: ms(500) }));
        keyed.try_acquire(&2, 4).unwrap();
        let mut others: Vec<_> = (0..3).map(|_| Hand::new(keyed.acquire(&2, 1))).collect();
        assert!(others[0].poll().is_pending() && others[1].poll().is_pending());
        assert_eq!(others[2].poll(), Poll::Ready(Err(Denied::QueueFull { waiting: 4 })), "for all keys");
        time.advance(ms(100));
        assert!(others[0].poll().is_ready() && large.poll().is_pending());
        time.advance(ms(200));
        assert!(large.poll().is_ready() && small.poll().is_pending());
        time.advance(ms(100));
        assert!(small.poll().is_ready());
        drop(others);
        assert_eq!((keyed.stats().waiting, time.timers()), (0, 0));
    }
}

#[apply(runtime_test)]
async fn those_who_wait_are_admitted(runtime: Runtime) {
    let keyed = Keyed::<u64>::builder(quota(2_000, 3)).clock(runtime.clock().clone()).exact().build();
    let start = runtime.clock().now();
    for _ in 0..10 {
        keyed.acquire(&1, 1).await.unwrap();
        keyed.acquire(&2, 1).await.unwrap();
    }
    assert!(runtime.clock().now() - start >= Duration::from_micros(3_500));
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    let keyed = Keyed::<str>::builder(quota(5_000, 2)).clock(runtime.clock().clone()).build();
    let exact = Keyed::<u64>::builder(quota(5_000, 2)).clock(runtime.clock().clone()).exact().build();
    let make = || async {
        keyed.acquire("anna", 2).await.unwrap();
        acquire(keyed.limit_of("anna"), 2).await.unwrap().ignore();
        exact.acquire(&1, 2).await.unwrap();
        acquire(exact.limit_of(&1), 2).await.unwrap().ignore();
    };
    let check = async |_| {
        keyed.acquire("anna", 2).await.unwrap();
        assert_eq!(keyed.stats().waiting + exact.stats().waiting, 0);
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[apply(sim_test)]
async fn times_are_exact(runtime: Runtime) {
    let keyed = Keyed::<u64>::builder(quota(3, 1)).clock(runtime.clock().clone()).build();
    let start = runtime.clock().now();
    for number in 0..10_u64 {
        keyed.acquire(&7, 1).await.unwrap();
        assert_eq!((runtime.clock().now() - start).as_nanos() as u64, (number * 1_000_000_000).div_ceil(3));
    }
}

/// Several threads, few places, many keys: nobody who has a place is admitted more than its quota.
#[test]
fn threads_do_not_charge_each_other() {
    let time = ManualClock::new();
    let keyed = builder(&time, Quota::new(Rate::ZERO, 50).unwrap()).max_keys(64).build();
    let admitted: u64 = std::thread::scope(|scope| {
        let work = || (0..4_000_u64).filter(|turn| keyed.try_acquire(&(turn % 40), 1).is_ok()).count() as u64;
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((admitted, keyed.stats().evicted), (40 * 50, 0));
}

/// In both kinds of tables.
fn both(
    time: &ManualClock,
    quota: Quota,
    make: impl Fn(KeyedBuilder<u64>) -> KeyedBuilder<u64>,
) -> [Keyed<u64>; 2] {
    [make(builder(time, quota)).build(), make(builder(time, quota)).exact().build()]
}

#[test]
fn another_quota_leaves_each_key_its_part() {
    let time = ManualClock::new();
    for keyed in both(&time, quota(10, 10), |builder| builder) {
        for key in 0..=10 {
            keyed.try_acquire(&key, key).unwrap();
        }
        keyed.set_quota(QuotaId::default(), quota(1_000, 30));
        (0..=10).for_each(|key| assert_eq!(keyed.available(&key), 30 - 3 * key));
        assert_eq!((keyed.available(&99), keyed.stats().keys), (30, 10));
        assert_eq!(keyed.try_acquire(&10, 1), Err(Denied::Later { retry_after: ms(1) }));
        keyed.set_quota(QuotaId::default(), quota(1_000, 5));
        (0..=10).for_each(|key| assert_eq!(keyed.available(&key), (10 - key) / 2));
        keyed.set_quota(QuotaId::default(), Quota::UNLIMITED);
        keyed.try_acquire(&10, u64::MAX).unwrap();
        keyed.set_quota(QuotaId::default(), quota(1, 3));
        assert_eq!(keyed.available(&10), 3);
        time.advance(ms(77));
    }
}

#[test]
fn a_key_keeps_its_part_when_its_rule_changes() {
    let time = ManualClock::new();
    let paid = Arc::new(AtomicBool::new(false));
    let rule = |paid: &Arc<AtomicBool>| {
        let paid = Arc::clone(paid);
        move |_: &u64| QuotaId(u8::from(paid.load(Ordering::Relaxed)))
    };
    let quotas = [quota(10, 10), quota(100, 100)];
    for keyed in both(&time, quotas[0], |builder| builder.quotas(quotas, rule(&paid))) {
        paid.store(false, Ordering::Relaxed);
        keyed.try_acquire(&1, 8).unwrap();
        paid.store(true, Ordering::Relaxed);
        assert_eq!(keyed.available(&1), 20);
        keyed.try_acquire(&1, 20).unwrap();
        // Also when the quota that it had changes meanwhile.
        keyed.set_quota(QuotaId(1), quota(1, 2));
        keyed.set_quota(QuotaId(0), quota(1, 4));
        paid.store(false, Ordering::Relaxed);
        assert_eq!((keyed.try_acquire(&1, 1).is_err(), keyed.stats().keys), (true, 1));
        time.advance(ms(1_000));
        keyed.try_acquire(&1, 1).unwrap();
    }
}

#[test]
fn another_quota_times_those_who_wait_anew() {
    let time = ManualClock::new();
    for keyed in both(&time, quota(10, 4), |builder| builder) {
        let start = time.clock().now();
        keyed.try_acquire(&1, 4).unwrap();
        keyed.try_acquire(&2, 4).unwrap();
        let (mut one, mut other) = (Hand::new(keyed.acquire(&1, 1)), Hand::new(keyed.acquire(&2, 2)));
        let (mut large, mut late) =
            (Hand::new(keyed.acquire(&1, 4)), Hand::new(keyed.acquire_by(&2, 1, start + ms(400))));
        for pending in [one.poll(), other.poll(), large.poll(), late.poll()] {
            assert!(pending.is_pending());
        }
        keyed.set_quota(QuotaId::default(), quota(2, 3));
        assert_eq!(large.poll(), Poll::Ready(Err(Denied::TooLarge { max: 3 })));
        assert_eq!(late.poll(), Poll::Ready(Err(Denied::WouldMissDeadline { needed: ms(1_500) })));
        assert_eq!((one.wakes(), other.wakes()), (1, 1));
        assert!(one.poll().is_pending() && other.poll().is_pending());
        keyed.set_quota(QuotaId::default(), quota(1_000, 3));
        assert!(one.poll().is_pending() && other.poll().is_pending());
        time.advance(ms(1));
        assert!(one.poll().is_ready() && other.poll().is_pending());
        keyed.set_quota(QuotaId::default(), Quota::new(Rate::ZERO, 3).unwrap());
        assert_eq!(other.poll(), Poll::Ready(Err(Denied::Later { retry_after: Duration::MAX })));
        assert_eq!((keyed.stats().waiting, time.timers()), (0, 0));
        time.advance(ms(10_000));
    }
}

/// Whatever happens to the quotas meanwhile, nobody gets more than the largest of them gives.
#[test]
fn quotas_change_while_threads_ask() {
    let time = ManualClock::new();
    for keyed in both(&time, Quota::new(Rate::ZERO, 64).unwrap(), |builder| builder.max_keys(1_000)) {
        let admitted: u64 = std::thread::scope(|scope| {
            let work =
                || (0..8_000_u64).filter(|turn| keyed.try_acquire(&(turn % 40), 1).is_ok()).count() as u64;
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
            for turn in 0..200 {
                let burst = if turn % 2 == 0 { 32 } else { 64 };
                keyed.set_quota(QuotaId::default(), Quota::new(Rate::ZERO, burst).unwrap());
            }
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(admitted <= 40 * 64, "{admitted}");
        keyed.set_quota(QuotaId::default(), Quota::new(Rate::ZERO, 64).unwrap());
        let rest: u64 = (0..40).map(|key| keyed.available(&key)).sum();
        // One admitted of 32 is two of 64, and what is left is rounded down.
        assert!(admitted + rest <= 40 * 64, "{admitted} {rest}");
        assert_eq!((keyed.stats().keys, keyed.stats().evicted), (40, 0));
    }
}

#[test]
fn closing_is_heard_by_all_keys() {
    let time = ManualClock::new();
    for keyed in both(&time, quota(10, 1), |builder| builder) {
        let limit = keyed.limit_of(&3);
        let keys: Vec<_> = (0..20).collect();
        keys.iter().for_each(|key| _ = keyed.try_acquire(key, 1).unwrap());
        let mut waits: Vec<_> = keys.iter().map(|key| Hand::new(keyed.acquire(key, 1))).collect();
        waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
        assert!(!keyed.is_closed());
        keyed.close();
        keyed.close();
        for wait in &mut waits {
            assert_eq!((wait.wakes(), wait.poll()), (1, Poll::Ready(Err(Denied::Closed))));
        }
        assert_eq!(keyed.try_acquire(&1, 1), Err(Denied::Closed));
        assert_eq!(keyed.try_acquire(&77, 0), Err(Denied::Closed));
        assert_eq!(limit.peek_at(time.clock().now(), 0), Err(Denied::Closed));
        assert_eq!(Hand::new(keyed.acquire(&99, 1)).poll(), Poll::Ready(Err(Denied::Closed)));
        assert_eq!((keyed.is_closed(), keyed.stats().waiting, time.timers()), (true, 0, 0));
    }
}

/// A cell of the shared ones that comes back unused is there for the next; before it was lost.
#[test]
fn shared_cells_come_back_unused() {
    let time = ManualClock::new();
    let flood = |builder: KeyedBuilder<u64>| builder.max_keys(4).on_full(OnFull::SharedOverflow);
    for keyed in both(&time, Quota::new(Rate::ZERO, 3).unwrap(), flood) {
        let mut key = 0;
        while keyed.stats().overflowed == 0 {
            key += 1;
            keyed.try_acquire(&key, 1).unwrap();
        }
        let limit = keyed.limit_of(&key);
        let grant = limit.try_acquire_at(time.clock().now(), 2).unwrap();
        assert_eq!((grant.remaining(), keyed.available(&key)), (0, 0), "one before, and these");
        assert!(keyed.try_acquire(&key, 1).is_err());
        limit.release(grant, Outcome::Unused);
        assert_eq!(keyed.available(&key), 2);
        keyed.try_acquire(&key, 2).unwrap();
        // With another quota the shared cells are as empty as they were.
        keyed.set_quota(QuotaId::default(), Quota::new(Rate::ZERO, 6).unwrap());
        assert_eq!(keyed.available(&key), 0);
    }
}

#[test]
fn the_exact_mode_keeps_nine_eighths_at_most() {
    for max_keys in [1, 7, 1_000, 2_048, 5_000, 70_001] {
        let time = ManualClock::new();
        let keyed = builder(&time, Quota::new(Rate::ZERO, 1).unwrap()).max_keys(max_keys).exact().build();
        (0..2 * max_keys as u64).for_each(|key| _ = keyed.try_acquire(&key, 1).unwrap());
        let stats = keyed.stats();
        assert!(stats.places <= max_keys + max_keys / 8 && stats.keys <= stats.places, "{stats:?}");
        assert!(stats.keys >= max_keys * 31 / 32, "{stats:?}");
    }
}

/// A look says what asking would, for a key without a place too.
#[test]
fn a_look_at_a_new_key_says_what_asking_says() {
    for on_full in [OnFull::EvictFullest, OnFull::DenyNew, OnFull::SharedOverflow] {
        let time = ManualClock::new();
        for keyed in both(&time, quota(1, 3), |builder| builder.max_keys(4).on_full(on_full)) {
            let mut refused = 0;
            for key in 0..60 {
                let (limit, now) = (keyed.limit_of(&key), time.clock().now());
                let peeked = limit.peek_at(now, 2);
                let available = keyed.available(&key);
                let result = limit.try_acquire_at(now, 2);
                assert_eq!(peeked, result.clone().map(|grant| grant.remaining()), "{on_full:?} {key}");
                assert_eq!(available >= 2, result.is_ok(), "{on_full:?} {key}");
                refused += u32::from(result.is_err());
                time.advance(ms(70));
            }
            assert_eq!(refused > 0, on_full != OnFull::EvictFullest, "{on_full:?}");
        }
    }
}
