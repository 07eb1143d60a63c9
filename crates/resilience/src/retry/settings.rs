//! How a [`Retry`] is set up, and what it says of itself.

use std::time::Duration;

use super::{NotSent, Retry, When};
use crate::{Backoff, Budget, ByDefault, Invalid, Jitter, Part, Plan, Role};

impl Retry {
    /// With these pauses. Three retries, unless [`retries`](Retry::retries) says otherwise.
    pub const fn with(backoff: Backoff) -> Self {
        Self {
            backoff,
            retries: 3,
            max_amplification: u32::MAX,
            min_attempt_time: Duration::ZERO,
            wait_for_ready: false,
            budget: None,
            classify: ByDefault,
        }
    }

    /// Without pauses.
    pub const fn immediate() -> Self {
        Self::with(Backoff::none())
    }

    /// With pauses that are always the same.
    pub const fn constant(delay: Duration) -> Self {
        Self::with(Backoff::constant(delay))
    }

    /// With pauses of once, twice, three times this.
    pub const fn linear(base: Duration) -> Self {
        Self::with(Backoff::linear(base))
    }

    /// With pauses that are each twice as long as the one before.
    pub const fn exponential(base: Duration) -> Self {
        Self::with(Backoff::exponential(base))
    }

    /// With pauses by chance between `base` and three times the one before.
    pub const fn decorrelated(base: Duration) -> Self {
        Self::with(Backoff::decorrelated(base))
    }
}

impl<C> Retry<C> {
    /// How often it is tried again: so many attempts beyond the first.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// No pause is longer, jitter and what the other side asks for included; see [`Backoff::cap`].
    pub fn cap(mut self, cap: Duration) -> Self {
        self.backoff = self.backoff.cap(cap);
        self
    }

    /// How chance moves the pauses; see [`Backoff::jitter`].
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.backoff = self.backoff.jitter(jitter);
        self
    }

    /// What the pauses grow by; see [`Backoff::factor`].
    pub fn factor(mut self, factor: f64) -> Self {
        self.backoff = self.backoff.factor(factor);
        self
    }

    /// How many retries all calls together may make. The budget counts each call, and each retry takes from
    /// it before its pause.
    ///
    /// A call that goes through several who share one budget is counted once.
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// How long an attempt takes at least: one that would have less time is not made.
    pub fn min_attempt_time(mut self, time: Duration) -> Self {
        self.min_attempt_time = time;
        self
    }

    /// No retry if the far end could see more than so many requests for one at the top.
    ///
    /// Retries inside of retries multiply: three layers of four attempts are 64 requests. See
    /// [`Attempt::amplification`](crate::Attempt::amplification); a stack inside the work knows of those
    /// above it by [`under`](crate::Call::under).
    pub fn max_amplification(mut self, requests: u32) -> Self {
        self.max_amplification = requests;
        self
    }

    /// When a policy further in refuses and says when to come again, it waits for that, if the deadline
    /// allows; each wait is a millisecond at least.
    ///
    /// Such a wait is no retry: it costs no budget, and there may be any number of them. A call that has no
    /// deadline waits for as long as it is refused.
    pub fn wait_for_ready(mut self) -> Self {
        self.wait_for_ready = true;
        self
    }

    /// Only errors of the work for which this is true are tried again; and timeouts.
    ///
    /// # Examples
    /// ```
    /// use std::io::{Error, ErrorKind};
    /// use std::time::Duration;
    /// use weirs_resilience::Retry;
    ///
    /// let policy = Retry::exponential(Duration::from_millis(50))
    ///     .when(|error: &Error| error.kind() == ErrorKind::ConnectionReset);
    /// # let _ = policy;
    /// ```
    pub fn when<E, F: Fn(&E) -> bool>(self, worth_another: F) -> Retry<When<F>> {
        self.classified(|_| When(worth_another))
    }

    /// What each outcome means; see [`Classify`](crate::Classify).
    ///
    /// # Examples
    /// The other side says when to come again:
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::{Class, Error, Retry};
    ///
    /// enum Answer { Busy { retry_after: Duration }, NotFound }
    ///
    /// let policy = Retry::exponential(Duration::from_millis(50)).classify(
    ///     |result: &Result<String, Error<Answer>>| match result {
    ///         Ok(_) => Class::Success,
    ///         Err(Error::Inner(Answer::Busy { retry_after })) => Class::After(*retry_after),
    ///         Err(Error::Inner(Answer::NotFound)) => Class::Permanent,
    ///         Err(Error::Rejected(_)) => Class::Ignored,
    ///         Err(_) => Class::Failure,
    ///     },
    /// );
    /// # let _ = policy;
    /// ```
    pub fn classify<D>(self, classify: D) -> Retry<D> {
        self.classified(|_| classify)
    }

    /// For work that must not be done twice: only what never reached the other side is tried again.
    ///
    /// `sent` tells whether the request got there before it failed: `Some(false)` if it surely did not. A
    /// timeout may strike when the request is there, so it is not tried again. Say what is worth another
    /// attempt before this, by [`when`](Retry::when) or [`classify`](Retry::classify).
    ///
    /// # Examples
    /// ```
    /// use std::io::{Error, ErrorKind};
    /// use std::time::Duration;
    /// use weirs_resilience::Retry;
    ///
    /// let policy = Retry::exponential(Duration::from_millis(50)).only_if_not_sent(|error: &Error| {
    ///     match error.kind() {
    ///         ErrorKind::ConnectionRefused => Some(false),
    ///         _ => None,
    ///     }
    /// });
    /// # let _ = policy;
    /// ```
    pub fn only_if_not_sent<E, F: Fn(&E) -> Option<bool>>(self, sent: F) -> Retry<NotSent<C, F>> {
        self.classified(|classify| NotSent { classify, sent })
    }

    fn classified<D>(self, change: impl FnOnce(C) -> D) -> Retry<D> {
        Retry {
            backoff: self.backoff,
            retries: self.retries,
            max_amplification: self.max_amplification,
            min_attempt_time: self.min_attempt_time,
            wait_for_ready: self.wait_for_ready,
            budget: self.budget,
            classify: change(self.classify),
        }
    }
}

impl<C> Part for Retry<C> {
    fn explain(&self, plan: &mut Plan) {
        let mut words = format!("up to {} times again; {}", self.retries, self.backoff);
        if let Some(budget) = &self.budget {
            words += &format!("; budget: {}", budget.words());
        }
        if self.wait_for_ready {
            words += "; waits where it is refused";
        }
        let check = match (self.retries, self.max_amplification) {
            (0, _) => Err(Invalid::new("retry.retries", "none at all; then it is no retry")),
            (_, 0) => Err(Invalid::new("retry.max_amplification", "no request at all")),
            _ => self.backoff.check(),
        };
        plan.part(Role::Retry, "retry").says(words).budgeted(self.budget.is_some()).check(check);
    }
}
