//! [`AcquireAll`]: waiting for several limiters, and [`HeldAll`]: what is held of them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{AllOf, Refused};
use crate::{Grant, Limit, Outcome, Waiting};

/// The wait for the one that refused.
pub(super) struct Wait {
    pub(super) index: usize,
    pub(super) waiting: Waiting,
    /// How often it was its turn without a wait, and another refused.
    pub(super) turns: u32,
}

/// The future of [`AllOf::acquire`] and its sibling. Polled again after its end it asks anew.
#[must_use = "it does nothing unless it is awaited"]
pub struct AcquireAll<'a, L: Limit> {
    all: &'a AllOf<L>,
    waiting: Waiting,
}

impl<'a, L: Limit> AcquireAll<'a, L> {
    pub(super) fn new(all: &'a AllOf<L>, waiting: Waiting) -> Self {
        Self { all, waiting }
    }
}

impl<'a, L: Limit> Future for AcquireAll<'a, L> {
    type Output = Result<HeldAll<'a, L>, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.all.poll(&mut this.waiting, cx).map(|result| match result {
            Ok(grant) => Ok(HeldAll::new(this.all, grant)),
            Err((index, denied)) => Err(this.all.refused(index, denied)),
        })
    }
}

impl<L: Limit> Drop for AcquireAll<'_, L> {
    fn drop(&mut self) {
        self.all.cancel(&mut self.waiting);
    }
}

impl<L: Limit> fmt::Debug for AcquireAll<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireAll").field("all", self.all).field("cost", &self.waiting.cost()).finish()
    }
}

/// What is held of several limiters. Dropped, it is given back as [`Outcome::Ignore`].
#[must_use = "it is given back when it is dropped"]
pub struct HeldAll<'a, L: Limit> {
    all: &'a AllOf<L>,
    grant: Grant,
    outcome: Outcome,
}

impl<'a, L: Limit> HeldAll<'a, L> {
    pub(super) fn new(all: &'a AllOf<L>, grant: Grant) -> Self {
        Self { all, grant, outcome: Outcome::Ignore }
    }

    /// What was admitted: the least that any of them has left, and the longest delay.
    pub fn grant(&self) -> Grant {
        self.grant
    }

    /// Done.
    pub fn success(self) {
        self.end(Outcome::Success);
    }

    /// Never begun: it counts as not admitted at all.
    pub fn unused(self) {
        self.end(Outcome::Unused);
    }

    /// Ended so.
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl<L: Limit> Drop for HeldAll<'_, L> {
    fn drop(&mut self) {
        self.all.release(self.grant, self.outcome);
    }
}

impl<L: Limit> fmt::Debug for HeldAll<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldAll").field("all", self.all).field("grant", &self.grant).finish_non_exhaustive()
    }
}
