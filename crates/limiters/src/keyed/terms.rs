//! [`Terms`]: a quota for counters of one word, which last for all time.
//!
//! As in [`credit`](crate::credit), `burst + floor((now - base) * rate)` was generated and the word says how
//! much is spent. Here the word has no room for a new beginning, so a cell has as many parts as keep them
//! below one a nanosecond: then no word is full within 36 years.

use weirs_runtime::Instant;

use crate::Quota;
use crate::credit::Taken;
use crate::ratio::Ratio;

/// No word is so large: the bits above are the owner's.
pub(super) const END: u64 = (1 << 60) - 1;
/// A cell has 2^16 parts at most.
const MOST_BITS: u32 = 16;

/// So many words hold terms.
pub(super) const WORDS: usize = 9;

#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Parts, of which a cell has 2^bits.
    cells: u64,
    nanos: u64,
    /// `cells / nanos`.
    pace: Ratio,
    /// `nanos / cells`.
    period: Ratio,
    burst: u64,
    bits: u32,
    base: u64,
}

/// What a counter comes to.
pub(super) enum Step {
    /// This is spent then, and so many cells are left.
    Spend {
        spent: u64,
        left: u64,
    },
    No(Taken),
}

impl Terms {
    pub(super) fn new(quota: Quota, base: Instant) -> Self {
        let (cells, nanos) = quota.rate().ratio();
        let bits = match nanos.checked_div(cells) {
            Some(0) | None => MOST_BITS,
            Some(pace) => pace.ilog2().min(MOST_BITS),
        };
        let (cells, burst, base) = (cells << bits, quota.burst() << bits, base.as_nanos());
        let (pace, period) = (Ratio::rounded_down(cells, nanos), Ratio::rounded_up(nanos, cells));
        Self { cells, nanos, pace, period, burst, bits, base }
    }

    pub(super) fn to_words(self) -> [u64; WORDS] {
        let Self { cells, nanos, pace, period, burst, bits, base } = self;
        [base, burst, bits.into(), cells, nanos, pace.whole, pace.part, period.whole, period.part]
    }

    #[inline]
    pub(super) fn from_words(words: [u64; WORDS]) -> Self {
        let [base, burst, bits, cells, nanos, whole, part, period_whole, period_part] = words;
        let (pace, period) = (Ratio { whole, part }, Ratio { whole: period_whole, part: period_part });
        Self { cells, nanos, pace, period, burst, bits: bits as u32, base }
    }

    /// Since when it counts.
    pub(super) fn since(&self) -> Instant {
        Instant::from_nanos(self.base)
    }

    /// What is spent by these terms of a key that had spent so much by others: at that time the same part of
    /// its cells is missing.
    pub(super) fn carried_over(&self, from: &Self, spent: u64, at: Instant) -> u64 {
        let floor = self.floor(at);
        if self.is_unlimited() || from.is_unlimited() {
            return floor;
        }
        let missing = u128::from(spent.saturating_sub(from.floor(at)).min(from.burst));
        // Rounded up: nobody gets anything by it.
        let missing = (missing * u128::from(self.burst)).div_ceil(u128::from(from.burst.max(1)));
        floor.saturating_add(missing as u64)
    }

    #[inline]
    pub(super) fn is_unlimited(&self) -> bool {
        self.nanos == 0
    }

    pub(super) fn most(&self) -> u64 {
        if self.is_unlimited() { u64::MAX } else { self.burst >> self.bits }
    }

    #[inline]
    pub(super) fn parts(&self, n: u64) -> u64 {
        if n > u64::MAX >> self.bits { u64::MAX } else { n << self.bits }
    }

    /// What was generated without the burst: whoever spent no more has all cells.
    #[inline]
    pub(super) fn floor(&self, now: Instant) -> u64 {
        let elapsed = now.as_nanos().saturating_sub(self.base);
        // With room for the burst, so that nothing passes the end.
        self.pace.floor(elapsed, self.cells, self.nanos).min(END - 1 - self.burst)
    }

    #[inline]
    pub(super) fn step(&self, now: Instant, word: u64, n: u64) -> Step {
        if self.is_unlimited() {
            return Step::Spend { spent: word, left: u64::MAX };
        }
        let (floor, parts) = (self.floor(now), self.parts(n));
        let generated = floor + self.burst;
        let spent = word.max(floor).saturating_add(parts);
        // Too large a sum is the end of time: it stands for more than is generated.
        let fits = parts <= self.burst;
        if n == 0 || fits && spent <= generated {
            return Step::Spend { spent, left: generated.saturating_sub(spent) >> self.bits };
        }
        Step::No(match fits {
            // It is above the floor, or it would have been admitted.
            true => Taken::No { at: self.at(word.saturating_add(parts)) },
            false => Taken::TooLarge { most: self.most() },
        })
    }

    pub(super) fn left(&self, now: Instant, word: u64) -> u64 {
        if self.is_unlimited() {
            return u64::MAX;
        }
        let floor = self.floor(now);
        (floor + self.burst).saturating_sub(word.max(floor)) >> self.bits
    }

    pub(super) fn when(&self, now: Instant, word: u64, n: u64) -> Option<Instant> {
        if self.is_unlimited() {
            return Some(now);
        }
        self.at(word.max(self.floor(now)).saturating_add(self.parts(n))).map(|at| at.max(now))
    }

    /// When all cells will be there; the end of time if never.
    pub(super) fn full(&self, word: u64) -> u64 {
        if self.is_unlimited() {
            return 0;
        }
        self.at(word.saturating_add(self.burst)).map_or(u64::MAX, Instant::as_nanos)
    }

    /// Whether a key that took so much then cannot have all its cells yet. One that had a place then keeps it
    /// until it has all: if it has none, and this says so, it took of the shared cells.
    pub(super) fn still_lacks(&self, now: Instant, taken: Instant, n: u64) -> bool {
        let spent = self.floor(taken).saturating_add(self.parts(n));
        // By another quota it may have had all sooner.
        taken >= self.since() && now.as_nanos() < self.full(spent)
    }

    /// The first time at which so much is generated.
    #[inline]
    fn at(&self, spent: u64) -> Option<Instant> {
        let needed = spent.saturating_sub(self.burst);
        if needed == 0 {
            return Some(Instant::from_nanos(self.base));
        }
        if self.cells == 0 {
            return None;
        }
        let elapsed = self.period.ceil(needed, self.nanos, self.cells)?;
        self.base.checked_add(elapsed).map(Instant::from_nanos)
    }
}
