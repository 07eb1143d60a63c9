//! Random scripts for the rate limiter, against a model with exact fractions and a plain list.

mod common;

use std::collections::VecDeque;
use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{AcquireCells, Denied, Keep, Quota, Rate, RateLimiter};
use weirs_runtime::{Entropy, Instant, Runtime, SeededEntropy};
use weirs_testing::{ManualClock, apply, sim_test};

/// For each seed of the simulator; 10,000 seeds in a deep run.
const SCRIPTS: u64 = 15;
const STEPS: usize = 60;

/// Cells are counted in parts, 2^16 of them. What is there is `burst + generated - spent`.
struct Model {
    cells: u128,
    nanos: u128,
    burst: u128,
    base: u64,
    spent: u128,
    now: u64,
    queue: VecDeque<(usize, u64)>,
}

const PARTS: u128 = 1 << 16;

impl Model {
    fn generated(&self, now: u64) -> u128 {
        self.burst * PARTS + u128::from(now - self.base) * self.cells * PARTS / self.nanos
    }

    /// What is spent, or lost because no more than the burst is kept.
    fn gone(&self) -> u128 {
        self.spent.max(self.generated(self.now) - self.burst * PARTS)
    }

    fn parts(&self) -> i128 {
        self.generated(self.now) as i128 - self.gone() as i128
    }

    fn take(&mut self, n: u64) -> bool {
        let spent = self.gone() + u128::from(n) * PARTS;
        let may = spent <= self.generated(self.now);
        if may {
            self.spent = spent;
        }
        may
    }

    fn credit(&mut self, n: u64) {
        self.spent = self.spent.saturating_sub(u128::from(n) * PARTS);
    }

    fn set(&mut self, (cells, nanos, burst): (u64, u64, u64)) {
        let left = self.parts();
        (self.cells, self.nanos, self.burst) = (cells.into(), nanos.into(), burst.into());
        self.base = self.now;
        let full = (self.burst * PARTS) as i128;
        self.spent = (full - left.min(full)) as u128;
    }

    /// How long until so many more than those of the queue are there.
    fn wait(&self, n: u64) -> u64 {
        let ahead: u64 = self.queue.iter().map(|(_, n)| n).sum();
        let wanted = self.gone() + u128::from(ahead + n) * PARTS;
        (0..).find(|wait| self.generated(self.now + wait) >= wanted).unwrap()
    }

    /// Who goes now.
    fn serve(&mut self) -> Vec<usize> {
        let mut gone = Vec::new();
        while let Some((number, n)) = self.queue.front().copied() {
            if !self.take(n) {
                break;
            }
            self.queue.pop_front();
            gone.push(number);
        }
        gone
    }
}

