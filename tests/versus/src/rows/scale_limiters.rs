//! How limiters grow: the processor time for each of 10 to 100,000 who wait, and of up to a million keys.
//!
//! `scale-served`: all wait, then each has its turn. For the semaphore it is one permit that goes from hand
//! to hand; for the rate limiter time is set on by hand, and bare sleeps on the same clock stand beside it.
//! `scale-given-up`: all wait, and then go away in no order; of governor's each sleeps for itself. Of keys
//! it is those that are there (`scale-hit`), in no order, and those that are new (`scale-new`). Those of a
//! million are fetched from memory, those of ten from the nearest cache: that alone makes a curve rise.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use weirs_limiters::{Keyed, Quota, Rate, RateLimiter, Semaphore};
use weirs_testing::ManualClock;

use crate::measure::{Experiment, FAR, Pair, cpu};
use crate::peers::{peer, peer_in};
use crate::row::Row;

pub(super) fn experiments() -> Vec<Experiment> {
    let dashmap = |name: &str| Row::new(format!("keyed/{name}/governor"), peer_in("governor", "dashmap"));
    let semaphore = |name: &str| Row::new(format!("semaphore/{name}/tokio"), peer("tokio"));
    let sleeps = peer_in("weirs-runtime", "sleeps");
    vec![
        Experiment::scale(&semaphore("scale-served"), |waiters| {
            let (ours, peers) = semaphores(waiters);
            Pair::new(served(waiters, move || ours.acquire(1)), served(waiters, move || peers.acquire()))
        }),
        Experiment::scale(&semaphore("scale-given-up"), |waiters| {
            let (ours, peers) = semaphores(waiters);
            Pair::new(given_up(waiters, move || ours.acquire(1)), given_up(waiters, move || peers.acquire()))
        }),
        Experiment::scale(&Row::new("rate/scale-served/sleeps", sleeps), admitted),
        Experiment::scale(&Row::new("rate/scale-given-up/governor", peer("governor")), |waiters| {
            let quota = Quota::new(Rate::per_hour(1), 1).expect("a quota");
            let ours = leaked(RateLimiter::builder(quota).max_waiters(waiters).build());
            let quota = governor::Quota::per_hour(NonZeroU32::MIN);
            let peers = leaked(governor::RateLimiter::direct(quota));
            Pair::new(
                given_up(waiters, move || ours.acquire(1)),
                given_up(waiters, move || peers.until_ready()),
            )
        }),
        Experiment::rising(&dashmap("scale-hit"), FAR, |keys| {
            let (ours, peers) = (ours(keys), governor());
            (0..keys)
                .for_each(|key| assert!(ours.try_acquire(&key, 1).is_ok() && peers.check_key(&key).is_ok()));
            Pair::new(
                hits(keys, move |key| ours.try_acquire(&key, 1).is_ok()),
                hits(keys, move |key| peers.check_key(&key).is_ok()),
            )
        }),
        Experiment::scale(&dashmap("scale-new"), |keys| {
            let all =
                move |times: u64, ask: &dyn Fn()| cpu(times * keys as u64, || (0..times).for_each(|_| ask()));
            let new_ours = move || {
                let ours = ours(keys);
                (0..keys).for_each(|key| assert!(ours.try_acquire(&key, 1).is_ok()));
            };
            let new_peers = move || {
                let peers = governor();
                (0..keys).for_each(|key| assert!(peers.check_key(&key).is_ok()));
            };
            Pair::new(move |times| all(times, &new_ours), move |times| all(times, &new_peers))
        }),
    ]
}

/// It lives as long as the process of its experiment, so that those who wait can lie anywhere.
fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn semaphores(waiters: usize) -> (&'static Semaphore, &'static tokio::sync::Semaphore) {
    (leaked(Semaphore::builder(1).max_waiters(waiters).build()), leaked(tokio::sync::Semaphore::new(1)))
}

/// Places for futures that last, so that the allocator has no part in it.
struct Places<F>(Vec<Pin<Box<Option<F>>>>);

