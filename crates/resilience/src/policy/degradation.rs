//! [`Degradation`]: what happens to a caller when something fails.

use std::borrow::Cow;
use std::fmt;

use super::{PartPlan, Role};

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The other side answers late.
    Slow,
    /// The other side does not answer at all.
    Hangs,
    /// The other side answers with errors.
    Errors,
    /// The other side refuses, because it has too much to do.
    Refuses,
    /// The work panics.
    Panics,
    /// The caller goes away.
    CallerGone,
    /// There are twice as many calls.
    Doubles,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Slow, Self::Hangs, Self::Errors, Self::Refuses, Self::Panics, Self::CallerGone, Self::Doubles];
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slow => "the other side is slow",
            Self::Hangs => "the other side hangs",
            Self::Errors => "the other side gives errors",
            Self::Refuses => "the other side refuses",
            Self::Panics => "the work panics",
            Self::CallerGone => "the caller goes away",
            Self::Doubles => "the calls double",
        })
    }
}

/// What happens to a caller under each failure; made by [`Stack::describe`](crate::Stack::describe).
///
/// Shown as text it has a paragraph for each failure: what each policy does, from the inside out, and what
/// the caller gets in the end.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Failure, Stack};
///
/// let stack = Stack::builder().timeout(Duration::from_millis(300)).build().unwrap();
/// let plan = stack.describe();
/// let steps = plan.steps(Failure::Hangs);
/// assert_eq!((steps[0].name(), steps[0].words()), ("timeout", "ends it after 300ms"));
/// assert_eq!(plan.outcome(Failure::Hangs), "the caller gets a timeout after 300ms at the latest");
/// println!("{plan}");
/// ```
#[derive(Clone, Debug)]
pub struct Degradation {
    of: Vec<(Failure, Vec<Step>, Cow<'static, str>)>,
}

impl Degradation {
    pub(super) fn of(parts: &[PartPlan]) -> Self {
        let of = |failure| (failure, steps(parts, failure), outcome(parts, failure));
        Self { of: Failure::ALL.into_iter().map(of).collect() }
    }

    /// What each policy does at that failure, from the inside out. Those that do nothing are not in it.
    pub fn steps(&self, failure: Failure) -> &[Step] {
        self.of.iter().find(|(of, ..)| *of == failure).map_or(&[], |(_, steps, _)| steps)
    }

    /// What the caller gets at that failure.
    pub fn outcome(&self, failure: Failure) -> &str {
        self.of.iter().find(|(of, ..)| *of == failure).map_or("", |(.., outcome)| outcome)
    }
}

impl fmt::Display for Degradation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (failure, steps, outcome) in &self.of {
            writeln!(f, "when {failure}")?;
            for step in steps {
                writeln!(f, "  {}: {}", step.name, step.words)?;
            }
            writeln!(f, "  => {outcome}")?;
        }
        Ok(())
    }
}

/// What one policy does at a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    name: String,
    words: String,
}

impl Step {
    /// Which policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does.
    pub fn words(&self) -> &str {
        &self.words
    }
}

fn steps(parts: &[PartPlan], failure: Failure) -> Vec<Step> {
    let step = |part: &PartPlan| {
        let words = part.said_on(failure).or_else(|| by_role(part.role(), failure))?;
        Some(Step { name: part.name().to_owned(), words: words.to_owned() })
    };
    parts.iter().rev().filter_map(step).collect()
}

