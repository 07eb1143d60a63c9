//! [`Seat`]: a caller's part in a flight. Dropped, it gives that up, and the next takes over.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use weirs_runtime::waiting::wake;

use super::flight::{Flight, Kept, Landed, Waited};
use super::state::{Entered, Keep, State};
use super::{CacheStats, CacheTerms};
use crate::{Class, Error};

/// What the states of keys belong to.
pub(super) trait Home {
    type Value;
    type Error;

    fn terms(&self) -> &CacheTerms<Self::Value, Self::Error>;

    fn tally(&self) -> &Tally;

    /// Changes what is at a place, under the lock.
    fn change<R>(&self, at: u32, change: impl FnOnce(&mut State<Self::Value, Self::Error>) -> R) -> R;
}

/// A result, and the age of the answer if an old one stands in for an error.
pub(super) type Settled<T, E> = (Result<T, Error<E>>, Option<Duration>);

pub(super) struct Seat<H: Home>(Option<Held<H>>);

struct Held<H: Home> {
    home: H,
    at: u32,
    flight: Arc<Flight<H::Value, H::Error>>,
    /// None for the one who leads.
    ticket: Option<u64>,
}

/// What somebody with a seat is to do.
pub(super) enum Turns<T, E> {
    Lead,
    Wait,
    End(Settled<T, E>),
}

impl<H: Home> Default for Seat<H> {
    fn default() -> Self {
        Self(None)
    }
}

impl<H: Home> Seat<H> {
    pub(super) fn is_taken(&self) -> bool {
        self.0.is_some()
    }

    /// Takes a seat, or gives what is there already.
    pub(super) fn take(
        &mut self,
        home: H,
        at: u32,
        entered: Entered<H::Value, H::Error>,
    ) -> Option<Landed<H::Value, H::Error>> {
        let (flight, ticket) = match entered {
            Entered::Hit(landed) => return Some(landed),
            Entered::Leads(flight) => {
                Tally::count(&home.tally().misses);
                (flight, None)
            }
            Entered::Waits(flight, ticket) => (flight, Some(ticket)),
        };
        self.0 = Some(Held { home, at, flight, ticket });
        None
    }

    /// What to do now.
    pub(super) fn poll(&mut self, waker: &Waker) -> Turns<H::Value, H::Error>
    where
        H::Value: Clone,
    {
        let Some(held) = &mut self.0 else { unreachable!("it has a seat") };
        let Some(ticket) = held.ticket else { return Turns::Lead };
        match held.flight.poll(ticket, waker) {
            Waited::Not => Turns::Wait,
            Waited::Leads => {
                held.ticket = None;
                Tally::count(&held.home.tally().misses);
                Turns::Lead
            }
            Waited::Landed(landed) => {
                let home = match self.0.take() {
                    Some(held) => held.home,
                    None => unreachable!("it was there just now"),
                };
                Tally::count(&home.tally().coalesced);
                Turns::End(unpack(home.terms(), home.tally(), &landed))
            }
        }
    }

    /// The end of the call of the one who leads.
    pub(super) fn finish(&mut self, result: Result<H::Value, Error<H::Error>>) -> Settled<H::Value, H::Error>
    where
        H::Value: Clone,
    {
        let Some(held) = &self.0 else { unreachable!("it leads") };
        let (terms, flight) = (held.home.terms(), &held.flight);
        // Until the user's code is over, it leads: after a panic of that the next takes over.
        let class = terms.judge(&result);
        let now = terms.clock.now();
        let keep = |value| Arc::new(Kept { value, since: now });
        let (settled, keep, landed) = match (result, class) {
            (Ok(value), Class::Success) => {
                let kept = keep(value);
                let landed = Landed::Answer(Arc::clone(&kept));
                ((Ok(kept.value.clone()), None), Keep::Answer(kept), Some(landed))
            }
            (Ok(value), Class::Permanent) => {
                let kept = keep(value);
                ((Ok(kept.value.clone()), None), Keep::Refuted, Some(Landed::Answer(kept)))
            }
            (Err(error), Class::Permanent) => {
                let is_kept = terms.keep_errors_for.is_some();
                let shared = if is_kept || flight.is_awaited() { terms.share(&error) } else { None };
                let shared = shared.map(Arc::new);
                let keep = match &shared {
                    Some(shared) if is_kept => Keep::Error(Arc::clone(shared), now),
                    _ => Keep::Refuted,
                };
                ((Err(error), None), keep, shared.map(Landed::Failed))
            }
            (result, _) => match held.home.change(held.at, |state| state.old(flight, now, terms)) {
                Some((kept, age)) => {
                    drop(result);
                    Tally::count(&held.home.tally().stale);
                    ((Ok(kept.value.clone()), Some(age)), Keep::Nothing, Some(Landed::Old(kept)))
                }
                None => match result {
                    Ok(value) => {
                        let kept = keep(value);
                        ((Ok(kept.value.clone()), None), Keep::Nothing, Some(Landed::Answer(kept)))
                    }
                    Err(error) => {
                        let shared = if flight.is_awaited() { terms.share(&error) } else { None };
                        (
                            (Err(error), None),
                            Keep::Nothing,
                            shared.map(|error| Landed::Failed(Arc::new(error))),
                        )
                    }
                },
            },
        };
        if let Some(Held { home, at, flight, .. }) = self.0.take() {
            let leftover = home.change(at, |state| state.land(&flight, keep, landed));
            leftover.wakers.into_values().flatten().for_each(wake);
        }
        settled
    }

    /// Gives the seat up.
    pub(super) fn leave(&mut self) {
        let Some(Held { home, at, flight, ticket }) = self.0.take() else { return };
        let wakers = match ticket {
            None => home.change(at, |state| state.hand_over(&flight)),
            Some(ticket) => {
                let (_own, wakers) = home.change(at, |state| state.leave(&flight, ticket));
                wakers
            }
        };
        wakers.into_values().flatten().for_each(wake);
    }
}

impl<H: Home> Drop for Seat<H> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<H: Home> fmt::Debug for Seat<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            None => "Seat(None)",
            Some(Held { ticket: None, .. }) => "Seat(Leads)",
            Some(_) => "Seat(Waits)",
        })
    }
}

/// One's own copy of what is there.
pub(super) fn unpack<T: Clone, E>(
    terms: &CacheTerms<T, E>,
    tally: &Tally,
    landed: &Landed<T, E>,
) -> Settled<T, E> {
    match landed {
        Landed::Answer(kept) => (Ok(kept.value.clone()), None),
        Landed::Old(kept) => {
            Tally::count(&tally.stale);
            (Ok(kept.value.clone()), Some(terms.clock.now().saturating_since(kept.since)))
        }
        Landed::Failed(error) => match terms.share(error) {
            Some(error) => (Err(error), None),
            None => unreachable!("it was shared before"),
        },
    }
}

/// How often what happened.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) coalesced: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) evicted: AtomicU64,
}

impl Tally {
    #[inline]
    pub(super) fn count(counter: &AtomicU64) {
        // It guards nothing.
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self, kept: usize) -> CacheStats {
        CacheStats {
            kept,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            coalesced: self.coalesced.load(Ordering::Relaxed),
            stale: self.stale.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }
}
