//! [`Member`]: the future of a task in a group, which tells the group how it ends.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::inner::Inner;
use crate::panics::{contain, forget_panic};

/// How a task's future ended, as it saw itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Finished,
    Dropped,
    Panicked,
}

pin_project! {
    /// See the module.
    pub(super) struct Member<F> {
        #[pin]
        future: Option<F>,
        seen: Seen,
        // None when it was refused, or has told.
        membership: Option<Membership>,
    }

    impl<F> PinnedDrop for Member<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let dropped = contain(|| this.future.set(None));
            if let Some(membership) = this.membership.take() {
                let seen = if dropped.is_err() { Seen::Panicked } else { *this.seen };
                membership.inner.ended(membership.group, membership.id, seen);
            }
            match dropped {
                // The runtime reports it.
                Err(payload) if !std::thread::panicking() => resume_unwind(payload.into_inner()),
                dropped => forget_panic(dropped),
            }
        }
    }
}

pub(super) struct Membership {
    pub(super) inner: Arc<Inner>,
    pub(super) group: usize,
    pub(super) id: u64,
}

impl<F: Future<Output = ()>> Member<F> {
    pub(super) fn new(future: F, membership: Membership) -> Self {
        Self { future: Some(future), seen: Seen::Dropped, membership: Some(membership) }
    }
}

impl<F: Future<Output = ()>> Future for Member<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(());
        };
        // Until it has returned.
        *this.seen = Seen::Panicked;
        let polled = future.poll(cx);
        if polled.is_ready() {
            this.future.set(None);
            *this.seen = Seen::Finished;
        } else {
            *this.seen = Seen::Dropped;
        }
        polled
    }
}
