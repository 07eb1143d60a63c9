//! [`TaskResultSet`]: parallel children whose results are read as a stream; [`TaskResultStream`]: the same,
//! fed by an iterator.

use std::fmt;
use std::future::Future;
use std::iter::Fuse;
use std::num::NonZeroUsize;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::core::Kind;
use super::{TaskChild, TaskScope, TaskSpawnWhenFree};
use crate::results::{JoinNext, Order, Place, Reporting, Results, Ticket};
use crate::scope::results::{reported, result_sets};
use crate::{AnyOutput, ChildId, Ended, Refusal, Rejected, Rule};

result_sets! {
    /// Children that run in parallel, whose results are read as a [`Stream`], and of which no more exist than
    /// there are places; made by [`TaskScope::results`].
    ///
    /// It is what a `JoinSet` is, in a scope. Its items are the number of the child and its result, in the
    /// order in which the children ended, or [in that of spawning](Self::ordered).
    ///
    /// A result that is not read keeps its place, so memory is bounded by the limit. Whoever spawns and reads
    /// by turns uses [`try_spawn`](Self::try_spawn), and reads when it says that the set is full; a child
    /// that only spawns uses a [`spawner`](Self::spawner), and waits. For an iterator of futures there is
    /// [`TaskScope::stream`].
    ///
    /// Dropping the set cancels its children: those that wait for something are dropped before the drop
    /// returns, those that are being polled at the end of that poll.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::task_scope;
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let letters = block_on(task_scope(&runtime, async |s| {
    ///     let mut set = s.results(NonZeroUsize::new(8).unwrap());
    ///     for word in ["one", "three", "five"] {
    ///         set.try_spawn(async move { word.len() }).expect("there are eight places");
    ///     }
    ///     let mut letters = 0;
    ///     while let Some((_child, result)) = set.join_next().await {
    ///         letters += result.unwrap();
    ///     }
    ///     letters
    /// }));
    /// assert_eq!(letters, 12);
    /// ```
    TaskResultSet,
    /// Spawns into a [`TaskResultSet`] from elsewhere; made by [`TaskResultSet::spawner`].
    ///
    /// # Examples
    /// One child makes work, the body reads what came of it:
    /// ```
    /// use std::num::NonZeroUsize;
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::task_scope;
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let sum = block_on(task_scope(&runtime, async |s| {
    ///     let mut set = s.results(NonZeroUsize::new(2).unwrap());
    ///     let spawner = set.spawner();
    ///     s.spawn(async move {
    ///         for number in 1..=10 {
    ///             // Waits while two are running or unread.
    ///             spawner.spawn_when_free(async move { number }).await.unwrap();
    ///         }
    ///     });
    ///     let mut sum = 0;
    ///     while let Some((_child, result)) = set.join_next().await {
    ///         sum += result.unwrap();
    ///     }
    ///     sum
    /// }));
    /// assert_eq!(sum, 55);
    /// ```
    TaskResultSpawner,
    /// The results of an iterator of futures, which run in parallel, and of which no more exist than there
    /// are places; made by [`TaskScope::stream`].
    ///
    /// When the scope is closed or cancelled, the results that there are come first, then one
    /// [`Ended::Refused`], and the rest of the iterator is not asked for.
    ///
    /// Dropping the stream cancels the children that it spawned.
    TaskResultStream,
    {
        /// # Examples
        /// ```
        /// use std::num::NonZeroUsize;
        /// use weirs_runtime::{Runtime, block_on};
        /// use weirs_scopes::task_scope;
        ///
        /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
        /// block_on(task_scope(&runtime, async |s| {
        ///     let two = NonZeroUsize::new(2).unwrap();
        ///     let mut squares = s.stream(two, (0..4).map(|n| async move { n * n })).ordered();
        ///     for square in [0, 1, 4, 9] {
        ///         assert_eq!(squares.join_next().await, Some(Ok(square)));
        ///     }
        ///     assert_eq!(squares.join_next().await, None);
        /// }));
        /// ```
    }
    TaskScope, TaskChild, TaskSpawnWhenFree, spawn_in, Kind, live_id, [] [] 'static [Send +] [Send + Sync +]
}
