//! The sliding counter: this window, and a fading part of the one before.

use super::locked::Count;

pub(crate) struct Sliding {
    limit: u64,
    length: u64,
    phase: u64,
    /// The number of this window.
    window: u64,
    before: u64,
    here: u64,
}

impl Sliding {
    pub(super) fn new(limit: u64, length: u64, phase: u64) -> Self {
        Self { limit, length, phase, window: 0, before: 0, here: 0 }
    }

    fn number(&self, at: u64) -> u64 {
        ((u128::from(at) + u128::from(self.phase)) / u128::from(self.length)) as u64
    }

    fn begin(&self, window: u64) -> u128 {
        (u128::from(window) * u128::from(self.length)).saturating_sub(u128::from(self.phase))
    }

    /// How far into its window a time is, once `before` no longer weighs more than `room`.
    fn faded(&self, before: u64, room: u64) -> u64 {
        if before <= room {
            return 0;
        }
        self.length - (u128::from(room) * u128::from(self.length) / u128::from(before)) as u64
    }
}

impl Count for Sliding {
    fn limit(&self) -> u64 {
        self.limit
    }

    fn advance(&mut self, now: u64) {
        let window = self.number(now);
        if window == self.window {
            return;
        }
        self.before = if window == self.window + 1 { self.here } else { 0 };
        (self.here, self.window) = (0, window);
    }

    fn left(&self, now: u64) -> u64 {
        let into = (u128::from(now) + u128::from(self.phase)) % u128::from(self.length);
        let weight = u128::from(self.before) * (u128::from(self.length) - into);
        // Rounded up: what is left of one counts as one.
        let before = weight.div_ceil(u128::from(self.length)) as u64;
        self.limit.saturating_sub(before).saturating_sub(self.here)
    }

    fn charge(&mut self, _: u64, n: u64) {
        self.here += n;
    }

    fn give_back(&mut self, taken: u64, n: u64) {
        let window = self.number(taken);
        let mut n = n;
        if window + 1 == self.window {
            let before = n.min(self.before);
            self.before -= before;
            n -= before;
        }
        if window + 1 >= self.window {
            self.here = self.here.saturating_sub(n);
        }
    }

    fn when(&self, now: u64, n: u64) -> Option<u64> {
        let at = match self.limit.checked_sub(self.here + n) {
            Some(room) => {
                let into = self.faded(self.before, room);
                (u128::from(self.window) * u128::from(self.length) + u128::from(into))
                    .saturating_sub(u128::from(self.phase))
            }
            None => self.begin(self.window + 1) + u128::from(self.faded(self.here, self.limit - n)),
        };
        u64::try_from(at).ok().map(|at| at.max(now))
    }

    fn cycle(&self) -> u64 {
        self.length
    }

    fn at_least(&self, now: u64, n: u64) -> Option<u64> {
        let room = self.limit - self.here;
        if n <= room {
            return self.when(now, n);
        }
        let windows = (n - room).div_ceil(self.limit);
        u64::try_from(self.begin(self.window.checked_add(windows)?)).ok().map(|at| at.max(now))
    }
}
