//! [`Ratio`]: a number times an exact fraction, rounded down or up, without a division.
//!
//! The fraction is kept with 64 bits after the point. So its product with `x` is wrong by less than
//! `x / 2^64`, which is less than one. Only where the next whole number is nearer than that, the product is
//! looked at in full; that is seldom, and takes multiplications alone.

/// `over / under`; the two themselves are kept by the owner. Zero if `under` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio {
    pub(crate) whole: u64,
    /// In parts of 2^64.
    pub(crate) part: u64,
}

impl Ratio {
    /// For [`floor`](Self::floor).
    pub(crate) fn rounded_down(over: u64, under: u64) -> Self {
        Self::new(over, under, |part, under| part / under)
    }

    /// For [`ceil`](Self::ceil).
    pub(crate) fn rounded_up(over: u64, under: u64) -> Self {
        Self::new(over, under, u128::div_ceil)
    }

    fn new(over: u64, under: u64, divide: fn(u128, u128) -> u128) -> Self {
        if under == 0 {
            return Self { whole: 0, part: 0 };
        }
        // The rest is less than `under`, so this is less than 2^64, rounded up as well.
        let part = divide(u128::from(over % under) << 64, under.into());
        Self { whole: over / under, part: part as u64 }
    }

    /// `floor(x * over / under)`; the largest number there is if that is larger. A ratio and an `over` and
    /// `under` that do not belong together give some number.
    #[inline]
    pub(crate) fn floor(self, x: u64, over: u64, under: u64) -> u64 {
        let (whole, is_large) = x.overflowing_mul(self.whole);
        let [high, low] = wide_product(x, self.part);
        let (floor, is_larger) = whole.overflowing_add(high);
        if low.checked_add(x).is_none() | is_large | is_larger {
            return floor_slowly((!is_large & !is_larger).then_some(floor), x, over, under);
        }
        floor
    }

    /// `ceil(x * over / under)`; none if that is larger than all numbers. For what does not belong together
    /// as [`floor`](Self::floor).
    #[inline]
    pub(crate) fn ceil(self, x: u64, over: u64, under: u64) -> Option<u64> {
        let [high, low] = wide_product(x, self.part);
        let floor = x.checked_mul(self.whole)?.checked_add(high)?;
        if low == 0 {
            return Some(floor);
        }
        if low <= x && reaches(floor, x, over, under) {
            return Some(floor);
        }
        floor.checked_add(1)
    }
}

/// The estimate, or the next number.
#[cold]
fn floor_slowly(estimate: Option<u64>, x: u64, over: u64, under: u64) -> u64 {
    let Some(next) = estimate.and_then(|floor| floor.checked_add(1)) else { return u64::MAX };
    let fits = u128::from(next) * u128::from(under) <= u128::from(x) * u128::from(over);
    if fits { next } else { next - 1 }
}

/// Whether a number is not below `x * over / under`.
#[cold]
fn reaches(number: u64, x: u64, over: u64, under: u64) -> bool {
    u128::from(number) * u128::from(under) >= u128::from(x) * u128::from(over)
}

/// The high and the low word.
#[inline]
fn wide_product(one: u64, other: u64) -> [u64; 2] {
    let product = u128::from(one) * u128::from(other);
    [(product >> 64) as u64, product as u64]
}

#[cfg(all(test, not(loom)))]
mod tests {
    use weirs_runtime::{Entropy, SeededEntropy};

    use super::*;

    /// Numbers of all lengths, each with the neighbours of whole results, where rounding matters.
    #[test]
    fn agrees_with_divisions_in_a_million_cases() {
        let entropy = SeededEntropy::new(7);
        let draw = || entropy.next_u64() >> (entropy.next_u64() % 64);
        for _ in 0..200_000 {
            let (over, under) = (draw(), draw().max(1));
            let (down, up) = (Ratio::rounded_down(over, under), Ratio::rounded_up(over, under));
            let whole = u128::from(draw()) * u128::from(under) / u128::from(over.max(1));
            let near = u64::try_from(whole).unwrap_or(u64::MAX);
            for x in [draw(), near.saturating_sub(1), near, near.saturating_add(1), u64::MAX] {
                let exact = u128::from(x) * u128::from(over);
                let floor = u64::try_from(exact / u128::from(under)).unwrap_or(u64::MAX);
                let ceil = u64::try_from(exact.div_ceil(u128::from(under))).ok();
                assert_eq!(down.floor(x, over, under), floor, "{x} * {over} / {under}");
                assert_eq!(up.ceil(x, over, under), ceil, "{x} * {over} / {under}");
            }
        }
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(Ratio::rounded_down(0, 5).floor(u64::MAX, 0, 5), 0);
        assert_eq!(Ratio::rounded_up(0, 5).ceil(u64::MAX, 0, 5), Some(0));
        assert_eq!(Ratio::rounded_up(5, 0), Ratio { whole: 0, part: 0 });
    }
}