/// What a policy of that sort does, if it does not say so itself.
fn by_role(role: Role, failure: Failure) -> Option<&'static str> {
    use Failure as F;
    use Role as R;
    Some(match (role, failure) {
        (R::Timeout, F::Slow | F::Hangs) => "ends it when its time is over",
        (R::Retry, F::Slow | F::Hangs) => "tries again after each timeout further in",
        (R::Retry, F::Errors) => "tries again after a pause, as often as it may",
        (R::Retry, F::Refuses) => "tries again after a pause, or when the other side said",
        (R::Retry, F::CallerGone) => "makes no further attempt",
        (R::Hedge, F::Slow | F::Hangs) => "begins another attempt beside it; the first success counts",
        (R::Hedge, F::Errors) => "begins another attempt at once",
        (R::Breaker, F::Slow | F::Hangs) => "counts each timeout further in; then refuses at once",
        (R::Breaker, F::Errors | F::Refuses) => "counts failures; then refuses at once for a while",
        (R::Breaker, F::Panics) => "counts it as a failure",
        (R::Bulkhead, F::Slow | F::Hangs) => "fills up; then refuses what is over its places",
        (R::Bulkhead, F::Doubles) => "refuses what is over its places",
        (R::RateLimit, F::Doubles) => "holds back what is over its rate",
        (R::Throttle, F::Refuses) => "turns away a growing share by itself",
        (R::Throttle, F::Doubles) => "turns away a growing share if the other side refuses",
        (R::Shed, F::Doubles) => "turns away the least important",
        (R::Bulkhead | R::Breaker, F::CallerGone) => "gets back what the call held",
        (R::Fallback, F::Errors | F::Refuses) => "gives another answer",
        (R::Fallback, F::Slow | F::Hangs) => "gives another answer at each timeout further in",
        (R::Cache, F::Errors | F::Refuses) => "may serve an older answer",
        _ => return None,
    })
}

fn outcome(parts: &[PartPlan], failure: Failure) -> Cow<'static, str> {
    let has = |role| parts.iter().any(|part| part.role() == role);
    let timeout = parts.iter().position(|part| part.role() == Role::Timeout);
    // The tightest of those that limit the whole: what stands inside a retry or a hedge limits one attempt.
    let whole = parts.iter().position(|part| matches!(part.role(), Role::Retry | Role::Hedge));
    let limit = parts[..whole.unwrap_or(parts.len())].iter().filter_map(|part| part.limit()).min();
    let fallback = parts.iter().position(|part| part.role() == Role::Fallback);
    let inside = |outer: Option<usize>, inner: Option<usize>| outer.zip(inner).is_some_and(|(o, i)| o < i);
    match failure {
        Failure::Slow | Failure::Hangs if inside(fallback, timeout) => match limit {
            Some(limit) => format!("the caller gets another answer, after {limit:?} at the latest").into(),
            None => "the caller gets another answer".into(),
        },
        Failure::Slow | Failure::Hangs => match (limit, timeout) {
            (Some(limit), _) => format!("the caller gets a timeout after {limit:?} at the latest").into(),
            (None, Some(_)) if parts.iter().any(|part| part.limit().is_some()) => {
                "the caller gets a timeout in the end".into()
            }
            (None, Some(_)) => "the caller gets a timeout by its deadline, if it has one".into(),
            (None, None) if failure == Failure::Hangs => "the caller waits for ever".into(),
            (None, None) => "the caller waits as long as it takes".into(),
        },
        Failure::Errors | Failure::Refuses if fallback.is_some() => "the caller gets another answer".into(),
        Failure::Errors | Failure::Refuses => match (has(Role::Breaker), has(Role::Retry)) {
            (false, false) => "the caller gets the error".into(),
            (false, true) => "the caller gets the last error".into(),
            (true, _) => "the caller gets the error, or a refusal at once while the circuit is open".into(),
        },
        Failure::Panics => "the caller gets the panic".into(),
        Failure::CallerGone => "the work is dropped first, then what the policies hold is given back".into(),
        Failure::Doubles => {
            let limits = [Role::RateLimit, Role::Bulkhead, Role::Throttle, Role::Shed];
            match parts.iter().any(|part| limits.contains(&part.role())) {
                true if fallback.is_some() => "what is over the limits gets another answer".into(),
                true => "what is over the limits is refused or waits".into(),
                false => "the other side gets all of it".into(),
            }
        }
    }
}
