//! [`CancelToken`]: says "stop" to everything below it, and why.

mod fallout;
mod guard;
mod node;
mod slab;
mod time;
mod waiting;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

pub use guard::{DropGuard, Registration};
pub use waiting::{Run, UntilCancelled, UntilCancelledOwned};

use crate::panics::{contain, forget_panic};
use crate::{Cancelled, Reason};
use fallout::Callback;
use node::Node;
use time::Time;

/// Says "stop" to everything below it, and why.
///
/// Tokens form a tree. Cancelling one cancels its [children](CancelToken::child) and theirs, and never its
/// parent. A token may have a deadline, at which it is cancelled by itself; a child's deadline is never later
/// than its parent's. Clones are one token.
///
/// Cancelling is a request: whoever works under a token asks it ([`check`](CancelToken::check),
/// [`is_cancelled`](CancelToken::is_cancelled)), waits for it ([`cancelled`](CancelToken::cancelled)), or has
/// his future dropped by it ([`run`](CancelToken::run)).
///
/// # What cancelling does
/// First all tokens in the tree are marked, root to leaf, and only then are waiters woken and callbacks
/// called, on the thread that cancels. So whoever is woken finds every token below cancelled. The cost grows
/// with the number of tokens below, not with their depth, and nothing recurses. No foreign code runs under a
/// lock of the token's: a waker or callback may cancel, make children, register and drop as it likes. A panic
/// in one of them goes to the standard panic hook and no further; the others run all the same.
///
/// # Memory
/// A child keeps its parents; a parent does not keep its children, and a child that is dropped leaves nothing
/// behind. A token without a deadline is one allocation; one task that waits for it needs no other.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::{Clock, block_on};
/// use weirs_scopes::{CancelToken, Reason};
///
/// let service = CancelToken::new();
/// let request = service.child_after(Duration::from_millis(5));
///
/// block_on(async {
///     let clock = Clock::default();
///     let answer = request.run(clock.sleep(Duration::from_secs(3600))).await;
///     assert_eq!(answer.unwrap_err().into_reason(), Reason::Deadline);
/// });
/// assert!(!service.is_cancelled());
/// ```
pub struct CancelToken(Arc<Node>);

impl CancelToken {
    /// A token of its own, in real time, without a deadline.
    #[cfg(not(target_family = "wasm"))]
    pub fn new() -> Self {
        Self(Node::root(None))
    }

    /// A token of its own in the time of `clock`, without a deadline. Its children inherit the clock.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_scopes::CancelToken;
    /// use weirs_testing::ManualClock;
    ///
    /// let time = ManualClock::new();
    /// let token = CancelToken::with_clock(time.clock().clone())
    ///     .child_after(Duration::from_secs(3));
    /// time.advance(Duration::from_secs(3));
    /// assert!(token.is_cancelled());
    /// ```
    pub fn with_clock(clock: Clock) -> Self {
        Self(Node::root(Some(Arc::new(Time::without_deadline(clock)))))
    }

    /// A token that is cancelled with this one, or by itself.
    ///
    /// Of a cancelled token it is cancelled already.
    ///
    /// # Examples
    /// ```
    /// use weirs_scopes::{CancelToken, Reason};
    ///
    /// let parent = CancelToken::new();
    /// let (one, other) = (parent.child(), parent.child());
    /// one.cancel(Reason::Requested);
    /// assert!(!parent.is_cancelled() && !other.is_cancelled());
    /// parent.cancel(Reason::Shutdown);
    /// assert_eq!(other.reason(), Some(Reason::Shutdown));
    /// assert_eq!(one.reason(), Some(Reason::Requested), "the first reason is kept");
    /// ```
    pub fn child(&self) -> Self {
        Self(self.0.child())
    }

    /// A [child](CancelToken::child) that is cancelled at `at` with [`Reason::Deadline`], or at this token's
    /// deadline if that is earlier.
    ///
    /// A time that has come cancels it at once. Nobody has to wait for the token or poll anything: the clock
    /// does it. Wakers and callbacks then run on the clock's thread and should be short.
    ///
    /// # Panics
    /// With debug assertions, when `at` is of another clock than the token's.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_scopes::{CancelToken, Reason};
    ///
    /// let token = CancelToken::new();
    /// let now = token.clock().now();
    /// let hour = token.child_until(now + Duration::from_secs(3600));
    /// let day = hour.child_until(now + Duration::from_secs(24 * 3600));
    /// assert_eq!(day.deadline(), hour.deadline());
    /// assert_eq!(token.child_until(now).reason(), Some(Reason::Deadline));
    /// ```
    pub fn child_until(&self, at: Instant) -> Self {
        let earliest = self.0.time().map_or(Instant::FAR_FUTURE, |time| time.deadline);
        if at >= earliest || self.is_cancelled() {
            return self.child();
        }
        let clock = self.clock();
        let node = self.0.child_with_time(|owner| Time::new(clock, at, owner));
        if let Some(time) = node.time() {
            time.arm(&node);
        }
        Self(node)
    }

