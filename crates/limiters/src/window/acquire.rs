//! [`AcquireWindow`]: waiting for a window.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use weirs_runtime::Instant;

use crate::line::{Line, Source};
use crate::{Denied, Grant, Limit, Waiting};

/// The future of `acquire` and `acquire_by` of the windows. Polled again after its end it asks anew.
#[must_use = "it does nothing unless it is awaited"]
pub struct AcquireWindow<'a> {
    window: &'a dyn Limit,
    waiting: Waiting,
}

impl<'a> AcquireWindow<'a> {
    pub(super) fn new(window: &'a dyn Limit, waiting: Waiting) -> Self {
        Self { window, waiting }
    }
}

impl Future for AcquireWindow<'_> {
    type Output = Result<Grant, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.window.poll_acquire(&mut this.waiting, cx)
    }
}

impl Drop for AcquireWindow<'_> {
    fn drop(&mut self) {
        self.window.cancel(&mut self.waiting);
    }
}

impl fmt::Debug for AcquireWindow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireWindow").field("n", &self.waiting.cost()).finish_non_exhaustive()
    }
}

/// Waits in a line whose source tells too early a time when several are ahead: so the deadline is watched
/// too.
pub(crate) fn poll<S: Source>(
    line: &Line<S>,
    waiting: &mut Waiting,
    cx: &mut Context<'_>,
) -> Poll<Result<Grant, Denied>> {
    if let Poll::Ready(result) = line.poll(waiting, cx) {
        return Poll::Ready(result);
    }
    let deadline = waiting.deadline();
    if deadline == Instant::FAR_FUTURE {
        return Poll::Pending;
    }
    // The first in the line has set the timer for its turn.
    let denied = match waiting.timer() {
        Some(turn) if turn < deadline => return Poll::Pending,
        Some(turn) if turn > deadline => {
            Denied::WouldMissDeadline { needed: turn.saturating_since(line.clock().now()) }
        }
        _ => match waiting.poll_deadline(line.clock(), cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(()) => Denied::DeadlinePassed,
        },
    };
    line.cancel(waiting);
    let result = Err(denied);
    line.counts.count(waiting.cost(), &result);
    Poll::Ready(result)
}
