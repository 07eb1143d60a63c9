//! [`Credit`]: the counter under every rate: how many cells came to be, less how many were spent.
//!
//! `E(now) = burst + floor((now - base) * cells / nanos)` cells were generated, and `spent` of them are
//! gone. A request for `n` is admitted if `max(spent, E - burst) + n <= E`; that sum is then what is spent.
//! Both are whole numbers and the floor is exact, so nothing drifts: there is no "last refill" whose
//! remainder could be lost.
//!
//! Everything is counted in parts of a cell, [`PARTS`] of them: counted in whole cells, a limiter that was
//! full would get its next cell at the next whole one, which may be a moment later, and not a period later.
//!
//! `spent` is one atomic word, so an admission is one exchange and a refusal writes nothing. The word carries
//! the generation of the quota:
//!
//! 1. There are two places for the quota, and the generation's last bit says which one counts.
//! 2. Whoever changes the quota holds the lock, writes the other place, and then exchanges the word for one
//!    of the next generation. So an exchange that was computed with the old quota fails.
//! 3. Whoever only reads looks at the word again afterwards; if its generation changed, it begins anew.

use weirs_runtime::Instant;

use crate::Quota;
use crate::ratio::Ratio;
use crate::sync::{AtomicU64, Mutex, Ordering, fence, lock};

/// The bits of the word that count what is spent; the others are the generation.
const SPENT_BITS: u32 = 56;
const SPENT: u64 = (1 << SPENT_BITS) - 1;
/// What is spent is counted from a new beginning when it gets as large as this.
const LARGE: u64 = 1 << (SPENT_BITS - 1);

/// The parts of a cell.
const PARTS: u64 = 1 << PART_BITS;
pub(crate) const PART_BITS: u32 = 16;

/// See the module.
pub(crate) struct Credit {
    word: AtomicU64,
    places: [Place; 2],
    change: Mutex<()>,
}

/// A quota as atomics: read while it may be written (rule 3).
#[derive(Default)]
struct Place {
    base: AtomicU64,
    burst: AtomicU64,
    cells: AtomicU64,
    nanos: AtomicU64,
    pace: [AtomicU64; 2],
    period: [AtomicU64; 2],
}

/// A quota, and when its counting began; the cells and the burst in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terms {
    base: u64,
    burst: u64,
    cells: u64,
    nanos: u64,
    /// `cells / nanos`.
    pace: Ratio,
    /// `nanos / cells`.
    period: Ratio,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was admitted; so many are left.
    Yes { left: u64 },
    /// The first instant at which it would be admitted, if nobody else asks; none if never.
    No { at: Option<Instant> },
    /// More than can ever gather.
    TooLarge { most: u64 },
}

/// What is kept when the quota changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// The cells that are there, up to the new burst; a debt stays.
    #[default]
    Cells,
    /// The same part of the burst.
    Proportion,
    /// Nothing: the new quota begins full.
    Nothing,
}

impl Credit {
    /// `initial` cells are there at the beginning, at most the burst.
    pub(crate) fn new(quota: Quota, initial: u64, now: Instant) -> Self {
        let terms = Terms::new(quota, now.as_nanos());
        let credit = Self {
            word: AtomicU64::new(terms.burst - parts(initial).min(terms.burst)),
            places: [Place::default(), Place::default()],
            change: Mutex::new(()),
        };
        credit.places[0].write(&terms);
        credit
    }

