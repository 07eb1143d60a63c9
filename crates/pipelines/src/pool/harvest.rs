//! [`Harvest`]: what a worker has finished, in the form in which the state takes it in: most of it at once.

use std::collections::VecDeque;
use std::mem;

use super::call::CallError;
use super::completion::{Completion, JobError};
use super::entry::{Answer, Slip};
use super::shutdown::Settled;

/// What a worker has finished.
pub(super) struct Harvest<J, T, E> {
    wants: Wants,
    /// How they ended.
    counts: Settled,
    /// How often one of them was tried again.
    retried: u64,
    /// Whether one of those whose ends are read failed or panicked.
    fails: bool,
    completions: VecDeque<Completion<J, T, E>>,
    /// The places of those in the order of submission, if somebody wants to know.
    orders: Vec<u64>,
    /// The ends of calls.
    answers: Vec<Answer<J, T, E>>,
    keys: Vec<u64>,
    /// How long they waited and how long they took, in nanoseconds.
    times: Vec<(u64, u64)>,
}

/// What the pool wants to know of a job that has ended.
#[derive(Clone, Copy)]
pub(super) struct Wants {
    pub(super) orders: bool,
    pub(super) keys: bool,
    pub(super) times: bool,
}

/// What there is to count of a harvest.
pub(super) struct Tally {
    pub(super) counts: Settled,
    pub(super) retried: u64,
    pub(super) fails: bool,
}

impl<J, T, E> Harvest<J, T, E> {
    pub(super) fn new(wants: Wants) -> Self {
        Self {
            wants,
            counts: Settled::default(),
            retried: 0,
            fails: false,
            completions: VecDeque::new(),
            orders: Vec::new(),
            answers: Vec::new(),
            keys: Vec::new(),
            times: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.completions.is_empty() && self.answers.is_empty()
    }

    /// A job that was begun waited so long, and took so long.
    pub(super) fn took(&mut self, waited: u64, took: u64) {
        self.times.push((waited, took));
    }

    /// A job has ended, after so many attempts.
    #[inline]
    pub(super) fn add(&mut self, slip: Slip<J, T, E>, attempts: u32, result: Result<T, JobError<J, E>>) {
        self.counts.count(&result);
        self.retried += u64::from(attempts.saturating_sub(1));
        if self.wants.keys {
            self.keys.push(slip.key);
        }
        if let Some(reply) = slip.reply {
            self.answers.push((reply, result.map_err(CallError::from)));
            return;
        }
        self.fails |= matches!(result, Err(JobError::Failed(_) | JobError::Panicked(_)));
        if self.wants.orders {
            self.orders.push(slip.order);
        }
        self.completions.push_back(Completion { id: slip.id, attempts, result });
    }

    pub(super) fn tally(&mut self) -> Tally {
        let counts = mem::take(&mut self.counts);
        Tally { counts, retried: mem::take(&mut self.retried), fails: mem::take(&mut self.fails) }
    }

    pub(super) fn times(&mut self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.times.drain(..)
    }

    pub(super) fn keys(&mut self) -> impl Iterator<Item = u64> + '_ {
        self.keys.drain(..)
    }

    pub(super) fn answers(&mut self) -> &mut Vec<Answer<J, T, E>> {
        &mut self.answers
    }

    /// Those whose ends are read, and their places in the order.
    pub(super) fn completions(&mut self) -> (&mut VecDeque<Completion<J, T, E>>, &mut Vec<u64>) {
        (&mut self.completions, &mut self.orders)
    }
}
