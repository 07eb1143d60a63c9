//! [`SpawnWhenFree`]: waiting until a scope with a limit takes another child.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::header::Kind;
use super::rule::Hooks;
use super::{Child, LocalChild, LocalScope, Refusal, Rejected, Scope};

macro_rules! room {
    ($(#[$doc:meta])* $Room:ident, $Scope:ident, $Child:ident, [$($Send:tt)*] [$($Sync:tt)*]) => {
        pin_project! {
            $(#[$doc])*
            #[must_use = "nothing is spawned before it is awaited"]
            pub struct $Room<'env, R, F, V>
            where
                F: Future,
            {
                scope: $Scope<'env, R>,
                // Not pinned: it does not run before it is moved into its scope.
                future: Option<F>,
                ticket: Option<u64>,
                location: &'static Location<'static>,
                hooks: Hooks<R, F::Output, V>,
            }

            impl<'env, R, F, V> PinnedDrop for $Room<'env, R, F, V>
            where
                F: Future,
            {
                fn drop(this: Pin<&mut Self>) {
                    let this = this.project();
                    if let Some(ticket) = this.ticket.take() {
                        this.scope.0.leave_queue(ticket);
                    }
                }
            }
        }

        impl<'env, R, F: Future, V> $Room<'env, R, F, V> {
            pub(crate) fn new(
                scope: $Scope<'env, R>,
                future: F,
                location: &'static Location<'static>,
                hooks: Hooks<R, F::Output, V>,
            ) -> Self {
                Self { scope, future: Some(future), ticket: None, location, hooks }
            }
        }

        impl<'env, R, F, V> Future for $Room<'env, R, F, V>
        where
            R: $($Sync)* 'env,
            F: Future + $($Send)* 'env,
            V: $($Send)* 'env,
        {
            type Output = Result<$Child<'env, V>, Rejected<F>>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let this = self.project();
                let mut queued = false;
                loop {
                    let future = this.future.take().expect("polled after it was ready");
                    let (at, kind) = (*this.location, Kind::Child);
                    match this.scope.insert_at(at, kind, None, *this.ticket, future, *this.hooks) {
                        Ok(child) => {
                            *this.ticket = None;
                            return Poll::Ready(Ok(child));
                        }
                        Err((future, Refusal::Full)) => {
                            *this.future = Some(future);
                            if queued {
                                return Poll::Pending;
                            }
                            // Room that came between the first look and the queue is seen by a second look.
                            this.scope.core().wait_for_room(this.ticket, cx.waker());
                            queued = true;
                        }
                        Err((future, why)) => {
                            if let Some(ticket) = this.ticket.take() {
                                this.scope.core().leave_queue(ticket);
                            }
                            return Poll::Ready(Err(Rejected::new(future, why)));
                        }
                    }
                }
            }
        }

        impl<R, F: Future, V> fmt::Debug for $Room<'_, R, F, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let waits = self.ticket.is_some();
                f.debug_struct(stringify!($Room)).field("scope", &self.scope).field("waits", &waits).finish()
            }
        }
    };
}

room! {
    /// Waits for room in a scope, and spawns; made by [`Scope::spawn_when_free`].
    SpawnWhenFree, Scope, Child, [Send +] [Send + Sync +]
}
room! {
    /// Waits for room in a scope, and spawns; made by [`LocalScope::spawn_when_free`].
    LocalSpawnWhenFree, LocalScope, LocalChild, [] []
}
