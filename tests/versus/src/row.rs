//! [`Row`]: what is compared with what, and [`Measured`]: what came of it.

use crate::statistics::Spread;

/// What a row says before anything is measured.
#[derive(Clone, Debug)]
pub struct Row {
    /// A path: the subject first, the peer last.
    pub name: String,
    /// Whom we are measured against, with its version; none for what is only reported.
    pub peer: Option<String>,
    /// What the numbers count.
    pub unit: Unit,
    /// The ratio that shall not be exceeded; none for what is only reported.
    pub goal: Option<f64>,
}

impl Row {
    /// A row in nanoseconds without a goal.
    pub fn new(name: impl Into<String>, peer: impl Into<String>) -> Self {
        Self { name: name.into(), peer: Some(peer.into()), unit: Unit::Nanoseconds, goal: None }
    }

    /// A row of ours alone, in nanoseconds.
    pub fn alone(name: impl Into<String>) -> Self {
        Self { peer: None, ..Self::new(name, "") }
    }

    /// The same row in another unit.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// The same row with a goal: our cost is at most this many times the peer's.
    #[must_use]
    pub fn goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self
    }

    /// A row beside it, only reported: its name has one more part.
    #[must_use]
    pub fn beside(&self, part: &str) -> Self {
        Self { name: format!("{}/{part}", self.name), goal: None, ..self.clone() }
    }
}

/// What the numbers of a row count. Lower is better, except for [`Unit::StepsPerSecond`], which has no peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds for one operation.
    Nanoseconds,
    /// Bytes for one item.
    Bytes,
    /// Machine instructions for one operation.
    Instructions,
    /// Steps of the simulator in a second.
    StepsPerSecond,
    /// How many times the cheapest the dearest costs.
    Times,
    /// How often something happens for each item: counted, not timed.
    Each,
    /// So many of a hundred items.
    Percent,
}

impl Unit {
    /// As it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Bytes => "bytes",
            Self::Instructions => "instructions",
            Self::StepsPerSecond => "steps/s",
            Self::Times => "times",
            Self::Each => "each",
            Self::Percent => "percent",
        }
    }

    /// The unit that is written so.
    pub fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Nanoseconds,
            Self::Bytes,
            Self::Instructions,
            Self::StepsPerSecond,
            Self::Times,
            Self::Each,
            Self::Percent,
        ];
        all.into_iter().find(|unit| unit.name() == name)
    }
}

/// A row and its numbers.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The row.
    pub row: Row,
    /// Our cost.
    pub ours: Spread,
    /// The peer's.
    pub peer: Option<Spread>,
    /// The ratios of neighbouring rounds.
    pub ratio: Option<Spread>,
    /// The rounds themselves.
    pub rounds: Samples,
}

impl Measured {
    /// The row with what its rounds gave.
    pub fn new(row: Row, rounds: Samples) -> Self {
        let (ours, peer, ratio) = match &rounds {
            Samples::Alone(ours) => (Spread::of(ours.iter().copied()), None, None),
            Samples::Pairs(pairs) => (
                Spread::of(pairs.iter().map(|pair| pair.0)),
                Some(Spread::of(pairs.iter().map(|pair| pair.1))),
                Some(Spread::of(pairs.iter().map(|pair| pair.0 / pair.1))),
            ),
        };
        Self { row, ours, peer, ratio, rounds }
    }

    /// Whether the goal is met; none without a goal, or without a peer to hold it against.
    pub fn met(&self) -> Option<bool> {
        Some(self.ratio?.median <= self.row.goal?)
    }

    /// Whether the goal is missed.
    pub fn missed(&self) -> bool {
        self.met() == Some(false)
    }

    /// The better of two measurements of one row: the one with the lower median ratio.
    #[must_use]
    pub fn better(self, other: Self) -> Self {
        let median = |measured: &Self| measured.ratio.map_or(f64::INFINITY, |ratio| ratio.median);
        if median(&other) < median(&self) { other } else { self }
    }
}

/// What the rounds of one row gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// Ours and the peer's, round by round.
    Pairs(Vec<(f64, f64)>),
    /// Ours.
    Alone(Vec<f64>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(goal: Option<f64>, pairs: &[(f64, f64)]) -> Measured {
        let row = Row { goal, ..Row::new("a/b", "peer 1.0") };
        Measured::new(row, Samples::Pairs(pairs.to_vec()))
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_and_not_of_the_medians() {
        // The machine was four times slower in the second round, for both.
        let measured = measured(None, &[(1.0, 2.0), (4.0, 8.0), (1.5, 2.0)]);
        assert_eq!(measured.ratio.unwrap().median, 0.5);
        assert_eq!(measured.ours.median, 1.5);
    }

    #[test]
    fn a_goal_is_an_upper_bound() {
        assert_eq!(measured(Some(0.5), &[(1.0, 2.0)]).met(), Some(true));
        assert_eq!(measured(Some(0.4), &[(1.0, 2.0)]).met(), Some(false));
        assert_eq!(measured(None, &[(1.0, 2.0)]).met(), None);
        let alone = Measured::new(Row::alone("a").goal(1.0), Samples::Alone(vec![1.0]));
        assert_eq!(alone.met(), None);
    }

    #[test]
    fn the_better_measurement_counts() {
        let (bad, good) = (measured(Some(0.5), &[(3.0, 2.0)]), measured(Some(0.5), &[(1.0, 2.0)]));
        assert!(!bad.clone().better(good.clone()).missed());
        assert!(!good.better(bad).missed());
    }
}
