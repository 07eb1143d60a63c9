//! The windows: their bounds against an adversary, and their promises one by one.

mod common;

use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use common::Hand;
use weirs_limiters::{
    Denied, FixedWindow, Limit, Outcome, SegmentedWindow, SlidingCounter, SlidingLog, WindowBuilder,
    WindowError, acquire,
};
use weirs_runtime::{Clock, Entropy, Instant, Runtime, SeededEntropy};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

const LIMIT: u64 = 10;
const LENGTH: u64 = 100;

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn builder(clock: &Clock) -> WindowBuilder {
    FixedWindow::builder(LIMIT, Duration::from_nanos(LENGTH)).clock(clock.clone())
}

type Make = fn(WindowBuilder) -> Box<dyn Limit>;

/// Each with the most that it may admit in any stretch as long as a window, and whether that much is
/// reached.
const ALL: [(&str, u64, Make); 4] = [
    ("fixed", 2 * LIMIT, |builder| Box::new(builder.fixed().unwrap())),
    ("sliding counter", 2 * LIMIT, |builder| Box::new(builder.sliding_counter().unwrap())),
    ("segmented", LIMIT, |builder| Box::new(builder.segments(5).segmented().unwrap())),
    ("log", LIMIT, |builder| Box::new(builder.sliding_log().unwrap())),
];

/// The most that was admitted within any window, wherever it begins.
fn worst(admitted: &[(u64, u64)]) -> u64 {
    let within = |(first, (from, _)): (usize, &(u64, u64))| {
        admitted[first..].iter().take_while(|(now, _)| *now < from + LENGTH).map(|(_, n)| n).sum()
    };
    admitted.iter().enumerate().map(within).max().unwrap_or(0)
}

/// A script is a list of pauses and amounts.
fn run(make: Make, script: &[(u64, u64)]) -> u64 {
    let time = ManualClock::new();
    let window = make(builder(time.clock()));
    let (mut now, mut admitted) = (0, Vec::new());
    for (pause, n) in script {
        now += pause;
        for _ in 0..*n {
            if window.try_acquire_at(at(now), 1).is_ok() {
                admitted.push((now, 1));
            }
        }
    }
    worst(&admitted)
}

/// Random scripts, and the best of them changed step by step for as long as that does not make them worse.
fn adversary(make: Make, seed: u64, tries: u64) -> u64 {
    let entropy = SeededEntropy::new(seed);
    let below = |bound: u64| entropy.next_u64() % bound;
    let draw = || (below(if below(2) == 0 { 10 } else { LENGTH }), below(LIMIT + 2));
    let mut most = 0;
    for _ in 0..tries {
        let mut script: Vec<_> = (0..16).map(|_| draw()).collect();
        let mut reached = run(make, &script);
        for _ in 0..400 {
            let mut changed = script.clone();
            for _ in 0..=below(2) {
                changed[below(16) as usize] = draw();
            }
            let worst = run(make, &changed);
            if worst >= reached {
                (script, reached) = (changed, worst);
            }
        }
        most = most.max(reached);
    }
    most
}

#[test]
fn no_adversary_gets_more_than_the_docs_say() {
    for (name, bound, make) in ALL {
        let reached = adversary(make, 7, 12);
        assert!(reached <= bound, "{name}: {reached}");
        // The search is good enough to break those that can be broken.
        assert!(reached >= bound - bound / 10, "{name}: {reached} only");
    }
}

/// Other adversaries for each seed.
#[apply(sim_test)]
async fn other_adversaries_fare_no_better(runtime: Runtime) {
    for (name, bound, make) in ALL {
        let seed = runtime.clock().random_u64();
        let reached = adversary(make, seed, 1);
        assert!(reached <= bound, "{name} {seed}: {reached}");
    }
}

#[apply(sim_test)]
async fn retry_after_is_exact(runtime: Runtime) {
    for (name, _, make) in ALL {
        for _ in 0..3 {
            let seed = runtime.clock().random_u64();
            let entropy = SeededEntropy::new(seed);
            let below = |bound: u64| entropy.next_u64() % bound;
            let time = ManualClock::new();
            let begin = at(below(LENGTH));
            let window = make(builder(time.clock()).aligned_to(begin));
            let mut now = below(50);
            for _ in 0..30 {
                now += below(40);
                let n = 1 + below(LIMIT);
                let peeked = window.peek_at(at(now), n);
                let result = window.try_acquire_at(at(now), n);
                assert_eq!(peeked.is_ok(), result.is_ok(), "{name} {seed}");
                if let Err(denied) = result {
                    assert_eq!(peeked, Err(denied.clone()), "{name} {seed}");
                    now += denied.retry_after().unwrap().as_nanos() as u64;
                    assert!(window.peek_at(at(now - 1), n).is_err(), "{name} {seed}: too early");
                    window.try_acquire_at(at(now), n).unwrap();
                }
            }
        }
    }
}

