//! [`Budget`]: how many attempts beyond the first all calls together may make.

mod in_flight;
mod share;
mod throttling;
mod tokens;

use std::fmt;
use std::sync::Arc;

pub use in_flight::InFlightBudget;
pub use share::ShareBudget;
pub use throttling::ThrottlingBudget;
pub use tokens::TokenBudget;

use crate::Invalid;
use crate::sync::{AtomicU64, Ordering};

/// A token in parts, so that a share of one is a whole number.
pub(crate) const TOKEN: u64 = 1_000_000;

/// How many attempts beyond the first all calls together may make.
///
/// When the other side is ill, every call fails, and every call is tried again: three retries a call are four
/// times the load, on a server that could not bear the load it had. A budget bounds that for all calls
/// together. It is shared by whatever goes to one server: retries and hedges, of one stack or of many.
/// Cloning is cheap, and clones share.
///
/// | kind | an attempt beyond the first may begin while |
/// |---|---|
/// | [`share`](Budget::share) | these are at most a share of the last seconds' calls, and a few a second |
/// | [`tokens`](Budget::tokens) | tokens are left; a success brings them back |
/// | [`throttling`](Budget::throttling) | not too many attempts failed for each that went well |
/// | [`in_flight`](Budget::in_flight) | these are at most a share of the calls that run |
///
/// Use a share of the calls if in doubt: [`Budget::default`] is one. A share of what is in flight needs no
/// time and reacts at once, but counts each call on the happy path too.
///
/// It is withdrawn from before the pause that comes before an attempt, so that calls which all pause at the
/// same time are counted. Whoever is dropped in that pause gives back what he took.
///
/// # Examples
/// ```
/// use weirs_resilience::Budget;
///
/// let budget = Budget::share(0.2).floor(0).build()?;
/// for _call in 0..10 {
///     budget.deposit();
/// }
/// let first = budget.try_withdraw().unwrap();
/// first.spend();
/// let second = budget.try_withdraw().unwrap();
/// assert!(budget.try_withdraw().is_none(), "20 % of 10 calls");
/// // The second attempt was not made after all.
/// drop(second);
/// assert!(budget.try_withdraw().is_some());
/// # Ok::<(), weirs_resilience::Invalid>(())
/// ```
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    kind: Kind,
    refused: AtomicU64,
}

enum Kind {
    Share(share::Share),
    Tokens(tokens::Tokens),
    Throttling(throttling::Throttling),
    InFlight(in_flight::InFlight),
}

impl Budget {
    /// At most this share of the calls of the last ten seconds, and ten more each second.
    ///
    /// As in Finagle. The share is exact to a millionth.
    pub fn share(share: f64) -> ShareBudget {
        ShareBudget::new(share)
    }

    /// So many tokens, of which an attempt costs five, and one after a timeout ten.
    ///
    /// As in the AWS SDKs. An attempt that goes well brings back what it cost, and a call that goes well at
    /// once brings one token.
    pub fn tokens(tokens: u32) -> TokenBudget {
        TokenBudget::new(tokens)
    }

    /// So many tokens, of which each failure costs one and each success brings `ratio`; there are further
    /// attempts only while more than half of them are there.
    ///
    /// As gRPC's retry throttling.
    pub fn throttling(tokens: u32, ratio: f64) -> ThrottlingBudget {
        ThrottlingBudget::new(tokens, ratio)
    }

    /// At most this share of the calls that run at the moment, but always three.
    ///
    /// As in Envoy; those who pause before their attempt are counted too. It counts the calls that go through
    /// a [`Retry`](crate::Retry) or a hedge.
    pub fn in_flight(share: f64) -> InFlightBudget {
        InFlightBudget::new(share)
    }

    fn new(kind: Kind) -> Self {
        Self(Arc::new(Shared { kind, refused: AtomicU64::new(0) }))
    }

    /// A call that went well at its first attempt. For a [`share`](Budget::share) it is enough that there was
    /// one.
    ///
    /// A retry or a hedge does this by itself.
    #[inline]
    pub fn deposit(&self) {
        match &self.0.kind {
            Kind::Share(share) => share.deposit(),
            Kind::Tokens(tokens) => tokens.deposit(),
            Kind::Throttling(throttling) => throttling.succeeded(),
            Kind::InFlight(_) => {}
        }
    }

    /// An attempt failed. Only [`throttling`](Budget::throttling) asks for it.
    ///
    /// A retry or a hedge does this by itself.
    pub fn failed(&self) {
        if let Kind::Throttling(throttling) = &self.0.kind {
            throttling.failed();
        }
    }

