//! The words of the budgets.
#![cfg(loom)]

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use weirs_resilience::Budget;
use weirs_runtime::{Clock, Instant, TimerDriver, TimerKey};

/// Time stands still.
struct Still;

impl TimerDriver for Still {
    fn now(&self) -> Instant {
        Instant::from_nanos(0)
    }

    fn insert(&self, _: Instant, _: &std::task::Waker) -> Option<TimerKey> {
        unreachable!("nobody sleeps here")
    }

    fn refresh(&self, _: TimerKey, _: &std::task::Waker) -> bool {
        unreachable!("nobody sleeps here")
    }

    fn remove(&self, _: TimerKey) {}
}

fn share(share: f64) -> Budget {
    let clock = Clock::new(Still);
    Budget::share(share).floor(0).time_to_live(Duration::from_secs(10)).clock(&clock).build().unwrap()
}

fn takes(budget: &Budget) -> bool {
    match budget.try_withdraw() {
        Some(withdrawal) => {
            withdrawal.spend();
            true
        }
        None => false,
    }
}

/// Two come for the last token.
#[test]
fn the_last_token_is_taken_once() {
    loom::model(|| {
        let budget = Arc::new(Budget::tokens(1).cost(1).timeout_cost(1).build().unwrap());
        let other = Arc::clone(&budget);
        let taker = thread::spawn(move || takes(&other));
        assert!(takes(&budget) != taker.join().unwrap());
        assert_eq!(budget.stats().available, 0);
    });
}

/// Two come for the last place beside those that run.
#[test]
fn the_last_place_is_taken_once() {
    loom::model(|| {
        let budget = Arc::new(Budget::in_flight(0.0).at_least(1).build().unwrap());
        let other = Arc::clone(&budget);
        let taker = thread::spawn(move || other.try_withdraw().map(std::mem::forget).is_some());
        let took = budget.try_withdraw().map(std::mem::forget).is_some();
        assert!(took != taker.join().unwrap());
        assert_eq!((budget.stats().available, budget.stats().running), (0, 1));
    });
}

/// One is given back, and one brought, while another is taken: never more than full, and none lost.
#[test]
fn tokens_are_conserved() {
    loom::model(|| {
        let budget = Arc::new(Budget::tokens(2).cost(1).timeout_cost(1).build().unwrap());
        assert!(takes(&budget));
        let other = Arc::clone(&budget);
        let giver = thread::spawn(move || drop(other.try_withdraw()));
        let took = takes(&budget);
        budget.deposit();
        giver.join().unwrap();
        assert_eq!(budget.stats().available, 2 - u64::from(took));
    });
}

/// A call is counted while another looks.
#[test]
fn no_call_is_lost() {
    loom::model(|| {
        let budget = Arc::new(share(0.5));
        budget.deposit();
        let other = Arc::clone(&budget);
        let caller = thread::spawn(move || other.deposit());
        let took = takes(&budget);
        caller.join().unwrap();
        assert_eq!(budget.stats().available, 1 - u64::from(took));
    });
}

/// Failures and successes at the same time.
#[test]
fn throttling_counts_each() {
    loom::model(|| {
        let budget = Arc::new(Budget::throttling(4, 0.5).build().unwrap());
        (0..3).for_each(|_| budget.failed());
        let other = Arc::clone(&budget);
        let well = thread::spawn(move || (0..2).for_each(|_| other.deposit()));
        budget.deposit();
        well.join().unwrap();
        // 4 - 3 + 3 / 2 is half a token above the half.
        assert!(takes(&budget));
        budget.failed();
        assert!(!takes(&budget));
    });
}