/// The log refuses only what would break the limit, and is otherwise a plain list.
#[apply(sim_test)]
async fn the_log_is_a_list(runtime: Runtime) {
    for _ in 0..5 {
        let seed = runtime.clock().random_u64();
        let entropy = SeededEntropy::new(seed);
        let below = |bound: u64| entropy.next_u64() % bound;
        let time = ManualClock::new();
        let log = builder(time.clock()).sliding_log().unwrap();
        let (mut now, mut list) = (0, Vec::<(u64, u64)>::new());
        for _ in 0..60 {
            now += below(25);
            list.retain(|(then, _)| now - then < LENGTH);
            let total: u64 = list.iter().map(|(_, n)| n).sum();
            let n = below(5);
            let result = log.try_acquire_at(at(now), n);
            assert_eq!(result.is_ok(), total + n <= LIMIT, "{seed}");
            if let Ok(grant) = result {
                assert_eq!(grant.remaining(), LIMIT - total - n);
                if below(4) == 0 {
                    log.release(grant, Outcome::Unused);
                } else {
                    list.push((now, n));
                }
            }
        }
    }
}

#[test]
fn unused_comes_back_where_it_was_taken() {
    for (name, _, make) in ALL {
        let time = ManualClock::new();
        let window = make(builder(time.clock()));
        let grant = window.try_acquire_at(at(5), LIMIT).unwrap();
        window.release(grant, Outcome::Unused);
        assert_eq!(window.peek_at(at(5), 0), Ok(LIMIT), "{name}");
        let grant = window.try_acquire_at(at(5), LIMIT).unwrap();
        // Long afterwards it is of no use: the window of that time is over.
        window.try_acquire_at(at(405), LIMIT).unwrap();
        window.release(grant, Outcome::Unused);
        assert_eq!(window.peek_at(at(405), 0), Ok(0), "{name}");
    }
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    for (name, _, make) in ALL {
        let time = ManualClock::new();
        let window = make(builder(time.clock()));
        window.try_acquire_at(at(250), LIMIT).unwrap();
        for now in [249, 199, 100, 0] {
            assert!(window.try_acquire_at(at(now), 1).is_err(), "{name} {now}");
        }
        assert!(window.try_acquire_at(at(u64::MAX - 1), 1).is_ok() || name == "fixed", "{name}");
        assert_eq!(window.try_acquire_at(at(250), LIMIT + 1), Err(Denied::TooLarge { max: LIMIT }));
        assert!(window.try_acquire_at(at(250), 0).is_ok());
    }
}

#[test]
fn windows_of_the_calendar() {
    let time = ManualClock::new();
    time.set(at(7_000_000_000));
    let minute = FixedWindow::builder(5, Duration::from_secs(60)).clock(time.clock().clone());
    // It is 12:34:56.
    let wall = UNIX_EPOCH + Duration::from_secs(1_000 * 86_400 + 12 * 3_600 + 34 * 60 + 56);
    let window = minute.calendar(wall).fixed().unwrap();
    window.try_acquire(5).unwrap();
    assert_eq!(window.try_acquire(1), Err(Denied::Later { retry_after: Duration::from_secs(4) }));
    time.advance(Duration::from_secs(4));
    window.try_acquire(5).unwrap();
    assert_eq!(window.try_acquire(1), Err(Denied::Later { retry_after: Duration::from_secs(60) }));
}

#[test]
fn bad_numbers_make_no_window() {
    let second = Duration::from_secs(1);
    assert_eq!(FixedWindow::new(0, second).unwrap_err(), WindowError::ZeroLimit);
    assert_eq!(SlidingCounter::new(1, Duration::ZERO).unwrap_err(), WindowError::ZeroWindow);
    assert_eq!(SlidingLog::new(u64::MAX, second).unwrap_err(), WindowError::TooLarge);
    assert_eq!(SlidingLog::new(11, Duration::from_nanos(10)).unwrap_err(), WindowError::TooFast);
    assert_eq!(FixedWindow::new(1, Duration::MAX).unwrap_err(), WindowError::TooLong);
    let segments = SegmentedWindow::builder(1, second);
    assert_eq!(segments.segments(0).segmented().unwrap_err(), WindowError::Segments);
}

