//! [`Started`] and [`SpawnReady`]: a child that says when it is ready, and the wait for it.

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::header::Kind;
use super::rule::OfChild;
use super::{Child, Ended, LocalChild, LocalScope, Refusal, Rule, Scope};
use crate::panics::{contain, forget_panic};

/// What a child says that it is ready with; given to it by [`Scope::spawn_ready`](super::Scope::spawn_ready).
///
/// Dropped without a word, it says that the child will never be ready, and the child is cancelled.
#[must_use = "dropping it cancels the child"]
pub struct Started<V>(Arc<Slot<V>>);

struct Slot<V>(Mutex<Word<V>>);

enum Word<V> {
    None(Option<Waker>),
    Ready(V),
    /// There will be none.
    Never,
    /// There was none, and the child's future is being dropped.
    Over,
}

impl<V> Started<V> {
    /// The child is ready: whoever waits for it is given the value and the handle. From now on the child is
    /// the scope's alone.
    pub fn ready(self, value: V) {
        self.0.say(Word::Ready(value));
    }
}

impl<V> Drop for Started<V> {
    fn drop(&mut self) {
        self.0.say(Word::Never);
    }
}

impl<V> Slot<V> {
    /// The first word counts.
    fn say(&self, word: Word<V>) {
        let waker = {
            let mut said = self.lock();
            match &mut *said {
                Word::None(waker) => {
                    let waker = waker.take();
                    *said = word;
                    waker
                }
                Word::Ready(_) | Word::Never | Word::Over => None,
            }
        };
        if let Some(waker) = waker {
            // Often in a destructor, where a second panic would abort.
            forget_panic(contain(|| waker.wake()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Word<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> fmt::Debug for Started<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Started")
    }
}

/// Waits until a child is ready; made by [`Scope::spawn_ready`](super::Scope::spawn_ready).
#[must_use = "dropping it cancels the child"]
pub struct SpawnReady<V, C> {
    child: Result<C, Option<Refusal>>,
    slot: Arc<Slot<V>>,
    cancel: fn(&C),
    gave_up: bool,
    /// The end of the child is a word, too.
    announced: bool,
}

impl<V, C> SpawnReady<V, C> {
    pub(crate) fn new(cancel: fn(&C), spawn: impl FnOnce(Started<V>) -> Result<C, Refusal>) -> Self {
        let slot = Arc::new(Slot(Mutex::new(Word::None(None))));
        let child = spawn(Started(Arc::clone(&slot))).map_err(Some);
        Self { child, slot, cancel, gave_up: false, announced: false }
    }

    /// For a child on another thread, that may be ready and over between two looks: its future says that it
    /// is over, and so the first word tells which came first.
    pub(crate) fn announced(
        cancel: fn(&C),
        spawn: impl FnOnce(Started<V>, Over<V>) -> Result<C, Refusal>,
    ) -> Self {
        let slot = Arc::new(Slot(Mutex::new(Word::None(None))));
        let child = spawn(Started(Arc::clone(&slot)), Over(Arc::clone(&slot))).map_err(Some);
        Self { child, slot, cancel, gave_up: false, announced: true }
    }
}

impl<V, C> Unpin for SpawnReady<V, C> {}

impl<V, T, C> Future for SpawnReady<V, C>
where
    C: Future<Output = Result<T, Ended>> + Unpin,
{
    type Output = Result<(V, C), Ended>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let child = match &mut this.child {
            Ok(child) => child,
            Err(why) => {
                let why = why.take().expect("polled after it was ready");
                return Poll::Ready(Err(Ended::Refused(why)));
            }
        };
        let waker = cx.waker().clone();
        let (before, never) = {
            let mut said = this.slot.lock();
            match &mut *said {
                Word::None(waiting) => {
                    let before = waiting.replace(waker);
                    if this.announced {
                        drop(said);
                        drop(before);
                        return Poll::Pending;
                    }
                    (before, false)
                }
                Word::Never => (Some(waker), true),
                Word::Over => (Some(waker), false),
                Word::Ready(_) => {
                    let word = mem::replace(&mut *said, Word::Never);
                    drop(said);
                    let (Word::Ready(value), Ok(child)) = (word, mem::replace(&mut this.child, Err(None)))
                    else {
                        unreachable!("both were there")
                    };
                    return Poll::Ready(Ok((value, child)));
                }
            }
        };
        drop(before);
        let ended = match Pin::new(&mut *child).poll(cx) {
            Poll::Ready(ended) => ended,
            Poll::Pending => {
                if never && !this.gave_up {
                    this.gave_up = true;
                    (this.cancel)(child);
                }
                return Poll::Pending;
            }
        };
        this.child = Err(None);
        Poll::Ready(Err(match ended {
            Err(Ended::Cancelled) if this.gave_up => Ended::NotReady,
            Err(ended) => ended,
            Ok(_) => Ended::NotReady,
        }))
    }
}

impl<V, C> Drop for SpawnReady<V, C> {
    fn drop(&mut self) {
        if let Ok(child) = &self.child {
            (self.cancel)(child);
        }
    }
}

impl<V, C> fmt::Debug for SpawnReady<V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnReady").field("refused", &self.child.is_err()).finish_non_exhaustive()
    }
}

