//! The wheel against a sorted map, and the alarm's bookkeeping.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::{Key, LEVELS, NIL, Timers, Wheel};

/// Counts its wakes, and can be told from all others.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The generator of the random scripts (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number of a random number of digits, so that all levels have their share.
    fn of_any_size(&mut self) -> u64 {
        let bits = self.below(65) as u32;
        self.next().checked_shr(bits).unwrap_or(0)
    }
}

/// A wheel next to the simplest thing that does the same: a map from (deadline, key) to waker.
struct Pair {
    wheel: Wheel,
    model: BTreeMap<(u64, (u32, u32)), Waker>,
    /// The deadline of each key there ever was.
    keys: Vec<(u64, Key)>,
    now: u64,
}

impl Pair {
    fn new() -> Self {
        Self { wheel: Wheel::new(), model: BTreeMap::new(), keys: Vec::new(), now: 0 }
    }

    fn insert(&mut self, at: u64) {
        let waker = new_waker();
        match self.wheel.insert(at, waker.clone()) {
            Ok(key) => {
                assert!(at > self.now);
                assert!(self.keys.iter().all(|(_, other)| *other != key), "{key:?} was used again");
                self.model.insert((at, numbers(key)), waker);
                self.keys.push((at, key));
            }
            Err(refused) => {
                assert!(at <= self.now);
                assert!(refused.will_wake(&waker));
            }
        }
    }

    fn remove(&mut self, at: u64, key: Key) {
        match (self.wheel.remove(key), self.model.remove(&(at, numbers(key)))) {
            (Some(removed), Some(expected)) => assert!(removed.will_wake(&expected)),
            (None, None) => {}
            (removed, _) => panic!("wheel and model disagree about {key:?}: {removed:?}"),
        }
    }

    fn replace(&mut self, at: u64, key: Key) {
        let waker = new_waker();
        match (self.wheel.replace(key, waker.clone()), self.model.get_mut(&(at, numbers(key)))) {
            (Ok(old), Some(expected)) => assert!(old.will_wake(&std::mem::replace(expected, waker))),
            (Err(refused), None) => assert!(refused.will_wake(&waker)),
            (result, _) => panic!("wheel and model disagree about {key:?}: {result:?}"),
        }
    }

    /// Advances by as many calls as it takes, and compares what fired.
    fn advance(&mut self, now: u64, limit: usize) {
        let mut fired = Vec::new();
        loop {
            let before = fired.len();
            self.wheel.advance(now, &mut fired, limit);
            assert!(fired.len() - before <= limit);
            if self.wheel.next().is_none_or(|next| next > now) {
                break;
            }
        }
        self.now = self.now.max(now);
        let later = match self.now.checked_add(1) {
            Some(later) => self.model.split_off(&(later, (0, 0))),
            None => BTreeMap::new(),
        };
        let expected = std::mem::replace(&mut self.model, later);
        assert_eq!(fired.len(), expected.len(), "up to {now}");
        for waker in expected.values() {
            assert!(fired.iter().any(|other| other.will_wake(waker)), "a timer did not fire");
        }
    }

    fn check(&self) {
        assert_eq!(self.wheel.len(), self.model.len());
        let earliest = self.model.keys().next().map(|(at, _)| *at);
        match (self.wheel.next(), earliest) {
            (None, None) => {}
            (Some(next), Some(earliest)) => assert!(self.now < next && next <= earliest),
            // Only timers that are there keep a slot occupied.
            (next, earliest) => panic!("next is {next:?}, but the earliest deadline {earliest:?}"),
        }
        for (at, key) in self.keys.iter().rev().take(8) {
            assert_eq!(self.wheel.waker(*key).is_some(), self.model.contains_key(&(*at, numbers(*key))));
        }
    }
}

