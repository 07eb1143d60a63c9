//! [`Semaphore`]: how much at once.

mod acquire;
mod builder;
mod permit;
mod queue;
mod word;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_runtime::waiting::{Wakes, wake};
use weirs_runtime::{Clock, Instant};

use crate::line::Counts;
use crate::sync::{Mutex, lock};
use crate::{Counted, Denied, Grant, Limit, Outcome, Waiting};
use queue::Queue;
use word::Word;

pub use acquire::{AcquirePermit, AcquirePermitBy, AcquirePermitOwned, AcquirePermitOwnedBy};
pub use builder::SemaphoreBuilder;
pub use permit::{OwnedPermit, Permit};

/// Admits so much at once: whoever has a permit gives it back by dropping it.
///
/// Permits are weighted: one request may take several. The capacity may be changed at any time: a smaller one
/// is reached as permits come back. While nobody waits, taking and giving back are one atomic operation each.
///
/// # Examples
/// ```
/// use weirs_limiters::Semaphore;
/// use weirs_runtime::block_on;
///
/// let connections = Semaphore::new(10);
/// block_on(async {
///     let one = connections.acquire(1).await.unwrap();
///     let nine = connections.acquire(9).await.unwrap();
///     assert!(connections.try_acquire(1).is_err());
///     drop((one, nine));
/// });
/// assert_eq!(connections.available(), 10);
/// ```
pub struct Semaphore {
    word: Word,
    queue: Mutex<Queue>,
    clock: Clock,
    counts: Counts,
}

/// Who is next when permits are free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// First come, first served: permits go to the first in the queue, and nobody overtakes it. A large
    /// request holds up small ones behind it.
    #[default]
    Fair,
    /// Who comes at the right moment may take free permits past those who wait: that spares turns of the
    /// executor. Nobody who waits is overtaken more than `max_bypass` times.
    Barging {
        /// How often each is overtaken at most.
        max_bypass: u32,
    },
    /// Who came last is served first: under overload those who are served have waited for a short time, and
    /// the others run into their deadlines. The first to come may wait for ever.
    Lifo,
}

/// A look at a [`Semaphore`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreStats {
    /// The capacity.
    pub capacity: u64,
    /// How much is held: more than the capacity for a while after it was made smaller.
    pub held: u64,
    /// How many wait.
    pub waiting: usize,
    /// How often somebody had to wait so far.
    pub waited: u64,
    /// How long the one who came first of them has waited. It takes a look at the clock for each wait, so it
    /// is zero unless the semaphore was [built](crate::SemaphoreBuilder::counted) to count.
    pub oldest_wait: Duration,
    /// How often it said what, if it was [built](crate::SemaphoreBuilder::counted) to know.
    pub counted: Option<Counted>,
}

impl Semaphore {
    /// The largest capacity.
    pub const MAX_CAPACITY: u64 = 1 << 60;

    /// A fair semaphore with room for 1024 who wait.
    ///
    /// # Panics
    /// When `capacity` is above [`MAX_CAPACITY`](Self::MAX_CAPACITY).
    pub fn new(capacity: u64) -> Self {
        Self::builder(capacity).build()
    }

    /// Sets all that can be set.
    ///
    /// # Panics
    /// When `capacity` is above [`MAX_CAPACITY`](Self::MAX_CAPACITY).
    pub fn builder(capacity: u64) -> SemaphoreBuilder {
        SemaphoreBuilder::new(capacity)
    }

