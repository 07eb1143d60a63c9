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

/// See the module. Cells are counted in parts; time in nanoseconds times `units`, in which a part of a cell
/// takes `nanos`, so that nothing is rounded.
pub(super) struct Curve {
    nanos: u128,
    units: u128,
    threshold: u128,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    stored: u128,
    /// When the next may go, in units.
    next: u128,
}

impl Curve {
    pub(super) fn new(rate: Rate, warm_up: Duration, now: Instant) -> Result<Self, QuotaError> {
        let (cells, nanos) = rate.ratio();
        if cells == 0 || nanos == 0 || warm_up.is_zero() || warm_up.as_nanos() > u128::from(u64::MAX) {
            return Err(QuotaError::NoWarmUp);
        }
        let (units, nanos) = (u128::from(cells) << PART_BITS, u128::from(nanos));
        let threshold = (warm_up.as_nanos() * units / (2 * nanos)).clamp(1, 1 << 54);
        let state = State { stored: 2 * threshold, next: u128::from(now.as_nanos()) * units };
        Ok(Self { nanos, units, threshold, state: Mutex::new(state) })
    }

    /// How it stands now: what nobody took is stored.
    fn at(&self, mut state: State, now: Instant) -> State {
        let now = u128::from(now.as_nanos()) * self.units;
        if now > state.next {
            let more = (now - state.next) / self.nanos;
            state = State { stored: (state.stored + more).min(2 * self.threshold), next: now };
        }
        state
    }

    /// The same after so many were taken.
    fn after(&self, state: State, n: u64) -> State {
        let n = u128::from(n) << PART_BITS;
        let above = state.stored.saturating_sub(self.threshold);
        let dear = above.min(n);
        // The area under the line from `above` down.
        let price = (dear * (self.threshold + 2 * above - dear)).div_ceil(self.threshold) + (n - dear);
        let next = state.next.saturating_add(price.saturating_mul(self.nanos));
        State { stored: state.stored.saturating_sub(n), next }
    }

    fn time(&self, units: u128) -> Option<Instant> {
        u64::try_from(units.div_ceil(self.units)).ok().map(Instant::from_nanos)
    }
}

impl Source for Curve {
    fn take(&self, now: Instant, n: u64) -> Taken {
        let most = self.most();
        if n > most {
            return Taken::TooLarge { most };
        }
        if n == 0 {
            return Taken::Yes { left: self.left(now) };
        }
        let mut state = lock(&self.state);
        if state.next > u128::from(now.as_nanos()) * self.units {
            return Taken::No { at: self.time(state.next) };
        }
        *state = self.after(self.at(*state, now), n);
        Taken::Yes { left: 0 }
    }

    fn when(&self, now: Instant, ahead: u64, _: u64) -> Option<Instant> {
        let state = self.at(*lock(&self.state), now);
        self.time(if ahead == 0 { state.next } else { self.after(state, ahead).next })
    }

    fn left(&self, now: Instant) -> u64 {
        u64::from(lock(&self.state).next <= u128::from(now.as_nanos()) * self.units)
    }

    fn most(&self) -> u64 {
        ((2 * self.threshold) >> PART_BITS).max(1) as u64
    }

    /// At the price of a warm one: never more than was paid.
    fn give_back(&self, _: Instant, n: u64) {
        let mut state = lock(&self.state);
        let back = (u128::from(n) << PART_BITS) * self.nanos;
        state.next = state.next.saturating_sub(back);
    }

    fn owe(&self, now: Instant, n: u64) {
        let mut state = lock(&self.state);
        *state = self.after(self.at(*state, now), n);
    }
}
