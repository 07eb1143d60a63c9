//! [`Bulkhead`]: how many calls at once.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::mem::forget;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use weirs_limiters::{Denied, Grant, Limit, Mode, Outcome, Permit, QueueDelay, Semaphore, Waiting};
use weirs_runtime::{Instant, Sleep};

use crate::stack::alone;
use crate::{
    Attempt, Chain, Error, Inner, Invalid, Part, Place, Plan, Policy, Reason, Rejection, Role, Root, Scene,
    SingleShot, Stack, StackBuilder, Turn,
};

/// A bulkhead, alone: `bulkhead(Bulkhead::new(10)).call(work)`, or of one that is shared,
/// `bulkhead(&shared).call(work)`.
///
/// # Examples
/// ```
/// use weirs_resilience::{Bulkhead, bulkhead};
/// use weirs_runtime::block_on;
///
/// let reports = Bulkhead::new(2);
/// assert_eq!(block_on(bulkhead(&reports).call(async |_| Ok::<_, ()>(1))), Ok(1));
/// ```
pub fn bulkhead<B: Borrow<Bulkhead>>(bulkhead: B) -> Stack<Chain<Root, InBulkhead<B>>> {
    alone(InBulkhead(bulkhead))
}

impl<P: Part> StackBuilder<P> {
    /// So many calls at once, of all stacks that share this bulkhead: a reference to it, an
    /// [`Arc`](std::sync::Arc) of it or a reference to that, or one for this stack alone. A stack that lives
    /// longer than a call, such as a field, wants the `Arc` itself.
    ///
    /// Inside a retry a pause holds no place; outside a limit of time for one attempt, the wait for a place
    /// is no time of the other side.
    pub fn bulkhead<B: Borrow<Bulkhead>>(self, bulkhead: B) -> StackBuilder<Chain<P, InBulkhead<B>>> {
        self.policy(InBulkhead(bulkhead))
    }
}

/// So many calls at once: those that a slow server holds up leave room for the others.
///
/// Without more it refuses whoever finds no place. With a [`queue`](Bulkhead::queue) so many may wait, first
/// come, first served, for as long as they have time, or [`at most`](Bulkhead::wait_at_most) so long.
///
/// It is shared by reference or in an [`Arc`](std::sync::Arc). While there is room, a call costs two atomic
/// operations and no look at the clock.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Bulkhead, Reason, Stack};
/// use weirs_runtime::block_on;
///
/// let database = Bulkhead::new(1).queue(100).wait_at_most(Duration::from_millis(20));
/// let reads = Stack::builder().bulkhead(&database).build().unwrap();
/// let place = database.try_enter().unwrap();
/// let refused = block_on(reads.call(async |_| Ok::<_, ()>("a row")));
/// assert_eq!(refused.unwrap_err().rejected(), Some(Reason::BulkheadFull));
/// drop(place);
/// assert_eq!(block_on(reads.call(async |_| Ok::<_, ()>("a row"))), Ok("a row"));
/// ```
pub struct Bulkhead {
    places: Semaphore,
    queue: Option<usize>,
    mode: Mode,
    patience: Option<Duration>,
    delay: Option<QueueDelay>,
    /// Whether somebody waited since somebody last did not have to.
    stood: AtomicBool,
    rejected: AtomicU64,
}

/// How many may wait if only their time is limited.
const QUEUE: usize = 1024;

impl Bulkhead {
    /// So many at once; nobody waits.
    ///
    /// More than [`Semaphore::MAX_CAPACITY`] is that. A stack with one of no places is not built; with
    /// [`set_places`](Bulkhead::set_places) it may have none for a while.
    pub fn new(places: u64) -> Self {
        Self {
            places: Self::semaphore(places, 0, Mode::Fair),
            queue: None,
            mode: Mode::Fair,
            patience: None,
            delay: None,
            stood: AtomicBool::new(false),
            rejected: AtomicU64::new(0),
        }
    }

    /// So many may wait for a place.
    #[must_use = "it is consumed"]
    pub fn queue(mut self, most: usize) -> Self {
        self.queue = Some(most);
        self.anew()
    }

    /// Each waits for so long at most. Without a [`queue`](Bulkhead::queue) 1024 may wait.
    #[must_use = "it is consumed"]
    pub fn wait_at_most(mut self, limit: Duration) -> Self {
        self.patience = Some(limit);
        self.anew()
    }

