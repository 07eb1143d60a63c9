//! [`Axis`]: a scale of logarithms.

/// Where numbers lie between two ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    /// The least number and the greatest.
    pub(super) numbers: (f64, f64),
    /// Where they are drawn.
    pub(super) ends: (f64, f64),
}

impl Axis {
    /// For these numbers, and at least so many times from the least to the greatest, with some room about
    /// them. What is not above zero has no place on it.
    pub(super) fn about(numbers: impl IntoIterator<Item = f64>, times: f64, ends: (f64, f64)) -> Self {
        let good = numbers.into_iter().filter(|number| number.is_finite() && *number > 0.0);
        let (low, high) =
            good.fold((f64::INFINITY, 0.0_f64), |(low, high), number| (low.min(number), high.max(number)));
        let (low, high) = if high > 0.0 { (low, high) } else { (1.0, 1.0) };
        let widen = (times / (high / low)).max(1.0).sqrt() * 1.12;
        Self { numbers: (low / widen, high * widen), ends }
    }

    /// Where a number is drawn; one beyond an end is drawn at that end.
    pub(super) fn at(self, number: f64) -> f64 {
        let (low, high) = self.numbers;
        let part = (number.clamp(low, high) / low).ln() / (high / low).ln();
        self.ends.0 + (self.ends.1 - self.ends.0) * part
    }

    /// Round numbers within it, at most so many or few more.
    pub(super) fn ticks(self, most: usize) -> Vec<f64> {
        let (low, high) = self.numbers;
        let decades =
            || (low.log10().floor() as i32..=high.log10().ceil() as i32).map(|power| 10_f64.powi(power));
        let of = |steps: &[f64]| -> Vec<f64> {
            let all = decades().flat_map(|decade| steps.iter().map(move |step| decade * step));
            all.filter(|tick| *tick >= low * 0.999 && *tick <= high * 1.001).collect()
        };
        for steps in [&[1.0, 1.5, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0]] {
            let ticks = of(steps);
            if ticks.len() <= most {
                return ticks;
            }
        }
        let coarse = of(&[1.0]);
        let every = coarse.len().div_ceil(most).max(1);
        coarse.into_iter().step_by(every).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(numbers: (f64, f64), ends: (f64, f64)) -> Axis {
        Axis { numbers, ends }
    }

    #[test]
    fn a_tenth_of_the_numbers_is_a_step_of_the_same_width() {
        let axis = between((0.1, 10.0), (100.0, 300.0));
        assert_eq!(
            [0.1, 1.0, 10.0, 99.0].map(|number| axis.at(number).round()),
            [100.0, 200.0, 300.0, 300.0]
        );
    }

    #[test]
    fn there_is_room_about_the_numbers() {
        let axis = Axis::about([5.0, 5.0, f64::NAN, 0.0], 10.0, (0.0, 1.0));
        assert!(axis.numbers.0 < 5.0 / 3.0 && axis.numbers.1 > 15.0, "{axis:?}");
        assert_eq!(Axis::about([], 10.0, (0.0, 1.0)).at(1.0), 0.5);
    }

    #[test]
    fn ticks_are_round_and_few() {
        let near = |ticks: Vec<f64>, known: &[f64]| {
            ticks.len() == known.len()
                && ticks.iter().zip(known).all(|(tick, known)| (tick / known - 1.0).abs() < 1e-9)
        };
        assert!(near(between((0.3, 6.0), (0.0, 1.0)).ticks(6), &[0.5, 1.0, 2.0, 5.0]));
        assert!(near(between((0.01, 10.0), (0.0, 1.0)).ticks(6), &[0.01, 0.1, 1.0, 10.0]));
        assert!(between((1e-9, 1e9), (0.0, 1.0)).ticks(8).len() <= 8);
    }
}
