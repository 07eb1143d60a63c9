//! The strict window of segments: one more of them is counted than a window has.

use super::locked::Count;

pub(crate) struct Segments {
    limit: u64,
    /// How long one is.
    length: u64,
    phase: u64,
    /// A ring; the segment with the number `k` stands at `k` modulo its length.
    counts: Box<[u64]>,
    /// The number of the last one.
    segment: u64,
    total: u64,
}

impl Segments {
    pub(super) fn new(limit: u64, length: u64, segments: usize, phase: u64) -> Self {
        let counts = vec![0; segments + 1].into_boxed_slice();
        Self { limit, length, phase, counts, segment: 0, total: 0 }
    }

    fn number(&self, at: u64) -> u64 {
        ((u128::from(at) + u128::from(self.phase)) / u128::from(self.length)) as u64
    }

    fn place(&self, segment: u64) -> usize {
        (segment % self.counts.len() as u64) as usize
    }
}

impl Count for Segments {
    fn limit(&self) -> u64 {
        self.limit
    }

    fn advance(&mut self, now: u64) {
        let segment = self.number(now);
        let gone = (segment - self.segment).min(self.counts.len() as u64);
        for over in self.segment + 1..=self.segment + gone {
            let place = self.place(over);
            self.total -= std::mem::take(&mut self.counts[place]);
        }
        self.segment = segment;
    }

    fn left(&self, _: u64) -> u64 {
        self.limit - self.total
    }

    fn charge(&mut self, _: u64, n: u64) {
        let place = self.place(self.segment);
        self.counts[place] += n;
        self.total += n;
    }

    fn give_back(&mut self, taken: u64, n: u64) {
        let first = self.number(taken);
        if self.segment - first.min(self.segment) >= self.counts.len() as u64 {
            return;
        }
        let mut n = n;
        for segment in first..=self.segment {
            let place = self.place(segment);
            let back = n.min(self.counts[place]);
            self.counts[place] -= back;
            self.total -= back;
            n -= back;
        }
    }

    fn when(&self, now: u64, n: u64) -> Option<u64> {
        let mut excess = (self.total + n).saturating_sub(self.limit);
        if excess == 0 {
            return Some(now);
        }
        // The oldest stands after the last; it is forgotten when the next begins.
        for next in 1..=self.counts.len() as u64 {
            excess = excess.saturating_sub(self.counts[self.place(self.segment + next)]);
            if excess == 0 {
                let begin = u128::from(self.segment + next) * u128::from(self.length);
                return u64::try_from(begin - u128::from(self.phase)).ok();
            }
        }
        None
    }

    fn cycle(&self) -> u64 {
        self.length.saturating_mul(self.counts.len() as u64 - 1)
    }
}