#[test]
fn smoke() {
    let mut wheel = Wheel::new();
    let waker = new_waker();
    let key = wheel.insert(1_000, waker.clone()).unwrap();
    assert_eq!(wheel.next(), Some(1_000));

    let mut fired = Vec::new();
    wheel.advance(999, &mut fired, 10);
    assert!(fired.is_empty());
    wheel.advance(1_000, &mut fired, 10);
    assert!(fired.pop().unwrap().will_wake(&waker));

    assert_eq!(wheel.next(), None);
    assert_eq!(wheel.len(), 0);
    assert!(wheel.remove(key).is_none());
    assert!(wheel.insert(1_000, waker).is_err());
}

#[test]
fn random_scripts_do_the_same_to_the_wheel_and_to_a_map() {
    for seed in 1..=400 {
        let mut random = Random(seed);
        let mut pair = Pair::new();
        // Few deadlines close together, or many all over the range.
        let reach = random.of_any_size().max(2);
        for _ in 0..400 {
            match random.below(10) {
                0..=4 => {
                    let distance = match random.below(4) {
                        0 => random.of_any_size(),
                        _ => random.below(reach),
                    };
                    pair.insert(pair.now.saturating_add(distance));
                }
                5 | 6 if !pair.keys.is_empty() => {
                    let (at, key) = pair.keys[random.below(pair.keys.len() as u64) as usize];
                    pair.remove(at, key);
                }
                7 if !pair.keys.is_empty() => {
                    let (at, key) = pair.keys[random.below(pair.keys.len() as u64) as usize];
                    pair.replace(at, key);
                }
                8 => {
                    let now = pair.now.saturating_add(random.below(reach));
                    pair.advance(now, 1 + random.below(10) as usize);
                }
                _ => {
                    if let Some(next) = pair.wheel.next() {
                        pair.advance(next, 1 + random.below(10) as usize);
                    }
                }
            }
            pair.check();
        }
        pair.advance(u64::MAX, 7);
        pair.check();
        assert_eq!(pair.wheel.len(), 0);
    }
}

#[test]
fn timers_inserted_and_removed_in_the_middle_of_an_advance() {
    for seed in 1..=300 {
        let mut random = Random(seed);
        let mut wheel = Wheel::new();
        let mut fired = Vec::new();
        let mut keys = Vec::new();
        let (mut inserted, mut removed) = (0, 0);
        let mut now = 0_u64;
        for _ in 0..60 {
            now += random.below(1 << 20);
            for _ in 0..5 {
                let at = now.saturating_sub(1 << 12) + random.below(1 << 21);
                if let Ok(key) = wheel.insert(at, new_waker()) {
                    keys.push(key);
                    inserted += 1;
                }
                wheel.advance(now, &mut fired, 3);
                let key = keys[random.below(keys.len() as u64) as usize];
                removed += usize::from(wheel.remove(key).is_some());
                assert_eq!(wheel.len(), inserted - removed - fired.len());
            }
            while wheel.next().is_some_and(|next| next <= now) {
                wheel.advance(now, &mut fired, 3);
            }
            assert!(wheel.nodes.iter().all(|node| node.waker.is_none() || node.at > now));
        }
        wheel.advance(u64::MAX, &mut fired, usize::MAX);
        assert_eq!(wheel.len(), 0);
        assert_eq!(inserted, removed + fired.len());
    }
}

#[test]
fn to_go_where_next_says_ends_after_few_steps_even_when_it_is_early() {
    for seed in 1..=200 {
        let mut random = Random(seed);
        let mut wheel = Wheel::new();
        let timers: Vec<(u64, Key)> = (0..20)
            .map(|_| random.of_any_size().max(1))
            .map(|at| (at, wheel.insert(at, new_waker()).unwrap()))
            .collect();
        // All but the last go, and leave their traces in what the slots remember.
        let &(latest, _) = timers.iter().max_by_key(|(at, _)| *at).unwrap();
        for &(at, key) in &timers {
            if at != latest {
                assert!(wheel.remove(key).is_some());
            }
        }
        let (mut fired, mut steps) = (Vec::new(), 0);
        while let Some(next) = wheel.next() {
            assert!(next <= latest);
            wheel.advance(next, &mut fired, usize::MAX);
            steps += 1;
        }
        assert!(steps <= LEVELS, "{steps} steps");
        assert!(!fired.is_empty());
    }
}

