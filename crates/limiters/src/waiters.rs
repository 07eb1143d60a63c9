//! [`Waiters`]: a queue that stands inside somebody's lock. Whoever gives up is taken out in constant time,
//! and waiting allocates nothing once the queue has grown. Each place has a waker and an item of the owner's.
//!
//! Wakers are user code: they are cloned, woken and dropped outside the lock. So whatever takes a waker out
//! gives it to the caller, who drops the lock first. [`Wakes`] carries several without an allocation.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// No place.
const NONE: u32 = u32::MAX;

/// A queue of wakers and items, in places that are used again.
pub(crate) struct Waiters<T> {
    places: Vec<Place<T>>,
    free: u32,
    head: u32,
    tail: u32,
    /// How many stand in the queue; those that were called out of it do not.
    waiting: usize,
}

/// Names one place. Whoever joined gives it back with [`Waiters::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

struct Place<T> {
    /// None when it was taken to be woken, and in a free place.
    waker: Option<Waker>,
    item: T,
    queued: bool,
    previous: u32,
    next: u32,
}

impl Ticket {
    /// As a number for [`Waiting::key`](crate::Waiting::key).
    pub(crate) fn number(self) -> u64 {
        u64::from(self.0)
    }

    pub(crate) fn of(number: u64) -> Self {
        Self(number as u32)
    }

    fn some(at: u32) -> Option<Self> {
        (at != NONE).then_some(Self(at))
    }
}

impl<T: Copy> Waiters<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: NONE, head: NONE, tail: NONE, waiting: 0 }
    }

    /// How many stand in the queue.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Takes the last place in the queue.
    pub(crate) fn join(&mut self, waker: Waker, item: T) -> Ticket {
        let place = Place { waker: Some(waker), item, queued: true, previous: self.tail, next: NONE };
        let at = if self.free == NONE {
            let at = u32::try_from(self.places.len()).ok().filter(|at| *at != NONE);
            let at = at.expect("less than four thousand million wait");
            self.places.push(place);
            at
        } else {
            let at = self.free;
            self.free = self.places[at as usize].next;
            self.places[at as usize] = place;
            at
        };
        match self.tail {
            NONE => self.head = at,
            tail => self.places[tail as usize].next = at,
        }
        self.tail = at;
        self.waiting += 1;
        Ticket(at)
    }

    pub(crate) fn first(&self) -> Option<Ticket> {
        Ticket::some(self.head)
    }

    pub(crate) fn last(&self) -> Option<Ticket> {
        Ticket::some(self.tail)
    }

    /// Who comes after one who stands in the queue.
    pub(crate) fn after(&self, ticket: Ticket) -> Option<Ticket> {
        Ticket::some(self.place(ticket).next)
    }

    /// Who comes before one who stands in the queue.
    pub(crate) fn before(&self, ticket: Ticket) -> Option<Ticket> {
        Ticket::some(self.place(ticket).previous)
    }

    pub(crate) fn get(&self, ticket: Ticket) -> &T {
        &self.place(ticket).item
    }

    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> &mut T {
        &mut self.places[ticket.0 as usize].item
    }

    /// Whether the holder stands in the queue: not if it was called out of it.
    pub(crate) fn is_queued(&self, ticket: Ticket) -> bool {
        self.place(ticket).queued
    }

    /// Takes one out of the queue, who keeps its place, item and waker until it leaves.
    pub(crate) fn dismiss(&mut self, ticket: Ticket) {
        self.unlink(ticket.0);
    }

    /// Takes the waker of one who has not left; it brings another when it is polled, if it has to wait on.
    #[must_use = "the waker is to be woken outside the lock"]
    pub(crate) fn take_waker(&mut self, ticket: Ticket) -> Option<Waker> {
        self.places[ticket.0 as usize].waker.take()
    }

    /// Whether the holder will be woken by this waker.
    pub(crate) fn will_wake(&self, ticket: Ticket, waker: &Waker) -> bool {
        self.place(ticket).waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    /// Has the holder woken by another waker; gives the one before.
    #[must_use = "the waker is to be dropped outside the lock"]
    pub(crate) fn replace(&mut self, ticket: Ticket, waker: Waker) -> Option<Waker> {
        self.places[ticket.0 as usize].waker.replace(waker)
    }

    /// Gives the place back.
    #[must_use = "the waker is to be dropped outside the lock"]
    pub(crate) fn leave(&mut self, ticket: Ticket) -> (T, Option<Waker>) {
        let at = ticket.0;
        if self.place(ticket).queued {
            self.unlink(at);
        }
        let place = &mut self.places[at as usize];
        place.next = self.free;
        self.free = at;
        (place.item, place.waker.take())
    }

    fn place(&self, ticket: Ticket) -> &Place<T> {
        &self.places[ticket.0 as usize]
    }

    fn unlink(&mut self, at: u32) {
        let Place { previous, next, .. } = self.places[at as usize];
        match previous {
            NONE => self.head = next,
            previous => self.places[previous as usize].next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => self.places[next as usize].previous = previous,
        }
        self.places[at as usize].queued = false;
        self.waiting -= 1;
    }
}

