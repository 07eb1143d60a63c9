//! Random scripts for the semaphore in all modes, against a plain list of those who wait.

mod common;

use std::task::Poll;

use common::Hand;
use weirs_limiters::{AcquirePermit, Denied, Mode, Permit, Semaphore};
use weirs_runtime::{Entropy, Runtime, SeededEntropy};
use weirs_testing::{apply, sim_test};

/// For each seed of the simulator; 10,000 seeds in a deep run.
const SCRIPTS: u64 = 15;
const STEPS: usize = 80;
const MAX_WAITERS: usize = 5;

/// Who is admitted: what the modes say, in the plainest words.
struct Model {
    mode: Mode,
    capacity: i64,
    free: i64,
    /// Numbers and costs, in the order in which they came, and how often each was overtaken.
    queue: Vec<(usize, i64, u32)>,
}

impl Model {
    /// Whether somebody who comes now may take, if there are enough.
    fn may_overtake(&self) -> bool {
        match (self.mode, self.queue.first()) {
            (_, None) | (Mode::Lifo, _) => true,
            (Mode::Barging { max_bypass }, Some((_, _, bypassed))) => *bypassed < max_bypass,
            _ => false,
        }
    }

    fn come(&mut self, n: i64) -> bool {
        let may = n == 0 || (self.may_overtake() && n <= self.free);
        if may && n > 0 {
            self.free -= n;
            self.queue.iter_mut().for_each(|(_, _, bypassed)| *bypassed += 1);
        }
        may
    }

    /// Who is served now, when nobody else comes.
    fn serve(&mut self) -> Vec<usize> {
        let mut served = Vec::new();
        loop {
            let next = match self.mode {
                Mode::Lifo => self.queue.len().checked_sub(1),
                _ => (!self.queue.is_empty()).then_some(0),
            };
            match next {
                Some(next) if self.queue[next].1 <= self.free => {
                    let (number, n, _) = self.queue.remove(next);
                    self.free -= n;
                    served.push(number);
                }
                _ => return served,
            }
        }
    }
}