    /// Who is next: [`Mode::Fair`] without it.
    #[must_use = "it is consumed"]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self.anew()
    }

    /// Turns away some of those who waited, while the queue does not get shorter.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_limiters::QueueDelay;
    /// use weirs_resilience::Bulkhead;
    /// use weirs_runtime::Clock;
    ///
    /// let ms = Duration::from_millis;
    /// let delay = QueueDelay::new(ms(5), ms(100), Clock::default());
    /// let bulkhead = Bulkhead::new(10).queue(1_000).shed_standing(delay);
    /// # let _ = bulkhead;
    /// ```
    #[must_use = "it is consumed"]
    pub fn shed_standing(mut self, delay: QueueDelay) -> Self {
        self.delay = Some(delay);
        self
    }

    fn anew(mut self) -> Self {
        self.places = Self::semaphore(self.places.capacity(), self.waiters(), self.mode);
        self
    }

    fn semaphore(places: u64, waiters: usize, mode: Mode) -> Semaphore {
        Semaphore::builder(places.min(Semaphore::MAX_CAPACITY)).max_waiters(waiters).mode(mode).build()
    }

    fn waiters(&self) -> usize {
        self.queue.unwrap_or(if self.patience.is_some() { QUEUE } else { 0 })
    }

    /// Takes a place now, until the guard is dropped: for work that is no call.
    ///
    /// # Errors
    /// [`Reason::BulkheadFull`], [`Reason::Closed`].
    #[inline]
    pub fn try_enter(&self) -> Result<Permit<'_>, Rejection> {
        self.places.try_acquire(1).map_err(|denied| self.rejection(&denied, Place::ALONE))
    }

    /// Takes a place, and waits for it in the queue.
    ///
    /// # Waiting
    /// As long as it takes: [`wait_at_most`](Bulkhead::wait_at_most) is for calls, whose stack has a clock.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no place was taken.
    ///
    /// # Errors
    /// [`Reason::BulkheadFull`] when as many wait as may, [`Reason::Closed`].
    pub fn enter(&self) -> Enter<'_> {
        Enter { bulkhead: self, place: self.places.acquire(1) }
    }

    /// From now on there are so many places. Fewer are reached as calls end.
    pub fn set_places(&self, places: u64) {
        self.places.set_capacity(places.min(Semaphore::MAX_CAPACITY));
    }

    /// Admits nobody any more: everybody who waits or asks hears [`Reason::Closed`].
    pub fn close(&self) {
        self.places.close();
    }

    /// What it looks like now.
    pub fn stats(&self) -> BulkheadStats {
        let places = self.places.stats();
        BulkheadStats {
            places: places.capacity,
            taken: places.held,
            waiting: places.waiting,
            waited: places.waited,
            rejected: self.rejected.load(Ordering::Relaxed),
        }
    }

    #[cold]
    fn rejection(&self, denied: &Denied, place: Place) -> Rejection {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        Rejection::new(reason(denied), place)
    }

    #[inline(always)]
    fn reject<E>(&self, turn: &Turn<'_, '_>, reason: Reason) -> Error<E> {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        turn.reject(reason, None)
    }

    #[inline]
    fn leave(&self) {
        self.places.release(Grant::new(1, 0), Outcome::Ignore);
    }

    /// Somebody got through without a wait: the queue does not stand.
    #[inline]
    fn flows(&self) {
        if let Some(delay) = &self.delay {
            if self.stood.load(Ordering::Relaxed) && self.stood.swap(false, Ordering::Relaxed) {
                let _ = delay.admit(delay.now());
            }
        }
    }

    /// Takes a place if one is free.
    #[inline]
    fn takes_place(&self, stage: &mut Stage) -> bool {
        let takes = matches!(stage, Stage::New) && self.places.try_acquire(1).map(forget).is_ok();
        if takes {
            // The state of the call remembers it.
            *stage = Stage::Holds;
            self.flows();
        }
        takes
    }

    /// Begins to wait, and waits.
    #[cold]
    fn poll_place(
        &self,
        stage: &mut Stage,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
    ) -> Poll<Result<(), Reason>> {
        if let Stage::New = stage {
            match self.places.try_acquire(1) {
                // Somebody has just left.
                Ok(permit) => {
                    forget(permit);
                    *stage = Stage::Holds;
                    self.flows();
                    return Poll::Ready(Ok(()));
                }
                Err(denied) => *stage = Stage::Waits(Box::new(self.begin_wait(&denied)?)),
            }
        }
        self.poll_wait(stage, turn, at)
    }

    fn begin_wait(&self, denied: &Denied) -> Result<Wait, Reason> {
        if matches!(denied, Denied::TooLarge { .. } | Denied::Closed) || self.waiters() == 0 {
            return Err(reason(denied));
        }
        let since = self.delay.as_ref().map(QueueDelay::now);
        Ok(Wait { waiting: Waiting::new(1), until: None, since })
    }

    fn poll_wait(&self, stage: &mut Stage, turn: &mut Turn<'_, '_>, at: Attempt) -> Poll<Result<(), Reason>> {
        let Stage::Waits(wait) = stage else { unreachable!("it waits") };
        match self.places.poll_acquire(&mut wait.waiting, turn.context()) {
            Poll::Ready(Ok(_)) => {
                let since = wait.since;
                *stage = Stage::Holds;
                if let (Some(delay), Some(since)) = (&self.delay, since) {
                    self.stood.store(true, Ordering::Relaxed);
                    if delay.admit(since).is_err() {
                        *stage = Stage::New;
                        self.leave();
                        return Poll::Ready(Err(Reason::Shed));
                    }
                }
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(denied)) => {
                *stage = Stage::New;
                return Poll::Ready(Err(reason(&denied)));
            }
            Poll::Pending => {}
        }
        let until = wait.until.get_or_insert_with(|| self.until(turn, at));
        let Some((timer, reason)) = until else { return Poll::Pending };
        ready!(Pin::new(timer).poll(turn.context()));
        let reason = *reason;
        self.places.cancel(&mut wait.waiting);
        *stage = Stage::New;
        Poll::Ready(Err(reason))
    }

    /// Until when to wait, in the stack's time, and what it means when that has come.
    fn until(&self, turn: &Turn<'_, '_>, at: Attempt) -> Option<(Sleep, Reason)> {
        let clock = turn.clock();
        let deadline = at.deadline(clock);
        let patience = self.patience.map(|patience| clock.now() + patience);
        let (until, reason) = match (deadline, patience) {
            (Some(deadline), Some(patience)) if deadline <= patience => (deadline, Reason::Deadline),
            (_, Some(patience)) => (patience, Reason::BulkheadFull),
            (Some(deadline), None) => (deadline, Reason::Deadline),
            (None, None) => return None,
        };
        Some((clock.sleep_until(until), reason))
    }
}

