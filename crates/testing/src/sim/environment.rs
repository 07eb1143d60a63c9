//! The environment variables that say which seeds a test tries.

use std::fmt;
use std::str::FromStr;

use super::schedule::Schedule;

/// How many seeds a test tries if nobody says anything.
const SEEDS: u64 = 200;
/// How many it tries under `WEIRS_DEEP`.
const DEEP_SEEDS: u64 = 10_000;

/// What the environment says about seeds; see the page of [`sim`](super).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    pub(super) seed: Option<u64>,
    pub(super) schedule: Option<Schedule>,
    pub(super) seeds: Option<u64>,
    pub(super) deep: bool,
}

impl Environment {
    /// # Panics
    /// When a variable does not say what it should.
    pub(super) fn read() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            seed: parsed("WEIRS_SEED", &variable),
            schedule: parsed("WEIRS_SCHEDULE", &variable),
            seeds: parsed("WEIRS_SEEDS", &variable),
            deep: variable("WEIRS_DEEP").is_some_and(|value| !value.is_empty() && value != "0"),
        }
    }

    /// How many seeds a test tries that does not say so itself.
    pub(super) fn seed_count(&self) -> u64 {
        self.seeds.unwrap_or(if self.deep { DEEP_SEEDS } else { SEEDS })
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(name: &str, variable: impl Fn(&str) -> Option<String>) -> Option<T> {
    let value = variable(name).filter(|value| !value.is_empty())?;
    match value.parse() {
        Ok(parsed) => Some(parsed),
        Err(error) => panic!("the environment says {name}={value}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_variables(|name| {
            variables.iter().find(|variable| variable.0 == name).map(|variable| variable.1.to_owned())
        })
    }

    #[test]
    fn says_which_seeds() {
        assert_eq!(environment(&[]).seed_count(), SEEDS);
        assert_eq!(environment(&[("WEIRS_DEEP", "1")]).seed_count(), DEEP_SEEDS);
        assert_eq!(environment(&[("WEIRS_DEEP", "1"), ("WEIRS_SEEDS", "7")]).seed_count(), 7);
        assert!(!environment(&[("WEIRS_DEEP", "0")]).deep);
        let pasted = environment(&[("WEIRS_SEED", "17"), ("WEIRS_SCHEDULE", "pct3")]);
        assert_eq!((pasted.seed, pasted.schedule), (Some(17), Some(Schedule::Pct { depth: 3 })));
    }

    #[test]
    #[should_panic(expected = "the environment says WEIRS_SCHEDULE=lifo: no schedule is called \"lifo\"")]
    fn a_slip_is_told() {
        environment(&[("WEIRS_SCHEDULE", "lifo")]);
    }
}
