//! The rate limiter, over governor's.
//!
//! Both read the system's monotonic clock, which is the dearest part of a check: ours directly, governor's
//! through the standard library's `Instant`. Where quanta is named, governor reads its own default, the
//! processor's counter, which need not be the same on all cores. What is admitted is a quota that never runs
//! out; what is refused is one that has. Four hundred who wait are counted, not timed: how often the limiter
//! looks at its clock for each that it admits.

use std::collections::HashMap;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use governor::clock::{self, MonotonicClock, QuantaClock, ReasonablyRealtime};
use governor::state::{InMemoryState, NotKeyed};
use weirs_limiters::{Lease, Quota, Rate, RateLimiter};
use weirs_runtime::{Clock, Instant, Sleep, TimerDriver, TimerKey};

use super::hosts::{Host, SmolOwn};
use super::work::on_two_threads;
use crate::measure::{Experiment, Pair, repeat, wall};
use crate::peers::{peer, peer_in};
use crate::row::{Row, Samples, Unit};

/// A second. No loop gets so far.
const FAST: u32 = 100_000_000;
/// A second, ours: leases are faster than that.
const FASTEST: u64 = 1_000_000_000;
/// Cells of a lease.
const LEASE: u64 = 32;
/// How many wait.
const WAITERS: u64 = 400;
/// A second, for those who wait.
const PACE: u32 = 4_000;

type Governor<C> = governor::RateLimiter<
    NotKeyed,
    InMemoryState,
    C,
    governor::middleware::NoOpMiddleware<<C as clock::Clock>::Instant>,
>;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |name: &str, goal: f64| Row::new(format!("rate/{name}/governor"), peer("governor")).goal(goal);
    let quanta = |name: &str| Row::new(format!("rate/{name}/governor-quanta"), peer_in("governor", "quanta"));
    vec![
        Experiment::pair([row("admit", 1.1)], || pair(admitting(), governor_admitting(MonotonicClock))),
        Experiment::pair([quanta("admit")], || pair(admitting(), governor_admitting(QuantaClock::default()))),
        Experiment::pair([row("admit-two-threads", 1.15)], || {
            pair_on_two_threads(admitting(), governor_admitting(MonotonicClock))
        }),
        Experiment::pair([row("deny", 1.15)], || pair(denying(), governor_denying(MonotonicClock))),
        Experiment::pair([quanta("deny")], || pair(denying(), governor_denying(QuantaClock::default()))),
        Experiment::pair([row("deny-two-threads", 1.15)], || {
            pair_on_two_threads(denying(), governor_denying(MonotonicClock))
        }),
        Experiment::pair([row("leased", 0.2)], || {
            let mut governor = governor_admitting(MonotonicClock);
            let limiter = limiter();
            Pair::new(
                move |count| {
                    let mut lease = limiter.lease(LEASE);
                    wall(count, || repeat(count, || take_leased(&mut lease)))
                },
                move |count| wall(count, || repeat(count, &mut governor)),
            )
        }),
        Experiment::pair([row("leased-two-threads", 0.1)], || {
            let governor = governor_admitting(MonotonicClock);
            let limiter = limiter();
            Pair::new(
                move |count| {
                    on_two_threads(count, || {
                        let mut lease = limiter.lease(LEASE);
                        repeat(count, || take_leased(&mut lease));
                    })
                },
                move |count| on_two_threads(count, || repeat(count, &governor)),
            )
        }),
        clock_reads(row("clock-reads-400", 0.01).unit(Unit::Each)),
    ]
}

fn pair(ours: impl Fn() + 'static, peer: impl Fn() + 'static) -> Pair {
    Pair::new(
        move |count| wall(count, || repeat(count, &ours)),
        move |count| wall(count, || repeat(count, &peer)),
    )
}

fn pair_on_two_threads(ours: impl Fn() + Sync + 'static, peer: impl Fn() + Sync + 'static) -> Pair {
    Pair::new(
        move |count| on_two_threads(count, || repeat(count, &ours)),
        move |count| on_two_threads(count, || repeat(count, &peer)),
    )
}

fn take_leased(lease: &mut Lease<&RateLimiter>) {
    assert!(black_box(lease).try_acquire(1).is_ok(), "it never runs out");
}

fn limiter() -> RateLimiter {
    RateLimiter::new(Quota::new(Rate::per_second(FASTEST), FASTEST).expect("a quota"))
}

fn admitting() -> impl Fn() + Sync {
    let limiter = limiter();
    move || assert!(black_box(&limiter).try_acquire(1).is_ok(), "it never runs out")
}