#[test]
fn waiting_is_first_come_first_served_and_keeps_deadlines() {
    for (name, _, make) in ALL {
        let time = ManualClock::new();
        let window = make(builder(time.clock()));
        window.try_acquire_at(at(0), LIMIT).unwrap();
        let mut first = Hand::new(acquire(&window, 6));
        let mut hopeless = Hand::new(acquire(&window, 1).by(at(50)));
        let mut second = Hand::new(acquire(&window, 6));
        let mut timed = Hand::new(acquire(&window, 1).by(at(260)));
        assert!(first.poll().is_pending(), "{name}");
        assert!(matches!(hopeless.poll(), Poll::Ready(Err(Denied::WouldMissDeadline { .. }))), "{name}");
        assert!(second.poll().is_pending() && timed.poll().is_pending(), "{name}");
        assert!(window.try_acquire_at(at(0), 1).is_err());
        let mut order = Vec::new();
        for now in 1..600 {
            time.set(at(now));
            for (number, wait) in [&mut first, &mut second, &mut timed].into_iter().enumerate() {
                if wait.wakes() > 0 && !order.iter().any(|(done, _)| *done == number) {
                    match wait.poll() {
                        Poll::Ready(Ok(held)) => {
                            order.push((number, true));
                            held.success();
                        }
                        Poll::Ready(Err(denied)) => {
                            assert!(matches!(
                                denied,
                                Denied::DeadlinePassed | Denied::WouldMissDeadline { .. }
                            ));
                            assert!(now <= 260, "{name}");
                            order.push((number, false));
                        }
                        Poll::Pending => {}
                    }
                }
            }
        }
        let admitted: Vec<_> =
            order.iter().filter(|(_, admitted)| *admitted).map(|(number, _)| *number).collect();
        assert!(admitted.is_sorted() && admitted.len() >= 2 && order.len() == 3, "{name}: {order:?}");
        assert_eq!(time.timers(), 0, "{name}");
    }
}

#[apply(runtime_test)]
async fn those_who_wait_are_admitted(runtime: Runtime) {
    let builder = FixedWindow::builder(3, Duration::from_millis(2)).clock(runtime.clock().clone());
    let all: [Box<dyn Limit>; 4] = [
        Box::new(builder.clone().fixed().unwrap()),
        Box::new(builder.clone().sliding_counter().unwrap()),
        Box::new(builder.clone().segmented().unwrap()),
        Box::new(builder.sliding_log().unwrap()),
    ];
    for window in all {
        let start = runtime.clock().now();
        for _ in 0..10 {
            acquire(&window, 1).await.unwrap().success();
        }
        // Four windows at least; the first may have been cut short.
        assert!(runtime.clock().now() - start >= Duration::from_millis(2));
    }
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    let builder = FixedWindow::builder(3, Duration::from_millis(1)).clock(runtime.clock().clone());
    let (fixed, log) = (builder.clone().fixed().unwrap(), builder.clone().sliding_log().unwrap());
    let (counter, segmented) = (builder.clone().sliding_counter().unwrap(), builder.segmented().unwrap());
    let make = || async {
        fixed.acquire(3).await.unwrap();
        fixed.acquire(2).await.unwrap();
        log.acquire(2).await.unwrap();
        log.acquire(2).await.unwrap();
        counter.acquire(3).await.unwrap();
        segmented.acquire(3).await.unwrap();
    };
    let check = async |_| {
        assert_eq!(fixed.waiting() + log.waiting() + counter.waiting() + segmented.waiting(), 0);
        fixed.acquire(3).await.unwrap();
        segmented.acquire(3).await.unwrap();
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[apply(sim_test)]
async fn times_are_exact(runtime: Runtime) {
    let clock = runtime.clock();
    let second = Duration::from_secs(1);
    let log = SlidingLog::builder(2, second).clock(clock.clone()).sliding_log().unwrap();
    let start = clock.now();
    for number in 0..6_u32 {
        log.acquire(1).await.unwrap();
        assert_eq!(clock.now() - start, second * (number / 2));
    }
    // A grant that is dropped before it is heard comes back to its window.
    assert!(clock.timeout(second / 2, log.acquire(1)).await.is_err());
    assert_eq!(log.waiting(), 0);
    let window = SegmentedWindow::builder(2, second).clock(clock.clone()).segmented().unwrap();
    let start = clock.now();
    window.acquire(2).await.unwrap();
    window.acquire(1).await.unwrap();
    assert_eq!(clock.now() - start, second + second / 10);
}
