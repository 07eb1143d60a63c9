//! [`bounded`] and [`channel`]: a bounded channel that says what happens when it is full.

mod batches;
mod errors;
mod permit;
mod policy;
mod receiver;
mod sender;
mod shared;
mod sink;
mod stats;

use std::fmt;
use std::num::NonZeroUsize;

use weirs_runtime::Clock;

pub use batches::Batches;
pub use errors::{Closed, SendError, Sent, TryRecvError};
pub use permit::{Permits, Reserve};
pub use policy::Overflow;
pub use receiver::{Receiver, Recv, RecvMany, Remaining};
pub use sender::{Send, SendAll, Sender, WaitClosed, WeakSender};
pub use sink::SenderSink;
pub use stats::ChannelStats;

use policy::Admission;
use shared::Shared;

/// A bounded channel whose senders wait while it is full: [`Overflow::Block`].
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::bounded;
/// use weirs_runtime::block_on;
///
/// let (sender, mut receiver) = bounded(NonZeroUsize::new(2).unwrap());
/// block_on(async {
///     sender.send("one").await.unwrap();
///     sender.send("two").await.unwrap();
///     // A third would wait; asked without waiting it comes back.
///     assert_eq!(sender.try_send("three").unwrap_err().into_inner(), "three");
///     assert_eq!(receiver.recv().await, Some("one"));
///
///     drop(sender);
///     assert_eq!(receiver.recv().await, Some("two"));
///     assert_eq!(receiver.recv().await, None);
/// });
/// ```
#[must_use]
pub fn bounded<T>(capacity: NonZeroUsize) -> (Sender<T>, Receiver<T>) {
    channel(capacity).build()
}

/// A bounded channel of which more is to be said: what happens when it is full, and who hears of it.
///
/// # Examples
/// The last two readings, for whoever looks next:
/// ```
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::{Overflow, Sent, channel};
///
/// let builder = channel(NonZeroUsize::new(2).unwrap()).overflow(Overflow::DropOldest);
/// let (sender, mut receiver) = builder.build();
/// assert_eq!(sender.try_send(20), Ok(Sent::Queued));
/// assert_eq!(sender.try_send(21), Ok(Sent::Queued));
/// assert_eq!(sender.try_send(22), Ok(Sent::Evicted(20)));
/// assert_eq!(receiver.try_recv(), Ok(21));
/// assert_eq!(sender.stats().dropped, 1);
/// ```
pub fn channel<T>(capacity: NonZeroUsize) -> ChannelBuilder<T> {
    ChannelBuilder { capacity, overflow: Overflow::Block, on_drop: None, clock: Clock::default() }
}

/// Makes a channel; from [`channel`].
#[must_use = "a builder does nothing before it builds"]
pub struct ChannelBuilder<T> {
    capacity: NonZeroUsize,
    overflow: Overflow,
    on_drop: Option<OnDrop<T>>,
    clock: Clock,
}

pub(crate) type OnDrop<T> = Box<dyn Fn(&T) + std::marker::Send + Sync>;

impl<T> ChannelBuilder<T> {
    /// What happens when it is full; [`Overflow::Block`] if nothing else is said.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Called with each item that the policy drops, on the thread that sends, before the send returns it.
    /// Items that are left in a channel without receivers are not dropped by the policy.
    ///
    /// It is called outside all locks. A panic in it goes to the caller of the send; the channel is as it
    /// would be without.
    pub fn on_drop(mut self, seen: impl Fn(&T) + std::marker::Send + Sync + 'static) -> Self {
        self.on_drop = Some(Box::new(seen));
        self
    }

    /// Whose time [`Overflow::SampleEvery`] is measured in; real time if nothing else is said.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// The two ends.
    #[must_use]
    pub fn build(self) -> (Sender<T>, Receiver<T>) {
        let capacity = if self.overflow == Overflow::Latest { 1 } else { self.capacity.get() };
        let admission = Admission::new(self.overflow, self.clock);
        let shared = Shared::new(capacity, admission, self.on_drop);
        (Sender::new(shared.clone()), Receiver::new(shared))
    }
}

impl<T> fmt::Debug for ChannelBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ChannelBuilder");
        debug.field("capacity", &self.capacity).field("overflow", &self.overflow).finish_non_exhaustive()
    }
}
