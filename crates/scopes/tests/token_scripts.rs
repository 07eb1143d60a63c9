//! Random scripts, against a model that is too simple to be wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_runtime::{Entropy, SeededEntropy};
use weirs_scopes::{CancelToken, Reason, Registration};
use weirs_testing::{Allocations, CountingAllocator, ManualClock};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SEEDS: u64 = 10_000;
const STEPS: usize = 60;

/// A token as the model sees it: it lives for ever, whether or not anybody has it.
struct Model {
    parents: Vec<usize>,
    reason: Option<String>,
    /// In nanoseconds.
    deadline: Option<u64>,
    /// The deadline at which it is cancelled by itself.
    timer: Option<u64>,
    callbacks: Vec<usize>,
}

#[derive(Default)]
struct Script {
    time: ManualClock,
    models: Vec<Model>,
    tokens: Vec<Option<CancelToken>>,
    /// What each callback heard, and should have heard.
    heard: Arc<Mutex<Vec<Option<String>>>>,
    expected: Vec<Option<String>>,
    registrations: Vec<Option<(Registration, usize)>>,
}

impl Script {
    fn now(&self) -> u64 {
        self.time.clock().now().as_nanos()
    }

    fn add(&mut self, token: CancelToken, parents: &[usize], own: Option<u64>) {
        let reason = parents.iter().find_map(|parent| self.models[*parent].reason.clone());
        let inherited = parents.iter().filter_map(|parent| self.models[*parent].deadline).min();
        let timer = own.filter(|own| reason.is_none() && inherited.is_none_or(|at| *own < at));
        // A child of a cancelled token gets no deadline of its own any more.
        let deadline = if reason.is_some() { inherited } else { own.into_iter().chain(inherited).min() };
        self.models.push(Model { parents: parents.to_vec(), reason, deadline, timer, callbacks: Vec::new() });
        self.tokens.push(Some(token));
    }

    fn cancel(&mut self, first: usize, why: &str) -> bool {
        if self.models[first].reason.is_some() {
            return false;
        }
        // Parents come before their children, so one pass is enough.
        let mut hit = vec![false; self.models.len()];
        hit[first] = true;
        for number in first..self.models.len() {
            let model = &mut self.models[number];
            hit[number] |= model.parents.iter().any(|parent| hit[*parent]);
            hit[number] &= model.reason.is_none();
            if hit[number] {
                model.reason = Some(why.to_owned());
                for callback in model.callbacks.drain(..) {
                    self.expected[callback] = Some(why.to_owned());
                }
            }
        }
        true
    }

    fn expire(&mut self) {
        let now = self.now();
        let mut due: Vec<(u64, usize)> = (self.models.iter().zip(0..))
            .filter_map(|(model, number)| Some((model.timer.filter(|at| *at <= now)?, number)))
            .collect();
        due.sort_unstable();
        for (_, number) in due {
            self.models[number].timer = None;
            self.cancel(number, &Reason::Deadline.to_string());
        }
    }

    fn step(&mut self, step: usize, chance: &SeededEntropy) {
        let below = |bound: usize| (chance.next_u64() % bound as u64) as usize;
        let alive: Vec<usize> = (0..self.tokens.len()).filter(|at| self.tokens[*at].is_some()).collect();
        let Some(&at) = alive.get(below(alive.len().max(1))) else {
            let token = CancelToken::with_clock(self.time.clock().clone());
            return self.add(token, &[], None);
        };
        let token = self.tokens[at].clone().expect("it is alive");
        match below(16) {
            0..=3 => self.add(token.child(), &[at], None),
            4 | 5 => {
                let after = below(40) as u64;
                let deadline = self.now() + after;
                self.add(token.child_after(Duration::from_nanos(after)), &[at], Some(deadline));
                self.expire();
            }
            6 => {
                let other = alive[below(alive.len())];
                let linked = CancelToken::linked([&token, self.tokens[other].as_ref().expect("alive")]);
                self.add(linked, &[at, other], None);
            }
            7 => self.add(token.detached(), &[], None),
            8 => {
                let why = format!("step {step}");
                let first = self.cancel(at, &why);
                assert_eq!(token.cancel(why), first);
            }
            9 | 10 => self.tokens[at] = None,
            11 | 12 => {
                let number = self.expected.len();
                self.heard.lock().unwrap().push(None);
                self.expected.push(self.models[at].reason.clone());
                if self.models[at].reason.is_none() {
                    self.models[at].callbacks.push(number);
                }
                let heard = Arc::clone(&self.heard);
                let registration = token.on_cancel(move |why| {
                    let before = heard.lock().unwrap()[number].replace(why.to_string());
                    assert_eq!(before, None, "called twice");
                });
                self.registrations.push(Some((registration, number)));
            }
            13 if !self.registrations.is_empty() => {
                let place = below(self.registrations.len());
                if let Some((registration, number)) = self.registrations[place].take() {
                    let was_heard = self.expected[number].is_some();
                    assert_eq!(registration.unregister(), !was_heard);
                    self.models.iter_mut().for_each(|model| model.callbacks.retain(|one| *one != number));
                }
            }
            _ => {
                self.time.advance(Duration::from_nanos(below(12) as u64));
                self.expire();
            }
        }
    }

    fn check(&self) {
        for (token, model) in self.tokens.iter().zip(&self.models) {
            let Some(token) = token else { continue };
            assert_eq!(token.is_cancelled(), model.reason.is_some());
            assert_eq!(token.reason().map(|why| why.to_string()), model.reason);
            assert_eq!(token.deadline().map(|at| at.as_nanos()), model.deadline);
        }
        assert_eq!(*self.heard.lock().unwrap(), self.expected);
    }
}

#[test]
fn random_scripts_go_as_in_the_model() {
    run_all(0..10);
    let ((), taken) = Allocations::measure(|| run_all(10..SEEDS));
    // The test harness has a thread of its own, which may allocate a little at any time; a leak of ours
    // would be one in each of thousands of scripts.
    assert!(taken.leaked < 32, "{taken:?}");
}

fn run_all(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let chance = SeededEntropy::new(seed);
        let mut script = Script::default();
        let run = std::panic::AssertUnwindSafe(|| {
            for step in 0..STEPS {
                script.step(step, &chance);
                script.check();
            }
            let (time, weak): (_, Vec<_>) =
                (script.time.clone(), script.tokens.iter().flatten().map(CancelToken::downgrade).collect());
            drop(std::mem::take(&mut script));
            assert!(weak.iter().all(|weak| weak.upgrade().is_none()), "something keeps a token");
            assert_eq!(time.timers(), 0, "something keeps a timer");
        });
        if let Err(payload) = std::panic::catch_unwind(run) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(payload);
        }
    }
}
