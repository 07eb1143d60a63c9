//! [`ResultSet`]: children whose results are read as a stream; [`ResultStream`]: the same, fed by an
//! iterator.

use std::fmt;
use std::future::Future;
use std::iter::Fuse;
use std::num::NonZeroUsize;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::header::Kind;
use super::rule::{Hooks, Settled};
use super::{
    AnyOutput, Child, ChildId, Ended, LocalChild, LocalScope, LocalSpawnWhenFree, Refusal, Rejected, Rule,
    Scope, SpawnWhenFree,
};
use crate::results::{JoinNext, Order, Place, Reporting, Results, Ticket};

/// For a sort of scope: its name, that of its handle, of its wait for room, of a function of its own, of its
/// kinds of children, and of what tells a handle's number; its lifetime, twice, as a parameter; the bound of
/// what its children may borrow; what else they have to be, and its rule.
macro_rules! result_sets {
    (
        $(#[$set_doc:meta])* $Set:ident,
        $(#[$spawner_doc:meta])* $Spawner:ident,
        $(#[$stream_doc:meta])* $Stream:ident,
        { $(#[$stream_example:meta])* }
        $Scope:ident, $Child:ident, $Room:ident, $spawn_in:ident, $Kind:ident, $id:ident,
        [$($env:tt)*] [$($any:tt)*] $life:lifetime [$($Send:tt)*] [$($Sync:tt)*]
    ) => {
        impl<$($env)* R: $($Sync)* $life> $Scope<$($env)* R> {
            #[doc = concat!(
                "A set of children whose results are read as a stream, with so many places: see [`",
                stringify!($Set),
                "`]."
            )]
            ///
            /// The places limit the children that exist and the results that are not read, together.
            pub fn results<T>(&self, places: NonZeroUsize) -> $Set<$($env)* T, R> {
                $Set::new(self.clone(), places)
            }

            #[doc = concat!(
                "Spawns the futures of an iterator, so many at a time, and gives their results as they come: \
                 see [`",
                stringify!($Stream),
                "`]."
            )]
            ///
            /// The iterator is asked when the stream is read and has a place: a child, or a result that is
            /// not read, has one.
            ///
            $(#[$stream_example])*
            #[track_caller]
            pub fn stream<T, I>(
                &self,
                places: NonZeroUsize,
                futures: I,
            ) -> $Stream<$($env)* I::IntoIter, T, R>
            where
                I: IntoIterator,
                I::Item: Future + $($Send)* $life,
                R: Rule<<I::Item as Future>::Output, Value = T>,
            {
                $Stream::new(self.results(places), futures.into_iter(), Location::caller())
            }
        }

        $(#[$set_doc])*
        #[must_use = "dropping it cancels its children"]
        pub struct $Set<$($env)* T, R = AnyOutput> {
            scope: $Scope<$($env)* R>,
            results: Arc<Results<T, $Child<$($env)* ()>>>,
            order: Order<T>,
        }

        impl<$($env)* T, R> $Set<$($env)* T, R> {
            pub(crate) fn new(scope: $Scope<$($env)* R>, limit: NonZeroUsize) -> Self {
                Self { scope, results: Results::new(limit), order: Order::Completion }
            }

            /// The results come in the order of spawning: one that is early waits, in its place.
            pub fn ordered(mut self) -> Self {
                if matches!(self.order, Order::Completion) {
                    self.order = Order::spawning();
                }
                self
            }

            /// How many children there are, and results that are not read yet.
            pub fn len(&self) -> usize {
                self.results.len()
            }

            /// Whether there is neither a child nor an unread result.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The next result, with the number of its child in the scope; none when the set is empty and has
            /// no [spawner](Self::spawner).
            ///
            /// # Waiting
            /// It waits until a child has ended.
            ///
            /// # Cancel safety
            /// Dropped before it completes, no result is lost.
            pub fn join_next(&mut self) -> JoinNext<'_, Self> {
                JoinNext::new(self)
            }

            /// A handle that spawns into this set from elsewhere, and waits when there is no place. While
            /// there is one, the stream does not end.
            pub fn spawner(&self) -> $Spawner<$($env)* T, R> {
                self.results.add_spawner();
                $Spawner { scope: self.scope.clone(), results: Arc::clone(&self.results) }
            }
        }

        impl<$($env)* T, R> $Set<$($env)* T, R>
        where
            T: $($Send)* $life,
            R: $($Sync)* $life,
        {
            /// Spawns a child whose result is this set's.
            ///
            /// # Errors
            /// Gives the future back: all places are taken ([`Refusal::Full`]), so read a result first; or
            /// the scope is full, closed or cancelled.
            #[track_caller]
            pub fn try_spawn<F>(&self, future: F) -> Result<ChildId, Rejected<F>>
            where
                F: Future + $($Send)* $life,
                R: Rule<F::Output, Value = T>,
            {
                match self.results.reserve(None) {
                    Ok(ticket) => $spawn_in(&self.scope, &self.results, ticket, future, Location::caller()),
                    Err(why) => Err(Rejected::new(future, why)),
                }
            }
        }

        impl<T, R> Stream for $Set<$($any)* T, R> {
            type Item = (ChildId, Result<T, Ended>);

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                let this = self.get_mut();
                this.order.poll_next(&this.results, cx)
            }
        }

        // No field is pinned, as no value is polled.
        impl<T, R> Unpin for $Set<$($any)* T, R> {}

        impl<T, R> Drop for $Set<$($any)* T, R> {
            fn drop(&mut self) {
                self.results.forsake($Child::cancel);
            }
        }

        impl<T, R> fmt::Debug for $Set<$($any)* T, R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Set)).field("len", &self.len()).finish_non_exhaustive()
            }
        }

        $(#[$spawner_doc])*
        pub struct $Spawner<$($env)* T, R = AnyOutput> {
            scope: $Scope<$($env)* R>,
            results: Arc<Results<T, $Child<$($env)* ()>>>,
        }

        impl<$($env)* T, R> $Spawner<$($env)* T, R>
        where
            T: $($Send)* $life,
            R: $($Sync)* $life,
        {
            /// Spawns a child as soon as the set has a place, and the scope has room.
            ///
            /// # Waiting
            /// It waits while all places of the set are taken, by children and by unread results; who came
            /// first is served first. So whoever reads the set must not wait here.
            ///
            /// # Cancel safety
            /// Dropped before it completes, nothing was spawned, and the future was dropped with it.
            ///
            /// # Errors
            /// Gives the future back when the set was dropped ([`Refusal::Closed`]), or the scope is closed
            /// or cancelled.
            #[track_caller]
            pub fn spawn_when_free<F>(
                &self,
                future: F,
            ) -> impl Future<Output = Result<ChildId, Rejected<F>>> + use<$($env)* T, R, F>
            where
                F: Future + $($Send)* $life,
                R: Rule<F::Output, Value = T>,
            {
                let (scope, results) = (self.scope.clone(), Arc::clone(&self.results));
                let at = Location::caller();
                async move {
                    let place = scope.token().run(Place::new(Arc::clone(&results))).await;
                    let ticket = match place.unwrap_or(Err(Refusal::Cancelled)) {
                        Ok(ticket) => ticket,
                        Err(why) => return Err(Rejected::new(future, why)),
                    };
                    let slot = ticket.slot();
                    let room = $Room::new(scope, Reporting::new(future, ticket), at, reported());
                    match room.await {
                        Ok(child) => {
                            let id = child.$id();
                            if let Some(forsaken) = results.spawned(slot, child, id) {
                                forsaken.cancel();
                            }
                            Ok(id)
                        }
                        Err(rejected) => {
                            let why = rejected.why();
                            Err(Rejected::new(rejected.into_inner().undo(), why))
                        }
                    }
                }
            }

            /// Spawns a child if there is a place and the scope takes it now.
            ///
            /// # Errors
            /// Gives the future back, with the reason.
            #[track_caller]
            pub fn try_spawn<F>(&self, future: F) -> Result<ChildId, Rejected<F>>
            where
                F: Future + $($Send)* $life,
                R: Rule<F::Output, Value = T>,
            {
                match self.results.reserve(None) {
                    Ok(ticket) => $spawn_in(&self.scope, &self.results, ticket, future, Location::caller()),
                    Err(why) => Err(Rejected::new(future, why)),
                }
            }
        }

        impl<T, R> Clone for $Spawner<$($any)* T, R> {
            fn clone(&self) -> Self {
                self.results.add_spawner();
                Self { scope: self.scope.clone(), results: Arc::clone(&self.results) }
            }
        }

        impl<T, R> Drop for $Spawner<$($any)* T, R> {
            fn drop(&mut self) {
                self.results.remove_spawner();
            }
        }

        impl<T, R> fmt::Debug for $Spawner<$($any)* T, R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Spawner)).field("len", &self.results.len()).finish_non_exhaustive()
            }
        }

        $(#[$stream_doc])*
        #[must_use = "nothing is spawned before it is read"]
        pub struct $Stream<$($env)* I, T, R = AnyOutput>
        where
            I: Iterator,
            I::Item: Future,
        {
            set: $Set<$($env)* T, R>,
            futures: Fuse<I>,
            location: &'static Location<'static>,
            /// Waits for room in the scope, which has a limit of its own; with the place of its result.
            room: Option<(
                usize,
                Pin<Box<$Room<$($env)* R, Reporting<I::Item, T, $Child<$($env)* ()>>, ()>>>,
            )>,
            /// The scope takes no more children.
            refused: bool,
            why: Option<Refusal>,
        }

        impl<$($env)* I, T, R> $Stream<$($env)* I, T, R>
        where
            I: Iterator,
            I::Item: Future,
        {
            pub(crate) fn new(
                set: $Set<$($env)* T, R>,
                futures: I,
                location: &'static Location<'static>,
            ) -> Self {
                Self { set, futures: futures.fuse(), location, room: None, refused: false, why: None }
            }

            /// The results come in the order of the iterator: one that is early waits, in its place.
            pub fn ordered(mut self) -> Self {
                self.set = self.set.ordered();
                self
            }

            /// The next result; none when the iterator has ended and all results were read.
            ///
            /// # Waiting
            /// It waits until a child has ended.
            ///
            /// # Cancel safety
            /// Dropped before it completes, no result is lost.
            pub fn join_next(&mut self) -> JoinNext<'_, Self>
            where
                Self: Stream,
            {
                JoinNext::new(self)
            }
        }

        impl<$($env)* I, T, R> $Stream<$($env)* I, T, R>
        where
            I: Iterator,
            I::Item: Future + $($Send)* $life,
            T: $($Send)* $life,
            R: Rule<<I::Item as Future>::Output, Value = T> + $($Sync)* $life,
        {
            /// Spawns as many as there are places for.
            fn feed(&mut self, cx: &mut Context<'_>) {
                while !self.refused {
                    let inserted = match &mut self.room {
                        Some((slot, room)) => match room.as_mut().poll(cx) {
                            Poll::Pending => return,
                            Poll::Ready(Ok(child)) => Ok((*slot, child)),
                            Poll::Ready(Err(rejected)) => {
                                let why = rejected.why();
                                Err((rejected.into_inner(), why))
                            }
                        },
                        None => {
                            // The iterator is asked only when there is a place for what it gives.
                            if !self.set.results.has_place() {
                                return;
                            }
                            let Some(future) = self.futures.next() else {
                                return;
                            };
                            let Ok(ticket) = self.set.results.reserve(None) else {
                                unreachable!("nobody else takes places of this set")
                            };
                            let (slot, child) = (ticket.slot(), Reporting::new(future, ticket));
                            let scope = &self.set.scope;
                            let at = self.location;
                            match scope.insert_at(at, $Kind::Child, None, None, child, reported()) {
                                Ok(child) => Ok((slot, child)),
                                Err((child, Refusal::Full)) => {
                                    let room = $Room::new(scope.clone(), child, at, reported());
                                    self.room = Some((slot, Box::pin(room)));
                                    continue;
                                }
                                Err(refused) => Err(refused),
                            }
                        }
                    };
                    self.room = None;
                    match inserted {
                        Ok((slot, child)) => {
                            let id = child.$id();
                            drop(self.set.results.spawned(slot, child, id));
                        }
                        Err((child, why)) => {
                            self.refused = true;
                            self.why = Some(why);
                            drop(child.undo());
                        }
                    }
                }
            }
        }

        impl<$($env)* I, T, R> Stream for $Stream<$($env)* I, T, R>
        where
            I: Iterator,
            I::Item: Future + $($Send)* $life,
            T: $($Send)* $life,
            R: Rule<<I::Item as Future>::Output, Value = T> + $($Sync)* $life,
        {
            type Item = Result<T, Ended>;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                let this = self.get_mut();
                this.feed(cx);
                match ready!(this.set.order.poll_next(&this.set.results, cx)) {
                    Some((_, result)) => {
                        // The next runs while this one is made use of.
                        this.feed(cx);
                        Poll::Ready(Some(result))
                    }
                    None => Poll::Ready(this.why.take().map(|why| Err(Ended::Refused(why)))),
                }
            }
        }

        // No field is pinned in place.
        impl<I, T, R> Unpin for $Stream<$($any)* I, T, R>
        where
            I: Iterator,
            I::Item: Future,
        {
        }

        impl<I, T, R> fmt::Debug for $Stream<$($any)* I, T, R>
        where
            I: Iterator,
            I::Item: Future,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Stream)).field("set", &self.set).finish_non_exhaustive()
            }
        }

        fn $spawn_in<$($env)* F, T, R>(
            scope: &$Scope<$($env)* R>,
            results: &Results<T, $Child<$($env)* ()>>,
            ticket: Ticket<T, $Child<$($env)* ()>>,
            future: F,
            at: &'static Location<'static>,
        ) -> Result<ChildId, Rejected<F>>
        where
            F: Future + $($Send)* $life,
            T: $($Send)* $life,
            R: Rule<F::Output, Value = T> + $($Sync)* $life,
        {
            let (slot, child) = (ticket.slot(), Reporting::new(future, ticket));
            match scope.insert_at(at, $Kind::Child, None, None, child, reported()) {
                Ok(child) => {
                    let id = child.$id();
                    if let Some(forsaken) = results.spawned(slot, child, id) {
                        forsaken.cancel();
                    }
                    Ok(id)
                }
                Err((child, why)) => Err(Rejected::new(child.undo(), why)),
            }
        }
    };
}

