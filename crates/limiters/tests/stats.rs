//! What limiters tell of themselves: admitted, refused by reason, waiting, and the oldest wait.

mod common;

use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{
    AdaptiveLimiter, AllOf, Class, Counted, Denied, FixedWindow, Keyed, Limit, Priority, PriorityShedder,
    QueueDelay, Quota, Rate, RateLimiter, Semaphore, SlidingLog, WarmUp, acquire,
};
use weirs_runtime::{Clock, Instant};
use weirs_testing::ManualClock;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

/// How many wait, for how long the oldest, and the counts.
type Look<'a> = &'a dyn Fn() -> (usize, Duration, Option<Counted>);

/// Each answer once, from a limiter of two cells, ten a second, with room for one who waits.
fn tells(name: &str, time: &ManualClock, limit: &dyn Limit, look: Look<'_>, close: &dyn Fn()) {
    let ask = |n| limit.try_acquire_at(time.clock().now(), n);
    let (first, _) = (ask(2).unwrap(), ask(3).unwrap_err());
    assert!(ask(1).is_err(), "{name}");
    let mut waits = Hand::new(acquire(limit, 1));
    assert!(waits.poll().is_pending());
    time.advance(ms(10));
    assert_eq!(Hand::new(acquire(limit, 1)).poll().map(|held| held.unwrap_err()), full(), "{name}");
    assert_eq!((look().0, look().1), (1, ms(10)), "{name}");
    drop(waits);
    assert_eq!((look().0, look().1), (0, Duration::ZERO), "{name}");
    let mut late = Hand::new(acquire(limit, 1).by(at(50)));
    if late.poll().is_pending() {
        time.set(at(50));
        assert!(late.poll().is_ready(), "{name}");
    }
    // A permit is given back, cells come with time.
    limit.release(first, weirs_limiters::Outcome::Success);
    time.set(at(400));
    let mut waits = Hand::new(acquire(limit, 1));
    let Poll::Ready(Ok(held)) = waits.poll() else { panic!("{name}: it is there") };
    held.success();
    close();
    assert_eq!(ask(1), Err(Denied::Closed), "{name}");
    let counted = look().2.unwrap();
    let Counted { admitted, cells, later, too_large, queue_full, deadline, closed, .. } = counted;
    assert_eq!((admitted, cells, later, too_large), (2, 3, 1, 1), "{name}: {counted:?}");
    assert_eq!((queue_full, deadline, closed), (1, 1, 1), "{name}: {counted:?}");
}

fn full() -> Poll<Denied> {
    Poll::Ready(Denied::QueueFull { waiting: 1 })
}

fn quota() -> Quota {
    Quota::new(Rate::per_second(10), 2).unwrap()
}

macro_rules! tells {
    ($name:ident, |$clock:ident| $build:expr, |$limiter:ident| $limit:expr) => {
        #[test]
        fn $name() {
            let time = ManualClock::new();
            let build = |$clock: Clock| $build;
            let $limiter = build(time.clock().clone());
            let look = || {
                let stats = $limiter.stats();
                (stats.waiting, stats.oldest_wait, stats.counted)
            };
            tells(stringify!($name), &time, &$limit, &look, &|| $limiter.close());
            assert!($limiter.is_closed());
            let debug = format!("{:?}", $limiter);
            assert!(debug.contains("waiting: 0") && debug.contains("closed: true"), "{debug}");
        }
    };
}

