//! [`CoDel`]: when a queue stands, and [`QueueDelay`], which asks it for any queue.

use std::fmt;
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use crate::Denied;
use crate::sync::{Mutex, lock};

/// Tells a queue that stands from one that only swings.
///
/// A queue is good as long as somebody gets through it within the target now and then. When for a whole
/// interval nobody did, one is turned away, and more and more often until the queue is short again.
///
/// It is a state machine without a clock: whoever takes something out of a queue says when, and for how long
/// it was in there. [`QueueDelay`] has a clock.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::CoDel;
/// use weirs_runtime::Instant;
///
/// let millis = Duration::from_millis;
/// let mut queue = CoDel::new(millis(5), millis(100));
/// let mut now = Instant::from_nanos(0);
/// let refused = (0..300).filter(|_| {
///     now += millis(1);
///     queue.refuses(now, millis(20))
/// });
/// assert_eq!(refused.count(), 3, "after 100, 200 and 271 ms");
/// assert!(!queue.refuses(now + millis(1), millis(1)), "somebody got through");
/// ```
#[derive(Clone, Debug)]
pub struct CoDel {
    target: Duration,
    interval: Duration,
    /// When the queue will have stood for an interval, if it stands.
    stands_at: Option<Instant>,
    /// When the next one is turned away, if it is that bad.
    next: Option<Instant>,
    /// How many were turned away in this bad time, and in the one before.
    count: u32,
    last: u32,
    /// Until when a bad time goes on where the one before ended.
    lately: Option<Instant>,
}

impl CoDel {
    /// What is a good delay, and for how long a bad one is borne: 5 ms and 100 ms are usual, and twenty times
    /// the target in any case.
    pub const fn new(target: Duration, interval: Duration) -> Self {
        Self { target, interval, stands_at: None, next: None, count: 0, last: 0, lately: None }
    }

    /// Something is taken out of the queue now, after so long: whether it is turned away.
    pub fn refuses(&mut self, now: Instant, waited: Duration) -> bool {
        let stands = self.stands(now, waited);
        match self.next {
            Some(_) if !stands => {
                self.end();
                false
            }
            Some(next) if now >= next => {
                self.count = self.count.saturating_add(1);
                self.next = Some(next + self.pause());
                true
            }
            None if stands => {
                let more = self.count - self.last;
                let lately = self.lately.is_some_and(|until| now < until);
                self.count = if more > 1 && lately { more } else { 1 };
                self.last = self.count;
                self.next = Some(now + self.pause());
                true
            }
            _ => false,
        }
    }

    /// Nothing is in the queue.
    pub fn empty(&mut self) {
        self.stands_at = None;
        self.end();
    }

    /// Whether it turns some away now.
    pub const fn is_bad(&self) -> bool {
        self.next.is_some()
    }

    fn end(&mut self) {
        if let Some(next) = self.next.take() {
            self.lately = Some(next + self.interval.saturating_mul(16));
        }
    }

    fn stands(&mut self, now: Instant, waited: Duration) -> bool {
        if waited < self.target {
            self.stands_at = None;
            return false;
        }
        now >= *self.stands_at.get_or_insert(now + self.interval)
    }

    fn pause(&self) -> Duration {
        let pause = self.interval.as_secs_f64() / f64::from(self.count.max(1)).sqrt();
        Duration::try_from_secs_f64(pause).unwrap_or(self.interval)
    }
}

/// [`CoDel`] for any queue: of a channel, of a semaphore, of a socket.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{QueueDelay, Semaphore};
/// use weirs_runtime::{Clock, block_on};
///
/// let semaphore = Semaphore::new(10);
/// let delay = QueueDelay::new(Duration::from_millis(5), Duration::from_millis(100), Clock::default());
/// block_on(async {
///     let since = delay.now();
///     let permit = semaphore.acquire(1).await.unwrap();
///     match delay.admit(since) {
///         Ok(()) => { /* the work */ }
///         Err(_) => { /* answer that it is too busy */ }
///     }
///     drop(permit);
/// });
/// ```
pub struct QueueDelay {
    clock: Clock,
    state: Mutex<(CoDel, QueueDelayStats)>,
}

/// A look at a [`QueueDelay`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueDelayStats {
    /// How many went on so far.
    pub admitted: u64,
    /// How many were turned away so far.
    pub stale: u64,
    /// How long the last one had stood in the queue.
    pub last_wait: Duration,
}

impl QueueDelay {
    /// As [`CoDel::new`].
    pub fn new(target: Duration, interval: Duration, clock: Clock) -> Self {
        Self { clock, state: Mutex::new((CoDel::new(target, interval), QueueDelayStats::default())) }
    }

    /// The time, to be remembered by whatever goes into the queue.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Something that went into the queue then comes out of it now.
    ///
    /// # Errors
    /// [`Denied::Stale`]: it is turned away.
    pub fn admit(&self, since: Instant) -> Result<(), Denied> {
        let now = self.clock.now();
        let waited = now.saturating_since(since);
        let (queue, stats) = &mut *lock(&self.state);
        stats.last_wait = waited;
        match queue.refuses(now, waited) {
            true => {
                stats.stale += 1;
                Err(Denied::Stale { waited })
            }
            false => {
                stats.admitted += 1;
                Ok(())
            }
        }
    }

    /// Whether it turns some away now.
    pub fn is_bad(&self) -> bool {
        lock(&self.state).0.is_bad()
    }

    /// What it looks like now.
    pub fn stats(&self) -> QueueDelayStats {
        lock(&self.state).1
    }
}

impl fmt::Debug for QueueDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueDelay").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