result_sets! {
    /// Children whose results are read as a [`Stream`], of which no more exist than there are places; made by
    /// [`Scope::results`].
    ///
    /// It is what a `JoinSet` is, in a scope: children may borrow, and run whether or not anybody reads. Its
    /// items are the number of the child and its result, in the order in which the children ended, or
    /// [in that of spawning](Self::ordered).
    ///
    /// A result that is not read keeps its place, so memory is bounded by the limit. Whoever spawns and reads
    /// by turns uses [`try_spawn`](Self::try_spawn), and reads when it says that the set is full; a child
    /// that only spawns uses a [`spawner`](Self::spawner), and waits. For an iterator of futures there is
    /// [`Scope::stream`].
    ///
    /// Dropping the set cancels its children: they are dropped at their scope's next turn.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use weirs_runtime::block_on;
    /// use weirs_scopes::scope;
    ///
    /// let words = ["one", "three", "five"];
    /// let letters = block_on(scope(async |s| {
    ///     let mut set = s.results(NonZeroUsize::new(8).unwrap());
    ///     for word in &words {
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
    ResultSet,
    /// Spawns into a [`ResultSet`] from elsewhere; made by [`ResultSet::spawner`].
    ///
    /// # Examples
    /// One child makes work, the body reads what came of it:
    /// ```
    /// use std::num::NonZeroUsize;
    /// use weirs_runtime::block_on;
    /// use weirs_scopes::scope;
    ///
    /// let sum = block_on(scope(async |s| {
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
    ResultSpawner,
    /// The results of an iterator of futures, of which no more exist than there are places; made by
    /// [`Scope::stream`].
    ///
    /// It is what `buffer_unordered(n)`, or with [`ordered`](Self::ordered) `buffered(n)`, is for a stream of
    /// futures; but these are children of the scope, and go on while the reader does something else.
    ///
    /// When the scope is closed or cancelled, the results that there are come first, then one
    /// [`Ended::Refused`], and the rest of the iterator is not asked for.
    ///
    /// Dropping the stream cancels the children that it spawned.
    ResultStream,
    {
        /// # Examples
        /// ```
        /// use std::num::NonZeroUsize;
        /// use weirs_runtime::block_on;
        /// use weirs_scopes::scope;
        ///
        /// let words = ["never", "odd", "or", "even"];
        /// block_on(scope(async |s| {
        ///     let two = NonZeroUsize::new(2).unwrap();
        ///     let lengths = words.iter().map(|word| async move { word.len() });
        ///     let mut lengths = s.stream(two, lengths).ordered();
        ///     for word in &words {
        ///         assert_eq!(lengths.join_next().await, Some(Ok(word.len())));
        ///     }
        ///     assert_eq!(lengths.join_next().await, None);
        /// }));
        /// ```
    }
    Scope, Child, SpawnWhenFree, spawn_in, Kind, id, ['env,] ['_,] 'env [Send +] [Send + Sync +]
}
result_sets! {
    /// A [`ResultSet`] of a [`LocalScope`]; made by [`LocalScope::results`].
    LocalResultSet,
    /// A [`ResultSpawner`] of a [`LocalScope`]; made by [`LocalResultSet::spawner`].
    LocalResultSpawner,
    /// A [`ResultStream`] of a [`LocalScope`]; made by [`LocalScope::stream`].
    LocalResultStream,
    {}
    LocalScope, LocalChild, LocalSpawnWhenFree, spawn_in_local, Kind, id, ['env,] ['_,] 'env [] []
}

pub(crate) use result_sets;

/// The value goes to the set; the handle of the child, which the set keeps, only tells that it is over.
/// What such a child tells: the rule as any other does, and its place in the set.
pub(crate) fn reported<R, O, T, H>() -> Hooks<R, (O, Ticket<T, H>), ()>
where
    R: Rule<O, Value = T>,
{
    Hooks {
        spawned: R::HEARS_OF_SPAWNS.then_some(R::spawned),
        ended: |rule, id, end| match end {
            Ok((output, mut ticket)) => {
                ticket.about_to_settle();
                let Settled { value, failed } = rule.settle(id, output);
                let settled = Settled { value: value.is_some().then_some(()), failed };
                ticket.finish(value.ok_or(Ended::Failed));
                settled
            }
            Err(why) => {
                rule.unsettled(id, why);
                Settled { value: None, failed: false }
            }
        },
    }
}
