//! [`Reason`]: why something was cancelled, and [`Cancelled`]: the error that carries it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why something was cancelled.
///
/// The first cause is kept: whoever cancels a token that is cancelled already changes nothing. Every token
/// below the one that was cancelled tells the same reason.
///
/// # Examples
/// ```
/// use weirs_scopes::{CancelToken, Reason};
///
/// let token = CancelToken::new();
/// let request = token.child();
/// token.cancel("the configuration changed");
/// assert_eq!(request.reason().unwrap().to_string(), "the configuration changed");
/// assert_ne!(request.reason(), Some(Reason::Deadline));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Somebody asked for it and gave no other reason.
    Requested,
    /// Its deadline has passed.
    Deadline,
    /// Another child of the same scope failed.
    SiblingFailed,
    /// Nobody needs its result any more: what others gave was enough.
    NotNeeded,
    /// The scope or the [guard](crate::DropGuard) that it belonged to was dropped.
    ScopeDropped,
    /// The program is shutting down.
    Shutdown,
    /// Something else: a text or an error of the caller's own.
    Other(Arc<dyn Error + Send + Sync>),
}

impl Reason {
    /// An error of the caller's own; `downcast_ref` on what is in [`Reason::Other`] finds it again.
    ///
    /// # Examples
    /// ```
    /// use weirs_scopes::{CancelToken, Reason};
    ///
    /// let token = CancelToken::new();
    /// token.cancel(Reason::error("x".parse::<u32>().unwrap_err()));
    /// match token.reason() {
    ///     Some(Reason::Other(error)) => assert!(error.is::<std::num::ParseIntError>()),
    ///     other => panic!("{other:?}"),
    /// }
    /// ```
    pub fn error(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Other(Arc::new(error))
    }
}

/// Texts and errors of the caller's own are equal when they are clones of one, not when they read the same.
impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(one), Self::Other(other)) => std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other)),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for Reason {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "requested",
            Self::Deadline => "the deadline has passed",
            Self::SiblingFailed => "a sibling failed",
            Self::NotNeeded => "its result is not needed any more",
            Self::ScopeDropped => "its scope was dropped",
            Self::Shutdown => "the program is shutting down",
            Self::Other(error) => return error.fmt(f),
        })
    }
}

impl From<&'static str> for Reason {
    fn from(text: &'static str) -> Self {
        Self::error(Text(text))
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self::error(Text(text))
    }
}

impl From<Arc<dyn Error + Send + Sync>> for Reason {
    fn from(error: Arc<dyn Error + Send + Sync>) -> Self {
        Self::Other(error)
    }
}

impl From<Box<dyn Error + Send + Sync>> for Reason {
    fn from(error: Box<dyn Error + Send + Sync>) -> Self {
        Self::Other(error.into())
    }
}

/// A text as an error.
struct Text<T>(T);

impl<T: AsRef<str>> fmt::Debug for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.as_ref(), f)
    }
}

impl<T: AsRef<str>> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref())
    }
}

impl<T: AsRef<str>> Error for Text<T> {}

/// The error of whatever was cancelled; carries the [`Reason`].
///
/// Given by [`CancelToken::check`](crate::CancelToken::check) and
/// [`CancelToken::run`](crate::CancelToken::run).
/// Its [`source`](Error::source) is the error in [`Reason::Other`], if it is that.
///
/// # Examples
/// ```
/// use weirs_scopes::{CancelToken, Cancelled, Reason};
///
/// fn work(token: &CancelToken) -> Result<(), Cancelled> {
///     for _item in 0..1_000_000 {
///         token.check()?;
///     }
///     Ok(())
/// }
///
/// let token = CancelToken::new();
/// token.cancel(Reason::Shutdown);
/// let error = work(&token).unwrap_err();
/// assert_eq!(error.to_string(), "cancelled: the program is shutting down");
/// assert_eq!(error.into_reason(), Reason::Shutdown);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled(Reason);

impl Cancelled {
    /// For this reason.
    pub fn new(why: impl Into<Reason>) -> Self {
        Self(why.into())
    }

    /// Why.
    pub fn reason(&self) -> &Reason {
        &self.0
    }

    /// Why, by value.
    pub fn into_reason(self) -> Reason {
        self.0
    }
}

impl From<Reason> for Cancelled {
    fn from(reason: Reason) -> Self {
        Self(reason)
    }
}

/// To hand a cancellation on: `child.cancel(error)`.
impl From<Cancelled> for Reason {
    fn from(error: Cancelled) -> Self {
        error.0
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelled: {}", self.0)
    }
}

impl Error for Cancelled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Reason::Other(error) => Some(&**error),
            _ => None,
        }
    }
}
