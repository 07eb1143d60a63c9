//! [`Wait`], [`TryWait`] and [`TryWaitAll`]: waiting until no child of a group is left.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{Group, Owner, TryGroup};
use crate::{ChildId, Reason, ScopeError};

/// A place among those who wait for a group.
struct Watching(Option<u64>);

impl Watching {
    /// Whether no child is left. A panic goes on here, or is an error.
    fn poll<R, E>(&mut self, owner: &Owner<R>, cx: &mut Context<'_>) -> Poll<Result<(), ScopeError<E>>> {
        let core = &owner.scope.0.core;
        if !core.poll_empty(&mut self.0, cx.waker()) {
            return Poll::Pending;
        }
        self.leave(owner);
        match core.take_panic() {
            Some(payload) if owner.as_error => Poll::Ready(Err(ScopeError::Panicked(payload))),
            Some(payload) => std::panic::resume_unwind(payload.into_inner()),
            None => Poll::Ready(Ok(())),
        }
    }

    fn leave<R>(&mut self, owner: &Owner<R>) {
        if let Some(place) = self.0.take() {
            owner.scope.0.core.unwatch(place);
        }
    }
}

/// The values, unless the group was cancelled: then they stay where they are.
fn values<R, T, E>(owner: &Owner<R>, take: impl FnOnce() -> Vec<T>) -> Result<Vec<T>, ScopeError<E>> {
    let token = owner.scope.token();
    if token.is_cancelled() {
        return Err(ScopeError::Cancelled(token.reason().unwrap_or(Reason::Requested)));
    }
    Ok(take())
}

macro_rules! waits {
    ($(#[$doc:meta])* $Wait:ident, $Group:ident<$($T:ident),+>, $Error:ty, |$group:ident| $outcome:expr) => {
        $(#[$doc])*
        #[must_use = "it does nothing unless it is awaited"]
        pub struct $Wait<'a, $($T),+> {
            group: &'a $Group<$($T),+>,
            place: Watching,
        }

        impl<'a, $($T),+> $Wait<'a, $($T),+> {
            pub(super) fn new(group: &'a $Group<$($T),+>) -> Self {
                Self { group, place: Watching(None) }
            }
        }

        impl<$($T: Send + 'static),+> Future for $Wait<'_, $($T),+> {
            type Output = Result<Vec<T>, ScopeError<$Error>>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let $group = self.group;
                ready!(self.place.poll::<_, $Error>(&$group.0, cx))?;
                Poll::Ready($outcome)
            }
        }

        impl<$($T),+> Drop for $Wait<'_, $($T),+> {
            fn drop(&mut self) {
                self.place.leave(&self.group.0);
            }
        }

        impl<$($T),+> fmt::Debug for $Wait<'_, $($T),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Wait)).field("group", self.group).finish()
            }
        }
    };
}

waits! {
    /// Waits until no child of a group is left; made by [`Group::wait`].
    Wait, Group<T>, std::convert::Infallible, |group| values(&group.0, || group.take())
}

waits! {
    /// Waits until no child of a group is left; made by [`TryGroup::wait`].
    TryWait, TryGroup<T, E>, E, |group| {
        match group.0.scope.0.rule.take_errors().into_iter().next() {
            Some((_, error)) => Err(ScopeError::Failed(error)),
            None => values(&group.0, || group.take()),
        }
    }
}

waits! {
    /// Waits until no child of a group is left; made by [`TryGroup::wait_all`].
    TryWaitAll, TryGroup<T, E>, Vec<(ChildId, E)>, |group| {
        let mut errors = group.0.scope.0.rule.take_errors();
        if errors.is_empty() {
            values(&group.0, || group.take())
        } else {
            errors.sort_unstable_by_key(|error| error.0);
            Err(ScopeError::Failed(errors))
        }
    }
}