#[test]
fn a_timer_that_is_far_off_fires_without_a_stop_on_the_way() {
    let mut wheel = Wheel::new();
    let mut fired = Vec::new();
    for at in [1, 63, 64, 65_537, 30_000_000_000, 1 << 40, u64::MAX - 1, u64::MAX] {
        let _ = wheel.insert(at, new_waker()).unwrap();
        assert_eq!(wheel.next(), Some(at));
        wheel.advance(at - 1, &mut fired, usize::MAX);
        assert!(fired.is_empty());
        assert_eq!(wheel.next(), Some(at));
        wheel.advance(at, &mut fired, usize::MAX);
        assert_eq!(fired.drain(..).count(), 1);
    }
}

#[test]
fn the_ends_of_time() {
    let mut wheel = Wheel::new();
    assert!(wheel.insert(0, new_waker()).is_err(), "zero has come when a wheel begins");
    let _ = wheel.insert(u64::MAX, new_waker()).unwrap();
    assert_eq!(wheel.next(), Some(u64::MAX));

    let mut fired = Vec::new();
    wheel.advance(u64::MAX - 1, &mut fired, 1);
    assert!(fired.is_empty());
    wheel.advance(u64::MAX, &mut fired, 1);
    assert_eq!(fired.len(), 1);
    assert!(wheel.insert(u64::MAX, new_waker()).is_err());
}

#[test]
fn time_that_goes_backwards_changes_nothing() {
    let mut wheel = Wheel::new();
    let mut fired = Vec::new();
    wheel.advance(1_000, &mut fired, 1);
    wheel.advance(10, &mut fired, 1);
    assert!(wheel.insert(500, new_waker()).is_err());
    let _ = wheel.insert(1_500, new_waker()).unwrap();
    wheel.advance(1_400, &mut fired, 1);
    assert!(fired.is_empty());
    wheel.advance(1_500, &mut fired, 1);
    assert_eq!(fired.len(), 1);
}

#[test]
fn equal_deadlines_fire_in_order_of_insertion_and_in_batches() {
    let mut wheel = Wheel::new();
    let wakers: Vec<Waker> = (0..100).map(|_| new_waker()).collect();
    for waker in &wakers {
        let _ = wheel.insert(1 << 33, waker.clone()).unwrap();
    }
    let mut fired = Vec::new();
    // Part of them falls on the way there.
    wheel.advance((1 << 33) - 5, &mut fired, usize::MAX);
    for batch in 1..=4 {
        assert!(wheel.next().is_some_and(|next| next <= 1 << 33));
        wheel.advance(1 << 33, &mut fired, 25);
        assert_eq!(fired.len(), batch * 25);
    }
    assert_eq!(wheel.next(), None);
    assert!(fired.iter().zip(&wakers).all(|(fired, waker)| fired.will_wake(waker)));
}

#[test]
fn a_crowd_in_one_slot_is_not_looked_at_again_and_again() {
    const TIMERS: u64 = 100_000;
    let mut wheel = Wheel::new();
    let mut fired = Vec::new();
    // All within what would be one tick of 65 microseconds, and advanced from one to the next.
    let base = 1 << 40;
    for number in 0..TIMERS {
        let _ = wheel.insert(base + number * 13 % 65_536, new_waker()).unwrap();
    }
    let mut looks = 0;
    while let Some(next) = wheel.next() {
        wheel.advance(next, &mut fired, 1);
        looks += 1;
    }
    assert_eq!(fired.len(), TIMERS as usize);
    assert!(looks <= TIMERS * 4, "{looks} looks");
}

