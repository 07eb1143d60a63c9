//! [`Child`]: the handle of a child: awaits it, cancels it, or does neither.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::cell::{Claim, Join};
use super::header::Header;
use super::{ChildId, Ended, Refusal};

/// The handle of a child of a [`Scope`](super::Scope): awaited, it gives the child's value.
///
/// # Waiting
/// It waits until the child has ended. Children run whether or not anybody awaits them: the scope polls them.
///
/// # Cancel safety
/// Awaiting `&mut child` may be given up and taken up again; the value is not lost. Dropping the handle
/// neither cancels the child nor lets it outlive its scope: it drops the value, when there is one.
///
/// # Errors
/// [`Ended`] says why there is no value.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::scope;
///
/// let words = ["never", "odd", "or", "even"];
/// let letters = block_on(scope(async |s| {
///     let first = s.spawn(async { words[0].len() });
///     let second = s.spawn(async { words[1].len() });
///     first.await.unwrap() + second.await.unwrap()
/// }));
/// assert_eq!(letters, 8);
/// ```
pub struct Child<'env, T>(Claim<T, dyn Join<T> + Send + Sync + 'env>);

/// The handle of a child of a [`LocalScope`](super::LocalScope): a [`Child`] that stays on its thread.
///
/// All that [`Child`] says holds here too.
pub struct LocalChild<'env, T>(Claim<T, dyn Join<T> + 'env>);

macro_rules! child_methods {
    ($Child:ident, $($Bound:tt)*) => {
        impl<'env, T> $Child<'env, T> {
            pub(crate) fn new(claim: Claim<T, dyn Join<T> + $($Bound)* 'env>) -> Self {
                Self(claim)
            }

            pub(crate) fn refused(why: Refusal) -> Self {
                Self(Claim::over(Ended::Refused(why)))
            }

            pub(crate) fn header(&self) -> Option<&Header> {
                self.0.header()
            }

            /// The number of a child that is new.
            pub(crate) fn id(&self) -> ChildId {
                self.header().map(Header::id).expect("a new child has not given its value")
            }

            /// Cancels the child: its future is dropped at its next turn, which the scope gives it soon.
            ///
            /// It does not wait; await the handle to know that the child is gone. A child that is over
            /// stays as it was.
            pub fn cancel(&self) {
                self.0.cancel();
            }

            /// Whether the child is over: awaiting it will not wait.
            pub fn is_finished(&self) -> bool {
                self.header().is_none_or(Header::is_done)
            }

            /// The child's name, if it was given one; none after it gave its value.
            pub fn name(&self) -> Option<&str> {
                self.header()?.name()
            }

            /// Where in the source it was spawned; none after it gave its value.
            pub fn location(&self) -> Option<&'static Location<'static>> {
                self.header().map(Header::location)
            }
        }

        impl<T> Future for $Child<'_, T> {
            type Output = Result<T, Ended>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.0.poll_end(cx)
            }
        }

        impl<T> fmt::Debug for $Child<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut debug = f.debug_struct(stringify!($Child));
                if let Some(header) = self.header() {
                    debug.field("name", &header.name()).field("location", header.location());
                }
                debug.field("finished", &self.is_finished()).finish()
            }
        }
    };
}

child_methods! { Child, Send + Sync + }
child_methods! { LocalChild, }
