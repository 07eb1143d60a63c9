//! Many who wait: in order, and cheaply, on every runtime.

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use weirs_limiters::{Limit, Quota, Rate, RateLimiter, SlidingLog, WarmUp, acquire};
use weirs_runtime::{Clock, Instant, Runtime, Sleep, TimerDriver, TimerKey};
use weirs_testing::{apply, runtime_test};

const WAITERS: u64 = 400;

/// Another clock, with a count of how often the time was read.
struct Counting {
    clock: Clock,
    reads: Arc<AtomicU64>,
    last: AtomicU64,
    sleeps: Mutex<BTreeMap<TimerKey, Sleep>>,
}

impl Counting {
    fn clock(clock: &Clock) -> (Clock, Arc<AtomicU64>) {
        let reads = Arc::<AtomicU64>::default();
        let (last, sleeps) = (AtomicU64::new(0), Mutex::default());
        (Clock::new(Self { clock: clock.clone(), reads: Arc::clone(&reads), last, sleeps }), reads)
    }

    fn take(&self, key: TimerKey) -> Option<Sleep> {
        self.sleeps.lock().unwrap().remove(&key)
    }
}

fn is_pending(sleep: &mut Sleep, waker: &Waker) -> bool {
    matches!(Pin::new(sleep).poll(&mut Context::from_waker(waker)), Poll::Pending)
}

impl TimerDriver for Counting {
    fn now(&self) -> Instant {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Instant::from_nanos(self.clock.now().as_nanos())
    }

    fn insert(&self, at: Instant, waker: &Waker) -> Option<TimerKey> {
        // An instant of its own clock: counted from the same zero.
        let left = at.as_nanos().saturating_sub(self.clock.now().as_nanos());
        let mut sleep = self.clock.sleep(Duration::from_nanos(left));
        if !is_pending(&mut sleep, waker) {
            return None;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let key = NonZeroU64::new(number).map(TimerKey::new)?;
        self.sleeps.lock().unwrap().insert(key, sleep);
        Some(key)
    }

    fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        let Some(mut sleep) = self.take(key) else { return false };
        let pending = is_pending(&mut sleep, waker);
        if pending {
            self.sleeps.lock().unwrap().insert(key, sleep);
        }
        pending
    }

    fn remove(&self, key: TimerKey) {
        drop(self.take(key));
    }
}

#[apply(runtime_test)]
async fn four_hundred_wait_in_order_with_three_looks_at_the_clock_each(runtime: Runtime) {
    let (clock, reads) = Counting::clock(runtime.clock());
    let rate = Rate::per_second(20_000);
    let limiters: [Box<dyn Limit>; 3] = [
        Box::new(RateLimiter::builder(Quota::smooth(rate)).clock(clock.clone()).build()),
        Box::new(WarmUp::builder(rate, Duration::from_millis(2)).clock(clock.clone()).build().unwrap()),
        Box::new(
            SlidingLog::builder(1, Duration::from_micros(50)).clock(clock.clone()).sliding_log().unwrap(),
        ),
    ];
    for limiter in limiters {
        limiter.try_acquire_at(clock.now(), 1).unwrap();
        let before = reads.load(Ordering::Relaxed);
        let wait = async |number: u64| {
            acquire(&*limiter, 1).await.unwrap().success();
            number
        };
        let waits: FuturesUnordered<_> = (0..WAITERS).map(wait).collect();
        let order: Vec<u64> = waits.collect().await;
        assert_eq!(order, (0..WAITERS).collect::<Vec<_>>());
        let reads = reads.load(Ordering::Relaxed) - before;
        assert!(reads <= 3 * WAITERS, "{reads} looks at the clock");
    }
}
