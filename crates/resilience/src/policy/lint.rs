//! [`Lint`]: what is odd about the order of a stack.

use std::fmt;

use super::{PartPlan, Place, Role};

/// Something odd about the policies of a stack: each is fine, but in this order they do not do what one
/// expects.
///
/// [`Stack::lints`](crate::Stack::lints) lists them,
/// [`build_strict`](crate::StackBuilder::build_strict) makes them errors.
///
/// # Examples
/// ```
/// use weirs_resilience::{LintKind, Stack};
///
/// let stack = Stack::builder().build().unwrap();
/// assert_eq!(stack.lints()[0].kind(), LintKind::NoTimeLimit);
/// println!("{}", stack.lints()[0]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    kind: LintKind,
    places: Vec<Place>,
}

impl Lint {
    /// What it is.
    pub fn kind(&self) -> LintKind {
        self.kind
    }

    /// Which policies of the stack it is about, from the outside in; none if it is about all.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// What is odd.
    pub fn text(&self) -> &'static str {
        self.kind.text()
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        self.kind.remedy()
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places.iter().filter_map(|place| place.index());
        for (nth, place) in places.enumerate() {
            write!(f, "{}{place}", if nth == 0 { "[" } else { ", " })?;
        }
        if !self.places.is_empty() {
            f.write_str("] ")?;
        }
        write!(f, "{}; {}", self.text(), self.remedy())
    }
}

/// What is odd about the order of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LintKind {
    /// Nothing limits the time.
    NoTimeLimit,
    /// A time limit is outside of a breaker, and none is inside; and the breaker takes what is dropped then
    /// for too young to count.
    TimeoutOnlyOutsideBreaker,
    /// A time limit is outside of a retry, and none is inside.
    TimeoutOnlyOutsideRetry,
    /// A time limit is no shorter than one further out.
    TimeoutNeverStrikes,
    /// A fallback is inside of a policy that acts on errors.
    FallbackHidesErrors,
    /// A hedge has no budget.
    HedgeWithoutBudget,
    /// Two retries.
    RetryInRetry,
    /// A breaker is outside of a retry.
    BreakerOutsideRetry,
    /// A limiter is outside of a breaker, and what it spends does not come back.
    SpentBeforeBreaker,
    /// A bulkhead is outside of a retry.
    BulkheadOutsideRetry,
    /// Faults are made outside of all other policies.
    ChaosOutermost,
}

impl LintKind {
    /// What is odd.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoTimeLimit => "nothing limits the time: work that hangs keeps its caller for ever",
            Self::TimeoutOnlyOutsideBreaker => {
                "the time is limited outside of the breaker only: a call that hangs is dropped there, and \
                 the breaker does not see a failure"
            }
            Self::TimeoutOnlyOutsideRetry => {
                "the time is limited outside of the retry only: one attempt that hangs takes all of it, and \
                 no other follows"
            }
            Self::TimeoutNeverStrikes => "the inner time limit is not shorter than the outer one",
            Self::FallbackHidesErrors => {
                "the fallback inside turns every error into an answer: the policy outside of it has nothing \
                 to act on"
            }
            Self::HedgeWithoutBudget => {
                "the hedge has no budget: when the other side gets slow, all calls double its load"
            }
            Self::RetryInRetry => "two retries: their attempts multiply",
            Self::BreakerOutsideRetry => {
                "the breaker is outside of the retry: it counts one failure for many attempts, and an open \
                 circuit does not stop those that run"
            }
            Self::SpentBeforeBreaker => {
                "the limiter is outside of the breaker: a call that the breaker refuses has spent its share"
            }
            Self::BulkheadOutsideRetry => {
                "the bulkhead is outside of the retry: a call holds its place while it pauses"
            }
            Self::ChaosOutermost => "the faults are made outside of all policies: none of them is tested",
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NoTimeLimit => "add a `timeout`, or a `deadline`",
            Self::TimeoutOnlyOutsideBreaker => {
                "add a `timeout` inside of the breaker, or make its `slow_after` no longer than that limit"
            }
            Self::TimeoutOnlyOutsideRetry => "add a `timeout` inside of the retry",
            Self::TimeoutNeverStrikes => "make it shorter, or leave it out",
            Self::FallbackHidesErrors => "put the fallback outside",
            Self::HedgeWithoutBudget => "give it a budget, best that of the retry",
            Self::RetryInRetry => "keep one of them",
            Self::BreakerOutsideRetry => "put the breaker inside",
            Self::SpentBeforeBreaker => "put the limiter inside, or use one that gives back",
            Self::BulkheadOutsideRetry => "put the bulkhead inside",
            Self::ChaosOutermost => "put them innermost",
        }
    }
}