tells!(
    of_a_rate,
    |clock| RateLimiter::builder(quota()).max_waiters(1).counted(true).clock(clock).build(),
    |limiter| &limiter
);
tells!(
    of_a_semaphore,
    |clock| Semaphore::builder(2).max_waiters(1).counted(true).clock(clock).build(),
    |limiter| &limiter
);
tells!(
    of_a_fixed_window,
    |clock| FixedWindow::builder(2, ms(200)).max_waiters(1).counted(true).clock(clock).fixed().unwrap(),
    |limiter| &limiter
);
tells!(
    of_a_sliding_counter,
    |clock| FixedWindow::builder(2, ms(200))
        .max_waiters(1)
        .counted(true)
        .clock(clock)
        .sliding_counter()
        .unwrap(),
    |limiter| &limiter
);
tells!(
    of_a_segmented_window,
    |clock| FixedWindow::builder(2, ms(200)).max_waiters(1).counted(true).clock(clock).segmented().unwrap(),
    |limiter| &limiter
);
tells!(
    of_a_log,
    |clock| SlidingLog::builder(2, ms(200)).max_waiters(1).counted(true).clock(clock).sliding_log().unwrap(),
    |limiter| &limiter
);
tells!(
    of_a_warm_up,
    |clock| WarmUp::builder(Rate::per_second(10), ms(200))
        .max_waiters(1)
        .counted(true)
        .clock(clock)
        .build()
        .unwrap(),
    |limiter| &limiter
);
tells!(
    of_keys,
    |clock| Keyed::<str>::builder(quota()).max_waiters(1).counted(true).clock(clock).build(),
    |limiter| limiter.limit_of("anna")
);
tells!(
    of_keys_in_the_exact_mode,
    |clock| Keyed::<u64>::builder(quota()).max_waiters(1).counted(true).clock(clock).exact().build(),
    |limiter| limiter.limit_of(&7)
);
tells!(
    of_a_limit_that_learns,
    |clock| {
        let builder = AdaptiveLimiter::builder().limits(2..=2).max_waiters(1);
        builder.counted(true).clock(clock).build()
    },
    |limiter| &limiter
);

/// Without being asked nothing is counted.
#[test]
fn nobody_pays_for_counts_that_he_did_not_order() {
    let time = ManualClock::new();
    let semaphore = Semaphore::builder(1).clock(time.clock().clone()).build();
    let _permit = semaphore.try_acquire(1).unwrap();
    let mut waits = Hand::new(semaphore.acquire(1));
    assert!(waits.poll().is_pending());
    time.advance(ms(5));
    let stats = semaphore.stats();
    assert_eq!((stats.waiting, stats.oldest_wait, stats.counted), (1, Duration::ZERO, None));
    assert_eq!(time.times_read(), 0);
    assert_eq!(RateLimiter::new(quota()).stats().counted, None);
    assert_eq!(Keyed::<str>::new(quota(), 8).stats().counted, None);
}

#[test]
fn a_reservation_counts_as_admitted() {
    let limiter = RateLimiter::builder(quota()).counted(true).build();
    drop(limiter.reserve(2, ms(0)).unwrap());
    assert!(limiter.reserve(1, ms(0)).is_err());
    limiter.reserve(1, ms(500)).unwrap().cancel();
    let counted = limiter.stats().counted.unwrap();
    assert_eq!((counted.admitted, counted.cells, counted.deadline), (2, 3, 1));
}

#[test]
fn of_several_which_one_refused() {
    let rate = RateLimiter::new(Quota::new(Rate::per_hour(1), 3).unwrap());
    let running = Semaphore::new(1);
    let all = AllOf::<&dyn Limit>::new().with("rate", &rate).with("running", &running);
    let held = all.try_acquire(1).unwrap();
    assert_eq!(all.try_acquire(1).unwrap_err().name(), "running");
    held.success();
    for _ in 0..2 {
        let Poll::Ready(Ok(held)) = Hand::new(all.acquire(1)).poll() else { panic!("it is free") };
        held.success();
    }
    assert_eq!(all.try_acquire(1).unwrap_err().name(), "rate");
    let stats = all.stats();
    assert_eq!((stats.admitted, stats.refused), (3, vec![1, 1]));
}

#[test]
fn of_those_turned_away() {
    let shedder = PriorityShedder::new(ManualClock::new().clock().clone());
    shedder.admit(Class::High.into()).unwrap();
    shedder.set_rate(1.0);
    assert!(shedder.admit(Class::Background.into()).is_err());
    let stats = shedder.stats();
    assert_eq!((stats.admitted, stats.shed, stats.rate, stats.threshold), (1, 1, 1.0, 0));
    shedder.set_rate(0.0);
    assert_eq!(shedder.stats().threshold, Priority::LEVELS);
}

#[test]
fn of_a_queue_that_stands() {
    let time = ManualClock::new();
    let delay = QueueDelay::new(ms(5), ms(100), time.clock().clone());
    let refused = (0..300).filter(|_| {
        time.advance(ms(1));
        let now = delay.now();
        delay.admit(Instant::from_nanos(now.as_nanos().saturating_sub(20_000_000))).is_err()
    });
    let refused = refused.count() as u64;
    let stats = delay.stats();
    assert_eq!((stats.stale, stats.admitted, stats.last_wait), (refused, 300 - refused, ms(20)));
    assert!(refused > 0 && format!("{delay:?}").contains("stale"));
}
