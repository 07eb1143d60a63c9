//! [`Report`]: what became of every endpoint, each exactly once, and how it is told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::check::Fault;
use super::options::Options;
use super::targets::Targets;

/// What became of the endpoints.
#[derive(Debug)]
pub struct Report {
    pub(super) targets: Arc<Targets>,
    pub(super) states: Vec<State>,
    /// When which host's circuit opened.
    pub(super) openings: Vec<(Duration, String)>,
    pub(super) elapsed: Duration,
    pub(super) was_interrupted: bool,
    runtime: String,
    concurrency: usize,
    done: usize,
    ill: usize,
}

/// Where an endpoint stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    NotStarted,
    /// Begun, and if that is the last of it, cancelled.
    Begun,
    Done(Outcome),
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) attempts: u32,
    /// Nanoseconds, in half the room that two durations take: there is one of these for each endpoint.
    begun: u64,
    took: u64,
}

impl Outcome {
    pub(super) fn new(verdict: Verdict, attempts: u32, begun: Duration, took: Duration) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self { verdict, attempts, begun: nanos(begun), took: nanos(took) }
    }

    /// Since the beginning of all.
    pub(super) fn begun(&self) -> Duration {
        Duration::from_nanos(self.begun)
    }

    pub(super) fn took(&self) -> Duration {
        Duration::from_nanos(self.took)
    }
}

/// What an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Well(u16),
    Ill(Fault),
    TimedOut,
    /// The host was left in peace, because it failed too often.
    NotAsked,
}

/// The rows of the table, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Healthy,
    Unhealthy,
    Unreachable,
    TimedOut,
    NotAsked,
    Cancelled,
    NotStarted,
}

impl Class {
    pub(super) const ALL: [Self; 7] = [
        Self::Healthy,
        Self::Unhealthy,
        Self::Unreachable,
        Self::TimedOut,
        Self::NotAsked,
        Self::Cancelled,
        Self::NotStarted,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed out",
            Self::NotAsked => "circuit open",
            Self::Cancelled => "cancelled",
            Self::NotStarted => "not started",
        }
    }
}

impl State {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::NotStarted => Class::NotStarted,
            Self::Begun => Class::Cancelled,
            Self::Done(outcome) => match outcome.verdict {
                Verdict::Well(_) => Class::Healthy,
                Verdict::Ill(Fault::Status(_) | Fault::NoHttp) => Class::Unhealthy,
                Verdict::Ill(_) => Class::Unreachable,
                Verdict::TimedOut => Class::TimedOut,
                Verdict::NotAsked => Class::NotAsked,
            },
        }
    }

    fn attempts(&self) -> usize {
        match self {
            Self::Done(outcome) => outcome.attempts as usize,
            _ => 0,
        }
    }

    /// Why it is not healthy, or its status.
    pub(super) fn why(&self) -> String {
        match self {
            Self::NotStarted => "not started".to_owned(),
            Self::Begun => "cancelled".to_owned(),
            Self::Done(outcome) => match outcome.verdict {
                Verdict::Well(status) => format!("status {status}"),
                Verdict::Ill(fault) => fault.to_string(),
                Verdict::TimedOut => "no answer in time".to_owned(),
                Verdict::NotAsked => "its host was left in peace".to_owned(),
            },
        }
    }
}

impl Report {
    pub(super) fn new(options: &Options, targets: Arc<Targets>) -> Self {
        Self {
            states: vec![State::NotStarted; targets.endpoints.len()],
            targets,
            openings: Vec::new(),
            elapsed: Duration::ZERO,
            was_interrupted: false,
            runtime: match options.kind {
                crate::net::Kind::Smol => "smol".to_owned(),
                crate::net::Kind::AsyncStd => "async-std".to_owned(),
                crate::net::Kind::Tokio => "tokio".to_owned(),
                crate::net::Kind::Sim(seed) => format!("the simulator, seed {seed}"),
            },
            concurrency: options.concurrency,
            done: 0,
            ill: 0,
        }
    }

    pub(super) fn begins(&mut self, at: usize) {
        self.states[at] = State::Begun;
    }

    /// It was not begun after all.
    pub(super) fn waits(&mut self, at: usize) {
        self.states[at] = State::NotStarted;
    }

    pub(super) fn ends(&mut self, at: usize, outcome: Outcome) {
        self.done += 1;
        self.ill += usize::from(!matches!(outcome.verdict, Verdict::Well(_)));
        self.states[at] = State::Done(outcome);
    }

    pub(super) fn interrupted(&mut self) {
        self.was_interrupted = true;
    }

