//! [`Histogram`]: quantiles of latencies in fixed memory.

use std::fmt;

/// Each power of two is split into so many parts.
const PARTS: u64 = 16;
const BITS: u32 = PARTS.trailing_zeros();
const BUCKETS: usize = (64 - BITS as usize + 1) * PARTS as usize;

/// Counts by size, each bucket a sixteenth of a power of two wide.
pub struct Histogram {
    buckets: [u32; BUCKETS],
    count: u64,
    sum: u64,
}

impl Histogram {
    /// Counts this value.
    pub fn add(&mut self, value: u64) {
        let bucket = &mut self.buckets[index(value)];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean of the values, exactly; zero of none.
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }

    /// The value below which such a share lies; within a bucket it is taken to be spread evenly.
    pub fn quantile(&self, share: f64) -> u64 {
        let mut left = share * self.count as f64;
        for (index, &count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = f64::from(count);
            if left <= count {
                let (from, width) = bounds(index);
                return from.saturating_add((width as f64 * left / count) as u64);
            }
            left -= count;
        }
        0
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], count: 0, sum: 0 }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").field("count", &self.count).finish_non_exhaustive()
    }
}

fn index(value: u64) -> usize {
    if value < PARTS {
        return value as usize;
    }
    let shift = value.ilog2() - BITS;
    ((u64::from(shift) + 1) * PARTS + ((value >> shift) - PARTS)) as usize
}

/// Where a bucket begins, and how wide it is.
fn bounds(index: usize) -> (u64, u64) {
    let index = index as u64;
    match (index / PARTS).checked_sub(1) {
        None => (index, 1),
        Some(shift) => ((PARTS + index % PARTS) << shift, 1 << shift),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_within_its_bucket() {
        for value in (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) | (1 << (bit / 2))]) {
            let (from, width) = bounds(index(value));
            assert!(from <= value && value - from < width, "{value}: {from} {width}");
        }
        let (from, width) = bounds(index(u64::MAX));
        assert_eq!(from + (width - 1), u64::MAX);
    }

    #[test]
    fn quantiles_are_a_sixteenth_off_at_most() {
        let mut histogram = Histogram::default();
        (1..=10_000_u64).for_each(|value| histogram.add(value * 1_000));
        for share in [0.01, 0.1, 0.5, 0.9, 0.99, 1.0] {
            let (found, exact) = (histogram.quantile(share) as f64, share * 1e7);
            assert!((found / exact - 1.0).abs() < 1.0 / 16.0, "{share}: {found} {exact}");
        }
        assert_eq!(histogram.mean(), 5_000_500);
        histogram.clear();
        assert_eq!((histogram.count(), histogram.mean(), histogram.quantile(0.5)), (0, 0, 0));
    }
}
