//! [`Grant`]: what was admitted, and [`Outcome`]: how it ended.

use std::time::Duration;

/// What a limiter admitted.
///
/// It is a record, not a guard: whoever asks a [`Limit`](crate::Limit) by hand gives it back with
/// [`release`](crate::Limit::release), if anything is held. [`Held`](crate::Held) does it by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    cost: u64,
    remaining: u64,
    delayed: Duration,
    note: u64,
}

impl Grant {
    /// So much was admitted, and so much is left for others.
    pub const fn new(cost: u64, remaining: u64) -> Self {
        Self { cost, remaining, delayed: Duration::ZERO, note: 0 }
    }

    /// The same, after a wait.
    #[must_use = "the grant itself is unchanged"]
    pub const fn delayed_by(mut self, delayed: Duration) -> Self {
        self.delayed = delayed;
        self
    }

    /// The same with a number that the limiter wants to see again at its release.
    #[must_use = "the grant itself is unchanged"]
    pub const fn with_note(mut self, note: u64) -> Self {
        self.note = note;
        self
    }

    /// How much was admitted.
    pub const fn cost(self) -> u64 {
        self.cost
    }

    /// How much was left for others at that time.
    pub const fn remaining(self) -> u64 {
        self.remaining
    }

    /// How long it waited.
    pub const fn delayed(self) -> Duration {
        self.delayed
    }

    /// What the limiter noted.
    pub const fn note(self) -> u64 {
        self.note
    }
}

/// How that which was admitted ended: what an adaptive limiter learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It was done.
    Success,
    /// It failed in a way that speaks of overload: a timeout, a refusal further on.
    Overload,
    /// It ended in a way that says nothing about the load.
    Ignore,
    /// It never began: it counts as not admitted at all, and a rate takes its cells back.
    Unused,
}
