//! Nothing is allocated for those who go at once, nor for those who wait once the queue has grown; alone in
//! its program, because all allocations are counted.

mod common;

use std::time::Duration;

use common::Hand;
use weirs_limiters::{
    AdaptiveLimiter, FixedWindow, Keyed, Limit, Outcome, PriorityShedder, Quota, Rate, RateLimiter,
    SegmentedWindow, Semaphore, SlidingCounter, SlidingLog, Throttle, WarmUp, acquire, try_acquire,
};
use weirs_runtime::block_on;
use weirs_testing::{Allocations, CountingAllocator, ManualClock};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const ROUNDS: u64 = 100;
const SECOND: Duration = Duration::from_secs(1);

/// What the third round allocates.
fn third(mut round: impl FnMut()) -> u64 {
    round();
    round();
    Allocations::measure(round).1.count
}

#[test]
fn the_third_round_allocates_nothing() {
    let time = ManualClock::new();
    let clock = || time.clock().clone();
    let quota = Quota::new(Rate::per_second(1_000), 1_000).unwrap();
    let window = FixedWindow::builder(1_000, SECOND).clock(clock());
    let keyed = Keyed::<str>::builder(quota).clock(clock()).max_keys(64).build();
    let exact = Keyed::<u64>::builder(quota).clock(clock()).max_keys(64).exact().build();
    let rate = RateLimiter::builder(quota).clock(clock()).build();
    let semaphore = Semaphore::builder(1_000).clock(clock()).build();
    let (anna, seven) = (keyed.limit_of("anna"), exact.limit_of(&7));
    let warm_up = WarmUp::builder(Rate::per_second(1_000), SECOND).clock(clock()).build().unwrap();
    let adaptive = AdaptiveLimiter::builder().limits(10..=1_000).clock(clock()).build();
    let (fixed, counter): (FixedWindow, SlidingCounter) =
        (window.clone().fixed().unwrap(), window.clone().sliding_counter().unwrap());
    let (segmented, log): (SegmentedWindow, SlidingLog) =
        (window.clone().segmented().unwrap(), window.sliding_log().unwrap());
    let throttle = Throttle::builder().clock(clock()).build();
    let limits: [(&str, &dyn Limit); 11] = [
        ("rate", &rate),
        ("semaphore", &semaphore),
        ("warm up", &warm_up),
        ("fixed", &fixed),
        ("counter", &counter),
        ("segmented", &segmented),
        ("log", &log),
        ("keyed", &anna),
        ("exact", &seven),
        ("adaptive", &adaptive),
        ("throttle", &throttle),
    ];
    for (name, limit) in limits {
        let at_once = third(|| {
            for _ in 0..ROUNDS {
                try_acquire(limit, 1).unwrap().success();
                time.advance(Duration::from_millis(5));
            }
        });
        assert_eq!(at_once, 0, "{name}: try_acquire");
        let awaited = third(|| {
            for _ in 0..ROUNDS {
                block_on(acquire(limit, 1)).unwrap().success();
                time.advance(Duration::from_millis(5));
            }
        });
        assert_eq!(awaited, 0, "{name}: acquire");
        let refused = third(|| {
            for _ in 0..ROUNDS {
                let _ = try_acquire(limit, u64::MAX).map(|held| held.end(Outcome::Unused));
            }
        });
        assert_eq!(refused, 0, "{name}: a refusal");
    }
    let shedder = PriorityShedder::new(clock());
    assert_eq!(third(|| (0..ROUNDS).for_each(|_| shedder.admit(Default::default()).unwrap())), 0);
    let keys: Vec<_> = (0..32).map(|key| key.to_string()).collect();
    let many = third(|| {
        keys.iter().for_each(|key| _ = keyed.try_acquire(key, 1).unwrap());
        time.advance(SECOND);
    });
    assert_eq!(many, 0, "keys come and go in places that are there");
    waiting(&time, &rate, &semaphore, &keyed);
}

/// The futures and wakers are the test's own; beside them nothing but timers of the test's clock.
fn waiting(time: &ManualClock, rate: &RateLimiter, semaphore: &Semaphore, keyed: &Keyed<str>) {
    const WAITS: usize = 50;
    // What as many hands cost that wait for nothing.
    let pending = |number: usize| async move {
        std::future::pending::<()>().await;
        number
    };
    let hands = third(|| drop((0..WAITS).map(|number| Hand::new(pending(number))).collect::<Vec<_>>()));
    let permits = third(|| {
        let all = semaphore.try_acquire(semaphore.capacity()).unwrap();
        let mut waits: Vec<_> = (0..WAITS).map(|_| Hand::new(semaphore.acquire(1))).collect();
        waits.iter_mut().for_each(|wait| assert!(wait.poll_again().is_pending()));
        drop(all);
        waits.iter_mut().for_each(|wait| assert!(wait.poll_again().is_ready()));
    });
    assert_eq!(permits, hands, "a semaphore's queue has grown");
    let cells = third(|| {
        rate.try_acquire(rate.available()).unwrap();
        let mut waits: Vec<_> = (0..WAITS).map(|_| Hand::new(rate.acquire(1))).collect();
        waits.iter_mut().for_each(|wait| assert!(wait.poll_again().is_pending()));
        time.advance(SECOND);
        waits.iter_mut().for_each(|wait| assert!(wait.poll_again().is_ready()));
    });
    assert!(cells <= hands + 4, "the queue has grown; the clock has one timer: {cells}, {hands}");
    let keys = third(|| {
        keyed.try_acquire("anna", keyed.available("anna")).unwrap();
        let mut waits: Vec<_> = (0..WAITS).map(|_| Hand::new(keyed.acquire("anna", 1))).collect();
        waits.iter_mut().for_each(|wait| assert!(wait.poll_again().is_pending()));
        time.advance(SECOND);
        waits.iter_mut().for_each(|wait| assert!(wait.poll_again().is_ready()));
    });
    // A queue for a key is there for as long as somebody waits for it.
    assert!(keys <= hands + 20 + 2 * WAITS as u64, "{keys}, {hands}");
}