#[test]
fn a_node_whose_keys_have_run_out_is_not_used_again() {
    let mut wheel = Wheel::new();
    let first = wheel.insert(5, new_waker()).unwrap();
    assert!(wheel.remove(first).is_some());
    wheel.nodes[first.index as usize].generation = u32::MAX;

    let last = wheel.insert(5, new_waker()).unwrap();
    assert_eq!(last, Key { index: first.index, generation: u32::MAX });
    assert!(wheel.remove(last).is_some());
    assert!(wheel.waker(last).is_none());
    assert!(wheel.replace(last, new_waker()).is_err());
    assert!(wheel.remove(last).is_none());

    let next = wheel.insert(5, new_waker()).unwrap();
    assert_ne!(next.index, last.index);
    assert_eq!(wheel.free, NIL);
}

#[test]
fn a_warm_wheel_does_not_grow() {
    let mut wheel = Wheel::new();
    let mut fired = Vec::new();
    for round in 0..100 {
        for number in 0..50 {
            let _ = wheel.insert(round * 1_000 + 1 + number, new_waker()).unwrap();
        }
        wheel.advance((round + 1) * 1_000, &mut fired, usize::MAX);
    }
    assert_eq!(fired.len(), 5_000);
    assert_eq!(wheel.nodes.len(), 50);
}

#[test]
fn the_alarm_is_lowered_by_the_earliest_timer_and_raised_by_fire_alone() {
    let timers = Timers::new(2);
    let waker = new_waker();
    let first = timers.insert(0, 500, &waker).unwrap();
    assert!(first.lowered_alarm);
    assert!(!timers.insert(1, 500, &waker).unwrap().lowered_alarm);
    assert!(!timers.insert(1, 900, &waker).unwrap().lowered_alarm);
    assert_eq!(timers.alarm(), 500);

    timers.remove(first.key);
    assert_eq!(timers.alarm(), 500);
    timers.fire(500, &mut Vec::new());
    assert_eq!(timers.alarm(), 900);
    timers.fire(900, &mut Vec::new());
    assert_eq!(timers.alarm(), super::NEVER);
    assert!(timers.insert(0, 900, &waker).is_none());
}

#[test]
fn keys_of_all_shards_are_told_apart() {
    let timers = Timers::new(Timers::MAX_SHARDS);
    let waker = new_waker();
    let mut keys: Vec<_> = (0..Timers::MAX_SHARDS * 3)
        .map(|number| timers.insert(number % Timers::MAX_SHARDS, 77, &waker).unwrap().key)
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), Timers::MAX_SHARDS * 3);
    assert!(!timers.refresh(Timers::dead_key(), &waker));
    timers.remove(Timers::dead_key());

    for key in keys {
        assert!(timers.refresh(key, &waker));
        timers.remove(key);
        assert!(!timers.refresh(key, &waker));
    }
    assert_eq!(timers.len(), 0);
}

#[test]
fn many_more_timers_than_a_batch_fire_one_batch_after_the_other() {
    let timers = Timers::new(1);
    let counter = Arc::new(Counter::default());
    for at in 1..=1_000 {
        assert!(timers.insert(0, at, &Arc::clone(&counter).into()).is_some());
    }
    let (mut batch, mut calls) = (Vec::new(), 0);
    while timers.alarm() <= 2_000 {
        timers.fire(2_000, &mut batch);
        calls += 1;
        assert!(batch.is_empty());
    }
    assert!(calls > 3);
    assert_eq!(counter.0.load(Ordering::Relaxed), 1_000);
    assert_eq!(Arc::strong_count(&counter), 1, "no waker stays behind");
}

fn new_waker() -> Waker {
    Arc::new(Counter::default()).into()
}

fn numbers(key: Key) -> (u32, u32) {
    (key.index, key.generation)
}
