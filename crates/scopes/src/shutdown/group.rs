//! [`ShutdownGroup`]: tasks that end together, before or after others.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use super::inner::Inner;
use crate::{CancelToken, Rejected};

/// Tasks of a [`Shutdown`](super::Shutdown) that end together; made by
/// [`Shutdown::group`](super::Shutdown::group).
///
/// A task may hold the group that it is in, and spawn into it. Clones are the same group.
#[derive(Clone)]
pub struct ShutdownGroup {
    inner: Arc<Inner>,
    index: usize,
    path: Arc<str>,
    intake: CancelToken,
    token: CancelToken,
}

impl ShutdownGroup {
    pub(super) fn new(inner: &Arc<Inner>, above: usize, path: &str) -> Self {
        let (index, path, intake, token) = inner.group(above, path);
        Self { inner: Arc::clone(inner), index, path, intake, token }
    }

    /// Its path from the top.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A group within this one; it is made if there is none.
    ///
    /// # Panics
    /// When the path is empty, or a part of it is.
    pub fn group(&self, path: &str) -> Self {
        Self::new(&self.inner, self.index, path)
    }

    /// This group and all within it end before the group with that path is told to end.
    ///
    /// "End" is: finish, or be dropped when their time is over. The order is kept when the shutdown is forced
    /// and when it is dropped. Only a task that does not return from its poll is not waited for.
    ///
    /// # Errors
    /// When there is no group with that path, it would have to end before itself, or the shutdown has begun
    /// to drain.
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::Runtime;
    /// use weirs_scopes::{OrderError, Shutdown};
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let shutdown = Shutdown::new(&runtime);
    /// let database = shutdown.group("database");
    /// shutdown.group("http").before("database").unwrap();
    /// assert!(matches!(database.before("http/connections"), Err(OrderError::Unknown { .. })));
    /// shutdown.group("http/connections");
    /// assert!(matches!(database.before("http/connections"), Err(OrderError::Cycle { .. })));
    /// ```
    pub fn before(&self, path: &str) -> Result<Self, OrderError> {
        self.inner.before(self.index, path)?;
        Ok(self.clone())
    }

    /// Spawns a task into the group. It runs by itself; what becomes of it at the shutdown is in the report.
    ///
    /// A group takes tasks until it is cancelled. After that the future is dropped, and the answer is
    /// `false`; [`try_spawn`](ShutdownGroup::try_spawn) gives it back. If the task panics, the runtime's
    /// panic hook hears of it.
    #[track_caller]
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> bool
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let at = Location::caller();
        self.inner.spawn(self.index, name.into(), at, false, future).is_ok()
    }

    /// [`spawn`](ShutdownGroup::spawn) that gives the future back when it is not taken.
    ///
    /// # Errors
    /// When the group is cancelled.
    #[track_caller]
    pub fn try_spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> Result<(), Rejected<F>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.inner.spawn(self.index, name.into(), Location::caller(), false, future)
    }

    /// Spawns a task without which the program is of no use: its end, in whatever way, triggers the shutdown.
    #[track_caller]
    pub fn spawn_essential<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> bool
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let at = Location::caller();
        self.inner.spawn(self.index, name.into(), at, true, future).is_ok()
    }

    /// Cancelled when the group is to take no more work and finish what it has: when the drain stage begins,
    /// or later, when the groups before it are empty. Its reason is that of the shutdown.
    pub fn intake(&self) -> &CancelToken {
        &self.intake
    }

    /// Cancelled, with [`Reason::Shutdown`](crate::Reason::Shutdown), when the group's tasks have to end:
    /// when the drain stage is over, and the groups before it are empty.
    pub fn token(&self) -> &CancelToken {
        &self.token
    }

    /// How many tasks there are in it, and in the groups within it.
    pub fn live(&self) -> usize {
        self.inner.live(self.index)
    }
}

impl fmt::Debug for ShutdownGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownGroup").field("path", &self.path).field("live", &self.live()).finish()
    }
}

/// Why one group cannot end before another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrderError {
    /// There is no such group (yet).
    Unknown {
        /// The path that was given.
        path: String,
    },
    /// It would have to end before itself.
    Cycle {
        /// The one that should end first.
        first: String,
        /// The other, which ends before it, holds it, or is held by it.
        then: String,
    },
    /// The shutdown has begun to drain.
    TooLate,
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { path } => write!(f, "there is no group {path:?}"),
            Self::Cycle { first, then } => {
                write!(f, "{first:?} cannot end before {then:?}: it ends after it")
            }
            Self::TooLate => f.write_str("the shutdown has begun to drain"),
        }
    }
}

impl Error for OrderError {}
