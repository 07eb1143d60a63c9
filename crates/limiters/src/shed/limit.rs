//! [`PriorityLimit`]: a shedder with a priority, as any other limit.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use weirs_runtime::{Clock, Instant};

use super::{Priority, PriorityShedder};
use crate::{Denied, Grant, Limit, Waiting};

/// What a [`PriorityShedder`] says to requests of one priority, as a [`Limit`]; made by
/// [`PriorityShedder::limit_of`].
///
/// A `Limit` knows the cost of a request and no more: most limiters serve all alike, and would have to carry
/// a priority for nothing. So the priority is in the limit, as a key is in a
/// [`KeyLimit`](crate::KeyLimit), and [`AllOf`](crate::AllOf) puts it before the others. It never makes
/// anybody wait: who is turned away is to go elsewhere. Of an `AllOf` that waits it is asked again at the end
/// of the wait, and may say otherwise then.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use weirs_limiters::{AllOf, Class, Limit, PriorityShedder, Semaphore};
/// use weirs_runtime::Clock;
///
/// let shedder = Arc::new(PriorityShedder::new(Clock::default()));
/// let running = Arc::new(Semaphore::new(8));
/// let door = |class: Class| {
///     let running: Arc<dyn Limit> = running.clone();
///     let priority = Arc::new(shedder.limit_of(class.into()));
///     AllOf::<Arc<dyn Limit>>::new().with("priority", priority).with("running", running)
/// };
/// let (clerks, robots) = (door(Class::High), door(Class::Background));
/// (0..10).for_each(|_| drop((clerks.try_acquire(1), robots.try_acquire(1))));
/// shedder.set_rate(0.5);
/// assert!(clerks.try_acquire(1).is_ok());
/// assert_eq!(robots.try_acquire(1).unwrap_err().name(), "priority");
/// ```
#[derive(Clone)]
pub struct PriorityLimit {
    shedder: Arc<PriorityShedder>,
    priority: Priority,
}

impl PriorityLimit {
    pub(super) fn new(shedder: Arc<PriorityShedder>, priority: Priority) -> Self {
        Self { shedder, priority }
    }

    /// The priority of its requests.
    pub fn priority(&self) -> Priority {
        self.priority
    }
}

impl Limit for PriorityLimit {
    fn clock(&self) -> &Clock {
        self.shedder.clock()
    }

    fn try_acquire_at(&self, _: Instant, cost: u64) -> Result<Grant, Denied> {
        // One request is one, whatever it costs.
        if cost > 0 {
            self.shedder.admit(self.priority)?;
        }
        Ok(Grant::new(cost, u64::MAX))
    }

    /// At the threshold itself it is a matter of chance; then it says that it may be.
    fn peek_at(&self, _: Instant, cost: u64) -> Result<u64, Denied> {
        let (level, threshold) = (self.priority.level(), self.shedder.threshold());
        match cost > 0 && level > threshold {
            true => Err(Denied::Shed { level, threshold }),
            false => Ok(u64::MAX),
        }
    }

    fn poll_acquire(&self, waiting: &mut Waiting, _: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        Poll::Ready(self.try_acquire_at(Instant::from_nanos(0), waiting.cost()))
    }

    fn cancel(&self, _: &mut Waiting) {}
}

impl fmt::Debug for PriorityLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityLimit")
            .field("priority", &self.priority)
            .field("shedder", &self.shedder)
            .finish_non_exhaustive()
    }
}