/// How many wakers are carried at once.
const MOST_WAKES: usize = 8;

/// Wakers on their way out of a lock. Dropped, it wakes them; a panic of one keeps no other from being woken
/// and goes no further: whoever gives something back is not to blame for those who wait for it.
#[derive(Default)]
#[must_use = "wakers are woken when it is dropped, outside the lock"]
pub(crate) struct Wakes {
    wakers: [Option<Waker>; MOST_WAKES],
    number: usize,
}

impl Wakes {
    pub(crate) fn is_full(&self) -> bool {
        self.number == MOST_WAKES
    }

    /// Takes one along; not to be called when it is full.
    pub(crate) fn add(&mut self, waker: Option<Waker>) {
        if waker.is_some() {
            self.wakers[self.number] = waker;
            self.number += 1;
        }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.wakers[..self.number].iter_mut().filter_map(Option::take).for_each(wake);
    }
}

/// Wakes; a panic in it goes no further.
pub(crate) fn wake(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        // Its destructor may panic too.
        std::mem::forget(payload);
    }
}

/// Drops one that is not needed any more; a panic in it goes no further, for there is more to be done.
pub(crate) fn discard(waker: Option<Waker>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(waker))) {
        std::mem::forget(payload);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn waker() -> Waker {
        Waker::noop().clone()
    }

    #[test]
    fn first_come_first_served_and_places_are_used_again() {
        let mut waiters = Waiters::new();
        let [one, two, three] = [1, 2, 3].map(|amount| waiters.join(waker(), amount));
        assert!(waiters.leave(two).1.is_some());
        assert_eq!((waiters.first(), waiters.last()), (Some(one), Some(three)));
        waiters.dismiss(one);
        assert!(waiters.take_waker(one).is_some());
        assert!(!waiters.is_queued(one) && waiters.is_queued(three));
        assert_eq!((waiters.first(), waiters.len()), (Some(three), 1));
        assert_eq!(waiters.leave(one).0, 1);
        let [four, five] = [4, 5].map(|amount| waiters.join(waker(), amount));
        assert_eq!(waiters.places.len(), 3);
        assert_eq!((waiters.after(three), waiters.before(five)), (Some(four), Some(four)));
        let order = std::iter::from_fn(|| {
            let first = waiters.first()?;
            waiters.dismiss(first);
            waiters.take_waker(first).map(|_| *waiters.get(first))
        });
        assert_eq!(order.collect::<Vec<_>>(), [3, 4, 5]);
        for ticket in [three, four, five] {
            assert!(waiters.leave(ticket).1.is_none());
        }
        assert!(waiters.is_empty());
    }
}