    /// Takes what an attempt beyond the first costs, if it is there. It never waits.
    ///
    /// Take it before the pause that comes before the attempt. What is dropped goes back;
    /// [`spend`](Withdrawal::spend) it when the attempt begins.
    #[inline]
    pub fn try_withdraw(&self) -> Option<Withdrawal<'_>> {
        Some(Withdrawal { budget: self, taken: Some(self.take(Want::Attempt)?) })
    }

    /// What is there.
    pub fn stats(&self) -> BudgetStats {
        let mut stats = match &self.0.kind {
            Kind::Share(share) => share.stats(),
            Kind::Tokens(tokens) => tokens.stats(),
            Kind::Throttling(throttling) => throttling.stats(),
            Kind::InFlight(in_flight) => in_flight.stats(),
        };
        stats.refused = self.0.refused.load(Ordering::Relaxed);
        stats
    }

    /// A call begins.
    #[inline]
    pub(crate) fn call_began(&self) {
        match &self.0.kind {
            Kind::Share(share) => share.deposit(),
            Kind::InFlight(in_flight) => in_flight.enter(),
            Kind::Tokens(_) | Kind::Throttling(_) => {}
        }
    }

    /// A call that [began](Budget::call_began) is over; what it took was [settled](Budget::settle) before.
    #[inline]
    pub(crate) fn call_ended(&self, end: CallEnd) {
        match (&self.0.kind, end) {
            (Kind::Tokens(tokens), CallEnd::AtOnce) => tokens.deposit(),
            (Kind::Throttling(throttling), CallEnd::AtOnce | CallEnd::Later) => throttling.succeeded(),
            (Kind::InFlight(in_flight), _) => in_flight.leave(),
            _ => {}
        }
    }

    /// What an attempt costs, if it is there. Whoever takes has to [settle](Budget::settle).
    #[inline]
    pub(crate) fn take(&self, want: Want) -> Option<Taken> {
        let taken = match &self.0.kind {
            Kind::Share(share) => share.take(),
            Kind::Tokens(tokens) => tokens.take(want),
            Kind::Throttling(throttling) => throttling.take(),
            Kind::InFlight(in_flight) => in_flight.take(),
        };
        if taken.is_none() {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// What came of the attempt that was paid for.
    #[inline]
    pub(crate) fn settle(&self, taken: Taken, fate: Fate) {
        match (&self.0.kind, taken, fate) {
            (Kind::Share(share), Taken::Share { epoch }, Fate::NotMade) => share.give_back(epoch),
            (Kind::Tokens(tokens), Taken::Tokens { cost }, Fate::NotMade | Fate::Succeeded) => {
                tokens.give_back(cost);
            }
            (Kind::InFlight(in_flight), Taken::InFlight, _) => in_flight.give_back(),
            _ => {}
        }
    }

    /// Which one it is, among all that are alive.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// In a few words, for a plan.
    pub(crate) fn words(&self) -> String {
        match &self.0.kind {
            Kind::Share(share) => share.words(),
            Kind::Tokens(tokens) => tokens.words(),
            Kind::Throttling(throttling) => throttling.words(),
            Kind::InFlight(in_flight) => in_flight.words(),
        }
    }
}

/// A fifth of the calls of the last ten seconds, and ten each second.
impl Default for Budget {
    fn default() -> Self {
        Self::share(0.2).build().expect("the values make sense")
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("kind", &self.words()).field("stats", &self.stats()).finish()
    }
}

/// What is in a [`Budget`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetStats {
    /// How many attempts beyond the first could begin now, one after another, if nothing else happened.
    pub available: u64,
    /// How many such attempts are paid for and not over, pauses included. Only a budget of what is
    /// [in flight](Budget::in_flight) knows; zero for the others.
    pub running: u64,
    /// How often there was not enough.
    pub refused: u64,
}

/// What was taken from a [`Budget`]; made by [`Budget::try_withdraw`].
///
/// Dropped, it goes back as if it had never been taken.
#[must_use = "what is dropped goes back"]
pub struct Withdrawal<'b> {
    budget: &'b Budget,
    taken: Option<Taken>,
}

impl Withdrawal<'_> {
    /// The attempt was made, and this is gone.
    ///
    /// Of a budget of what is [in flight](Budget::in_flight) call it when the attempt is over; of
    /// [tokens](Budget::tokens) drop it instead if the attempt went well.
    #[inline]
    pub fn spend(mut self) {
        if let Some(taken) = self.taken.take() {
            self.budget.settle(taken, Fate::Failed);
        }
    }
}

impl Drop for Withdrawal<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.budget.settle(taken, Fate::NotMade);
        }
    }
}

impl fmt::Debug for Withdrawal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Withdrawal").finish_non_exhaustive()
    }
}

/// What the attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Attempt,
    /// The one before took too long.
    AfterTimeout,
}

/// How a call was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// It went well at its first attempt.
    AtOnce,
    /// It went well at a later one.
    Later,
    /// It failed, or was dropped.
    Failed,
}

/// What came of an attempt that was paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It never began.
    NotMade,
    /// It went well.
    Succeeded,
    /// It failed, or was dropped while it ran.
    Failed,
}

/// A receipt: plain data for the state of a policy. It has to be [settled](Budget::settle) with the budget
/// that it came from.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "it has to be settled"]
pub(crate) enum Taken {
    /// From the deposits of that epoch, or from the floor.
    Share {
        epoch: Option<u64>,
    },
    Tokens {
        cost: u32,
    },
    Throttling,
    InFlight,
}

/// A share in parts of a token.
fn parts(field: &'static str, share: f64, most: f64) -> Result<u64, Invalid> {
    match share {
        share if share.is_nan() => Err(Invalid::new(field, "not a number")),
        share if share < 0.0 => Err(Invalid::new(field, "below zero")),
        share if share > most => Err(Invalid::new(field, "more than makes sense")),
        share => Ok((share * TOKEN as f64).round() as u64),
    }
}

/// A share of parts, for people.
fn percent(parts: u64) -> f64 {
    parts as f64 * 100.0 / TOKEN as f64
}