fn reason(denied: &Denied) -> Reason {
    match denied {
        Denied::Closed => Reason::Closed,
        _ => Reason::BulkheadFull,
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// What a [`Bulkhead`] looks like at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadStats {
    /// How many at once.
    pub places: u64,
    /// How many are in: more than there are places for a while after these became fewer.
    pub taken: u64,
    /// How many wait.
    pub waiting: usize,
    /// How often somebody had to wait so far.
    pub waited: u64,
    /// How many were refused so far.
    pub rejected: u64,
}

/// The future of [`Bulkhead::enter`].
#[must_use = "it does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Enter<'b> {
    bulkhead: &'b Bulkhead,
    place: weirs_limiters::AcquirePermit<'b>,
}

impl<'b> Future for Enter<'b> {
    type Output = Result<Permit<'b>, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.place).poll(cx));
        Poll::Ready(result.map_err(|denied| self.bulkhead.rejection(&denied, Place::ALONE)))
    }
}

/// So that `bulkhead(&shared)` is fine with a bulkhead that is in an [`Arc`], as with a breaker.
impl Borrow<Bulkhead> for &Arc<Bulkhead> {
    fn borrow(&self) -> &Bulkhead {
        self
    }
}

/// A [`Bulkhead`] as a policy; made by [`StackBuilder::bulkhead`].
#[derive(Clone, Copy, Debug)]
pub struct InBulkhead<B>(B);

impl<B> SingleShot for InBulkhead<B> {}

impl<B: Borrow<Bulkhead>> Part for InBulkhead<B> {
    fn explain(&self, plan: &mut Plan) {
        let bulkhead = self.0.borrow();
        let places = bulkhead.places.capacity();
        let check = match places {
            0 => Err(Invalid::new("bulkhead.places", "no place at all; nothing could ever be done")),
            _ => Ok(()),
        };
        let wait = match (bulkhead.waiters(), bulkhead.patience) {
            (0, _) => String::from("nobody waits"),
            (waiters, None) => format!("{waiters} may wait"),
            (waiters, Some(patience)) => format!("{waiters} may wait for at most {patience:?}"),
        };
        plan.part(Role::Bulkhead, "bulkhead").says(format!("{places} at once, {wait}")).check(check);
    }
}

/// What a [`Bulkhead`] remembers of one call.
#[derive(Debug, Default)]
pub struct BulkheadState {
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    New,
    /// In a box: most calls never wait, and all are smaller by it.
    Waits(Box<Wait>),
    Holds,
}

#[derive(Debug)]
struct Wait {
    waiting: Waiting,
    /// Set at the first `Pending`: `Some(None)` is for ever.
    until: Option<Option<(Sleep, Reason)>>,
    since: Option<Instant>,
}

impl<T, E, B: Borrow<Bulkhead>> Policy<T, E> for InBulkhead<B> {
    type State = BulkheadState;

    #[inline(always)]
    fn begin(&self) -> BulkheadState {
        BulkheadState::default()
    }

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut BulkheadState,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        let bulkhead = self.0.borrow();
        if !matches!(state.stage, Stage::Holds) && !bulkhead.takes_place(&mut state.stage) {
            if let Err(reason) = ready!(bulkhead.poll_place(&mut state.stage, turn, at)) {
                return Poll::Ready(Err(bulkhead.reject(turn, reason)));
            }
        }
        let polled = inner.poll(turn, at);
        if polled.is_ready() {
            state.stage = Stage::New;
            bulkhead.leave();
        }
        polled
    }

    fn abandon(&self, state: &mut BulkheadState, _: Scene<'_>) {
        let bulkhead = self.0.borrow();
        match std::mem::take(&mut state.stage) {
            Stage::New => {}
            Stage::Waits(mut wait) => bulkhead.places.cancel(&mut wait.waiting),
            Stage::Holds => bulkhead.leave(),
        }
    }
}