    /// A [child](CancelToken::child) with a deadline `duration` from now, as
    /// [`child_until`](CancelToken::child_until) makes it.
    pub fn child_after(&self, duration: Duration) -> Self {
        self.child_until(self.clock().now() + duration)
    }

    /// A token in the same time that nothing of this one cancels: no cancelling, no deadline.
    ///
    /// For what has to be done even so, such as giving back what was taken. Give it a deadline of its own:
    /// `token.detached().child_after(cleanup)`.
    ///
    /// # Examples
    /// ```
    /// use weirs_scopes::{CancelToken, Reason};
    ///
    /// let token = CancelToken::new();
    /// let cleanup = token.detached();
    /// token.cancel(Reason::Requested);
    /// assert!(!cleanup.is_cancelled());
    /// ```
    pub fn detached(&self) -> Self {
        let without = |time: &Arc<Time>| match time.deadline == Instant::FAR_FUTURE {
            true => Arc::clone(time),
            false => Arc::new(Time::without_deadline(time.clock.clone())),
        };
        let time = self.0.time().map(without);
        Self(Node::root(time))
    }

    /// A token that is cancelled as soon as any of these is.
    ///
    /// Its deadline is the earliest of theirs, its clock that of the token with this deadline, or the first
    /// one's. Linked to none it is a token of its own, in real time.
    ///
    /// # Panics
    /// With debug assertions, when deadlines of several clocks meet.
    ///
    /// # Examples
    /// ```
    /// use weirs_scopes::{CancelToken, Reason};
    ///
    /// let (client, server) = (CancelToken::new(), CancelToken::new());
    /// let request = CancelToken::linked([&client, &server]);
    /// server.cancel(Reason::Shutdown);
    /// assert_eq!(request.reason(), Some(Reason::Shutdown));
    /// assert!(!client.is_cancelled());
    /// ```
    #[cfg(not(target_family = "wasm"))]
    pub fn linked<'a>(tokens: impl IntoIterator<Item = &'a Self>) -> Self {
        let tokens: Vec<&Self> = tokens.into_iter().collect();
        let earliest = tokens.iter().min_by_key(|token| token.deadline().unwrap_or(Instant::FAR_FUTURE));
        let time = earliest.and_then(|token| token.0.time().cloned());
        Self(Node::linked(tokens.iter().map(|token| &token.0), time))
    }

    /// Cancels it and all below it, for this reason; `true` for whoever did it first.
    ///
    /// When the call that was first returns, every token below is cancelled, and every waker and callback has
    /// run. A call that was not first may return before that. A reason is a [`Reason`], a text, or an error
    /// ([`Reason::error`]).
    ///
    /// # Examples
    /// ```
    /// use weirs_scopes::{CancelToken, Reason};
    ///
    /// let token = CancelToken::new();
    /// assert!(token.cancel("the disk is full"));
    /// assert!(!token.cancel(Reason::Shutdown));
    /// assert_eq!(token.check().unwrap_err().to_string(), "cancelled: the disk is full");
    /// ```
    pub fn cancel(&self, why: impl Into<Reason>) -> bool {
        self.0.cancel(why.into())
    }

    /// Whether it is cancelled: one atomic load, however deep in the tree it is.
    ///
    /// Whoever sees it cancelled sees all that the canceller had done before.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Why it is cancelled: the reason of whichever token at or above it was cancelled first. None while it
    /// is not.
    pub fn reason(&self) -> Option<Reason> {
        self.0.reason()
    }

    /// An error if it is cancelled, for loops that have nowhere to wait: `token.check()?`.
    ///
    /// # Errors
    /// [`Cancelled`] with the [reason](CancelToken::reason).
    #[inline]
    pub fn check(&self) -> Result<(), Cancelled> {
        match self.is_cancelled() {
            false => Ok(()),
            true => self.reason().map_or(Ok(()), |why| Err(Cancelled::new(why))),
        }
    }

    /// When it is cancelled by itself, at the latest; none without a deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.time().map(|time| time.deadline).filter(|at| *at != Instant::FAR_FUTURE)
    }

    /// How long until the [deadline](CancelToken::deadline), zero when it has passed: what one writes into
    /// the header of a request to another machine.
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.deadline()?.saturating_since(self.clock().now()))
    }

    /// The clock whose time it is in.
    pub fn clock(&self) -> Clock {
        match self.0.time() {
            Some(time) => time.clock.clone(),
            #[cfg(not(target_family = "wasm"))]
            None => Clock::default(),
            #[cfg(target_family = "wasm")]
            None => unreachable!("there is no real time, so every token was given a clock"),
        }
    }

    /// Waits until it is cancelled, and gives the reason.
    ///
    /// # Cancel safety
    /// May be dropped and called again: nothing is lost.
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::block_on;
    /// use weirs_scopes::{CancelToken, Reason};
    ///
    /// let token = CancelToken::new();
    /// let other = token.clone();
    /// let thread = std::thread::spawn(move || other.cancel(Reason::Requested));
    /// assert_eq!(block_on(token.cancelled()), Reason::Requested);
    /// # thread.join().unwrap();
    /// ```
    pub fn cancelled(&self) -> UntilCancelled<'_> {
        UntilCancelled::new(self)
    }

    /// [`cancelled`](CancelToken::cancelled) for whoever needs a `'static` future: it keeps the token.
    pub fn cancelled_owned(self) -> UntilCancelledOwned {
        UntilCancelledOwned::new(self)
    }

    /// Runs a future until it is ready or the token is cancelled.
    ///
    /// The future is polled first, even when the token is cancelled already: a value that is there in the
    /// same poll wins. When the token is cancelled, the future is dropped at the next poll, before the error
    /// is given.
    ///
    /// # Cancel safety
    /// Dropping it drops the future; what that means is the future's promise.
    ///
    /// # Errors
    /// [`Cancelled`] when the token was cancelled first.
    ///
    /// # Panics
    /// When it is polled after its end.
    ///
    /// # Examples
    /// ```
    /// use std::future::{pending, ready};
    /// use weirs_runtime::block_on;
    /// use weirs_scopes::{CancelToken, Reason};
    ///
    /// let token = CancelToken::new();
    /// token.cancel(Reason::Shutdown);
    /// assert!(block_on(token.run(pending::<()>())).is_err());
    /// assert_eq!(block_on(token.run(ready(7))), Ok(7));
    /// ```
    pub fn run<F: Future>(&self, future: F) -> Run<F> {
        Run::new(self.clone(), future)
    }

    /// Calls `f` with the reason when the token is cancelled, on the thread that cancels it, unless the
    /// [`Registration`] is dropped before. If it is cancelled already, `f` is called at once, here.
    ///
    /// It runs after everything in the tree has been marked and woken. It should be short: whoever cancels
    /// waits for it. A panic in it is contained, and goes to the standard panic hook only.
    ///
    /// A callback that holds its own token keeps it, and itself, until it is called or its registration is
    /// dropped: capture a [weak](CancelToken::downgrade) one before [`detach`](Registration::detach).
    ///
    /// # Examples
    /// ```
    /// use weirs_scopes::CancelToken;
    ///
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let token = CancelToken::new();
    /// let registration = token.on_cancel(move |why| sender.send(why.to_string()).unwrap());
    /// token.cancel("enough");
    /// assert_eq!(receiver.recv().unwrap(), "enough");
    /// # drop(registration);
    /// ```
    pub fn on_cancel(&self, f: impl FnOnce(&Reason) + Send + 'static) -> Registration {
        let place =
            if self.is_cancelled() { Err(Box::new(f) as Callback) } else { self.0.on_cancel(Box::new(f)) };
        let place = match place {
            Ok(place) => Some(place),
            Err(callback) => {
                if let Some(why) = self.reason() {
                    forget_panic(contain(|| callback(&why)));
                }
                None
            }
        };
        Registration::new(self.clone(), place)
    }

    /// Cancels it when the guard is dropped, unless that is [disarmed](DropGuard::disarm).
    pub fn guard(&self) -> DropGuard {
        DropGuard::new(self.clone())
    }

    /// A handle that does not keep the token.
    pub fn downgrade(&self) -> WeakToken {
        WeakToken(Arc::downgrade(&self.0))
    }
}

