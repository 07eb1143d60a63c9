//! What a call may hold of, and the means to break it.
#![allow(dead_code, unused_macros, unused_imports, reason = "not every test uses all of them")]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use weirs_resilience::{Breaker, Budget, Bulkhead, CacheSlot, CacheTerms, Stack};
use weirs_testing::ManualClock;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

pub(crate) fn poll_with<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// What one call may hold of.
pub(crate) struct Held {
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) bulkhead: Arc<Bulkhead>,
    pub(crate) budget: Budget,
    pub(crate) slot: Arc<CacheSlot<u32, &'static str>>,
    pub(crate) clock: ManualClock,
}

impl Held {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        let breaker = Breaker::failure_rate(1.0).min_calls(100).clock(clock.clock()).build().unwrap();
        let terms = CacheTerms::ttl(Duration::from_nanos(1)).clock(clock.clock());
        Self {
            breaker,
            bulkhead: Arc::new(Bulkhead::new(2).queue(2)),
            budget: Budget::in_flight(0.0).at_least(3).build().unwrap(),
            slot: CacheSlot::new(terms).unwrap(),
            clock,
        }
    }

    /// Nothing is held any more, and a call goes through.
    pub(crate) async fn check(&self) {
        assert_eq!(self.bulkhead.stats().taken, 0);
        assert_eq!(self.bulkhead.stats().waiting, 0);
        assert_eq!(self.budget.stats().running, 0);
        let took: Vec<_> = std::iter::from_fn(|| self.budget.try_withdraw()).collect();
        assert_eq!(took.len(), 3);
        drop(took);
        self.clock.advance(ms(1));
        let stack = Stack::builder().clock(self.clock.clock()).cache(&self.slot).bulkhead(&self.bulkhead);
        let stack = stack.breaker(&self.breaker).build().unwrap();
        assert_eq!(stack.call(async |_| Ok(1)).await, Ok(1));
        self.clock.advance(ms(1));
    }
}

macro_rules! everything {
    ($held:expr) => {{
        let held = &$held;
        Stack::builder()
            .clock(held.clock.clock())
            .counted()
            .fallback(|error: &Error<&'static str>| (error.inner() == Some(&"replace")).then_some(9))
            .cache(&held.slot)
            .timeout(Duration::from_secs(10))
            .retry(Retry::immediate().retries(2).budget(&held.budget))
            .hedge(Hedge::after(Duration::ZERO).max(1).budget(&held.budget))
            .breaker(&held.breaker)
            .bulkhead(&held.bulkhead)
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap()
    }};
}

pub(crate) use everything;
