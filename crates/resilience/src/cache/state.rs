//! [`State`]: what is known of one key. Plain data, under the lock of whoever it belongs to.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use weirs_runtime::Instant;

use super::CacheTerms;
use super::flight::{After, Flight, Kept, Landed, Wakers};
use crate::Error;

#[derive(Debug)]
pub(super) struct State<T, E> {
    kept: Option<Arc<Kept<T>>>,
    failed: Option<(Arc<Error<E>>, Instant)>,
    flight: Option<Arc<Flight<T, E>>>,
}

impl<T, E> Default for State<T, E> {
    fn default() -> Self {
        Self { kept: None, failed: None, flight: None }
    }
}

/// How somebody who asks begins.
#[derive(Debug)]
pub(super) enum Entered<T, E> {
    Hit(Landed<T, E>),
    Leads(Arc<Flight<T, E>>),
    Waits(Arc<Flight<T, E>>, u64),
}

/// What is to be kept of a call.
#[derive(Debug)]
pub(super) enum Keep<T, E> {
    Answer(Arc<Kept<T>>),
    Error(Arc<Error<E>>, Instant),
    Refuted,
    Nothing,
}

/// What is to be dropped or woken outside the lock.
#[derive(Debug)]
#[must_use = "it is dropped outside the lock"]
pub(super) struct Leftover<T, E> {
    pub(super) wakers: Wakers,
    _old: State<T, E>,
}

impl<T, E> State<T, E> {
    /// Whether there is nothing to remember.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_kept() && self.flight.is_none()
    }

    /// Whether it has something that counts against the capacity.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some() || self.failed.is_some()
    }

    /// What is good now, if nobody has to call for it.
    #[inline]
    pub(super) fn hit(&self, now: Instant, terms: &CacheTerms<T, E>) -> Option<Landed<T, E>> {
        if let Some(kept) = &self.kept {
            let age = now.saturating_since(kept.since);
            let is_due = terms.refresh_after.is_some_and(|due| age >= due);
            if age < terms.ttl && (!is_due || self.flight.is_some()) {
                return Some(Landed::Answer(Arc::clone(kept)));
            }
        }
        match (&self.failed, terms.keep_errors_for) {
            (Some((error, since)), Some(most)) if now.saturating_since(*since) < most => {
                Some(Landed::Failed(Arc::clone(error)))
            }
            _ => None,
        }
    }

    /// What is good, whether or not it is to be renewed.
    pub(super) fn peek(&self, now: Instant, terms: &CacheTerms<T, E>) -> Option<Arc<Kept<T>>> {
        self.kept.as_ref().filter(|kept| now.saturating_since(kept.since) < terms.ttl).cloned()
    }

    /// What is better than an error at the end of that flight, and how old it is.
    pub(super) fn old(
        &self,
        flight: &Arc<Flight<T, E>>,
        now: Instant,
        terms: &CacheTerms<T, E>,
    ) -> Option<(Arc<Kept<T>>, Duration)> {
        let kept = self.kept.as_ref().filter(|_| self.leads(flight))?;
        let age = now.saturating_since(kept.since);
        (age < terms.ttl.saturating_add(terms.stale_for)).then(|| (Arc::clone(kept), age))
    }

    pub(super) fn enter(&mut self, now: Instant, terms: &CacheTerms<T, E>) -> Entered<T, E> {
        if let Some(hit) = self.hit(now, terms) {
            return Entered::Hit(hit);
        }
        match &self.flight {
            Some(flight) => Entered::Waits(Arc::clone(flight), flight.join()),
            None => Entered::Leads(Arc::clone(self.flight.insert(Arc::new(Flight::new())))),
        }
    }

    /// The end of a flight: `landed` goes to all who waited, or if there is none, the next of them leads.
    pub(super) fn land(
        &mut self,
        flight: &Arc<Flight<T, E>>,
        keep: Keep<T, E>,
        landed: Option<Landed<T, E>>,
    ) -> Leftover<T, E> {
        let mut old = Self::default();
        // A flight that began before an invalidation leaves nothing behind.
        if self.leads(flight) {
            match keep {
                Keep::Answer(kept) => {
                    old.kept = self.kept.replace(kept);
                    old.failed = self.failed.take();
                }
                Keep::Error(error, since) => {
                    old.kept = self.kept.take();
                    old.failed = self.failed.replace((error, since));
                }
                Keep::Refuted => {
                    old.kept = self.kept.take();
                    old.failed = self.failed.take();
                }
                Keep::Nothing => {}
            }
        }
        let wakers = match landed {
            Some(landed) => {
                if self.leads(flight) {
                    old.flight = self.flight.take();
                }
                flight.land(landed)
            }
            None => {
                let after = flight.hand_over();
                self.go_on(flight, after)
            }
        };
        Leftover { wakers, _old: old }
    }

    /// The leader gives up, or has an error that is nobody else's.
    pub(super) fn hand_over(&mut self, flight: &Arc<Flight<T, E>>) -> Wakers {
        let after = flight.hand_over();
        self.go_on(flight, after)
    }

    /// One who waits gives up; its own waker is to be dropped outside the lock.
    pub(super) fn leave(&mut self, flight: &Arc<Flight<T, E>>, ticket: u64) -> (Option<Waker>, Wakers) {
        let (own, after) = flight.leave(ticket);
        (own, self.go_on(flight, after))
    }

    /// Forgets all; a flight goes on for those who wait for it, and leaves nothing behind.
    pub(super) fn forget(&mut self) -> Self {
        std::mem::take(self)
    }

    pub(super) fn forget_kept(&mut self) -> Self {
        Self { kept: self.kept.take(), failed: self.failed.take(), flight: None }
    }

    pub(super) fn put(&mut self, kept: Arc<Kept<T>>) -> Self {
        std::mem::replace(self, Self { kept: Some(kept), failed: None, flight: None })
    }

    fn leads(&self, flight: &Arc<Flight<T, E>>) -> bool {
        self.flight.as_ref().is_some_and(|known| Arc::ptr_eq(known, flight))
    }

    fn go_on(&mut self, flight: &Arc<Flight<T, E>>, after: After) -> Wakers {
        match after {
            After::Called(None) => Wakers::new(),
            After::Called(waker) => Wakers::from([(0, waker)]),
            After::Nobody => {
                if self.leads(flight) {
                    // The caller holds it too, so nothing is dropped here.
                    self.flight = None;
                }
                Wakers::new()
            }
        }
    }
}