fn script(seed: u64) {
    let entropy = SeededEntropy::new(seed);
    let below = |bound: u64| entropy.next_u64() % bound;
    let mode = match below(4) {
        0 => Mode::Lifo,
        1 => Mode::Fair,
        _ => Mode::Barging { max_bypass: below(4) as u32 },
    };
    let capacity = 1 + below(6);
    let semaphore = Semaphore::builder(capacity).mode(mode).max_waiters(MAX_WAITERS).build();
    let mut model = Model { mode, capacity: capacity as i64, free: capacity as i64, queue: Vec::new() };
    let mut waits: Vec<Option<Hand<AcquirePermit<'_>>>> = Vec::new();
    let mut held: Vec<Permit<'_>> = Vec::new();
    for _ in 0..STEPS {
        match below(12) {
            0..3 => {
                let n = below(5);
                match semaphore.try_acquire(n) {
                    Ok(permit) => {
                        assert!(model.come(n as i64), "{seed} {mode:?} {n} {semaphore:?} {:?}", model.queue);
                        held.push(permit);
                    }
                    Err(Denied::TooLarge { max }) => {
                        assert!(n > max && max as i64 == model.capacity, "{seed}")
                    }
                    Err(Denied::Busy { free }) => {
                        assert!(!model.come(n as i64), "{seed}");
                        assert_eq!(free as i64, model.free.max(0), "{seed}");
                    }
                    Err(other) => panic!("{seed}: {other:?}"),
                }
            }
            3..6 => {
                let n = below(5);
                let mut wait = Hand::new(semaphore.acquire(n));
                match wait.poll() {
                    Poll::Ready(Ok(permit)) => {
                        assert!(model.come(n as i64), "{seed}");
                        held.push(permit);
                    }
                    Poll::Ready(Err(Denied::TooLarge { max })) => assert!(n > max, "{seed}"),
                    Poll::Ready(Err(Denied::QueueFull { waiting })) => {
                        assert_eq!((waiting, model.queue.len()), (MAX_WAITERS, MAX_WAITERS), "{seed}");
                        assert!(!model.come(n as i64), "{seed}");
                    }
                    Poll::Ready(Err(other)) => panic!("{seed}: {other:?}"),
                    Poll::Pending => {
                        assert!(!model.come(n as i64), "{seed}");
                        model.queue.push((waits.len(), n as i64, 0));
                        waits.push(Some(wait));
                    }
                }
            }
            6..9 if !held.is_empty() => {
                let mut permit = held.swap_remove(below(held.len() as u64) as usize);
                match below(4) {
                    0 => {
                        held.extend(permit.split(below(3)));
                        model.free += permit.permits() as i64;
                    }
                    1 if model.capacity > 4 => {
                        model.capacity -= permit.permits() as i64;
                        let too_large = model.capacity.max(0);
                        model.free += (-model.capacity).max(0);
                        model.capacity = too_large;
                        model.queue.retain(|(_, n, _)| *n <= too_large);
                        permit.forget();
                        continue_with(&mut model, &mut waits, &mut held, &semaphore, seed);
                        continue;
                    }
                    _ => model.free += permit.permits() as i64,
                }
                drop(permit);
                // While those who were called are on their way, somebody may be faster.
                if below(3) == 0 {
                    let fair = matches!(mode, Mode::Fair | Mode::Lifo);
                    if !fair && model.come(1) {
                        held.push(
                            semaphore.try_acquire(1).unwrap_or_else(|denied| panic!("{seed}: {denied:?}")),
                        );
                    }
                }
            }
            9 if !model.queue.is_empty() => {
                let (number, ..) = model.queue.remove(below(model.queue.len() as u64) as usize);
                drop(waits[number].take());
            }
            10 => {
                let capacity = below(7);
                semaphore.set_capacity(capacity);
                model.free += capacity as i64 - model.capacity;
                model.capacity = capacity as i64;
                model.queue.retain(|(_, n, _)| *n <= capacity as i64);
            }
            _ => {}
        }
        continue_with(&mut model, &mut waits, &mut held, &semaphore, seed);
    }
    held.clear();
    drop(waits);
    assert_eq!((semaphore.available() as i64, semaphore.stats().waiting), (model.capacity, 0), "{seed}");
}

/// Polls whoever is woken until nobody is, and compares.
fn continue_with<'a>(
    model: &mut Model,
    waits: &mut [Option<Hand<AcquirePermit<'a>>>],
    held: &mut Vec<Permit<'a>>,
    semaphore: &Semaphore,
    seed: u64,
) {
    let mut expected = model.serve();
    let mut served = Vec::new();
    loop {
        let mut polled = false;
        for (number, place) in waits.iter_mut().enumerate() {
            let Some(wait) = place.as_mut().filter(|wait| wait.wakes() > 0) else { continue };
            polled = true;
            match wait.poll() {
                Poll::Pending => {}
                Poll::Ready(Ok(permit)) => {
                    held.push(permit);
                    served.push(number);
                    *place = None;
                }
                Poll::Ready(Err(Denied::TooLarge { .. })) => {
                    let waits_on = model.queue.iter().any(|(waiting, ..)| *waiting == number);
                    assert!(!waits_on && !expected.contains(&number), "{seed}");
                    *place = None;
                }
                Poll::Ready(Err(other)) => panic!("{seed}: {other:?}"),
            }
        }
        if !polled {
            break;
        }
    }
    expected.sort_unstable();
    served.sort_unstable();
    assert_eq!(served, expected, "{seed}: {:?}", model.mode);
    assert_eq!(semaphore.available() as i64, model.free.max(0), "{seed}");
    assert_eq!(semaphore.stats().waiting, model.queue.len(), "{seed}");
    assert_eq!(semaphore.stats().held as i64, model.capacity - model.free, "{seed}");
}

#[apply(sim_test)]
async fn scripts_follow_the_model(runtime: Runtime) {
    (0..SCRIPTS).for_each(|_| script(runtime.clock().random_u64()));
}
