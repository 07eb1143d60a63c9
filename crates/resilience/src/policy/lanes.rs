//! [`Lanes`]: something for each of the attempts that run at the same time.

use crate::Lane;

/// The first lane's is inline; a hedge's are boxed, when there is one.
#[derive(Debug)]
pub(crate) struct Lanes<S> {
    first: S,
    more: Option<Box<More<S>>>,
}

#[derive(Debug)]
struct More<S> {
    lane: Lane,
    state: S,
    next: Option<Box<Self>>,
}

impl<S> Lanes<S> {
    #[inline(always)]
    pub(crate) fn new(first: S) -> Self {
        Self { first, more: None }
    }

    pub(crate) fn first_mut(&mut self) -> &mut S {
        &mut self.first
    }

    /// What is in this lane, made now if it is a new one.
    #[inline(always)]
    pub(crate) fn get_or_begin(&mut self, lane: Lane, begin: impl FnOnce() -> S) -> &mut S {
        if lane == Lane::FIRST { &mut self.first } else { self.more_or_begin(lane, begin) }
    }

    #[cold]
    fn more_or_begin(&mut self, lane: Lane, begin: impl FnOnce() -> S) -> &mut S {
        let mut place = &mut self.more;
        while place.as_ref().is_some_and(|more| more.lane != lane) {
            place = &mut place.as_mut().expect("it was there just now").next;
        }
        &mut place.get_or_insert_with(|| Box::new(More { lane, state: begin(), next: None })).state
    }

    /// Takes this lane out: the first one stays, and is lent.
    #[inline]
    pub(crate) fn leave<R>(&mut self, lane: Lane, last: impl FnOnce(&mut S) -> R) -> Option<R> {
        if lane == Lane::FIRST {
            return Some(last(&mut self.first));
        }
        let mut place = &mut self.more;
        while place.as_ref().is_some_and(|more| more.lane != lane) {
            place = &mut place.as_mut().expect("it was there just now").next;
        }
        let mut gone = place.take()?;
        *place = gone.next.take();
        Some(last(&mut gone.state))
    }
}
