//! [`WaitIdle`]: waiting until a tracker's list is empty.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use weirs_runtime::Idle;

use super::Tracker;
use super::roster::NoScopes;

/// The future of [`Tracker::wait_idle`].
///
/// Polled again after its end it says how it is then.
#[derive(Debug)]
#[must_use = "it does nothing unless it is awaited"]
pub struct WaitIdle {
    tasks: Idle,
    scopes: NoScopes,
}

impl WaitIdle {
    pub(super) fn new(tracker: &Tracker) -> Self {
        Self { tasks: tracker.0.watched.idle(), scopes: tracker.0.rosters.none() }
    }
}

impl Future for WaitIdle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Both are asked each time: either may have more to wait for while the other has not.
        let tasks = Pin::new(&mut self.tasks).poll(cx);
        let scopes = Pin::new(&mut self.scopes).poll(cx);
        if tasks.is_ready() && scopes.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }
}
