//! [`Each`]: a future for each item of a stream, several at once.

use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::Work;
use super::children::Children;
use super::hub::{BUDGET, Hub};
use super::panics::FirstPanic;
use super::shelf::Shelf;

pin_project! {
    /// The work of [`map_concurrent`](crate::StreamUtil::map_concurrent) and its siblings: a future for each
    /// item. `O` says in which order the results come.
    pub struct Each<S, F, U, O>
    where
        U: Future,
    {
        // Gone at its end, for nobody needs it any more.
        #[pin]
        source: Option<S>,
        start: F,
        children: Children<U>,
        shelf: O,
        most: usize,
        unread: usize,
        is_last: IsLast<U::Output>,
    }
}

impl<S, F, U: Future, O: Shelf<Item = U::Output> + Default> Each<S, F, U, O> {
    pub(crate) fn new(source: S, most: NonZeroUsize, start: F, is_last: fn(&U::Output) -> bool) -> Self {
        let (most, unread) = (most.get(), most.get());
        let (children, shelf) = (Children::new(), O::default());
        Self { source: Some(source), start, children, shelf, most, unread, is_last: IsLast(is_last) }
    }
}

/// Whether this is an output after which there are no more.
// A type of its own: a function that takes a reference, named in a pinned struct, has rustc 1.95 stop with an
// internal error in incremental builds.
struct IsLast<T>(fn(&T) -> bool);

impl<S, F, U, O> Work for Each<S, F, U, O>
where
    S: Stream,
    F: FnMut(S::Item) -> U,
    U: Future,
    O: Shelf<Item = U::Output>,
{
    type Item = U::Output;

    fn turn(self: Pin<&mut Self>, hub: &mut Hub, outside: usize) {
        let mut this = self.project();
        let within = this.most.saturating_add(*this.unread).saturating_sub(outside);
        hub.begin();
        let mut left = BUDGET;
        loop {
            while left > 0 && hub.source.ready {
                let running = this.children.live();
                if running >= *this.most || this.shelf.held(running) >= within {
                    break;
                }
                let Some(source) = this.source.as_mut().as_pin_mut() else { break };
                // It stays ready unless it says otherwise: after a panic too, or it would never be asked
                // again.
                match source.poll_next(&mut Context::from_waker(hub.source.waker())) {
                    Poll::Ready(Some(item)) => {
                        left -= 1;
                        let future = (this.start)(item);
                        this.children.start(future, this.shelf.start(), hub);
                    }
                    Poll::Ready(None) => this.source.set(None),
                    Poll::Pending => hub.source.ready = false,
                }
            }
            if left == 0 {
                break;
            }
            let Some(index) = hub.next() else { break };
            left -= 1;
            let mut last = None;
            let mut panics = FirstPanic::default();
            let (shelf, is_last) = (&mut *this.shelf, this.is_last.0);
            this.children.poll(index, &mut panics, |number, output| match output {
                Some(output) if is_last(&output) => last = Some(output),
                output => shelf.end(number, output),
            });
            if let Some(last) = last {
                this.children.clear(&mut panics);
                panics.run(|| this.source.set(None));
                this.shelf.cut(last, &mut panics);
            }
            panics.resume();
        }
        hub.go_on = left == 0;
    }

    fn take(self: Pin<&mut Self>) -> Option<U::Output> {
        self.project().shelf.take()
    }

    fn is_over(&self) -> bool {
        self.source.is_none() && self.children.live() == 0
    }

    fn stop(self: Pin<&mut Self>, panics: &mut FirstPanic) {
        let mut this = self.project();
        this.children.clear(panics);
        panics.run(|| this.source.set(None));
    }

    fn set_unread(&mut self, most: usize) {
        self.unread = most;
    }
}

impl<S, F, U: Future, O: fmt::Debug> fmt::Debug for Each<S, F, U, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Each");
        debug.field("most", &self.most).field("unread", &self.unread).field("results", &self.shelf);
        debug.finish_non_exhaustive()
    }
}