    /// Takes so many, all or none.
    #[inline]
    pub(crate) fn take(&self, now: Instant, n: u64) -> Taken {
        loop {
            let mut word = self.word.load(Ordering::Acquire);
            let terms = self.terms(word);
            let floor = terms.floor(now);
            // Not for nothing, and not for more than ever gathers: so no sum below is too large for a word.
            while n.wrapping_sub(1) < Quota::MAX_BURST && floor <= LARGE && !terms.is_unlimited() {
                let spent = (word & SPENT).max(floor) + n * PARTS;
                let generated = floor + terms.burst;
                if spent > generated || spent > LARGE {
                    break;
                }
                let next = (word & !SPENT) | spent;
                // Rule 2: whatever of the terms was read, was read before the exchange.
                fence(Ordering::Acquire);
                // Acquire and release: what the admitted does comes after what those before it did.
                match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => return Taken::Yes { left: (generated - spent) / PARTS },
                    // With the same generation the terms are the same.
                    Err(changed) if (changed ^ word) & !SPENT == 0 => word = changed,
                    Err(_) => break,
                }
            }
            if let Some(taken) = self.take_slowly(now, n, word, &terms, floor) {
                return taken;
            }
        }
    }

    /// What is not simply admitted, with what was seen; none if that is not so any more.
    #[inline]
    fn take_slowly(&self, now: Instant, n: u64, word: u64, terms: &Terms, floor: u64) -> Option<Taken> {
        if !self.is_current(word) {
            return None;
        }
        if terms.is_unlimited() || n == 0 {
            return Some(Taken::Yes { left: terms.left(word & SPENT, now) });
        }
        if parts(n) > terms.burst {
            return Some(Taken::TooLarge { most: terms.burst / PARTS });
        }
        // Of one that has all its cells so many could be taken. So what is spent is above the floor, and when
        // there will be enough does not depend on the time: it is known before the clock has answered.
        let spent = (word & SPENT) + parts(n);
        if spent > floor.saturating_add(terms.burst) {
            return Some(Taken::No { at: terms.when(spent) });
        }
        if spent.max(floor.saturating_add(parts(n))) > LARGE {
            self.rebase(now);
        }
        None
    }

    /// When so many could be taken after `ahead` others, if nobody else asks; none if never.
    pub(crate) fn when(&self, now: Instant, ahead: u64, n: u64) -> Option<Instant> {
        loop {
            let word = self.word.load(Ordering::Acquire);
            let terms = self.terms(word);
            if self.is_current(word) {
                if terms.is_unlimited() {
                    return Some(now);
                }
                let spent = (word & SPENT).max(terms.floor(now));
                let at = terms.when(spent.saturating_add(parts(ahead)).saturating_add(parts(n)))?;
                return Some(at.max(now));
            }
        }
    }

    /// Gives cells back that were taken and not used.
    pub(crate) fn give_back(&self, n: u64) {
        self.shift(|spent| spent.saturating_sub(parts(n)));
    }

    /// Takes cells that are not there yet: a debt, which later requests wait for.
    pub(crate) fn owe(&self, now: Instant, n: u64) {
        loop {
            let word = self.word.load(Ordering::Acquire);
            let terms = self.terms(word);
            if terms.is_unlimited() {
                return;
            }
            let spent = (word & SPENT).max(terms.floor(now)).saturating_add(parts(n)).min(SPENT);
            let next = (word & !SPENT) | spent;
            if self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return;
            }
        }
    }

    /// Takes cells that are there at a time to come, which is given; or the time that would be later than
    /// `latest`, and none if there is none.
    pub(crate) fn reserve(&self, now: Instant, n: u64, latest: Instant) -> Result<Instant, Option<Instant>> {
        loop {
            let word = self.word.load(Ordering::Acquire);
            let terms = self.terms(word);
            if !self.is_current(word) {
                continue;
            }
            if terms.is_unlimited() || n == 0 {
                return Ok(now);
            }
            let floor = terms.floor(now);
            let spent = (word & SPENT).max(floor).saturating_add(parts(n));
            // What is only old is counted anew; a debt as large as that stays, as long as a word has room.
            if spent > LARGE && floor > 0 {
                self.rebase(now);
                continue;
            }
            if spent > SPENT {
                return Err(None);
            }
            let at = terms.when(spent).ok_or(None)?.max(now);
            if at > latest {
                return Err(Some(at));
            }
            let next = (word & !SPENT) | spent;
            if self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Ok(at);
            }
        }
    }

    pub(crate) fn quota(&self) -> Quota {
        loop {
            let word = self.word.load(Ordering::Acquire);
            let terms = self.terms(word);
            if self.is_current(word) {
                return Quota::from_parts(terms.cells / PARTS, terms.nanos, terms.burst / PARTS);
            }
        }
    }

    /// The most that can be taken at once.
    pub(crate) fn most(&self) -> u64 {
        loop {
            let word = self.word.load(Ordering::Acquire);
            let terms = self.terms(word);
            if self.is_current(word) {
                return if terms.is_unlimited() { u64::MAX } else { terms.burst / PARTS };
            }
        }
    }

    /// How many are there.
    pub(crate) fn left(&self, now: Instant) -> u64 {
        loop {
            let word = self.word.load(Ordering::Acquire);
            let terms = self.terms(word);
            if self.is_current(word) {
                return terms.left(word & SPENT, now);
            }
        }
    }

    /// From now on another quota.
    pub(crate) fn set_quota(&self, quota: Quota, keep: Keep, now: Instant) {
        let _changing = lock(&self.change);
        self.exchange_terms(Terms::new(quota, now.as_nanos()), |old, spent, new| {
            let floor = old.floor(now);
            let (generated, spent) = (floor.saturating_add(old.burst), spent.max(floor));
            let debt = spent.saturating_sub(generated);
            let left = generated.saturating_sub(spent);
            match keep {
                _ if old.is_unlimited() => 0,
                Keep::Nothing => 0,
                Keep::Cells => new.burst - left.min(new.burst) + debt,
                Keep::Proportion => {
                    let part = u128::from(left) * u128::from(new.burst) / u128::from(old.burst);
                    new.burst - (part as u64).min(new.burst) + debt
                }
            }
        });
    }

    /// The same quota, counted from now on.
    #[cold]
    fn rebase(&self, now: Instant) {
        let _changing = lock(&self.change);
        let terms = self.terms(self.word.load(Ordering::Acquire));
        let new = Terms { base: now.as_nanos().max(terms.base), ..terms };
        self.exchange_terms(new, |old, spent, _| {
            // What is spent stays as far below what is generated, or above it, as it was.
            spent.saturating_sub(old.floor(now))
        });
    }

    /// Rule 2. The lock is held.
    fn exchange_terms(&self, new: Terms, spent: impl Fn(&Terms, u64, &Terms) -> u64) {
        let mut word = self.word.load(Ordering::Acquire);
        let generation = (word >> SPENT_BITS).wrapping_add(1) & (u64::MAX >> SPENT_BITS);
        let old = self.terms(word);
        // Whoever reads the place while it is written sees that the word changed since (rule 3): it read a
        // word of two generations ago.
        fence(Ordering::Release);
        self.places[(generation & 1) as usize].write(&new);
        loop {
            let next = generation << SPENT_BITS | spent(&old, word & SPENT, &new).min(SPENT);
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    fn shift(&self, spent: impl Fn(u64) -> u64) {
        let change = |word: u64| Some((word & !SPENT) | spent(word & SPENT));
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, change);
    }

    #[inline]
    fn terms(&self, word: u64) -> Terms {
        self.places[(word >> SPENT_BITS & 1) as usize].read()
    }

    /// Rule 3.
    #[inline]
    fn is_current(&self, word: u64) -> bool {
        fence(Ordering::Acquire);
        self.word.load(Ordering::Relaxed) >> SPENT_BITS == word >> SPENT_BITS
    }
}

