//! Warming up, against the curve drawn with floats.

mod common;

use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{AcquireCells, Denied, Limit, Outcome, QuotaError, Rate, WarmUp, acquire};
use weirs_runtime::{Entropy, Instant, Runtime, SeededEntropy};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Ten a second, warm after four seconds: the threshold is 20 cells, 40 are stored.
fn limiter(time: &ManualClock) -> WarmUp {
    let warm_up = Duration::from_secs(4);
    WarmUp::builder(Rate::per_second(10), warm_up).clock(time.clock().clone()).counted(true).build().unwrap()
}

#[test]
fn prices_follow_the_curve() {
    let time = ManualClock::new();
    let limiter = limiter(&time);
    let mut stored = 40.0_f64;
    let mut total = Duration::ZERO;
    for _ in 0..60 {
        limiter.try_acquire(1).unwrap();
        let Err(Denied::Later { retry_after }) = limiter.try_acquire(1) else { panic!("one at a time") };
        let middle = (stored - 20.0 - 0.5).max(0.0);
        let expected = 0.1 + middle * (0.2 / 20.0);
        assert!((retry_after.as_secs_f64() - expected).abs() < 1e-5, "{stored}: {retry_after:?}");
        stored = (stored - 1.0).max(0.0);
        if stored >= 20.0 {
            total += retry_after;
        }
        time.advance(retry_after);
    }
    // Warm after four seconds, but for the last cell above the threshold.
    assert!((total.as_secs_f64() - 4.0).abs() < 0.11, "{total:?}");
    // A pause of a second: ten cells are stored, and none above the threshold.
    time.advance(Duration::from_secs(1));
    limiter.try_acquire(1).unwrap();
    let wait = limiter.try_acquire(1).unwrap_err().retry_after().unwrap();
    assert_eq!(wait, Duration::from_millis(100));
    assert_eq!(limiter.try_acquire(41).unwrap_err(), Denied::TooLarge { max: 40 });
}

#[apply(sim_test)]
async fn those_who_wait_go_in_order(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let limiter =
        WarmUp::builder(Rate::per_second(10), Duration::from_secs(4)).clock(clock.clone()).build().unwrap();
    let start = clock.now();
    // Several at once are paid for by the next: all that are above the threshold take four seconds.
    limiter.acquire(20).await.unwrap();
    assert_eq!(clock.now(), start);
    let late = limiter.acquire_by(1, start + Duration::from_millis(3_999)).await;
    assert!(matches!(late, Err(Denied::WouldMissDeadline { .. })));
    limiter.acquire(1).await.unwrap();
    assert_eq!(clock.now() - start, Duration::from_secs(4));
    limiter.acquire(1).await.unwrap();
    assert_eq!(clock.now() - start, Duration::from_millis(4_100));
}

#[test]
fn what_makes_no_sense_is_an_error() {
    for rate in [Rate::ZERO, Rate::UNLIMITED] {
        assert_eq!(WarmUp::new(rate, Duration::from_secs(1)).unwrap_err(), QuotaError::NoWarmUp);
    }
    assert_eq!(WarmUp::new(Rate::per_second(1), Duration::ZERO).unwrap_err(), QuotaError::NoWarmUp);
}

