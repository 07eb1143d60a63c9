//! [`DropGuard`] and [`Registration`]: what ends with the value that is held.

use std::fmt;

use super::CancelToken;
use super::node::Place;
use crate::Reason;

/// Cancels a token when it is dropped, with [`Reason::ScopeDropped`]; made by [`CancelToken::guard`].
///
/// # Examples
/// ```
/// use weirs_scopes::{CancelToken, Reason};
///
/// let token = CancelToken::new();
/// {
///     let _guard = token.guard();
///     // However this block is left, by `?`, by a panic or because its future is dropped ...
/// }
/// assert_eq!(token.reason(), Some(Reason::ScopeDropped));
///
/// // ... unless all went well.
/// let token = CancelToken::new();
/// let token = token.guard().disarm();
/// assert!(!token.is_cancelled());
/// ```
#[derive(Debug)]
#[must_use = "a guard that is not kept cancels at once"]
pub struct DropGuard(Option<CancelToken>);

impl DropGuard {
    pub(super) fn new(token: CancelToken) -> Self {
        Self(Some(token))
    }

    /// Lets the token be, and gives it back.
    ///
    /// # Panics
    /// Never.
    #[must_use = "if the token is not needed, `drop` what this gives"]
    pub fn disarm(mut self) -> CancelToken {
        self.0.take().expect("only `disarm` takes it, and it takes the guard")
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = self.0.take() {
            token.cancel(Reason::ScopeDropped);
        }
    }
}

/// A callback that waits for a token to be cancelled; made by [`CancelToken::on_cancel`].
///
/// Dropping it takes the callback out, unless it is running or has run. It does not wait for one that is
/// running on another thread. While it is there, it keeps its token.
#[must_use = "a registration that is dropped takes its callback back"]
pub struct Registration {
    token: CancelToken,
    /// None when there is no callback any more.
    place: Option<Place>,
}

impl Registration {
    pub(super) fn new(token: CancelToken, place: Option<Place>) -> Self {
        Self { token, place }
    }

    /// Takes the callback out, and tells whether that was in time: `true` says that it will not run, `false`
    /// that it has run or is running.
    ///
    /// # Examples
    /// ```
    /// use weirs_scopes::{CancelToken, Reason};
    ///
    /// let token = CancelToken::new();
    /// let (early, late) = (token.on_cancel(|_| unreachable!()), token.on_cancel(|_| {}));
    /// assert!(early.unregister());
    /// token.cancel(Reason::Requested);
    /// assert!(!late.unregister());
    /// ```
    pub fn unregister(mut self) -> bool {
        self.place.take().is_some_and(|place| self.token.0.unregister(place))
    }

    /// Leaves the callback with the token, to be called when it is cancelled. It goes with the token's last
    /// handle: one that is never cancelled drops it uncalled.
    pub fn detach(mut self) {
        self.place = None;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.token.0.unregister(place);
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("token", &self.token).finish_non_exhaustive()
    }
}