impl fmt::Display for LintKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.text(), self.remedy())
    }
}

/// What is odd about these, from the outside in.
pub(super) fn lints(parts: &[PartPlan]) -> Vec<Lint> {
    let mut found = Vec::new();
    let mut find = |kind, places: &[usize]| {
        let places = places.iter().map(|place| Place(u16::try_from(*place).unwrap_or(u16::MAX))).collect();
        found.push(Lint { kind, places });
    };
    let first =
        |role: Role, among: std::ops::Range<usize>| among.into_iter().find(|i| parts[*i].role() == role);
    let is = |place: usize, roles: &[Role]| roles.contains(&parts[place].role());
    let all = 0..parts.len();
    if first(Role::Timeout, all.clone()).is_none() {
        find(LintKind::NoTimeLimit, &[]);
    }
    if parts.len() > 1 && is(0, &[Role::Chaos]) && !all.clone().all(|place| is(place, &[Role::Chaos])) {
        find(LintKind::ChaosOutermost, &[0]);
    }
    for place in all {
        let (outside, inside) = (0..place, place + 1..parts.len());
        let part = &parts[place];
        if let (Role::Breaker | Role::Retry, Some(timeout), None) =
            (part.role(), first(Role::Timeout, outside.clone()), first(Role::Timeout, inside.clone()))
        {
            let kind = match part.role() {
                Role::Breaker => LintKind::TimeoutOnlyOutsideBreaker,
                _ => LintKind::TimeoutOnlyOutsideRetry,
            };
            // What hangs is old enough by then to be counted, whichever of the limits drops it.
            let limits = || outside.clone().filter(|outer| is(*outer, &[Role::Timeout]));
            let counts = |age| limits().all(|outer| parts[outer].limit().is_some_and(|limit| age <= limit));
            if !part.dropped_count_after().is_some_and(counts) {
                find(kind, &[timeout, place]);
            }
        }
        if let Some(limit) = part.limit() {
            let shorter = |outer: &usize| parts[*outer].limit().is_some_and(|outer| outer <= limit);
            if let Some(outer) = outside.clone().find(shorter) {
                find(LintKind::TimeoutNeverStrikes, &[outer, place]);
            }
        }
        if part.role() == Role::Hedge && !part.is_budgeted() {
            find(LintKind::HedgeWithoutBudget, &[place]);
        }
        let outer_kinds: &[(LintKind, &[Role])] = match part.role() {
            Role::Fallback => &[(LintKind::FallbackHidesErrors, &[Role::Retry, Role::Hedge, Role::Breaker])],
            Role::Retry => &[
                (LintKind::RetryInRetry, &[Role::Retry]),
                (LintKind::BreakerOutsideRetry, &[Role::Breaker]),
                (LintKind::BulkheadOutsideRetry, &[Role::Bulkhead]),
            ],
            Role::Breaker => &[(LintKind::SpentBeforeBreaker, &[Role::RateLimit])],
            _ => &[],
        };
        for (kind, roles) in outer_kinds {
            for outer in outside.clone().filter(|outer| is(*outer, roles)) {
                if *kind != LintKind::SpentBeforeBreaker || !parts[outer].is_given_back() {
                    find(*kind, &[outer, place]);
                }
            }
        }
    }
    found
}
