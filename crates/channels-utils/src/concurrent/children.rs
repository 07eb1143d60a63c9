//! [`Children`]: the futures that run at once, in places that are used again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::hub::{Caller, Hub};
use super::panics::FirstPanic;

/// The futures that run at once.
///
/// A place is made when more run than ever before, and then used again with its box and its waker: a stream
/// of any length allocates for as many places as are taken at once, and no more.
pub(super) struct Children<U> {
    places: Vec<Place<U>>,
    free: Vec<usize>,
    live: usize,
}

struct Place<U> {
    // A box each: without `unsafe` nothing else can be pinned within a list.
    future: Pin<Box<Option<U>>>,
    number: usize,
    caller: Caller,
}

impl<U: Future> Children<U> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), live: 0 }
    }

    /// How many run.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Takes one more along. It is polled in this turn.
    pub(super) fn start(&mut self, future: U, number: usize, hub: &mut Hub) {
        self.live += 1;
        let index = match self.free.pop() {
            Some(index) => {
                let place = &mut self.places[index];
                place.number = number;
                place.future.set(Some(future));
                index
            }
            None => {
                let index = self.places.len();
                let caller = hub.caller(index);
                self.places.push(Place { future: Box::pin(Some(future)), number, caller });
                index
            }
        };
        hub.start(index);
    }

    /// Polls the one in this place. When it is ready, `ended` gets its number and its output; when it
    /// panicked, its number alone.
    pub(super) fn poll(
        &mut self,
        index: usize,
        panics: &mut FirstPanic,
        ended: impl FnOnce(usize, Option<U::Output>),
    ) {
        let Place { future, number, caller } = &mut self.places[index];
        let mut cx = Context::from_waker(caller.waker());
        // A wake of whoever was here before may come late; then nobody is here.
        let Some(running) = future.as_mut().as_pin_mut() else { return };
        let mut output = None;
        // One that panicked is not polled again: it ends without an output.
        match panics.run(|| running.poll(&mut cx).map(|ready| output = Some(ready))) {
            Some(Poll::Pending) => return,
            Some(Poll::Ready(())) | None => {}
        }
        ended(*number, output);
        self.live -= 1;
        self.free.push(index);
        panics.run(|| future.set(None));
    }
}

impl<U> Children<U> {
    /// Drops all that run.
    pub(super) fn clear(&mut self, panics: &mut FirstPanic) {
        for (index, place) in self.places.iter_mut().enumerate() {
            if place.future.is_some() {
                self.live -= 1;
                self.free.push(index);
                panics.run(|| place.future.set(None));
            }
        }
    }
}

impl<U> Drop for Children<U> {
    fn drop(&mut self) {
        let mut panics = FirstPanic::default();
        self.clear(&mut panics);
        panics.resume_in_drop();
    }
}
