//! The oracle: every choice of a simulation is one of its numbers.

/// A generator of numbers that follow from the seed alone (SplitMix64).
#[derive(Debug)]
pub(super) struct Oracle(u64);

impl Oracle {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds start far apart: a step of the generator is the multiplication with this
        // constant.
        let mut oracle = Self(seed ^ 0x5851_f42d_4c95_7f2d);
        Self(oracle.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`, which is not zero. The tilt of one part in 2^64 / `bound` finds no bug and
    /// misses none.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        (self.next() >> 11) as f64 / ((1_u64 << 53) as f64) < probability
    }

    /// A number below `1 << bits`, each order of magnitude equally likely: small ones often, large ones at
    /// times.
    pub(super) fn magnitude(&mut self, bits: u64) -> u64 {
        let magnitude = 1 << self.below(bits + 1);
        self.below(magnitude)
    }
}

/// Spreads the bits of a number over all of it.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoke() {
        let (mut one, mut two, mut other) = (Oracle::new(1), Oracle::new(1), Oracle::new(2));
        let first = one.next();
        assert_eq!(first, two.next());
        assert_ne!(first, other.next());
        assert!((0..1000).all(|_| one.below(6) < 6));
        assert!((0..1000).all(|_| one.magnitude(3) < 8));
        assert!(one.one_in(1));
        assert!(!one.chance(0.0));
        assert!(one.chance(1.0));
    }
}
