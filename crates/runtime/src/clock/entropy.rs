//! [`Entropy`]: where a clock's chance comes from, and the generator behind both the real and the seeded
//! kind.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::sync::{AtomicU64, Ordering};

/// A source of random numbers for jitter, fair choice and load balancing; not for secrets.
///
/// A [`Clock`](crate::Clock) carries one, so that code which only holds a clock can be replayed from a seed.
pub trait Entropy: Send + Sync + 'static {
    /// The next number, uniform over all of `u64`.
    fn next_u64(&self) -> u64;
}

/// A generator that gives the same numbers for the same seed (SplitMix64).
///
/// One atomic addition a number, so threads may share it; how they interleave then decides who gets which.
///
/// # Examples
/// ```
/// use weirs_runtime::{Entropy, SeededEntropy};
///
/// let (one, two) = (SeededEntropy::new(17), SeededEntropy::new(17));
/// assert_eq!(one.next_u64(), two.next_u64());
/// ```
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A generator that nobody can foretell, seeded by the system.
    pub fn from_system() -> Self {
        Self::new(RandomState::new().build_hasher().finish())
    }
}

impl Entropy for SeededEntropy {
    fn next_u64(&self) -> u64 {
        const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        // Only the sum matters, not what other memory it comes with.
        let mut z = self.0.fetch_add(GOLDEN_GAMMA, Ordering::Relaxed).wrapping_add(GOLDEN_GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A number below `bound`, each equally likely; zero when `bound` is zero.
///
/// Lemire's method: the high half of a product, drawn again for the few low halves that would tilt it.
pub(super) fn below(entropy: &dyn Entropy, bound: u64) -> u64 {
    let reject_below = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
    loop {
        let product = u128::from(entropy.next_u64()) * u128::from(bound);
        if product as u64 >= reject_below {
            return (product >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_published_numbers() {
        // The first outputs of SplitMix64 for seed 1234567, as its reference implementation prints them.
        let entropy = SeededEntropy::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| entropy.next_u64()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn two_generators_of_the_system_differ() {
        assert_ne!(SeededEntropy::from_system().next_u64(), SeededEntropy::from_system().next_u64());
    }

    #[test]
    fn below_is_even_and_in_bounds() {
        let entropy = SeededEntropy::new(3);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[below(&entropy, 6) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!(below(&entropy, 1), 0);
        assert_eq!(below(&entropy, 0), 0);
    }
}
