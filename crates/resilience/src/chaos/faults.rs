//! [`Faults`]: what may go wrong, and how often.

use std::fmt;
use std::time::Duration;

use weirs_runtime::{Entropy, SeededEntropy};

use super::Latency;
use crate::Invalid;

/// What may go wrong, and to what share of the attempts.
///
/// An attempt has one fault at most, so the shares are exact, and their sum is 1 at most. Delays stand apart:
/// an attempt may be late and fail too.
///
/// # Errors
/// Shares below 0, above 1, or that are no numbers, and sums above 1, are errors when the stack is built.
pub struct Faults<T, E> {
    latency: Vec<(f64, Latency)>,
    pub(super) faults: Vec<(f64, Fault<T, E>)>,
}

type Make<R> = Box<dyn Fn() -> R + Send + Sync>;

pub(super) enum Fault<T, E> {
    Result(Make<Result<T, E>>, &'static str),
    Hang,
    Panic,
    /// After so many polls.
    Die(u32, Make<E>),
    Lose(Make<E>),
}

impl<T, E> Fault<T, E> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Result(_, name) => name,
            Self::Hang => "hang",
            Self::Panic => "panic",
            Self::Die(..) => "cancel",
            Self::Lose(_) => "lost answer",
        }
    }
}

/// What one attempt gets.
pub(super) struct Drawn {
    pub(super) delay: Option<Duration>,
    pub(super) fault: Option<usize>,
}

impl<T, E> Default for Faults<T, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, E> Faults<T, E> {
    /// All is well.
    pub fn new() -> Self {
        Self { latency: Vec::new(), faults: Vec::new() }
    }

    /// So many attempts come late: the work begins after a delay.
    #[must_use = "the faults are given back"]
    pub fn latency(mut self, share: f64, latency: Latency) -> Self {
        self.latency.push((share, latency));
        self
    }

    /// So many fail with this error, and the work does not begin.
    #[must_use = "the faults are given back"]
    pub fn error(self, share: f64, make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        self.fault(share, Fault::Result(Box::new(move || Err(make())), "error"))
    }

    /// So many have this result in place of their own, and the work does not begin.
    #[must_use = "the faults are given back"]
    pub fn outcome(self, share: f64, make: impl Fn() -> Result<T, E> + Send + Sync + 'static) -> Self {
        self.fault(share, Fault::Result(Box::new(make), "outcome"))
    }

    /// So many never answer, and the work does not begin.
    ///
    /// # Waiting
    /// For ever: nobody wakes the call. A timeout outside ends it.
    #[must_use = "the faults are given back"]
    pub fn hang(self, share: f64) -> Self {
        self.fault(share, Fault::Hang)
    }

    /// So many panic.
    ///
    /// # Panics
    /// The call does; setting it up does not.
    #[must_use = "the faults are given back"]
    pub fn panic(self, share: f64) -> Self {
        self.fault(share, Fault::Panic)
    }

    /// So many are dropped half-way: after so many polls that were pending the work is dropped, and the
    /// attempt fails with this error. Work that is ready before that keeps its result; with zero polls it
    /// never begins.
    #[must_use = "the faults are given back"]
    pub fn cancel(self, share: f64, polls: u32, make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        self.fault(share, Fault::Die(polls, Box::new(make)))
    }

    /// So many do their work, but the answer is lost on its way: it is dropped, and the attempt fails with
    /// this error. It shows whether work bears being done twice.
    #[must_use = "the faults are given back"]
    pub fn lost_answer(self, share: f64, make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        self.fault(share, Fault::Lose(Box::new(make)))
    }

    fn fault(mut self, share: f64, fault: Fault<T, E>) -> Self {
        self.faults.push((share, fault));
        self
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        let shares = self.faults.iter().map(|(share, _)| share);
        let delays = self.latency.iter().map(|(share, _)| share);
        if shares.clone().chain(delays.clone()).any(|share| !(0.0..=1.0).contains(share)) {
            return Err(Invalid::new("chaos.share", "not within 0 and 1"));
        }
        // A sum such as ten times 0.1 may be above 1 by what an f64 cannot hold.
        let is_over = |sum: f64| sum > 1.0 + 1e-9;
        if is_over(shares.sum()) || is_over(delays.sum()) {
            return Err(Invalid::new("chaos.share", "the shares are more than 1 together"));
        }
        self.latency.iter().try_for_each(|(_, latency)| latency.check())
    }

    /// What the attempt of this number gets; always the same.
    pub(super) fn draw(&self, number: u64) -> Drawn {
        let chance = SeededEntropy::new(number);
        let late = pick(&self.latency, unit(&chance));
        let fault = pick(&self.faults, unit(&chance));
        let delay = late.map(|late| self.latency[late].1.draw(unit(&chance)));
        Drawn { delay, fault }
    }
}

/// Which of them a number below 1 meets.
fn pick<F>(shares: &[(f64, F)], number: f64) -> Option<usize> {
    let mut sum = 0.0;
    shares.iter().position(|(share, _)| {
        sum += share;
        number < sum
    })
}

/// At least 0, and below 1.
fn unit(chance: &SeededEntropy) -> f64 {
    // The 53 bits that an f64 holds exactly.
    (chance.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

impl<T, E> fmt::Debug for Faults<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = self.latency.iter().map(|(share, latency)| (format!("{latency:?}"), share));
        let faults = self.faults.iter().map(|(share, fault)| (fault.name().to_owned(), share));
        f.debug_map().entries(late).entries(faults).finish()
    }
}
