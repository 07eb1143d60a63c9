//! Numbers as people read them.

use crate::row::Unit;
use crate::statistics::Spread;
use crate::table;

/// A cost with its unit, for a table: `98.8 µs`.
pub(super) fn cost(cost: f64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => format!("{} B", grouped(cost)),
        Unit::StepsPerSecond => format!("{} a second", large(cost)),
        Unit::Each => trimmed(format!("{cost:.3}")),
        _ => table::written(cost, unit).replace(" us", " µs"),
    }
}

/// The same where a round number is marked on an axis: `100 µs`.
pub(super) fn mark(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds => {
            let (scaled, name) = match value {
                value if value < 0.999e3 => (value, "ns"),
                value if value < 0.999e6 => (value / 1e3, "µs"),
                value if value < 0.999e9 => (value / 1e6, "ms"),
                value => (value / 1e9, "s"),
            };
            format!("{} {name}", plain(scaled))
        }
        Unit::Bytes => format!("{} B", plain(value)),
        Unit::StepsPerSecond => large(value),
        _ => plain(value),
    }
}

/// A ratio and the middle half of its rounds: `0.42 (0.40 to 0.45)`.
pub(super) fn ratio(ratio: Spread) -> String {
    let [low, median, high] = [ratio.low, ratio.median, ratio.high].map(short);
    if low == high { median } else { format!("{median} ({low} to {high})") }
}

/// A ratio alone, with the digits that mean something.
pub(super) fn short(ratio: f64) -> String {
    match ratio {
        ratio if ratio < 0.001 => format!("{ratio:.4}"),
        ratio if ratio < 0.1 => format!("{ratio:.3}"),
        ratio if ratio < 10.0 => format!("{ratio:.2}"),
        ratio if ratio < 100.0 => format!("{ratio:.1}"),
        ratio => format!("{ratio:.0}"),
    }
}

/// A goal: `1.5`, and not `0.14285714285714285`.
pub(super) fn goal(goal: f64) -> String {
    trimmed(format!("{goal:.3}"))
}

/// A number of few digits: `0.5`, `20`, `1,000`.
pub(super) fn plain(number: f64) -> String {
    if number >= 999.5 { grouped(number) } else { trimmed(format!("{number:.6}")) }
}

/// Thousands and millions by their letters: `1.5 M`.
fn large(number: f64) -> String {
    match number {
        number if number < 0.9999e3 => trimmed(format!("{number:.1}")),
        number if number < 0.9999e6 => format!("{} k", trimmed(format!("{:.1}", number / 1e3))),
        number => format!("{} M", trimmed(format!("{:.1}", number / 1e6))),
    }
}

/// `12,345`.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = if number < -0.5 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Without zeros at the end behind a point.
fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_have_the_unit_in_which_they_are_short() {
        assert_eq!(cost(98_765.4, Unit::Nanoseconds), "98.8 µs");
        assert_eq!(cost(1_883.4, Unit::Bytes), "1,883 B");
        assert_eq!(cost(6.5e6, Unit::StepsPerSecond), "6.5 M a second");
        assert_eq!(cost(0.05, Unit::Each), "0.05");
    }

    #[test]
    fn marks_on_an_axis_are_round() {
        let marks = [1.0, 500.0, 1e3, 2e4, 1e6, 1e9].map(|value| mark(value, Unit::Nanoseconds));
        assert_eq!(marks, ["1 ns", "500 ns", "1 µs", "20 µs", "1 ms", "1 s"]);
        assert_eq!([0.01, 0.5, 1.0, 1e3, 1e6].map(plain), ["0.01", "0.5", "1", "1,000", "1,000,000"]);
    }

    #[test]
    fn ratios_keep_the_digits_that_mean_something() {
        assert_eq!(
            [0.000_31, 0.0123, 0.4, 12.34, 1234.0].map(short),
            ["0.0003", "0.012", "0.40", "12.3", "1234"]
        );
        assert_eq!(goal(1.0 / 7.0), "0.143");
        assert_eq!(ratio(Spread { low: 0.4, median: 0.42, high: 0.45 }), "0.42 (0.40 to 0.45)");
        assert_eq!(ratio(Spread { low: 2.0, median: 2.0, high: 2.0 }), "2.00");
    }
}
