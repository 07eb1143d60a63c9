//! [`Delivery`]: a message that has to be acknowledged; [`ack_each`]: works such messages off.

mod each;

use std::fmt;
use std::future::Future;
use std::thread::panicking;

pub use each::{AckCounts, AckError, ack_each};

use crate::panics::{contain, let_go};

/// Tells a broker what became of a message.
///
/// Neither of them waits: what has to be sent is put into the connection's queue, or into a channel.
pub trait Receipt: Send + 'static {
    /// The message is done with: it must not come again.
    fn ack(self);

    /// The message is not done with: let it come again.
    fn nack(self);
}

/// A message of a broker, with the receipt for it. A source with acknowledgement is any
/// [`Stream`](futures_core::Stream) of these.
///
/// It is acknowledged by [`ack`](Self::ack) alone. Dropped in any other way (cancelled, in a panic, handed
/// back and forgotten) it is refused, and comes again. So it is a job for any pool: whatever becomes of the
/// job, the broker hears of it.
///
/// # Examples
/// ```
/// use std::sync::mpsc::{Sender, channel};
/// use futures_lite::StreamExt;
/// use weirs_pipelines::{Delivery, Receipt, WorkerPool};
/// use weirs_testing::sim::Sim;
///
/// struct Told(Sender<(u32, bool)>, u32);
/// impl Receipt for Told {
///     fn ack(self) { self.0.send((self.1, true)).unwrap() }
///     fn nack(self) { self.0.send((self.1, false)).unwrap() }
/// }
///
/// Sim::new(1).run(|runtime| async move {
///     let (told, hears) = channel();
///     // What fails is refused.
///     let half = async |n: u32| if n % 2 == 0 { Ok(n / 2) } else { Err("odd") };
///     let work = move |delivery: Delivery<u32, Told>| delivery.with(half);
///     let pool = WorkerPool::builder(work).workers(1).build(&runtime).unwrap();
///     let mut results = pool.results();
///     for n in [8, 9] {
///         pool.submit(Delivery::new(n, Told(told.clone(), n))).await.unwrap();
///     }
///     drop(pool.close());
///     while let Some(completion) = results.next().await {
///         if let Ok(delivery) = completion.result {
///             assert_eq!(*delivery.message(), 4);
///             delivery.ack();
///         }
///     }
///     let mut told: Vec<_> = hears.try_iter().collect();
///     told.sort();
///     assert_eq!(told, [(8, true), (9, false)]);
/// }).unwrap();
/// ```
#[must_use = "a delivery that is dropped is refused"]
pub struct Delivery<T, R: Receipt> {
    // Before the receipt: whoever hears that it comes again finds it gone here.
    message: T,
    receipt: Held<R>,
    redelivered: u32,
}

/// A receipt that refuses when it is dropped.
struct Held<R: Receipt>(Option<R>);

impl<R: Receipt> Drop for Held<R> {
    fn drop(&mut self) {
        let Some(receipt) = self.0.take() else { return };
        if !panicking() {
            return receipt.nack();
        }
        // In the middle of a panic a second one would end the program.
        if let Err(payload) = contain(|| receipt.nack()) {
            let_go(payload);
        }
    }
}

impl<T, R: Receipt> Delivery<T, R> {
    /// A message that comes for the first time.
    pub const fn new(message: T, receipt: R) -> Self {
        Self { message, receipt: Held(Some(receipt)), redelivered: 0 }
    }

    /// The same, which came so many times before.
    pub const fn redelivered(mut self, times: u32) -> Self {
        self.redelivered = times;
        self
    }

    /// How many times it came before.
    pub const fn times_before(&self) -> u32 {
        self.redelivered
    }

    /// The message.
    pub const fn message(&self) -> &T {
        &self.message
    }

    /// The message is done with. Gives it.
    pub fn ack(self) -> T {
        let (message, receipt) = self.into_parts();
        receipt.ack();
        message
    }

    /// The message is not done with, and comes again. Gives it.
    pub fn nack(self) -> T {
        let (message, receipt) = self.into_parts();
        receipt.nack();
        message
    }

    /// The message, and the receipt, which is from now on the caller's to give.
    pub fn into_parts(self) -> (T, R) {
        let Self { message, mut receipt, .. } = self;
        match receipt.0.take() {
            Some(receipt) => (message, receipt),
            None => unreachable!("it is there until it is given"),
        }
    }

    /// Something else with the same receipt.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Delivery<U, R> {
        let Self { message, receipt, redelivered } = self;
        Delivery { message: change(message), receipt, redelivered }
    }

    /// Does the work for the message; the result has its receipt.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message is refused.
    ///
    /// # Panics
    /// It passes on a panic of the work, and the message is refused.
    ///
    /// # Errors
    /// The work's own; the message is refused.
    pub fn with<U, E, F, Fut>(self, work: F) -> impl Future<Output = Result<Delivery<U, R>, E>>
    where
        F: FnOnce(T) -> Fut,
        Fut: Future<Output = Result<U, E>>,
    {
        let Self { message, receipt, redelivered } = self;
        // The future of the work is made at once, and dropped before the receipt.
        let work = (work(message), receipt);
        async move {
            let (work, receipt) = work;
            let message = work.await?;
            Ok(Delivery { message, receipt, redelivered })
        }
    }
}

impl<T: fmt::Debug, R: Receipt> fmt::Debug for Delivery<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message", &self.message)
            .field("redelivered", &self.redelivered)
            .finish_non_exhaustive()
    }
}
