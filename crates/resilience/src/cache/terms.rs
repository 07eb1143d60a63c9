//! [`CacheTerms`]: how long answers are good, and what happens when there is no new one.

use std::fmt;
use std::time::Duration;

use weirs_runtime::Clock;

use crate::{ByDefault, Class, Classify, Error, Invalid, Reason};

/// How long answers are good, and what happens when there is no new one: for a [`Cache`](crate::Cache) or a
/// [`CacheSlot`](crate::CacheSlot).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Cache, CacheTerms};
///
/// let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
/// // Good for five minutes, renewed after four, and for an hour better than an error.
/// let terms = CacheTerms::ttl(minutes(5)).refresh_after(minutes(4)).stale_for(minutes(60)).share_errors();
/// let quotes = Cache::<String, f64, &'static str>::new(1_000, terms).unwrap();
/// # let _ = quotes;
/// ```
#[must_use = "terms do nothing by themselves"]
pub struct CacheTerms<T, E> {
    pub(super) ttl: Duration,
    pub(super) refresh_after: Option<Duration>,
    pub(super) stale_for: Duration,
    pub(super) keep_errors_for: Option<Duration>,
    pub(super) clock: Clock,
    judge: Option<Box<Judge<T, E>>>,
    share: Option<fn(&E) -> E>,
}

type Judge<T, E> = dyn Classify<T, E> + Send + Sync;

impl<T, E> CacheTerms<T, E> {
    /// An answer is good for so long from when it came.
    pub fn ttl(ttl: Duration) -> Self {
        Self {
            ttl,
            refresh_after: None,
            stale_for: Duration::ZERO,
            keep_errors_for: None,
            clock: Clock::default(),
            judge: None,
            share: None,
        }
    }

    /// When a good answer is so old, the first who asks gets a new one, and waits for it; whoever else asks
    /// meanwhile gets the one that is there.
    ///
    /// There is no background task: an answer that nobody asks for is not renewed.
    pub fn refresh_after(mut self, age: Duration) -> Self {
        self.refresh_after = Some(age);
        self
    }

    /// For so long after its time an answer is still better than an error: it is given when the call fails,
    /// or is refused, as by an open circuit.
    pub fn stale_for(mut self, longer: Duration) -> Self {
        self.stale_for = longer;
        self
    }

    /// What outcomes mean; [`ByDefault`] if nothing is said.
    ///
    /// A success is kept. A permanent error takes the place of the answer that was there. With anything else
    /// an old answer is given, if there is one; if not, the outcome itself, and it is not kept.
    ///
    /// # Panics
    /// A panic of `judge` is passed on to the caller whose call it was; another caller takes over.
    pub fn classify(mut self, judge: impl Classify<T, E> + Send + Sync + 'static) -> Self {
        self.judge = Some(Box::new(judge));
        self
    }

    /// The clock whose time counts: real time unless said otherwise.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// The error of a call goes to all who waited for it.
    ///
    /// Without this only timeouts and refusals go to all. After an error of the work, the next of those who
    /// wait calls, and so on, one after another: every one of them gets an error of its own.
    pub fn share_errors(mut self) -> Self
    where
        E: Clone,
    {
        self.share = Some(E::clone);
        self
    }

    /// Keeps [permanent](Class::Permanent) errors for so long: whoever asks meanwhile gets the same error.
    /// Errors are shared then.
    pub fn keep_errors_for(mut self, age: Duration) -> Self
    where
        E: Clone,
    {
        self.keep_errors_for = Some(age);
        self.share_errors()
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        let invalid = |field, why| Err(Invalid::new(field, why));
        if self.ttl.is_zero() {
            return invalid("cache.ttl", "no time at all; nothing would ever be good");
        }
        if self.refresh_after.is_some_and(|age| age >= self.ttl) {
            return invalid("cache.refresh_after", "not before the answer's time is over");
        }
        match self.keep_errors_for {
            Some(age) if age.is_zero() => {
                invalid("cache.keep_errors_for", "no time at all; nothing would ever be kept")
            }
            Some(_) if self.judge.is_none() => {
                invalid("cache.keep_errors_for", "without `classify` no error is permanent")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn judge(&self, result: &Result<T, Error<E>>) -> Class {
        match &self.judge {
            Some(judge) => judge.classify(result),
            None => ByDefault.classify(result),
        }
    }

    /// The same error for others, if it is one of theirs too.
    pub(super) fn share(&self, error: &Error<E>) -> Option<Error<E>> {
        match error {
            Error::Inner(error) => self.share.map(|share| Error::Inner(share(error))),
            Error::Timeout(timed_out) => Some(Error::Timeout(*timed_out)),
            // The one who called had too little time, or came over too many retries; others have not.
            Error::Rejected(rejection)
                if matches!(rejection.reason(), Reason::Deadline | Reason::Amplified) =>
            {
                None
            }
            Error::Rejected(rejection) => Some(Error::Rejected(*rejection)),
        }
    }
}

impl<T, E> fmt::Debug for CacheTerms<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheTerms")
            .field("ttl", &self.ttl)
            .field("refresh_after", &self.refresh_after)
            .field("stale_for", &self.stale_for)
            .field("keep_errors_for", &self.keep_errors_for)
            .field("classify", &self.judge.is_some())
            .field("share_errors", &self.share.is_some())
            .finish_non_exhaustive()
    }
}
