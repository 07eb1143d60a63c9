//! [`first_n`] and [`quorum`]: as many successes as that.

use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;

use super::{Cause, Flow, Joiner, Outcome};
use crate::{ChildId, Reason};

/// The first `n` values, in the order in which they came; the rest is cancelled.
///
/// It fails when all children have ended and there are fewer. After [`close`](crate::Scope::close) it fails
/// as soon as the children that are left are too few. Use [`quorum`] when it is known how many will be
/// spawned.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Scope, joiners};
///
/// let texts = ["1", "x", "2", "3"];
/// let two = NonZeroUsize::new(2).unwrap();
/// let numbers = block_on(Scope::builder().gather(joiners::first_n(two), async |s| {
///     for text in &texts {
///         s.spawn(async move { text.parse::<u32>() });
///     }
/// }));
/// assert_eq!(numbers.unwrap(), [1, 2]);
/// ```
pub fn first_n<T, E>(n: NonZeroUsize) -> FirstN<T, E> {
    FirstN {
        wanted: n,
        of: None,
        closed: false,
        live: 0,
        unsuccessful: 0,
        values: Vec::new(),
        errors: Vec::new(),
    }
}

/// The first `n` values of `of` children; the rest is cancelled.
///
/// It fails, and cancels the rest, as soon as so many failed or were cancelled that `n` of `of` cannot
/// succeed any more, whether or not all `of` were spawned. Otherwise like [`first_n`].
///
/// # Errors
/// `n` is more than `of`.
///
/// # Examples
/// A write that two of three replicas have to take:
/// ```
/// use std::num::NonZeroUsize;
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Scope, joiners};
///
/// let two = NonZeroUsize::new(2).unwrap();
/// let quorum = joiners::quorum(two, 3).unwrap();
/// let written = block_on(Scope::builder().gather(quorum, async |s| {
///     s.spawn(async { Ok("a") });
///     s.spawn(async { Err("b is full") });
///     s.spawn(async { Err("c is down") });
/// }));
/// let error = written.unwrap_err().failed().unwrap();
/// assert_eq!(error.values(), ["a"]);
/// assert_eq!(error.errors(), ["b is full", "c is down"]);
///
/// assert!(joiners::quorum::<(), ()>(two, 1).is_err());
/// ```
pub fn quorum<T, E>(n: NonZeroUsize, of: usize) -> Result<FirstN<T, E>, ImpossibleQuorum> {
    if n.get() > of {
        return Err(ImpossibleQuorum { wanted: n, of });
    }
    Ok(FirstN { of: Some(of), ..first_n(n) })
}

/// The joiner that [`first_n`] and [`quorum`] make.
#[must_use = "a joiner does nothing before a scope is run with it"]
pub struct FirstN<T, E> {
    wanted: NonZeroUsize,
    of: Option<usize>,
    closed: bool,
    live: usize,
    /// How many failed or were cancelled.
    unsuccessful: usize,
    values: Vec<T>,
    errors: Vec<E>,
}

impl<T, E> FirstN<T, E> {
    /// Whether there are enough, or never will be.
    fn flow(&self) -> Flow {
        let missing = self.wanted.get() - self.values.len();
        let too_many_failed = self.of.is_some_and(|of| self.unsuccessful > of - self.wanted.get());
        if missing == 0 {
            Flow::Stop(Reason::NotNeeded)
        } else if too_many_failed || (self.closed && self.live < missing) {
            Flow::Stop(Reason::SiblingFailed)
        } else {
            Flow::Continue
        }
    }
}

impl<T, E> Joiner<Result<T, E>> for FirstN<T, E> {
    type Out = Vec<T>;
    type Error = TooFew<T, E>;

    fn on_spawn(&mut self, _: ChildId) {
        self.live += 1;
    }

    fn on_close(&mut self) -> Flow {
        self.closed = true;
        self.flow()
    }

    fn on_end(&mut self, _: ChildId, outcome: Outcome<Result<T, E>>) -> Flow {
        self.live -= 1;
        match outcome {
            Outcome::Output(Ok(value)) => self.values.push(value),
            Outcome::Output(Err(error)) => {
                self.errors.push(error);
                self.unsuccessful += 1;
            }
            Outcome::Cancelled(_) | Outcome::Panicked => self.unsuccessful += 1,
        }
        self.flow()
    }

    fn finish(self, _: &Cause) -> Result<Vec<T>, TooFew<T, E>> {
        if self.values.len() == self.wanted.get() {
            Ok(self.values)
        } else {
            Err(TooFew { wanted: self.wanted, values: self.values, errors: self.errors })
        }
    }
}

impl<T, E> fmt::Debug for FirstN<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstN")
            .field("wanted", &self.wanted)
            .field("of", &self.of)
            .field("values", &self.values.len())
            .field("unsuccessful", &self.unsuccessful)
            .finish_non_exhaustive()
    }
}

/// The error of [`first_n`] and [`quorum`]: fewer children succeeded than were wanted.
#[derive(Clone, PartialEq, Eq)]
pub struct TooFew<T, E> {
    wanted: NonZeroUsize,
    values: Vec<T>,
    errors: Vec<E>,
}

impl<T, E> TooFew<T, E> {
    /// How many were wanted.
    pub fn wanted(&self) -> NonZeroUsize {
        self.wanted
    }

    /// The values of those that succeeded, in the order in which they came.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The errors, in the order in which they came.
    pub fn errors(&self) -> &[E] {
        &self.errors
    }

    /// The values and the errors.
    pub fn into_parts(self) -> (Vec<T>, Vec<E>) {
        (self.values, self.errors)
    }
}

impl<T, E: fmt::Debug> fmt::Debug for TooFew<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TooFew")
            .field("wanted", &self.wanted)
            .field("values", &self.values.len())
            .field("errors", &self.errors)
            .finish()
    }
}

impl<T, E: fmt::Display> fmt::Display for TooFew<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} wanted children succeeded", self.values.len(), self.wanted)?;
        match self.errors.first() {
            Some(first) => write!(f, "; the first error: {first}"),
            None => Ok(()),
        }
    }
}

impl<T, E: Error + 'static> Error for TooFew<T, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.errors.first().map(|error| error as _)
    }
}

/// The error of [`quorum`]: it asks for more successes than there are children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImpossibleQuorum {
    wanted: NonZeroUsize,
    of: usize,
}

impl fmt::Display for ImpossibleQuorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {} children, {} can never succeed", self.of, self.wanted)
    }
}

impl Error for ImpossibleQuorum {}
