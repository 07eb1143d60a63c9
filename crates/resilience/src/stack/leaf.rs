//! [`Leaf`]: the work itself, under all policies.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::Poll;

use pin_project_lite::pin_project;

use crate::{Attempt, Error, Inner, Lane, Scene, Turn};

/// Begins an attempt.
pub trait Start<Fut> {
    /// The future of this attempt.
    fn start(&mut self, at: Attempt) -> Fut;
}

/// Work that can be begun again: a closure.
#[derive(Debug)]
pub struct Again<F>(pub(crate) F);

impl<F: Fn(Attempt) -> Fut, Fut> Start<Fut> for Again<F> {
    #[inline]
    fn start(&mut self, at: Attempt) -> Fut {
        (self.0)(at)
    }
}

pin_project! {
    /// The attempts that run: one inline, those of hedges boxed.
    pub(crate) struct Leaf<W, Fut> {
        work: W,
        #[pin]
        first: Option<Fut>,
        more: Option<Box<More<Fut>>>,
    }
}

/// The attempts of hedges; behind a pointer, as hardly any call has one.
struct More<Fut>(Vec<(Lane, Pin<Box<Fut>>)>);

impl<W, Fut> Leaf<W, Fut> {
    #[inline(always)]
    pub(crate) fn new(work: W, first: Option<Fut>) -> Self {
        Self { work, first, more: None }
    }
}

/// A [`Leaf`] as the innermost policy sees it.
pub(crate) struct LeafRef<'l, W, Fut> {
    leaf: Pin<&'l mut Leaf<W, Fut>>,
    /// What a destructor of the work panicked with, when it was cancelled: the policies give back what they
    /// hold first.
    panic: Option<Box<dyn Any + Send>>,
}

impl<'l, W, Fut> LeafRef<'l, W, Fut> {
    #[inline(always)]
    pub(crate) fn new(leaf: Pin<&'l mut Leaf<W, Fut>>) -> Self {
        Self { leaf, panic: None }
    }

    /// Goes on with the panic of a destructor, if there was one.
    #[inline(always)]
    pub(crate) fn resume_panic(&mut self) {
        if let Some(payload) = self.panic.take() {
            resume(payload);
        }
    }
}

#[cold]
fn resume(payload: Box<dyn Any + Send>) {
    match std::thread::panicking() {
        false => resume_unwind(payload),
        // A second one would be the end of the process; and its own destructor may panic too.
        true => std::mem::forget(payload),
    }
}

impl<T, E, W: Start<Fut>, Fut: Future<Output = Result<T, E>>> Inner<T, E> for LeafRef<'_, W, Fut> {
    #[inline(always)]
    fn poll(&mut self, turn: &mut Turn<'_, '_>, at: Attempt) -> Poll<Result<T, Error<E>>> {
        let mut this = self.leaf.as_mut().project();
        turn.tally.reached = true;
        if at.lane() != Lane::FIRST {
            // A copy: so that `at` itself can stay in registers.
            let copy = at;
            return poll_more(this.work, this.more, turn, &copy);
        }
        if this.first.is_none() {
            turn.tally.attempts += 1;
            let begun = this.work.start(at.begun(turn.clock()));
            this.first.set(Some(begun));
        }
        let Some(first) = this.first.as_mut().as_pin_mut() else { unreachable!("it was begun") };
        match first.poll(turn.context()) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                this.first.set(None);
                Poll::Ready(result.map_err(Error::Inner))
            }
        }
    }

    #[inline]
    fn cancel(&mut self, _: Scene<'_>, lane: Lane) {
        let mut this = self.leaf.as_mut().project();
        let cancelled = catch_unwind(AssertUnwindSafe(|| match lane {
            Lane::FIRST => this.first.set(None),
            lane => cancel_more(this.more, lane),
        }));
        if let Err(payload) = cancelled {
            self.keep_panic(payload);
        }
    }

    fn keep_panic(&mut self, payload: Box<dyn Any + Send>) {
        // The first one counts.
        let second = self.panic.replace(payload).map(|first| self.panic.replace(first));
        std::mem::forget(second);
    }
}

#[cold]
fn poll_more<T, E, W: Start<Fut>, Fut: Future<Output = Result<T, E>>>(
    work: &mut W,
    more: &mut Option<Box<More<Fut>>>,
    turn: &mut Turn<'_, '_>,
    at: &Attempt,
) -> Poll<Result<T, Error<E>>> {
    let more = &mut more.get_or_insert_with(|| Box::new(More(Vec::new()))).0;
    let index = match more.iter().position(|(lane, _)| *lane == at.lane()) {
        Some(index) => index,
        None => {
            turn.tally.attempts += 1;
            more.push((at.lane(), Box::pin(work.start(at.begun(turn.clock())))));
            more.len() - 1
        }
    };
    match more[index].1.as_mut().poll(turn.context()) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(result) => {
            drop(more.swap_remove(index));
            Poll::Ready(result.map_err(Error::Inner))
        }
    }
}

#[cold]
fn cancel_more<Fut>(more: &mut Option<Box<More<Fut>>>, lane: Lane) {
    let Some(More(attempts)) = more.as_deref_mut() else { return };
    if let Some(index) = attempts.iter().position(|(of, _)| *of == lane) {
        // Out of the list first: its destructor may panic.
        drop(attempts.swap_remove(index));
    }
}
