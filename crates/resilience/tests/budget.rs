//! The promises of a budget: exact, for one thread and for many.

use std::collections::VecDeque;
use std::time::Duration;

use weirs_resilience::Budget;
use weirs_runtime::{Entropy, Instant, SeededEntropy};
use weirs_testing::ManualClock;

const SEEDS: u64 = 500;

fn spend_all(budget: &Budget) -> u32 {
    let mut spent = 0;
    while let Some(withdrawal) = budget.try_withdraw() {
        withdrawal.spend();
        spent += 1;
    }
    spent
}

#[test]
fn smoke() {
    let time = ManualClock::new();
    let budget = Budget::share(0.2).floor(2).clock(time.clock()).build().unwrap();
    assert_eq!(budget.stats().available, 2);
    for _ in 0..100 {
        budget.deposit();
    }
    assert_eq!(spend_all(&budget), 22);
    assert_eq!(budget.stats().refused, 1);
    time.advance(Duration::from_millis(500));
    assert_eq!(spend_all(&budget), 1);
}

/// tower's `TpsBudget` allows 33, 50, 100 and 100 %.
#[test]
fn the_share_is_exact() {
    for (share, expected) in [(0.3, 300), (0.4, 400), (0.6, 600), (0.9, 900), (0.001, 1), (1.5, 1_500)] {
        let budget = Budget::share(share).floor(0).clock(ManualClock::new().clock()).build().unwrap();
        for _ in 0..1_000 {
            budget.deposit();
        }
        assert_eq!(spend_all(&budget), expected, "{share}");
    }
}

/// A check that is followed by an act lets one more through for each further thread.
#[test]
fn threads_do_not_take_the_same_token() {
    let time = ManualClock::new();
    let share = Budget::share(0.5).floor(7).clock(time.clock()).build().unwrap();
    (0..8_000).for_each(|_| share.deposit());
    let tokens = Budget::tokens(5_000).build().unwrap();
    let in_flight = Budget::in_flight(0.0).at_least(9).build().unwrap();
    for (budget, expected) in [(share, 4_007), (tokens, 1_000), (in_flight, 9)] {
        let took: usize = std::thread::scope(|scope| {
            let take = || {
                // All are held at the same time.
                let held: Vec<_> = std::iter::from_fn(|| budget.try_withdraw()).collect();
                held.into_iter().map(std::mem::forget).count()
            };
            let threads = [(); 4].map(|()| scope.spawn(take));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(took, expected, "{budget:?}");
    }
}

#[test]
fn threads_lose_no_deposit() {
    let budget = Budget::share(0.25).floor(0).clock(ManualClock::new().clock()).build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1_001).for_each(|_| budget.deposit()));
        }
    });
    assert_eq!(budget.stats().available, 1_001);
}

#[test]
fn what_was_not_used_in_time_is_gone() {
    let time = ManualClock::new();
    let budget = Budget::share(1.0)
        .floor(0)
        .time_to_live(Duration::from_secs(10))
        .clock(time.clock())
        .build()
        .unwrap();
    (0..32).for_each(|_| budget.deposit());
    time.advance(Duration::from_nanos(9_999_999_999));
    assert_eq!(budget.stats().available, 32);
    time.advance(Duration::from_nanos(1));
    assert_eq!(budget.stats().available, 0);
    // A clock that stood still for an age, and one that is set back.
    (0..32).for_each(|_| budget.deposit());
    time.set(Instant::from_nanos(u64::MAX - 1));
    assert_eq!(budget.stats().available, 0);
    (0..32).for_each(|_| budget.deposit());
    time.set(Instant::from_nanos(0));
    assert_eq!(budget.stats().available, 32);
}

#[test]
fn what_is_dropped_goes_back_to_where_it_came_from() {
    let time = ManualClock::new();
    let budget = Budget::share(1.0).floor(1).clock(time.clock()).build().unwrap();
    (0..16).for_each(|_| budget.deposit());
    time.advance(Duration::from_secs(5));
    let held: Vec<_> = std::iter::from_fn(|| budget.try_withdraw()).collect();
    assert_eq!(held.len(), 17);
    drop(held);
    assert_eq!(budget.stats().available, 17);
    // Nothing lives longer for having been held.
    let held: Vec<_> = std::iter::from_fn(|| budget.try_withdraw()).collect();
    time.advance(Duration::from_secs(5));
    drop(held);
    assert_eq!(budget.stats().available, 1);
}

#[test]
fn tokens_are_dearer_after_a_timeout_and_never_more_than_full() {
    let budget = Budget::tokens(500).build().unwrap();
    assert_eq!(spend_all(&budget), 100);
    (0..7).for_each(|_| budget.deposit());
    assert_eq!(budget.stats().available, 1);
    drop(budget.try_withdraw().unwrap());
    assert_eq!(budget.stats().available, 1);
    (0..10_000).for_each(|_| budget.deposit());
    assert_eq!(budget.stats().available, 100);
}