#[apply(runtime_test)]
async fn those_who_wait_are_admitted(runtime: Runtime) {
    let builder = WarmUp::builder(Rate::per_second(4_000), ms(2));
    let limiter = builder.clock(runtime.clock().clone()).build().unwrap();
    let start = runtime.clock().now();
    for _ in 0..12 {
        limiter.acquire(1).await.unwrap();
    }
    // Eleven periods at least, and the first ones cost more.
    assert!(runtime.clock().now() - start >= Duration::from_micros(11 * 250));
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    let builder = WarmUp::builder(Rate::per_second(5_000), ms(1));
    let limiter = builder.clock(runtime.clock().clone()).build().unwrap();
    let make = || async {
        limiter.acquire(2).await.unwrap();
        acquire(&limiter as &dyn Limit, 1).await.unwrap().ignore();
        limiter.acquire(2).await.unwrap();
    };
    let check = async |_| {
        limiter.acquire(2).await.unwrap();
        assert_eq!(limiter.stats().waiting, 0);
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[test]
fn a_wait_that_is_dropped_passes_its_turn_on_in_every_state() {
    let time = ManualClock::new();
    let limiter = limiter(&time);
    limiter.try_acquire(40).unwrap();
    let mut waits: Vec<_> = (0..4).map(|_| Hand::new(limiter.acquire(1))).collect();
    waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
    drop(waits.remove(1));
    drop(waits.remove(0));
    assert_eq!((waits[0].wakes(), time.timers()), (1, 0), "the next sets its own");
    assert!(waits[0].poll().is_pending());
    // Warm: a hundred milliseconds apart, after the six seconds that forty cost.
    time.set(time.next_timer().unwrap());
    assert_eq!(time.clock().now(), Instant::from_nanos(6_000_000_000));
    assert!(waits[0].poll().is_ready());
    // The last is granted by its timer and is dropped before it hears of it: the cell comes back.
    assert_eq!(waits[1].wakes(), 1);
    assert!(waits[1].poll().is_pending());
    time.advance(ms(100));
    drop(waits);
    assert!(limiter.try_acquire(1).is_ok());
    assert_eq!((limiter.stats().waiting, time.timers()), (0, 0));
}

#[test]
fn another_rate_times_those_who_wait_anew() {
    let time = ManualClock::new();
    let limiter = limiter(&time);
    let second = Duration::from_secs(1);
    limiter.try_acquire(40).unwrap();
    // Six seconds at ten a second.
    let mut waits = Hand::new(limiter.acquire(1));
    let mut large = Hand::new(limiter.acquire(30));
    let mut late = Hand::new(limiter.acquire_by(1, Instant::from_nanos(12_000_000_000)));
    assert!(waits.poll().is_pending() && large.poll().is_pending() && late.poll().is_pending());
    time.advance(ms(2_000));
    assert_eq!(limiter.set_rate(Rate::ZERO, second), Err(QuotaError::NoWarmUp));
    assert_eq!(limiter.rate(), Rate::per_second(10));
    // Of the six seconds four are left: forty warm cells, at two a second twenty seconds. Eight are stored.
    limiter.set_rate(Rate::per_second(2), Duration::from_secs(4)).unwrap();
    assert_eq!(large.poll(), Poll::Ready(Err(Denied::TooLarge { max: 8 })));
    let needed = Duration::from_millis(20_500);
    assert_eq!(late.poll(), Poll::Ready(Err(Denied::WouldMissDeadline { needed })));
    assert_eq!(waits.wakes(), 1);
    assert!(waits.poll().is_pending());
    assert_eq!(time.next_timer(), Some(Instant::from_nanos(22_000_000_000)));
    // A hundred a second: these forty take 0.4 s.
    limiter.set_rate(Rate::per_second(100), Duration::from_secs(4)).unwrap();
    assert!(waits.poll().is_pending());
    time.advance(ms(400));
    assert!(waits.poll().is_ready());
    assert_eq!(limiter.rate(), Rate::per_second(100));
}

#[test]
fn it_stays_as_cold_as_it_is() {
    let time = ManualClock::new();
    let limiter = limiter(&time);
    limiter.try_acquire(10).unwrap();
    time.set(Instant::from_nanos(60_000_000_000));
    // As cold as can be; at twice the rate that is twice as many.
    limiter.set_rate(Rate::per_second(20), Duration::from_secs(4)).unwrap();
    limiter.try_acquire(1).unwrap();
    let wait = limiter.try_acquire(1).unwrap_err().retry_after().unwrap();
    assert!(wait > ms(145) && wait <= ms(150), "three periods of 50 ms, nearly: {wait:?}");
    assert_eq!(limiter.try_acquire(81).unwrap_err(), Denied::TooLarge { max: 80 });
}

#[test]
fn the_queue_is_bounded_and_closes() {
    let time = ManualClock::new();
    let builder = WarmUp::builder(Rate::per_second(10), ms(4_000)).clock(time.clock().clone());
    let limiter = builder.clone().max_waiters(1).build().unwrap();
    limiter.try_acquire(1).unwrap();
    let (mut first, mut second) = (Hand::new(limiter.acquire(1)), Hand::new(limiter.acquire(1)));
    assert!(first.poll().is_pending());
    assert_eq!(second.poll(), Poll::Ready(Err(Denied::QueueFull { waiting: 1 })));
    limiter.close();
    assert_eq!((first.wakes(), first.poll()), (1, Poll::Ready(Err(Denied::Closed))));
    assert_eq!(limiter.try_acquire(0), Err(Denied::Closed));
    assert!(limiter.is_closed());
    let nobody = builder.max_waiters(0).build().unwrap();
    nobody.try_acquire(1).unwrap();
    assert!(matches!(Hand::new(nobody.acquire(1)).poll(), Poll::Ready(Err(Denied::Later { .. }))));
}

/// A cost of zero is free; unused cells come back at the price of a warm one; a clock that goes back stores
/// nothing.
#[test]
fn odd_requests() {
    let time = ManualClock::new();
    let limiter = limiter(&time);
    time.set(Instant::from_nanos(5_000_000_000));
    assert_eq!(limiter.peek_at(time.clock().now(), 7), Ok(0), "as much as one likes, and then none is left");
    let grant = limiter.try_acquire(20).unwrap();
    assert_eq!((grant.cost(), grant.remaining()), (20, 0));
    assert!(limiter.try_acquire(0).is_ok());
    let dear = limiter.try_acquire(1).unwrap_err().retry_after().unwrap();
    limiter.release(grant, Outcome::Unused);
    let rest = limiter.try_acquire(1).unwrap_err().retry_after().unwrap();
    assert_eq!((dear, rest), (ms(4_000), ms(2_000)));
    time.set(Instant::from_nanos(0));
    assert_eq!(limiter.try_acquire(1).unwrap_err().retry_after(), Some(ms(7_000)));
    time.set(Instant::from_nanos(7_000_000_000));
    limiter.try_acquire(1).unwrap();
    // The slowest there is, the fastest there is, the longest warm-up: no panic, and no gift.
    let slowest = Rate::new(1, Duration::from_nanos(u64::MAX)).unwrap();
    let fastest = Rate::new(1, Duration::from_nanos(1)).unwrap();
    for rate in [slowest, fastest] {
        for warm_up in [Duration::from_nanos(1), Duration::from_nanos(u64::MAX)] {
            let limiter = WarmUp::builder(rate, warm_up).clock(time.clock().clone()).build().unwrap();
            let Err(Denied::TooLarge { max }) = limiter.try_acquire(u64::MAX) else { panic!("too large") };
            limiter.try_acquire(max).unwrap();
            assert!(limiter.try_acquire(1).is_err());
        }
    }
}

/// Ten a second, warm after a second: five stored cells cost more, in floats.
struct Model {
    stored: f64,
    next: f64,
    now: f64,
    queue: Vec<(usize, u64)>,
}

impl Model {
    fn come(&mut self) {
        if self.now > self.next {
            self.stored = (self.stored + (self.now - self.next) / 1e8).min(10.0);
            self.next = self.now;
        }
    }

    fn take(&mut self, n: u64) -> bool {
        if self.next > self.now + 1.0 {
            return false;
        }
        self.come();
        let n = n as f64;
        let above = (self.stored - 5.0).max(0.0);
        let dear = above.min(n);
        self.next += 1e8 * (n + dear * (2.0 * above - dear) / 5.0);
        self.stored = (self.stored - n).max(0.0);
        true
    }

    fn serve(&mut self) -> Vec<usize> {
        let mut gone = Vec::new();
        while let Some((number, n)) = self.queue.first().copied() {
            if !self.take(n) {
                break;
            }
            self.queue.remove(0);
            gone.push(number);
        }
        gone
    }
}

/// Random scripts against floats: whoever goes, goes in order and when the curve says.
#[apply(sim_test)]
async fn scripts_follow_the_curve(runtime: Runtime) {
    let seed = runtime.clock().random_u64();
    let entropy = SeededEntropy::new(seed);
    let below = |bound: u64| entropy.next_u64() % bound;
    let time = ManualClock::new();
    let builder = WarmUp::builder(Rate::per_second(10), ms(1_000));
    let limiter = builder.clock(time.clock().clone()).build().unwrap();
    let mut model = Model { stored: 10.0, next: 0.0, now: 0.0, queue: Vec::new() };
    let mut waits: Vec<Option<Hand<AcquireCells<'_, WarmUp>>>> = Vec::new();
    for _ in 0..60 {
        let mut gone = Vec::new();
        match below(5) {
            0 | 1 => {
                // Never within a rounding of the moment: the next is due at odd nanoseconds.
                let pause = below(1_000) * 1_000_003 + 501;
                time.advance(Duration::from_nanos(pause));
                model.now += pause as f64;
                if (model.next - model.now).abs() < 100_000.0 {
                    time.advance(ms(1));
                    model.now += 1e6;
                }
                gone = model.serve();
            }
            2 => {
                let n = 1 + below(4);
                let expected = model.queue.is_empty() && model.take(n);
                assert_eq!(limiter.try_acquire(n).is_ok(), expected, "{seed}");
            }
            3 => {
                let n = 1 + below(4);
                let mut wait = Hand::new(limiter.acquire(n));
                let expected = model.queue.is_empty() && model.take(n);
                assert_eq!(wait.poll().is_ready(), expected, "{seed}");
                if !expected {
                    model.queue.push((waits.len(), n));
                    waits.push(Some(wait));
                }
            }
            _ => {
                if !model.queue.is_empty() {
                    let at = below(model.queue.len() as u64) as usize;
                    let (number, _) = model.queue.remove(at);
                    drop(waits[number].take());
                    gone = model.serve();
                }
            }
        }
        let mut order = Vec::new();
        while let Some(number) =
            waits.iter().position(|wait| wait.as_ref().is_some_and(|wait| wait.wakes() > 0))
        {
            if waits[number].as_mut().unwrap().poll().is_ready() {
                order.push(number);
                waits[number] = None;
            }
        }
        assert_eq!(order, gone, "{seed}");
        assert_eq!(limiter.stats().waiting, model.queue.len(), "{seed}");
        if let Some(next) = time.next_timer() {
            assert!(
                (next.as_nanos() as f64 - model.next).abs() < 10_000.0,
                "{seed}: {next:?} {}",
                model.next
            );
        }
    }
}
