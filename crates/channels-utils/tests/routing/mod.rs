//! Sources for the tests of where items go.
#![allow(dead_code, reason = "each test file uses some of them")]

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_core::Stream;
use weirs_runtime::Clock;

pub(crate) fn size(size: usize) -> NonZeroUsize {
    NonZeroUsize::new(size).unwrap()
}

/// The numbers of a range, with a turn for others between some of them.
pub(crate) struct Yielding<I> {
    items: I,
    clock: Option<Clock>,
    yields: u64,
}

/// A pending poll before each item.
pub(crate) fn yielding<I: IntoIterator>(items: I) -> Yielding<I::IntoIter> {
    Yielding { items: items.into_iter(), clock: None, yields: 1 }
}

/// None to two before each item.
pub(crate) fn at_random<I: IntoIterator>(items: I, clock: &Clock) -> Yielding<I::IntoIter> {
    Yielding { items: items.into_iter(), clock: Some(clock.clone()), yields: clock.random_below(3) }
}

impl<I> Unpin for Yielding<I> {}

impl<I: Iterator> Stream for Yielding<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<I::Item>> {
        if self.yields > 0 {
            self.yields -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.yields = self.clock.as_ref().map_or(1, |clock| clock.random_below(3));
        Poll::Ready(self.items.next())
    }
}

/// Counts the polls of a stream.
#[derive(Clone, Default)]
pub(crate) struct Polls(Arc<AtomicUsize>);

impl Polls {
    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn of<S: Stream + Unpin>(
        &self,
        mut stream: S,
    ) -> impl Stream<Item = S::Item> + Unpin + use<S> {
        let polls = self.clone();
        futures::stream::poll_fn(move |cx| {
            polls.0.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut stream).poll_next(cx)
        })
    }
}

/// The text of the panic of a poll.
pub(crate) fn panic_of<S: Stream + Unpin>(stream: &mut S) -> &'static str {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(stream).poll_next(&mut cx).is_ready()));
    *polled.expect_err("it panics").downcast::<&str>().expect("a text")
}

/// Polls once, with nobody to wake.
pub(crate) fn poll<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(std::task::Waker::noop()))
}