impl Place {
    fn write(&self, terms: &Terms) {
        self.base.store(terms.base, Ordering::Relaxed);
        self.burst.store(terms.burst, Ordering::Relaxed);
        self.cells.store(terms.cells, Ordering::Relaxed);
        self.nanos.store(terms.nanos, Ordering::Relaxed);
        write_ratio(&self.pace, terms.pace);
        write_ratio(&self.period, terms.period);
    }

    #[inline]
    fn read(&self) -> Terms {
        Terms {
            base: self.base.load(Ordering::Relaxed),
            burst: self.burst.load(Ordering::Relaxed),
            cells: self.cells.load(Ordering::Relaxed),
            nanos: self.nanos.load(Ordering::Relaxed),
            pace: read_ratio(&self.pace),
            period: read_ratio(&self.period),
        }
    }
}

fn write_ratio([whole, part]: &[AtomicU64; 2], ratio: Ratio) {
    whole.store(ratio.whole, Ordering::Relaxed);
    part.store(ratio.part, Ordering::Relaxed);
}

#[inline]
fn read_ratio([whole, part]: &[AtomicU64; 2]) -> Ratio {
    Ratio { whole: whole.load(Ordering::Relaxed), part: part.load(Ordering::Relaxed) }
}

impl Terms {
    fn new(quota: Quota, base: u64) -> Self {
        let (cells, nanos) = quota.rate().ratio();
        let (cells, burst) = (cells * PARTS, quota.burst() * PARTS);
        Self {
            base,
            burst,
            cells,
            nanos,
            pace: Ratio::rounded_down(cells, nanos),
            period: Ratio::rounded_up(nanos, cells),
        }
    }

    #[inline]
    fn is_unlimited(&self) -> bool {
        self.nanos == 0
    }

    /// How much was generated without the burst: whoever has spent no more has all cells. (Terms that were
    /// read while they were written may say anything; see rule 3.)
    #[inline]
    fn floor(&self, now: Instant) -> u64 {
        // A clock that went back generates nothing.
        self.pace.floor(now.as_nanos().saturating_sub(self.base), self.cells, self.nanos)
    }