fn script(seed: u64) {
    let entropy = SeededEntropy::new(seed);
    let below = |bound: u64| entropy.next_u64() % bound;
    let rates = [(1_u64, 1_u64), (3, 7), (7, 3), (10, 100), (997, 1_009)];
    let draw = || {
        let (cells, nanos) = rates[below(rates.len() as u64) as usize];
        let nanos = nanos * 10;
        (cells, nanos, 1 + below(8))
    };
    let quota = |(cells, nanos, burst)| {
        Quota::new(Rate::new(cells, Duration::from_nanos(nanos)).unwrap(), burst).unwrap()
    };
    let terms = draw();
    let time = ManualClock::new();
    let limiter = RateLimiter::builder(quota(terms)).clock(time.clock().clone()).max_waiters(6).build();
    let mut model = Model {
        cells: terms.0.into(),
        nanos: terms.1.into(),
        burst: terms.2.into(),
        base: 0,
        spent: 0,
        now: 0,
        queue: VecDeque::new(),
    };
    let mut waits: Vec<Option<Hand<AcquireCells<'_>>>> = Vec::new();
    for _ in 0..STEPS {
        let mut gone = Vec::new();
        match below(12) {
            0..4 => {
                let nanos = below(60);
                model.now += nanos;
                time.advance(Duration::from_nanos(nanos));
                gone = model.serve();
            }
            4..6 => {
                let n = below(5);
                let expected = n == 0 || (model.queue.is_empty() && model.take(n));
                match limiter.try_acquire(n) {
                    Ok(_) => assert!(expected, "{seed}"),
                    Err(Denied::TooLarge { max }) => {
                        assert!(u128::from(n) > model.burst && max < n, "{seed}")
                    }
                    Err(Denied::Later { retry_after }) => {
                        assert!(!expected, "{seed}");
                        assert_eq!(retry_after.as_nanos() as u64, model.wait(n), "{seed}");
                    }
                    Err(other) => panic!("{seed}: {other:?}"),
                }
            }
            6..9 => {
                let n = 1 + below(5);
                let deadline = model.now + below(200);
                let mut wait = Hand::new(limiter.acquire_by(n, Instant::from_nanos(deadline)));
                let polled = wait.poll();
                let fits = u128::from(n) <= model.burst;
                if fits && model.queue.is_empty() && model.take(n) {
                    assert!(matches!(polled, Poll::Ready(Ok(_))), "{seed}: {polled:?}");
                } else if !fits {
                    assert!(matches!(polled, Poll::Ready(Err(Denied::TooLarge { .. }))), "{seed}");
                } else if model.now + model.wait(n) > deadline {
                    let needed = Duration::from_nanos(model.wait(n));
                    assert_eq!(polled, Poll::Ready(Err(Denied::WouldMissDeadline { needed })), "{seed}");
                } else if model.queue.len() == 6 {
                    assert_eq!(polled, Poll::Ready(Err(Denied::QueueFull { waiting: 6 })), "{seed}");
                } else {
                    assert!(polled.is_pending(), "{seed}: {polled:?}");
                    model.queue.push_back((waits.len(), n));
                    waits.push(Some(wait));
                }
            }
            9 => {
                if let Some(at) = (!model.queue.is_empty()).then(|| below(model.queue.len() as u64)) {
                    let (number, _) = model.queue.remove(at as usize).unwrap();
                    drop(waits[number].take());
                    gone = model.serve();
                }
            }
            10 => {
                let n = below(4);
                limiter.credit(n);
                model.credit(n);
                gone = model.serve();
            }
            _ => {
                let terms = draw();
                limiter.set_quota(quota(terms), Keep::Cells);
                model.set(terms);
                let before = std::mem::take(&mut model.queue);
                for (number, n) in before {
                    let wait = waits[number].as_mut().unwrap();
                    match wait.poll() {
                        Poll::Ready(Err(Denied::TooLarge { max })) => {
                            assert!(n > max && u128::from(max) == model.burst, "{seed}");
                            waits[number] = None;
                        }
                        Poll::Ready(Err(Denied::WouldMissDeadline { .. })) => waits[number] = None,
                        Poll::Ready(Err(other)) => panic!("{seed}: {other:?}"),
                        Poll::Ready(Ok(_)) => {
                            assert!(model.queue.is_empty() && model.take(n), "{seed}");
                            waits[number] = None;
                        }
                        Poll::Pending => model.queue.push_back((number, n)),
                    }
                }
                assert!(model.serve().is_empty(), "{seed}");
            }
        }
        // Whoever is woken is polled, in any order, until nobody is woken any more.
        let mut order = Vec::new();
        loop {
            let mut polled = false;
            for (number, place) in waits.iter_mut().enumerate() {
                let Some(wait) = place.as_mut().filter(|wait| wait.wakes() > 0) else { continue };
                polled = true;
                match wait.poll() {
                    Poll::Pending => {}
                    Poll::Ready(Ok(_)) => {
                        order.push(number);
                        *place = None;
                    }
                    Poll::Ready(Err(denied)) => panic!("{seed}: {denied:?}"),
                }
            }
            if !polled {
                break;
            }
        }
        assert_eq!(order, gone, "{seed}");
        assert_eq!(limiter.stats().waiting, model.queue.len(), "{seed}");
        assert_eq!(i128::from(limiter.available()), (model.parts() / PARTS as i128).max(0), "{seed}");
        assert_eq!(time.timers(), usize::from(!model.queue.is_empty()), "{seed}: one timer at the head");
    }
}

#[apply(sim_test)]
async fn scripts_follow_the_model(runtime: Runtime) {
    (0..SCRIPTS).for_each(|_| script(runtime.clock().random_u64()));
}