impl<F: Future> Places<F> {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| Box::pin(None)).collect())
    }

    /// All wait.
    fn fill(&mut self, mut wait: impl FnMut() -> F) {
        for place in &mut self.0 {
            place.set(Some(wait()));
            let waiting = place.as_mut().as_pin_mut().expect("it was put there");
            assert!(waiting.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
    }

    /// One has its turn.
    fn finish(&mut self, number: usize) -> F::Output {
        let output = ready(self.0[number].as_mut().as_pin_mut().expect("it waits"));
        self.0[number].set(None);
        output
    }

    /// In no order. The step is a prime, and so goes through all places.
    fn give_up(&mut self) {
        const STEP: usize = 54_773;
        let count = self.0.len();
        (0..count).for_each(|number| self.0[number * STEP % count].set(None));
    }
}

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("it has its turn"),
    }
}

fn served<F: Future + 'static>(
    waiters: usize,
    take: impl Fn() -> F + 'static,
) -> impl FnMut(u64) -> [f64; 1] + 'static {
    let mut places = Places::new(waiters);
    move |times| {
        cpu(times * waiters as u64, || {
            for _ in 0..times {
                let first = ready(take());
                places.fill(&take);
                drop(first);
                (0..waiters).for_each(|number| drop(places.finish(number)));
            }
        })
    }
}

fn given_up<F: Future + 'static>(
    waiters: usize,
    take: impl Fn() -> F + 'static,
) -> impl FnMut(u64) -> [f64; 1] + 'static {
    let mut places = Places::new(waiters);
    // What was taken is not given back, and so there is nothing to have.
    std::mem::forget(ready(take()));
    move |times| {
        cpu(times * waiters as u64, || {
            for _ in 0..times {
                places.fill(&take);
                places.give_up();
            }
        })
    }
}

/// A cell comes every millisecond; each round takes as many as come in it.
fn admitted(waiters: usize) -> Pair {
    let time = ManualClock::new();
    let quota = Quota::new(Rate::per_second(1_000), waiters as u64).expect("a quota");
    let limiter = RateLimiter::builder(quota).max_waiters(waiters).clock(time.clock().clone()).build();
    limiter.try_acquire(waiters as u64).expect("they are there");
    let limiter = leaked(limiter);
    let sleeping = ManualClock::new();
    let clock = sleeping.clock().clone();
    Pair::new(
        in_time(waiters, time, move || limiter.acquire(1)),
        in_time(waiters, sleeping, move || clock.sleep(Duration::from_millis(1))),
    )
}

fn in_time<F: Future + 'static>(
    waiters: usize,
    time: ManualClock,
    wait: impl Fn() -> F + 'static,
) -> impl FnMut(u64) -> [f64; 1] + 'static {
    let mut places = Places::new(waiters);
    move |times| {
        cpu(times * waiters as u64, || {
            for _ in 0..times {
                places.fill(&wait);
                time.advance(Duration::from_millis(waiters as u64));
                (0..waiters).for_each(|number| drop(places.finish(number)));
            }
        })
    }
}

/// At once for each key, and then one a minute: it lasts for the longest of rounds with ten keys.
const BURST: u32 = 10_000_000;

fn ours(keys: usize) -> Keyed<usize> {
    Keyed::new(Quota::new(Rate::per_minute(1), BURST.into()).expect("a quota"), keys)
}

fn governor() -> governor::DefaultKeyedRateLimiter<usize> {
    let burst = NonZeroU32::new(BURST).expect("not zero");
    governor::RateLimiter::dashmap(governor::Quota::per_minute(NonZeroU32::MIN).allow_burst(burst))
}

/// A thousand at a time, of random keys.
fn hits(keys: usize, ask: impl Fn(usize) -> bool + 'static) -> impl FnMut(u64) -> [f64; 1] + 'static {
    const AT_A_TIME: u64 = 1_000;
    let mut number = 0_u64;
    move |times| {
        cpu(times * AT_A_TIME, || {
            for _ in 0..times * AT_A_TIME {
                number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                assert!(ask((number >> 32) as usize % keys), "there is always more");
            }
        })
    }
}