    /// Takes `n` permits now, all or none.
    ///
    /// # Errors
    /// [`Denied::Busy`], [`Denied::TooLarge`] when `n` is above the capacity, [`Denied::Closed`].
    #[inline]
    pub fn try_acquire(&self, n: u64) -> Result<Permit<'_>, Denied> {
        self.take(n).map(|()| Permit::new(self, n))
    }

    /// [`try_acquire`](Semaphore::try_acquire), with a permit that keeps the semaphore.
    ///
    /// # Errors
    /// The same.
    #[inline]
    pub fn try_acquire_owned(self: &Arc<Self>, n: u64) -> Result<OwnedPermit, Denied> {
        self.take(n).map(|()| OwnedPermit::new(Arc::clone(self), n))
    }

    /// Takes `n` permits, and waits for them.
    ///
    /// # Waiting
    /// In the order of the [`Mode`]. No clock and no timer is used.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no permit was taken, and the next in the queue has its turn.
    ///
    /// # Errors
    /// [`Denied::TooLarge`] when `n` is above the capacity, also when that gets so during the wait;
    /// [`Denied::QueueFull`], [`Denied::Closed`].
    #[inline]
    pub fn acquire(&self, n: u64) -> AcquirePermit<'_> {
        AcquirePermit::new(self, n)
    }

    /// [`acquire`](Semaphore::acquire), with a permit that keeps the semaphore.
    ///
    /// # Waiting
    /// As `acquire`.
    ///
    /// # Cancel safety
    /// As `acquire`.
    ///
    /// # Errors
    /// As `acquire`.
    #[inline]
    pub fn acquire_owned(self: &Arc<Self>, n: u64) -> AcquirePermitOwned {
        AcquirePermitOwned::new(Arc::clone(self), n)
    }

    /// [`acquire`](Semaphore::acquire), but until then.
    ///
    /// # Waiting
    /// As `acquire`. Each of these waits has a timer.
    ///
    /// # Cancel safety
    /// As `acquire`.
    ///
    /// # Errors
    /// [`Denied::DeadlinePassed`], and those of `acquire`. Free permits are taken even after the deadline.
    ///
    /// # Panics
    /// With debug assertions, when `deadline` comes from another clock.
    pub fn acquire_by(&self, n: u64, deadline: Instant) -> AcquirePermitBy<'_> {
        AcquirePermitBy::new(self, n, deadline)
    }

    /// [`acquire_by`](Semaphore::acquire_by), with a permit that keeps the semaphore.
    ///
    /// # Waiting
    /// As `acquire_by`.
    ///
    /// # Cancel safety
    /// As `acquire`.
    ///
    /// # Errors
    /// As `acquire_by`.
    ///
    /// # Panics
    /// As `acquire_by`.
    pub fn acquire_owned_by(self: &Arc<Self>, n: u64, deadline: Instant) -> AcquirePermitOwnedBy {
        AcquirePermitOwnedBy::new(Arc::clone(self), n, deadline)
    }

    /// How many permits are free. Those who wait may want them.
    pub fn available(&self) -> u64 {
        self.word.available()
    }

    /// How many permits there are.
    pub fn capacity(&self) -> u64 {
        lock(&self.queue).capacity()
    }

    /// From now on there are so many permits. Whoever waits for more hears [`Denied::TooLarge`] at once. When
    /// more are held than there are now, nobody is admitted until enough came back.
    ///
    /// # Panics
    /// When `capacity` is above [`MAX_CAPACITY`](Self::MAX_CAPACITY).
    pub fn set_capacity(&self, capacity: u64) {
        assert!(capacity <= Self::MAX_CAPACITY, "the capacity is above `Semaphore::MAX_CAPACITY`");
        let woken = lock(&self.queue).set_capacity(&self.word, capacity);
        woken.into_iter().for_each(wake);
        self.serve();
    }

    /// Admits nobody any more: everybody who waits or asks hears [`Denied::Closed`]. Permits that are held
    /// stay.
    pub fn close(&self) {
        let woken = lock(&self.queue).close(&self.word);
        woken.into_iter().for_each(wake);
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.word.is_closed()
    }

    /// What it looks like now.
    pub fn stats(&self) -> SemaphoreStats {
        let now = self.now_if_counted();
        let queue = lock(&self.queue);
        SemaphoreStats {
            capacity: queue.capacity(),
            held: self.word.held(queue.capacity()),
            waiting: queue.len(),
            waited: queue.waited(),
            oldest_wait: queue.since().map(|since| now.saturating_since(since)).unwrap_or_default(),
            counted: self.counts.read(),
        }
    }

    /// Without counts nothing looks at the clock.
    fn now_if_counted(&self) -> Instant {
        if self.counts.are_on() { self.clock.now() } else { Instant::from_nanos(0) }
    }

    #[inline]
    fn take(&self, n: u64) -> Result<(), Denied> {
        if self.word.take_if_nobody_waits(n) {
            self.counts.admit(n);
            return Ok(());
        }
        self.take_slowly(n)
    }

    #[cold]
    fn take_slowly(&self, n: u64) -> Result<(), Denied> {
        let result = lock(&self.queue).try_take(&self.word, n);
        self.counts.count(n, &result);
        result
    }

    #[inline]
    fn give_back(&self, n: u64) {
        if self.word.give_back(n) {
            self.serve();
        }
    }

    /// Lets go whoever may. Wakers are woken outside the lock, some at a time.
    #[cold]
    fn serve(&self) {
        loop {
            let mut wakes = Wakes::default();
            let mut queue = lock(&self.queue);
            if queue.serve(&self.word, &mut wakes) {
                return;
            }
        }
    }

    /// Permits that never come back: the capacity is less by them.
    fn forget(&self, n: u64) {
        let woken = lock(&self.queue).forget(&self.word, n);
        woken.into_iter().for_each(wake);
        self.serve();
    }
}

impl Limit for Semaphore {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn try_acquire_at(&self, _: Instant, cost: u64) -> Result<Grant, Denied> {
        self.take(cost).map(|()| Grant::new(cost, self.available()))
    }

    fn peek_at(&self, _: Instant, cost: u64) -> Result<u64, Denied> {
        lock(&self.queue).peek(&self.word, cost)
    }

    fn poll_acquire(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        let mut ticket = waiting.key();
        let polled = self.poll(waiting.cost(), &mut ticket, cx);
        waiting.set_key(ticket);
        match polled {
            Poll::Ready(result) => {
                waiting.stop_timer();
                Poll::Ready(result.map(|()| Grant::new(waiting.cost(), self.available())))
            }
            Poll::Pending => {
                if waiting.poll_deadline(&self.clock, cx).is_pending() {
                    return Poll::Pending;
                }
                self.cancel(waiting);
                self.deadline_passed(waiting.cost()).map(Err)
            }
        }
    }

    fn cancel(&self, waiting: &mut Waiting) {
        waiting.stop_timer();
        if let Some(ticket) = waiting.key() {
            waiting.set_key(None);
            self.leave(ticket);
        }
    }

    #[inline]
    fn release(&self, grant: Grant, _: Outcome) {
        assert!(grant.cost() <= Self::MAX_CAPACITY, "this grant is not one of a semaphore");
        self.give_back(grant.cost());
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Semaphore")
            .field("capacity", &stats.capacity)
            .field("held", &stats.held)
            .field("waiting", &stats.waiting)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
