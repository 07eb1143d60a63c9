//! [`Cell`]: what the function of a policy and its poll tell each other.

use std::task::{Poll, Waker};

use weirs_runtime::waiting::wake;

use crate::sync::{Mutex, lock};
use crate::{Attempt, Error};

/// One call's wish and its result.
///
/// Mostly the function is polled by the policy, who looks for a wish after each poll. But a function may give
/// its `Next` away to another task; then the wish wakes the call.
#[derive(Debug)]
pub(super) struct Cell<T, E>(Mutex<Notes<T, E>>);

#[derive(Debug)]
struct Notes<T, E> {
    wish: Option<(u64, Attempt)>,
    result: Option<(u64, Result<T, Error<E>>)>,
    next: u64,
    /// Who waits for the result.
    waker: Option<Waker>,
    /// Who polls the call: none while it is at it.
    call: Option<Waker>,
    closed: bool,
}

/// The call is over.
#[derive(Debug)]
pub(super) struct Closed;

impl<T, E> Cell<T, E> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Notes { wish: None, result: None, next: 0, waker: None, call: None, closed: false }))
    }

    /// Asks for a run; gives its number.
    pub(super) fn wish(&self, at: Attempt, waker: &Waker) -> Result<u64, Closed> {
        let waker = waker.clone();
        let mut notes = lock(&self.0);
        if notes.closed {
            drop(notes);
            return Err(Closed);
        }
        let number = notes.next;
        notes.next += 1;
        notes.wish = Some((number, at));
        let old = (notes.waker.replace(waker), notes.result.take());
        let call = notes.call.take();
        drop(notes);
        drop(old);
        call.into_iter().for_each(wake);
        Ok(number)
    }

    /// The result of a run.
    pub(super) fn poll(&self, number: u64, waker: &Waker) -> Result<Poll<Result<T, Error<E>>>, Closed> {
        let waker = waker.clone();
        let mut notes = lock(&self.0);
        if let Some((of, result)) = notes.result.take() {
            if of == number {
                notes.wish = None;
                return Ok(Poll::Ready(result));
            }
            notes.result = Some((of, result));
        }
        if notes.closed {
            return Err(Closed);
        }
        let old = notes.waker.replace(waker);
        drop(notes);
        drop(old);
        Ok(Poll::Pending)
    }

    /// The run is no longer wanted.
    pub(super) fn unwish(&self, number: u64) {
        let mut notes = lock(&self.0);
        if notes.wish.is_none_or(|(wished, _)| wished != number) {
            return;
        }
        notes.wish = None;
        let old = (notes.waker.take(), notes.result.take());
        let call = notes.call.take();
        drop(notes);
        drop(old);
        call.into_iter().for_each(wake);
    }

    /// The call is polled: nobody needs to wake it.
    pub(super) fn attend(&self) {
        let call = lock(&self.0).call.take();
        drop(call);
    }

    /// What is wanted now, and has no result yet; wishes from elsewhere wake that one from now on.
    pub(super) fn wished(&self, call: &Waker, is_pending: bool) -> Option<(u64, Attempt)> {
        let call = is_pending.then(|| call.clone());
        let mut notes = lock(&self.0);
        let old = std::mem::replace(&mut notes.call, call);
        let wish = notes.wish.filter(|_| notes.result.is_none());
        drop(notes);
        drop(old);
        wish
    }

    /// The result of a run; `call` is at it, and needs no waking.
    pub(super) fn fulfil(&self, number: u64, result: Result<T, Error<E>>, call: &Waker) {
        let mut notes = lock(&self.0);
        if notes.wish.is_none_or(|(wished, _)| wished != number) {
            drop(notes);
            drop(result);
            return;
        }
        let old = notes.result.replace((number, result));
        let waker = notes.waker.take();
        drop(notes);
        drop(old);
        waker.into_iter().filter(|waker| !waker.will_wake(call)).for_each(wake);
    }

    /// The call is over; who still waits finds that out.
    pub(super) fn close(&self) {
        let mut notes = lock(&self.0);
        notes.closed = true;
        let waker = notes.waker.take();
        let old = notes.call.take();
        drop(notes);
        drop(old);
        waker.into_iter().for_each(wake);
    }
}
