//! [`ResilientResults`]: what became of the jobs, as a stream.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::answer::{Answer, Answered};
use super::case::Item;
use crate::{Completion, Results};

/// What became of the jobs, as a stream; made by
/// [`ResilientPipeline::results`](crate::ResilientPipeline::results).
///
/// It ends when the pipeline takes no more jobs and every end was read. Jobs that are handed back are not
/// in it.
///
/// # Cancel safety
/// A poll that is not ready took nothing. Dropped, its part of the results is discarded.
pub struct ResilientResults<J: Send + 'static, T: Send + 'static, E: Send + 'static>(
    pub(super) Results<Item<J>, Answer<J, T, E>, Infallible>,
);

/// What was stopped in the middle was handed back.
pub(super) fn answered<J, T, E>(
    completion: Completion<Item<J>, Answer<J, T, E>, Infallible>,
) -> Option<Answered<J, T, E>> {
    let id = completion.id;
    completion.result.ok().map(|answer| Answered { id, answer })
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Stream for ResilientResults<J, T, E> {
    type Item = Answered<J, T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(completion) = ready!(Pin::new(&mut self.0).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            if let Some(answered) = answered(completion) {
                return Poll::Ready(Some(answered));
            }
        }
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for ResilientResults<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientResults").finish_non_exhaustive()
    }
}
