//! One answer for one question inside the crate: the two ends of a command.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use weirs_runtime::waiting::{Turn, let_go, look, wake};

use crate::sync::lock;

/// The end that gives the answer. Dropped, the other hears that there is none.
#[derive(Debug)]
pub(crate) struct Answerer<T>(Arc<Mutex<State<T>>>);

/// The end that waits: the answer, or none.
#[derive(Debug)]
pub(crate) struct Answered<T>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T> {
    answer: Option<T>,
    over: bool,
    waker: Option<Waker>,
}

pub(crate) fn answer<T>() -> (Answerer<T>, Answered<T>) {
    let state = Arc::new(Mutex::new(State { answer: None, over: false, waker: None }));
    (Answerer(Arc::clone(&state)), Answered(state))
}

impl<T> Answerer<T> {
    pub(crate) fn give(self, answer: T) {
        lock(&self.0).answer = Some(answer);
        // If nobody waits any more, this drops the answer, and with it whatever of the user's is in it.
        crate::panics::let_go(self);
    }
}

impl<T> Drop for Answerer<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = lock(&self.0);
            state.over = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            wake(waker);
        }
    }
}

impl<T> Future for Answered<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        look(cx, |look| {
            let mut state = lock(&self.0);
            if state.over {
                return Turn::Ready(state.answer.take());
            }
            look.wait_alone(&mut state.waker)
        })
    }
}

impl<T> Drop for Answered<T> {
    fn drop(&mut self) {
        let waker = lock(&self.0).waker.take();
        let_go(waker);
    }
}
