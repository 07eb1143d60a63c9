//! [`Curve`]: what a cell costs in time, by how cold it is.
//!
//! While nobody asks, cells are stored, at the rate, up to `2 * threshold`; the threshold is what the rate
//! gives in half the time of warming up. A stored cell below the threshold costs a period, as a fresh one
//! does; above it the price rises evenly, to three periods at the top. Whoever takes pays with the time of
//! the next.

use std::time::Duration;

use weirs_runtime::Instant;

use crate::credit::{PART_BITS, Taken};
use crate::line::Source;
use crate::sync::{Mutex, lock};
use crate::{QuotaError, Rate};

/// See the module.
pub(super) struct Curve {
    state: Mutex<State>,
}

/// The shape of the curve. Cells are counted in parts; time in nanoseconds times `units`, in which a part of
/// a cell takes `nanos`, so that nothing is rounded.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    rate: Rate,
    nanos: u128,
    units: u128,
    threshold: u128,
}

#[derive(Clone, Copy)]
struct State {
    terms: Terms,
    stored: u128,
    /// When the next may go, in units.
    next: u128,
}

impl Curve {
    pub(super) fn new(rate: Rate, warm_up: Duration, now: Instant) -> Result<Self, QuotaError> {
        let terms = Self::terms(rate, warm_up)?;
        let state = State { terms, stored: 2 * terms.threshold, next: terms.units(now) };
        Ok(Self { state: Mutex::new(state) })
    }

    pub(super) fn terms(rate: Rate, warm_up: Duration) -> Result<Terms, QuotaError> {
        let (cells, nanos) = rate.ratio();
        if cells == 0 || nanos == 0 || warm_up.is_zero() || warm_up.as_nanos() > u128::from(u64::MAX) {
            return Err(QuotaError::NoWarmUp);
        }
        let (units, nanos) = (u128::from(cells) << PART_BITS, u128::from(nanos));
        let threshold = (warm_up.as_nanos() * units / (2 * nanos)).clamp(1, 1 << 54);
        Ok(Terms { rate, nanos, units, threshold })
    }

    pub(super) fn rate(&self) -> Rate {
        lock(&self.state).terms.rate
    }

    /// From now on another curve, at the same place between cold and warm.
    pub(super) fn set(&self, now: Instant, terms: Terms) {
        let mut state = lock(&self.state);
        let old = state.at(now);
        // What is not over yet is so many warm cells.
        let owed = old.next.saturating_sub(old.terms.units(now)).div_ceil(old.terms.nanos);
        let next = terms.units(now).saturating_add(owed.saturating_mul(terms.nanos));
        *state = State { terms, stored: old.stored * terms.threshold / old.terms.threshold, next };
    }
}

impl Terms {
    fn units(&self, at: Instant) -> u128 {
        u128::from(at.as_nanos()) * self.units
    }

    fn time(&self, units: u128) -> Option<Instant> {
        u64::try_from(units.div_ceil(self.units)).ok().map(Instant::from_nanos)
    }

    fn most(&self) -> u64 {
        ((2 * self.threshold) >> PART_BITS).max(1) as u64
    }
}

impl State {
    /// How it stands now: what nobody took is stored.
    fn at(mut self, now: Instant) -> Self {
        let now = self.terms.units(now);
        if now > self.next {
            let more = (now - self.next) / self.terms.nanos;
            self.stored = (self.stored + more).min(2 * self.terms.threshold);
            self.next = now;
        }
        self
    }

    /// The same after so many were taken.
    fn after(mut self, n: u64) -> Self {
        let (n, threshold) = (u128::from(n) << PART_BITS, self.terms.threshold);
        let above = self.stored.saturating_sub(threshold);
        let dear = above.min(n);
        // The area under the line from `above` down.
        let price = (dear * (threshold + 2 * above - dear)).div_ceil(threshold) + (n - dear);
        self.next = self.next.saturating_add(price.saturating_mul(self.terms.nanos));
        self.stored = self.stored.saturating_sub(n);
        self
    }

    fn is_due(&self, now: Instant) -> bool {
        self.next <= self.terms.units(now)
    }

    /// Whoever is due may take all at once.
    fn left(&self, now: Instant) -> u64 {
        if self.is_due(now) { self.terms.most() } else { 0 }
    }
}

impl Source for Curve {
    fn take(&self, now: Instant, n: u64) -> Taken {
        let mut state = lock(&self.state);
        let most = state.terms.most();
        if n > most {
            return Taken::TooLarge { most };
        }
        if n == 0 {
            return Taken::Yes { left: state.left(now) };
        }
        if !state.is_due(now) {
            return Taken::No { at: state.terms.time(state.next) };
        }
        *state = state.at(now).after(n);
        Taken::Yes { left: 0 }
    }

    fn when(&self, now: Instant, ahead: u64, _: u64) -> Option<Instant> {
        let state = lock(&self.state).at(now);
        state.terms.time(if ahead == 0 { state.next } else { state.after(ahead).next })
    }

    fn left(&self, now: Instant) -> u64 {
        lock(&self.state).left(now)
    }

    fn most(&self) -> u64 {
        lock(&self.state).terms.most()
    }

    /// At the price of a warm one: never more than was paid.
    fn give_back(&self, _: Instant, n: u64) {
        let mut state = lock(&self.state);
        let back = (u128::from(n) << PART_BITS) * state.terms.nanos;
        state.next = state.next.saturating_sub(back);
    }

    fn owe(&self, now: Instant, n: u64) {
        let mut state = lock(&self.state);
        *state = state.at(now).after(n);
    }
}