fn denying() -> impl Fn() + Sync {
    let limiter = RateLimiter::new(Quota::new(Rate::per_hour(1), 1).expect("a quota"));
    limiter.try_acquire(1).expect("one is there");
    move || assert!(black_box(&limiter).try_acquire(1).is_err(), "none is left")
}

fn governor_admitting<C: clock::Clock + Sync + 'static>(clock: C) -> impl Fn() + Sync
where
    C::Instant: 'static,
{
    let limiter = governor::RateLimiter::direct_with_clock(governor::Quota::per_second(number(FAST)), clock);
    move || assert!(black_box(&limiter).check().is_ok(), "it never runs out")
}

fn governor_denying<C: clock::Clock + Sync + 'static>(clock: C) -> impl Fn() + Sync
where
    C::Instant: 'static,
{
    let limiter = governor::RateLimiter::direct_with_clock(governor::Quota::per_hour(number(1)), clock);
    limiter.check().expect("one is there");
    move || assert!(black_box(&limiter).check().is_err(), "none is left")
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

/// Many come at once and wait for their turns.
fn clock_reads(row: Row) -> Experiment {
    Experiment::new([row], move |_| {
        let quota = Quota::new(Rate::per_second(PACE.into()), 1).expect("a quota");
        let reads = Arc::new(AtomicU64::new(0));
        let clock = Clock::new(Counted { reads: Arc::clone(&reads), ..Counted::default() });
        let limiter = Arc::new(RateLimiter::builder(quota).initial(0).clock(clock).build());
        let ours = reads_for_each(&reads, || {
            let limiter = Arc::clone(&limiter);
            async move { _ = limiter.acquire(1).await.expect("all may wait") }
        });
        let reads = Arc::new(AtomicU64::new(0));
        let quota = governor::Quota::per_second(number(PACE)).allow_burst(number(1));
        let limiter: Governor<CountedClock> =
            governor::RateLimiter::direct_with_clock(quota, CountedClock(Arc::clone(&reads)));
        limiter.check().expect("one is there");
        let limiter = Arc::new(limiter);
        let peers = reads_for_each(&reads, || {
            let limiter = Arc::clone(&limiter);
            async move { limiter.until_ready().await }
        });
        Ok(vec![Samples::Pairs(vec![(ours, peers)])])
    })
}

fn reads_for_each<F: Future<Output = ()> + Send + 'static>(reads: &AtomicU64, wait: impl Fn() -> F) -> f64 {
    let before = reads.load(Ordering::Relaxed);
    let host = SmolOwn::new();
    let spawner = host.spawner();
    let waits: Vec<F> = (0..WAITERS).map(|_| wait()).collect();
    host.run(async move {
        let tasks: Vec<_> = waits.into_iter().map(|wait| SmolOwn::spawn(&spawner, wait)).collect();
        for task in tasks {
            task.await;
        }
    });
    (reads.load(Ordering::Relaxed) - before) as f64 / WAITERS as f64
}

/// Real time, whose reads are counted: those of the limiter, not those of the timers below.
#[derive(Default)]
struct Counted {
    real: Clock,
    reads: Arc<AtomicU64>,
    sleeps: Mutex<HashMap<u64, Sleep>>,
    number: AtomicU64,
}

impl Counted {
    fn poll(&self, sleep: &mut Sleep, waker: &Waker) -> bool {
        pin!(sleep).poll(&mut Context::from_waker(waker)) == Poll::Pending
    }
}

impl TimerDriver for Counted {
    fn now(&self) -> Instant {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Instant::from_nanos(self.real.now().as_nanos())
    }

    fn insert(&self, at: Instant, waker: &Waker) -> Option<TimerKey> {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let mut sleep = self.real.sleep_until(at);
        if !self.poll(&mut sleep, waker) {
            return None;
        }
        self.sleeps.lock().expect("nobody panics").insert(number, sleep);
        Some(TimerKey::new(number.try_into().expect("not zero")))
    }

    fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        let mut sleeps = self.sleeps.lock().expect("nobody panics");
        sleeps.get_mut(&key.number().get()).is_some_and(|sleep| self.poll(sleep, waker))
    }

    fn remove(&self, key: TimerKey) {
        self.sleeps.lock().expect("nobody panics").remove(&key.number().get());
    }
}

/// The same for governor.
#[derive(Clone)]
struct CountedClock(Arc<AtomicU64>);

impl clock::Clock for CountedClock {
    type Instant = <MonotonicClock as clock::Clock>::Instant;

    fn now(&self) -> Self::Instant {
        self.0.fetch_add(1, Ordering::Relaxed);
        MonotonicClock.now()
    }
}

impl ReasonablyRealtime for CountedClock {}