/// gRPC's A6: ten tokens, a tenth for each success, attempts only above five.
#[test]
fn throttling_needs_more_than_half() {
    let budget = Budget::throttling(10, 0.1).build().unwrap();
    for failures in 0..20 {
        assert_eq!(budget.try_withdraw().is_some(), failures < 5, "{failures}");
        budget.failed();
    }
    // From nothing: five is not yet more than half.
    (0..50).for_each(|_| budget.deposit());
    assert!(budget.try_withdraw().is_none());
    budget.deposit();
    assert!(budget.try_withdraw().is_some());
    assert_eq!(budget.stats().available, 1);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    for (result, field) in [
        (Budget::share(f64::NAN).build(), "budget.share"),
        (Budget::share(-0.1).build(), "budget.share"),
        (Budget::share(f64::INFINITY).build(), "budget.share"),
        (Budget::share(0.2).time_to_live(Duration::ZERO).build(), "budget.time_to_live"),
        (Budget::in_flight(-1.0).build(), "budget.share"),
        (Budget::tokens(4).build(), "budget.tokens"),
        (Budget::tokens(500).cost(0).build(), "budget.cost"),
        (Budget::tokens(500).timeout_cost(0).build(), "budget.timeout_cost"),
        (Budget::throttling(0, 0.1).build(), "budget.tokens"),
        (Budget::throttling(10, 0.0).build(), "budget.ratio"),
        (Budget::throttling(10, f64::NAN).build(), "budget.ratio"),
    ] {
        assert_eq!(result.unwrap_err().field(), field);
    }
    Budget::default();
}

/// A list of single tokens in tenths, each with the epoch it came in; the floor in tenths of one each second.
struct Model {
    tenths: VecDeque<u64>,
    pending: u64,
    floor: u64,
    now: u64,
}

/// Ten tenths live for ten epochs; an epoch is a second, and the share is 0.3.
impl Model {
    fn look(&mut self) {
        let epoch = self.now / 10;
        while self.tenths.front().is_some_and(|from| from + 10 <= epoch) {
            self.tenths.pop_front();
        }
        let brought = std::mem::take(&mut self.pending) * 3;
        self.tenths.extend((0..brought).map(|_| epoch));
    }

    fn deposit(&mut self) {
        self.pending += 1;
        if self.pending == 16 {
            self.look();
        }
    }

    /// The epoch of the youngest tenth, or `None` if it was of the floor.
    fn take(&mut self) -> Option<Option<u64>> {
        self.look();
        if self.tenths.len() >= 10 {
            return Some(self.tenths.drain(..10).next_back());
        }
        let enough = self.floor >= 10;
        self.floor -= if enough { 10 } else { 0 };
        enough.then_some(None)
    }

    fn give_back(&mut self, from: Option<u64>) {
        self.look();
        match from {
            None => self.floor = (self.floor + 10).min(20),
            Some(from) if from + 10 <= self.now / 10 => {}
            Some(from) => {
                let at = self.tenths.partition_point(|other| *other <= from);
                let after = self.tenths.split_off(at);
                self.tenths.extend((0..10).map(|_| from));
                self.tenths.extend(after);
            }
        }
    }

    fn available(&mut self) -> u64 {
        self.look();
        self.tenths.len() as u64 / 10 + self.floor / 10
    }
}

#[test]
fn a_share_does_what_the_model_does() {
    for seed in 0..SEEDS {
        let chance = SeededEntropy::new(seed);
        let below = |bound| chance.next_u64() % bound;
        let time = ManualClock::new();
        let budget = Budget::share(0.3).floor(2).clock(time.clock()).build().unwrap();
        let mut model = Model { tenths: VecDeque::new(), pending: 0, floor: 20, now: 0 };
        let mut held = Vec::new();
        for step in 0..200 {
            match below(10) {
                0..4 => (0..below(30)).for_each(|_| {
                    budget.deposit();
                    model.deposit();
                }),
                4..7 => {
                    let (got, expected) = (budget.try_withdraw(), model.take());
                    assert_eq!(got.is_some(), expected.is_some(), "seed {seed}, step {step}");
                    held.extend(got.zip(expected));
                }
                7 if !held.is_empty() => {
                    let (withdrawal, from) = held.swap_remove(below(held.len() as u64) as usize);
                    match below(2) {
                        0 => withdrawal.spend(),
                        _ => {
                            drop(withdrawal);
                            model.give_back(from);
                        }
                    }
                }
                8 => {
                    // In tenths of a second; now and then for long.
                    let tenths = if below(10) == 0 { below(300) } else { below(15) };
                    time.advance(Duration::from_millis(tenths * 100));
                    model.now += tenths;
                    model.floor = (model.floor + tenths * 2).min(20);
                }
                _ => assert_eq!(budget.stats().available, model.available(), "seed {seed}, step {step}"),
            }
        }
    }
}
