//! [`Timeout`]: a future with a limit.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::{Clock, Instant, Sleep};

pin_project! {
    /// A future with a limit; made by [`Clock::timeout`] and [`Clock::timeout_at`].
    ///
    /// The inner future is polled first, so a result that is there at the deadline still counts. With a
    /// duration, time runs from the return of the first pending poll: a future that is ready at once costs
    /// no look at the clock and no timer, and one that is never polled does not age. A zero duration
    /// therefore gives the future one poll. With [`Clock::timeout_at`] the limit is the instant given,
    /// whenever the polling begins.
    ///
    /// # Cancel safety
    /// Dropping it drops the inner future; what that means is the inner future's promise. When the limit
    /// strikes, the inner future is kept until the timeout itself is dropped: pass `&mut future` to go on
    /// with it.
    ///
    /// # Errors
    /// [`Elapsed`] when the limit came first. Polled again after that, it goes on asking the inner future.
    ///
    /// # Examples
    /// ```
    /// use std::pin::pin;
    /// use std::time::Duration;
    /// use weirs_runtime::{Clock, block_on};
    ///
    /// let clock = Clock::default();
    /// block_on(async {
    ///     assert_eq!(clock.timeout(Duration::ZERO, async { 7 }).await, Ok(7));
    ///
    ///     let mut slow = pin!(async { clock.sleep(Duration::from_millis(5)).await; "done" });
    ///     if clock.timeout(Duration::from_millis(1), &mut slow).await.is_err() {
    ///         // It lives on: say that it takes long, and wait some more.
    ///         assert_eq!(slow.await, "done");
    ///     }
    /// });
    /// ```
    #[must_use = "a timeout does nothing unless it is awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
        // The duration, until somebody has to wait and it becomes the sleep's deadline.
        not_started: Option<Duration>,
    }
}

impl<F> Timeout<F> {
    pub(crate) fn after(clock: Clock, duration: Duration, future: F) -> Self {
        Self { future, sleep: Sleep::new(clock, Instant::FAR_FUTURE), not_started: Some(duration) }
    }

    pub(crate) fn at(clock: Clock, at: Instant, future: F) -> Self {
        Self { future, sleep: Sleep::new(clock, at), not_started: None }
    }

    /// When the limit strikes, if time has begun to run.
    pub fn deadline(&self) -> Option<Instant> {
        self.not_started.is_none().then(|| self.sleep.deadline())
    }

    /// The inner future.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// Gives the inner future back, without the limit.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if let Some(duration) = this.not_started.take() {
            this.sleep.reset_after(duration);
        }
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed))
    }
}

impl<F: fmt::Debug> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("future", &self.future).field("deadline", &self.deadline()).finish()
    }
}

/// The limit of a [`Timeout`] came before its future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit has passed")
    }
}

impl Error for Elapsed {}