/// A token of its own, as [`CancelToken::new`] makes it.
#[cfg(not(target_family = "wasm"))]
impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

/// The same token once more.
impl Clone for CancelToken {
    fn clone(&self) -> Self {
        self.0.retain();
        Self(Arc::clone(&self.0))
    }
}

impl Drop for CancelToken {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CancelToken");
        match self.reason() {
            Some(why) => debug.field("cancelled", &why),
            None => debug.field("cancelled", &false),
        };
        if let Some(deadline) = self.deadline() {
            debug.field("deadline", &deadline);
        }
        debug.finish()
    }
}

/// A [`CancelToken`] that is not kept; made by [`CancelToken::downgrade`].
///
/// For whoever cancels by name: a table of requests does not keep those that are over.
///
/// # Examples
/// ```
/// use weirs_scopes::CancelToken;
///
/// let token = CancelToken::new();
/// let weak = token.downgrade();
/// assert!(weak.upgrade().is_some());
/// drop(token);
/// assert!(weak.upgrade().is_none());
/// ```
#[derive(Clone)]
pub struct WeakToken(Weak<Node>);

impl WeakToken {
    /// The token, if anybody still has it, or a child of it.
    pub fn upgrade(&self) -> Option<CancelToken> {
        let node = self.0.upgrade()?;
        node.try_retain().then(|| CancelToken(node))
    }
}

impl fmt::Debug for WeakToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.upgrade() {
            Some(token) => f.debug_tuple("WeakToken").field(&token).finish(),
            None => f.write_str("WeakToken(gone)"),
        }
    }
}
