//! [`Served`]: a state in a lock, whose changes let others go on. The lock is let go before anybody is
//! woken.

use std::task::{Context, Poll, Waker};

use super::waiters::{Look, Turn, Wakes, look_with};
use crate::sync::{Mutex, MutexGuard, lock};

/// A state that others wait for.
pub trait Serve {
    /// Whether anybody waits at all.
    fn somebody_waits(&self) -> bool;

    /// Takes along who may go on, as long as `wakes` has room. Called again until it has room left.
    fn serve(&mut self, wakes: &mut Wakes);
}

/// A state in a lock, whose changes let others go on.
#[derive(Debug)]
pub struct Served<S>(Mutex<S>);

impl<S: Serve> Served<S> {
    /// This state.
    pub fn new(state: S) -> Self {
        Self(Mutex::new(state))
    }

    /// Looks at the state.
    pub fn peek<R>(&self, peek: impl FnOnce(&S) -> R) -> R {
        peek(&lock(&self.0))
    }

    /// Changes the state, and wakes whoever may go on because of it. No user code runs in `change`.
    #[inline]
    pub fn change<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        let mut state = lock(&self.0);
        let result = change(&mut state);
        if state.somebody_waits() {
            self.serve(state);
        }
        result
    }

    /// Changes the state or waits, and wakes whoever may go on because of it.
    pub fn poll<R>(
        &self,
        cx: &Context<'_>,
        turn: impl FnMut(&mut S, &mut Look<'_, '_>) -> Turn<R>,
    ) -> Poll<R> {
        self.poll_with(cx, None, turn)
    }

    /// The same with a waker at hand: see [`look_with`](super::look_with).
    #[inline]
    pub fn poll_with<R>(
        &self,
        cx: &Context<'_>,
        waker: Option<Waker>,
        mut turn: impl FnMut(&mut S, &mut Look<'_, '_>) -> Turn<R>,
    ) -> Poll<R> {
        look_with(cx, waker, |look| self.change(|state| turn(state, look)))
    }

    #[inline(never)]
    fn serve<'a>(&'a self, mut state: MutexGuard<'a, S>) {
        loop {
            let mut wakes = Wakes::default();
            state.serve(&mut wakes);
            drop(state);
            if !wakes.is_full() {
                return;
            }
            drop(wakes);
            state = lock(&self.0);
        }
    }
}