    /// How many are there for whoever comes now.
    #[inline]
    fn left(&self, spent: u64, now: Instant) -> u64 {
        if self.is_unlimited() {
            return u64::MAX;
        }
        let floor = self.floor(now);
        floor.saturating_add(self.burst).saturating_sub(spent.max(floor)) / PARTS
    }

    /// The first instant at which so many are generated; none if never.
    #[inline]
    fn when(&self, spent: u64) -> Option<Instant> {
        let needed = spent.saturating_sub(self.burst);
        if self.cells == 0 {
            return (needed == 0).then_some(Instant::from_nanos(self.base));
        }
        let elapsed = self.period.ceil(needed, self.nanos, self.cells)?;
        self.base.checked_add(elapsed).map(Instant::from_nanos)
    }
}

#[inline]
fn parts(cells: u64) -> u64 {
    cells.saturating_mul(PARTS)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::Rate;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn smoke() {
        let credit = Credit::new(Quota::new(Rate::per_second(10), 2).unwrap(), 2, at(0));
        assert_eq!(credit.take(at(0), 2), Taken::Yes { left: 0 });
        assert_eq!(credit.take(at(0), 1), Taken::No { at: Some(at(100_000_000)) });
        assert_eq!(credit.take(at(99_999_999), 1), Taken::No { at: Some(at(100_000_000)) });
        assert_eq!(credit.take(at(100_000_000), 1), Taken::Yes { left: 0 });
        assert_eq!(credit.take(at(0), 3), Taken::TooLarge { most: 2 });
        credit.owe(at(100_000_000), 3);
        assert_eq!(credit.take(at(300_000_000), 1), Taken::No { at: Some(at(500_000_000)) });
        credit.give_back(3);
        assert_eq!(credit.take(at(300_000_000), 1), Taken::Yes { left: 1 });
    }

    /// Whoever was full gets its next cell a period later, whenever that is.
    #[test]
    fn a_pause_leaves_no_part_of_a_cell() {
        let credit = Credit::new(Quota::smooth(Rate::per_second(1)), 1, at(0));
        for pause in [1_000_000_000, 2_900_000_007, 7_999_999_999_u64] {
            let now = 10 * pause;
            assert_eq!(credit.take(at(now), 1), Taken::Yes { left: 0 });
            let Taken::No { at: Some(next) } = credit.take(at(now), 1) else { panic!("one at a time") };
            let spacing = next.as_nanos() - now;
            assert!((999_984_000..=1_000_000_000).contains(&spacing), "{spacing}");
        }
    }

    #[test]
    fn counting_begins_anew_before_the_word_is_full() {
        let credit = Credit::new(Quota::new(Rate::per_second(1_000_000_000), 10).unwrap(), 10, at(0));
        let mut now = 0;
        for _ in 0..64 {
            now += 1 << 50;
            assert_eq!(credit.take(at(now), 4), Taken::Yes { left: 6 });
            assert_eq!(credit.take(at(now), 7), Taken::No { at: Some(at(now + 1)) });
        }
    }

    proptest! {
        /// Against exact fractions, with quotas of every size.
        #[test]
        fn agrees_with_exact_fractions(
            cells in 1_u64..=1 << 40,
            more in 0_u64..=1 << 50,
            burst in 1_u64..=1_000,
            steps in prop::collection::vec((0_u64..1 << 44, 0_u64..1_200), 1..60),
        ) {
            let nanos = cells + more;
            let quota = Quota::new(Rate::new(cells, Duration::from_nanos(nanos)).unwrap(), burst).unwrap();
            let credit = Credit::new(quota, burst, at(0));
            let (mut now, mut spent) = (0_u64, 0_u128);
            for (wait, n) in steps {
                now += wait / cells.max(1);
                let parts = |cells: u64| u128::from(cells) * u128::from(PARTS);
                let generated = |now: u64| parts(burst) + u128::from(now) * parts(cells) / u128::from(nanos);
                let wanted = spent.max(generated(now) - parts(burst)) + parts(n);
                match credit.take(at(now), n) {
                    Taken::Yes { .. } => {
                        prop_assert!(n == 0 || wanted <= generated(now));
                        spent = if n == 0 { spent } else { wanted };
                    }
                    Taken::TooLarge { most } => prop_assert!(n > most && most == burst),
                    Taken::No { at: Some(then) } => {
                        prop_assert!(wanted > generated(now));
                        prop_assert!(wanted <= generated(then.as_nanos()), "too early");
                        prop_assert!(wanted > generated(then.as_nanos() - 1), "too late");
                    }
                    Taken::No { at: None } => prop_assert!(false, "it will come"),
                }
            }
        }
    }
}