    pub(super) fn over(&mut self, openings: Vec<(Duration, String)>, elapsed: Duration) {
        self.openings = openings;
        self.elapsed = elapsed;
    }

    /// How many are done, and how many of them are not well.
    pub(super) fn done(&self) -> (usize, usize) {
        (self.done, self.ill)
    }

    /// What the process ends with.
    pub fn exit_status(&self) -> u8 {
        match (self.was_interrupted, self.ill) {
            (true, _) => 130,
            (false, 0) => 0,
            (false, _) => 1,
        }
    }

    /// How long the checks took that ended so, in order.
    pub(super) fn times(&self, class: Class) -> Vec<Duration> {
        let mut times: Vec<_> = self
            .states
            .iter()
            .filter(|state| state.class() == class)
            .filter_map(|state| match state {
                State::Done(outcome) => Some(outcome.took()),
                _ => None,
            })
            .collect();
        times.sort_unstable();
        times
    }

    fn count(&self, class: Class) -> usize {
        self.states.iter().filter(|state| state.class() == class).count()
    }

    /// Why how many are not healthy, the most first.
    pub(super) fn reasons(&self) -> Vec<(String, usize)> {
        let mut reasons = BTreeMap::new();
        for state in self.states.iter().filter(|state| state.class() != Class::Healthy) {
            *reasons.entry(state.why()).or_insert(0) += 1;
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
        reasons
    }
}

/// A number with the word for what it counts.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The time below which so many in a hundred of the sorted times are.
pub(super) fn percentile(times: &[Duration], percent: usize) -> Option<Duration> {
    let at = (times.len() * percent).div_ceil(100).max(1) - 1;
    times.get(at).copied()
}

/// Milliseconds with as many places as mean something.
pub(super) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 100.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(f, false)
    }
}

impl Report {
    /// The table, with colours or without.
    pub(super) fn table(&self, colours: bool) -> String {
        let mut table = String::new();
        self.tell(&mut table, colours).expect("a string takes everything");
        table
    }

    fn tell(&self, f: &mut impl fmt::Write, colours: bool) -> fmt::Result {
        let (red, green, off) = if colours { ("\x1b[31m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
        writeln!(f, "{:<14}{:>10}{:>12}{:>12}{:>12}", "outcome", "endpoints", "p50", "p95", "p99")?;
        for class in Class::ALL {
            let number = self.count(class);
            if number == 0 {
                continue;
            }
            let colour = if class == Class::Healthy { green } else { red };
            write!(f, "{colour}{:<14}{off}{number:>10}", class.name())?;
            // What was not asked took no time.
            let times = if class == Class::NotAsked { Vec::new() } else { self.times(class) };
            for percent in [50, 95, 99] {
                let time = percentile(&times, percent).map_or("-".to_owned(), millis);
                write!(f, "{time:>12}")?;
            }
            writeln!(f)?;
        }
        let reasons = self.reasons();
        if !reasons.is_empty() {
            writeln!(f, "\nwhy")?;
            for (why, number) in &reasons {
                writeln!(f, "  {number:>6}  {why}")?;
            }
        }
        let attempts = self.states.iter().map(State::attempts).sum();
        writeln!(
            f,
            "\n{} of {} in {:.2} s on {}, {} at once\n{}, {} opened{}",
            counted(self.states.len(), "endpoint", "endpoints"),
            counted(self.targets.hosts.len(), "host", "hosts"),
            self.elapsed.as_secs_f64(),
            self.runtime,
            self.concurrency.min(self.states.len()),
            counted(attempts, "attempt", "attempts"),
            counted(self.openings.len(), "circuit", "circuits"),
            if self.was_interrupted { "; interrupted" } else { "" },
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let at = |percent| percentile(&times, percent).unwrap().as_millis();
        assert_eq!((at(0), at(50), at(95), at(99), at(100)), (1, 100, 190, 198, 200));
        assert_eq!(percentile(&times[..1], 99), Some(times[0]));
        assert_eq!(percentile(&[], 50), None);
    }

    proptest! {
        #[test]
        fn so_many_are_not_above_a_percentile(
            mut times in prop::collection::vec(0u64..50, 1..80),
            percent in 1..=100usize,
        ) {
            times.sort_unstable();
            let times: Vec<_> = times.into_iter().map(Duration::from_millis).collect();
            let found = percentile(&times, percent).unwrap();
            let (below, to) = (
                times.iter().filter(|time| **time < found).count(),
                times.iter().filter(|time| **time <= found).count(),
            );
            prop_assert!(below * 100 < percent * times.len() && to * 100 >= percent * times.len());
        }
    }
}
