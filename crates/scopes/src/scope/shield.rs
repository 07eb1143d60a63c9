//! [`Shield`]: a part of a child that a cancelled scope lets come to its end.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use weirs_runtime::Instant;

use super::{ChildId, LocalScope, Scope};

/// The shields of a scope that are up.
#[derive(Default)]
pub(crate) struct Shields {
    /// Some have no child yet: it is the one whose poll is just over.
    fresh: AtomicBool,
    /// How many shields of this scope are being polled, one in the other.
    depth: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    raised: u64,
    /// Those with a higher number have no child yet.
    assigned: u64,
    /// By number, for thousands may be up at once.
    shields: BTreeMap<u64, Raised>,
}

struct Raised {
    child: Option<ChildId>,
    budget: Duration,
}

impl Shields {
    /// Whether a shield went up in the poll that is just over, so that [`assign`](Self::assign) is due.
    pub(crate) fn is_fresh(&self) -> bool {
        // The poll ran on this thread, or one that has handed the scope on to it.
        self.fresh.load(Ordering::Relaxed)
    }

    /// The shields that went up in the last poll belong to this child.
    pub(crate) fn assign(&self, child: ChildId) {
        self.fresh.store(false, Ordering::Relaxed);
        let mut list = self.lock();
        let raised = list.raised;
        let before = mem::replace(&mut list.assigned, raised);
        for (_, shield) in list.shields.range_mut(before + 1..) {
            shield.child = Some(child);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().shields.is_empty()
    }

    /// Whom shields keep that end after `since` and their budget, beyond `now`; and the earliest such end.
    pub(crate) fn kept(&self, since: Instant, now: Instant) -> (Vec<ChildId>, Option<Instant>) {
        let list = self.lock();
        let ends = list.shields.values().map(|shield| (shield.child, since + shield.budget));
        let kept = ends.filter(|(_, end)| *end > now);
        let (children, ends): (Vec<_>, Vec<_>) = kept.filter_map(|(child, end)| Some((child?, end))).unzip();
        (children, ends.into_iter().min())
    }

    fn raise(&self, budget: Duration) -> u64 {
        let mut list = self.lock();
        list.raised += 1;
        let number = list.raised;
        list.shields.insert(number, Raised { child: None, budget });
        self.fresh.store(true, Ordering::Relaxed);
        number
    }

    fn lower(&self, number: u64) {
        self.lock().shields.remove(&number);
    }

    // No user code runs under this lock.
    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pin_project! {
    /// A future that the scope's cancelling does not drop at once; made by
    /// [`Scope::shield`](super::Scope::shield).
    #[must_use = "nothing runs before it is awaited"]
    pub struct Shield<F> {
        shields: Arc<Shields>,
        budget: Duration,
        raised: Option<u64>,
        begun: bool,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Shield<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(number) = this.raised.take() {
                this.shields.lower(number);
            }
        }
    }
}

impl<F> Shield<F> {
    pub(crate) fn new(shields: Arc<Shields>, budget: Duration, future: F) -> Self {
        Self { shields, budget, raised: None, begun: false, future: Some(future) }
    }
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let shields = &**this.shields;
        // One inside of another adds nothing: the outer one says how long.
        if !*this.begun && shields.depth.load(Ordering::Relaxed) == 0 {
            *this.raised = Some(shields.raise(*this.budget));
        }
        *this.begun = true;
        let future = this.future.as_mut().as_pin_mut().expect("polled after it was ready");
        let polled = {
            let _deeper = Deeper::new(shields);
            future.poll(cx)
        };
        if polled.is_ready() {
            this.future.set(None);
            if let Some(number) = this.raised.take() {
                shields.lower(number);
            }
        }
        polled
    }
}

impl<F> fmt::Debug for Shield<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield")
            .field("budget", &self.budget)
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}

macro_rules! shield_methods {
    ($Scope:ident) => {
        impl<R> $Scope<'_, R> {
            /// Runs the future so that the scope's cancelling does not cut it off for a while: for what has
            /// to come to its end, as a commit. Awaited in a child or the body of this scope, it keeps that
            /// child from being dropped when the scope is cancelled or fails, and its time of grace is over.
            ///
            /// The child goes on until the future has ended, and is dropped the next time that it waits; or
            /// until the budget is over, counted from the moment at which the child would have been dropped,
            /// in the time of the scope's [clock](super::ScopeBuilder::clock).
            /// Other children are dropped at once; services stay until the shielded ones have ended. A shield
            /// within a shield adds nothing: the outer one says how long.
            ///
            /// What it does not stop: the [token](Self::token) fires as ever, so what asks it should ask a
            /// [detached](crate::CancelToken::detached) one; [`Child::cancel`](super::Child::cancel) drops
            /// the child; a scope that is itself dropped drops everything, and so a shield of an inner scope
            /// does not hold against the cancelling of an outer one. A service is not kept by a shield.
            ///
            /// # Cancel safety
            /// Dropping it drops the future.
            ///
            /// # Panics
            /// When it is polled after its end.
            ///
            /// # Examples
            /// ```
            /// use std::time::Duration;
            /// use weirs_runtime::{Clock, block_on};
            /// use weirs_scopes::try_scope;
            ///
            /// let clock = Clock::default();
            /// let mut committed = false;
            /// let result: Result<(), &str> = block_on(try_scope(async |s| {
            ///     let inner = s.clone();
            ///     let commit = async {
            ///         clock.sleep(Duration::from_millis(1)).await;
            ///         committed = true;
            ///     };
            ///     s.spawn(async move {
            ///         inner.shield(Duration::from_secs(5), commit).await;
            ///         std::future::pending::<Result<(), &str>>().await
            ///     });
            ///     s.spawn(async { Err::<(), _>("cancels the others") });
            ///     Ok(())
            /// }));
            /// assert!(result.is_err() && committed);
            /// ```
            pub fn shield<F: Future>(&self, budget: Duration, future: F) -> Shield<F> {
                let shields = self.0.shields.get_or_init(Arc::default);
                Shield::new(Arc::clone(shields), budget, future)
            }
        }
    };
}

shield_methods!(Scope);
shield_methods!(LocalScope);

/// While it is there, a shield is being polled.
struct Deeper<'a>(&'a Shields);

impl<'a> Deeper<'a> {
    fn new(shields: &'a Shields) -> Self {
        shields.depth.fetch_add(1, Ordering::Relaxed);
        Self(shields)
    }
}

impl Drop for Deeper<'_> {
    fn drop(&mut self) {
        self.0.depth.fetch_sub(1, Ordering::Relaxed);
    }
}
