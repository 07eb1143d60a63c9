//! What a scope in a parallel scope takes over.

use std::time::Duration;

use weirs_runtime::Instant;

use super::TaskScope;
use crate::ScopeBuilder;

impl<R> TaskScope<R> {
    /// When the scope is cancelled by itself, at the latest: its own deadline, or that of a token or a scope
    /// above.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.core.heritage.deadline
    }

    /// How long until the [deadline](Self::deadline), zero when it has passed: what one writes into the
    /// header of a request to another machine.
    pub fn remaining(&self) -> Option<Duration> {
        let heritage = &self.0.core.heritage;
        heritage.deadline.map(|at| at.saturating_since(heritage.clock.now()))
    }

    /// A builder for a scope in this one, to be [run in it](ScopeBuilder::run_in): it is cancelled when this
    /// one is, and knows of the same deadline. Its grace and its [cleanup](ScopeBuilder::cleanup) are those
    /// of this one, and can only be shortened: a scope further down does not hold up the ones above.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::Scope;
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let day = runtime.clock().now() + Duration::from_secs(24 * 60 * 60);
    /// let builder = Scope::builder().deadline(day).grace(Duration::from_secs(1));
    /// let result = block_on(builder.run_on(&runtime, async |s| {
    ///     // Has a second at the most after a cancel, as the children of this one.
    ///     let inner = s.nested().grace(Duration::from_secs(60)).run_in(&s, async |inner| inner.deadline());
    ///     assert_eq!(inner.await.unwrap(), Some(day));
    /// }));
    /// assert!(result.is_ok());
    /// ```
    pub fn nested(&self) -> ScopeBuilder {
        let heritage = &self.0.core.heritage;
        let builder = ScopeBuilder::nested(self.token(), heritage);
        heritage.deadline.into_iter().fold(builder, ScopeBuilder::deadline)
    }
}
