//! Medians and what surrounds them.

/// The middle of some numbers, and the middle half around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// A quarter of the numbers lie below.
    pub low: f64,
    /// Half of them do.
    pub median: f64,
    /// Three quarters do.
    pub high: f64,
}

impl Spread {
    /// Of these numbers, in any order.
    ///
    /// # Panics
    /// Without a number there is no middle.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        assert!(!sorted.is_empty(), "a measurement has at least one round");
        sorted.sort_by(f64::total_cmp);
        Self { low: quantile(&sorted, 0.25), median: quantile(&sorted, 0.5), high: quantile(&sorted, 0.75) }
    }
}

/// The median of some numbers, in any order.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    Spread::of(numbers).median
}

/// The number below which this part of the sorted numbers lies; between two of them it is drawn straight.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_numbers() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([7.0]), 7.0);
    }

    #[test]
    fn the_spread_is_the_middle_half() {
        let spread = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(spread, Spread { low: 2.0, median: 3.0, high: 4.0 });
    }

    #[test]
    fn one_wild_round_moves_nothing() {
        assert_eq!(median([1.0, 1.0, 1.0, 1.0, 900.0]), 1.0);
    }

    #[test]
    #[should_panic(expected = "at least one round")]
    fn no_rounds_no_median() {
        median([]);
    }
}
