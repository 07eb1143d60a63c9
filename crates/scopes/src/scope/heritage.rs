//! [`Heritage`]: what a scope in a scope takes over.

use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use super::{LocalScope, Scope, ScopeBuilder};

/// Kept by a scope for those that its handle [makes](super::Scope::nested).
pub(crate) struct Heritage {
    pub(crate) clock: Clock,
    /// The earlier of its own deadline and its token's.
    pub(crate) deadline: Option<Instant>,
    pub(crate) grace: Duration,
    pub(crate) cleanup: Duration,
}

macro_rules! heritage_methods {
    ($Scope:ident) => {
        impl<R> $Scope<'_, R> {
            /// When the scope is cancelled by itself, at the latest: its own deadline, or that of a token
            /// above.
            pub fn deadline(&self) -> Option<Instant> {
                self.0.heritage.deadline
            }

            /// How long until the [deadline](Self::deadline), zero when it has passed: what one writes into
            /// the header of a request to another machine.
            pub fn remaining(&self) -> Option<Duration> {
                let heritage = &self.0.heritage;
                heritage.deadline.map(|at| at.saturating_since(heritage.clock.now()))
            }

            /// A builder for a scope in this one: it has the same time, is cancelled when this one is, and so
            /// ends by the same deadline. Its grace and its [cleanup](ScopeBuilder::cleanup) are those of
            /// this one, and can only be shortened: a scope further down does not hold up the ones above.
            ///
            /// A plain [`scope`](super::scope) within a child goes on when the outer one is cancelled, until
            /// the child is dropped with it.
            ///
            /// # Examples
            /// ```
            /// use std::time::Duration;
            /// use weirs_runtime::block_on;
            /// use weirs_scopes::{Reason, Scope, ScopeError};
            ///
            /// let builder = Scope::builder().grace(Duration::from_secs(1));
            /// let inner = block_on(builder.run(async |outer| {
            ///     let inner = outer.nested().run(async |s| {
            ///         let token = s.token().clone();
            ///         // Has a second at the most, as the children of the outer scope.
            ///         s.spawn(async move { token.cancelled().await });
            ///     });
            ///     outer.cancel(Reason::Shutdown);
            ///     inner.await
            /// }));
            /// assert!(matches!(inner, Ok(Err(ScopeError::Cancelled(Reason::Shutdown)))));
            /// ```
            pub fn nested(&self) -> ScopeBuilder {
                ScopeBuilder::nested(&self.0.token, &self.0.heritage)
            }
        }
    };
}

heritage_methods!(Scope);
heritage_methods!(LocalScope);
