//! [`Plan`]: what a stack consists of, for people and for the checks at its building.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::{Degradation, Failure, Lint};
use crate::Invalid;

/// Something that can say what it is: every policy, and a whole stack of them.
pub trait Part {
    /// Adds itself to the plan, the outermost first.
    fn explain(&self, plan: &mut Plan);
}

/// What sort of policy it is: the checks at building know what goes well inside what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Another answer in place of an error.
    Fallback,
    /// An answer from before.
    Cache,
    /// A limit of time.
    Timeout,
    /// Several attempts, one after another.
    Retry,
    /// Several attempts at the same time.
    Hedge,
    /// How fast.
    RateLimit,
    /// Not at all while the other side is ill.
    Breaker,
    /// How many at once.
    Bulkhead,
    /// Less while the other side refuses.
    Throttle,
    /// The least important is turned away.
    Shed,
    /// Faults on purpose.
    Chaos,
    /// Anything else.
    Other,
}

/// The policies of a stack, from the outside in, in words.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    parts: Vec<PartPlan>,
}

impl Plan {
    pub(crate) fn of(part: &impl Part) -> Self {
        let mut plan = Self::default();
        part.explain(&mut plan);
        plan
    }

    /// Adds a policy inside those that are there.
    pub fn part(&mut self, role: Role, name: impl Into<Cow<'static, str>>) -> &mut PartPlan {
        self.parts.push(PartPlan::new(role, name.into()));
        self.parts.last_mut().expect("it was pushed just now")
    }

    /// The policies, from the outside in.
    pub fn parts(&self) -> &[PartPlan] {
        &self.parts
    }

    /// What is odd about their order; see [`Lint`](crate::Lint).
    pub fn lints(&self) -> Vec<Lint> {
        super::lint::lints(&self.parts)
    }

    /// What happens to a caller under each failure.
    pub fn degradation(&self) -> Degradation {
        Degradation::of(&self.parts)
    }

    /// The first setting that makes no sense.
    pub fn invalid(&self) -> Option<&Invalid> {
        self.parts.iter().find_map(|part| part.invalid.as_ref())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, part) in self.parts.iter().enumerate() {
            writeln!(f, "{:depth$}{part}", "", depth = depth * 2)?;
        }
        Ok(())
    }
}

/// One policy of a [`Plan`].
#[derive(Clone, Debug)]
pub struct PartPlan {
    role: Role,
    name: Cow<'static, str>,
    says: String,
    invalid: Option<Invalid>,
    once: bool,
    budgeted: bool,
    gives_back: bool,
    limit: Option<Duration>,
    counts_dropped: Option<Duration>,
    failures: Vec<(Failure, Cow<'static, str>)>,
}

impl PartPlan {
    fn new(role: Role, name: Cow<'static, str>) -> Self {
        Self {
            role,
            name,
            says: String::new(),
            invalid: None,
            once: !matches!(role, Role::Retry | Role::Hedge | Role::Other),
            budgeted: false,
            gives_back: false,
            limit: None,
            counts_dropped: None,
            failures: Vec::new(),
        }
    }

    /// What it does, in a few words, with its numbers.
    pub fn says(&mut self, words: impl Into<String>) -> &mut Self {
        self.says = words.into();
        self
    }

    /// A setting that makes no sense, if there is one; the first counts.
    pub fn check(&mut self, result: Result<(), Invalid>) -> &mut Self {
        if let (None, Err(invalid)) = (&self.invalid, result) {
            self.invalid = Some(invalid);
        }
        self
    }

    /// It begins what is inside once at most. So it is taken for all but [`Role::Retry`], [`Role::Hedge`] and
    /// [`Role::Other`].
    pub fn begins_once(&mut self, once: bool) -> &mut Self {
        self.once = once;
        self
    }

    /// Its further attempts come out of a budget.
    pub fn budgeted(&mut self, budgeted: bool) -> &mut Self {
        self.budgeted = budgeted;
        self
    }

    /// What it spent on a call comes back when a policy further in refuses that call.
    pub fn gives_back(&mut self, gives_back: bool) -> &mut Self {
        self.gives_back = gives_back;
        self
    }

    /// What is inside takes no longer than this.
    pub fn limits(&mut self, limit: Duration) -> &mut Self {
        self.limit = Some(limit);
        self
    }

    /// A call that is dropped from further out is a failure to it, once it is so old.
    pub fn counts_dropped_after(&mut self, age: Duration) -> &mut Self {
        self.counts_dropped = Some(age);
        self
    }

    /// What it does at that failure, in a few words, for [`Stack::describe`](crate::Stack::describe). What is
    /// not said is told by the role.
    pub fn on(&mut self, failure: Failure, words: impl Into<Cow<'static, str>>) -> &mut Self {
        self.failures.retain(|(of, _)| *of != failure);
        self.failures.push((failure, words.into()));
        self
    }

    /// Whether it begins what is inside once at most.
    pub fn is_single_shot(&self) -> bool {
        self.once
    }

    /// Whether its further attempts come out of a budget.
    pub fn is_budgeted(&self) -> bool {
        self.budgeted
    }

    /// Whether what it spent comes back when a policy further in refuses.
    pub fn is_given_back(&self) -> bool {
        self.gives_back
    }

    /// How long what is inside takes at most, if it sees to that.
    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// How old a call has to be that is dropped from further out, to be a failure to it; `None` if such calls
    /// are never one.
    pub fn dropped_count_after(&self) -> Option<Duration> {
        self.counts_dropped
    }

    /// What was said [about](Self::on) that failure.
    pub(crate) fn said_on(&self, failure: Failure) -> Option<&str> {
        self.failures.iter().find_map(|(of, words)| (*of == failure).then_some(&**words))
    }

    /// What sort of policy it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does.
    pub fn words(&self) -> &str {
        &self.says
    }
}

impl fmt::Display for PartPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.says.is_empty() {
            write!(f, ": {}", self.says)?;
        }
        Ok(())
    }
}
