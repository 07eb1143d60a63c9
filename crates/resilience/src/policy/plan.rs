//! [`Plan`]: what a stack consists of, for people and for the checks at its building.

use std::borrow::Cow;
use std::fmt;

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
        self.parts.push(PartPlan { role, name: name.into(), says: String::new(), invalid: None });
        self.parts.last_mut().expect("it was pushed just now")
    }

    /// The policies, from the outside in.
    pub fn parts(&self) -> &[PartPlan] {
        &self.parts
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
}

impl PartPlan {
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