/// Wraps the future of a child, to say when it goes.
pub(crate) struct Over<V>(Arc<Slot<V>>);

impl<V> Over<V> {
    pub(crate) fn announce<F: Future>(self, future: F) -> Announced<F, V> {
        Announced { future, slot: self.0 }
    }
}

pin_project! {
    /// See [`Over`].
    pub(crate) struct Announced<F, V> {
        #[pin]
        future: F,
        slot: Arc<Slot<V>>,
    }

    impl<F, V> PinnedDrop for Announced<F, V> {
        fn drop(this: Pin<&mut Self>) {
            // Before the future goes, and with it perhaps its `Started`, which would say something else.
            this.slot.say(Word::Over);
        }
    }
}

impl<F: Future, V> Future for Announced<F, V> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

macro_rules! ready_methods {
    ($Scope:ident, $Child:ident, [$($Send:tt)*] [$($Sync:tt)*]) => {
        impl<'env, R: $($Sync)* 'env> $Scope<'env, R> {
            /// Spawns a child, and waits until it says that it is ready: what trio calls `nursery.start`.
            ///
            /// `start` makes the child's future, and is given the [`Started`] that says so. The caller is
            /// given the value and the handle; from then on it is a child as any other.
            ///
            /// The child is spawned at once, not at the first poll.
            ///
            /// # Waiting
            /// It waits until the child is ready or has ended.
            ///
            /// # Cancel safety
            /// Dropped before it completes, it cancels the child: until the child is ready, it belongs to the
            /// caller.
            ///
            /// # Errors
            /// [`Ended`] tells how the child ended before it was ready, and [`Ended::NotReady`] that it ended
            /// well, or dropped its [`Started`]; [`Ended::Refused`] that the scope takes no child now.
            ///
            /// # Examples
            /// ```
            /// use weirs_runtime::block_on;
            /// use weirs_scopes::scope;
            ///
            /// let (send, receive) = async_channel::unbounded();
            /// block_on(scope(async |s| {
            ///     let (port, server) = s
            ///         .spawn_ready(async |started| {
            ///             // Bind, and only then:
            ///             started.ready(8080);
            ///             receive.recv().await
            ///         })
            ///         .await
            ///         .unwrap();
            ///     assert_eq!(port, 8080);
            ///     send.send("a request").await.unwrap();
            ///     assert_eq!(server.await, Ok(Ok("a request")));
            /// }));
            /// ```
            #[track_caller]
            pub fn spawn_ready<V, G, F>(&self, start: G) -> SpawnReady<V, $Child<'env, R::Value>>
            where
                G: FnOnce(Started<V>) -> F,
                F: Future + $($Send)* 'env,
                R: Rule<F::Output>,
                R::Value: $($Send)* 'env,
            {
                let at = Location::caller();
                SpawnReady::new($Child::cancel, |started| {
                    let child = self.insert_at(at, Kind::Child, None, None, start(started), OfChild);
                    // The future that is given back is dropped, for nobody else has it.
                    child.map_err(|(_, why)| why)
                })
            }
        }
    };
}

ready_methods!(Scope, Child, [Send +] [Send + Sync +]);
ready_methods!(LocalScope, LocalChild, [] []);
