//! [`Waiters`]: a queue of wakers that stands inside somebody's lock. Who came first is served first;
//! whoever gives up is taken out in constant time; and waiting allocates nothing once the queue has grown.
//!
//! Wakers are user code: they are cloned, woken and dropped outside the lock. So whatever takes a waker out
//! gives it to the caller, who drops the lock first. [`Wakes`] carries several without an allocation.

use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

/// No place.
const NONE: u32 = u32::MAX;

/// A queue of wakers, each with an item of the owner's, in places that are used again.
#[derive(Debug)]
pub struct Waiters<T = usize> {
    places: Vec<Place<T>>,
    free: u32,
    head: u32,
    tail: u32,
    /// How many stand in the queue; those that were called out of it do not.
    waiting: usize,
    /// How many have a place, in the queue or not.
    taken: usize,
}

/// Names one place in a queue. Whoever joined gives it back with [`Waiters::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u32);

#[derive(Debug)]
struct Place<T> {
    /// None when it was taken to be woken, and in a free place.
    waker: Option<Waker>,
    item: T,
    queued: bool,
    previous: u32,
    next: u32,
}

impl Ticket {
    /// The number of the place, which nobody else has until this ticket leaves.
    pub fn place(self) -> usize {
        self.0 as usize
    }

    /// The ticket of that place.
    pub fn of(place: usize) -> Self {
        Self(place as u32)
    }

    fn some(at: u32) -> Option<Self> {
        (at != NONE).then_some(Self(at))
    }
}

impl<T: Copy> Waiters<T> {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self { places: Vec::new(), free: NONE, head: NONE, tail: NONE, waiting: 0, taken: 0 }
    }

    /// How many stand in the queue.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody stands in the queue.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Takes the last place in the queue.
    pub fn join(&mut self, waker: Waker, item: T) -> Ticket {
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
        self.taken += 1;
        Ticket(at)
    }

    /// Takes the first place in the queue: for whoever was called, and came in vain.
    pub fn join_first(&mut self, waker: Waker, item: T) -> Ticket {
        let first = self.head;
        let ticket = self.join(waker, item);
        if first != NONE {
            let at = ticket.0;
            self.unlink(at);
            let place = &mut self.places[at as usize];
            (place.queued, place.previous, place.next) = (true, NONE, first);
            self.places[first as usize].previous = at;
            self.head = at;
            self.waiting += 1;
        }
        ticket
    }

    /// The first in the queue.
    pub fn first(&self) -> Option<Ticket> {
        Ticket::some(self.head)
    }

    /// The last in the queue.
    pub fn last(&self) -> Option<Ticket> {
        Ticket::some(self.tail)
    }

    /// Who comes after one who stands in the queue.
    pub fn after(&self, ticket: Ticket) -> Option<Ticket> {
        Ticket::some(self.place(ticket).next)
    }

    /// Who comes before one who stands in the queue.
    pub fn before(&self, ticket: Ticket) -> Option<Ticket> {
        Ticket::some(self.place(ticket).previous)
    }

    /// The item of one who has not left.
    pub fn get(&self, ticket: Ticket) -> &T {
        &self.place(ticket).item
    }

    /// The item of one who has not left.
    pub fn get_mut(&mut self, ticket: Ticket) -> &mut T {
        &mut self.places[ticket.0 as usize].item
    }

    /// The item of the first in the queue.
    pub fn first_item(&self) -> Option<T> {
        self.places.get(self.head as usize).map(|place| place.item)
    }

    /// Calls the first: it leaves the queue, and its ticket says so.
    #[must_use = "the waker is to be woken outside the lock"]
    pub fn call_first(&mut self) -> Option<Waker> {
        if self.head == NONE {
            return None;
        }
        let at = self.head;
        self.unlink(at);
        self.places[at as usize].waker.take()
    }

    /// Whether the holder stands in the queue: not if it was called out of it. Another may ask too, who has
    /// the ticket from a time before the holder left.
    pub fn is_queued(&self, ticket: Ticket) -> bool {
        self.places.get(ticket.0 as usize).is_some_and(|place| place.queued)
    }

    /// Whether the holder was called.
    pub fn is_called(&self, ticket: Ticket) -> bool {
        !self.is_queued(ticket)
    }

    /// Takes one out of the queue, who keeps its place, item and waker until it leaves.
    pub fn dismiss(&mut self, ticket: Ticket) {
        self.unlink(ticket.0);
    }

    /// Takes the waker of one who has not left; it brings another when it is polled, if it has to wait on.
    #[must_use = "the waker is to be woken outside the lock"]
    pub fn take_waker(&mut self, ticket: Ticket) -> Option<Waker> {
        self.places[ticket.0 as usize].waker.take()
    }

    /// Whether the holder will be woken by this waker.
    pub fn will_wake(&self, ticket: Ticket, waker: &Waker) -> bool {
        self.place(ticket).waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    /// Has the holder woken by another waker; gives the one before.
    #[must_use = "the waker is to be dropped outside the lock"]
    pub fn replace(&mut self, ticket: Ticket, waker: Waker) -> Option<Waker> {
        self.places[ticket.0 as usize].waker.replace(waker)
    }

    /// Gives the place back: the waker, if it was not taken.
    #[must_use = "the waker is to be dropped outside the lock"]
    pub fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let at = ticket.0;
        if self.place(ticket).queued {
            self.unlink(at);
        }
        let place = &mut self.places[at as usize];
        place.next = self.free;
        self.free = at;
        let waker = place.waker.take();
        self.taken -= 1;
        if self.taken == 0 {
            // Whoever comes next has neighbours in memory again, in whatever order those before went away.
            self.places.clear();
            self.free = NONE;
        }
        waker
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

impl<T: Copy> Default for Waiters<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// How many wakers are carried at once.
const MOST_WAKES: usize = 8;

/// Wakes; a panic of the waker is let go. Whoever wakes has other things in its hands, and others to wake.
pub fn wake(waker: Waker) {
    contain(|| waker.wake());
}

/// Drops a waker, as [`wake`] wakes it.
#[inline]
pub fn let_go(waker: Option<Waker>) {
    // Most often there is none.
    if let Some(waker) = waker {
        let_go_of(waker);
    }
}

#[inline(never)]
fn let_go_of(waker: Waker) {
    contain(|| drop(waker));
}

/// Runs what a waker does. The panic hook hears of its panics, and nobody else.
fn contain(work: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
        // The payload's destructor may panic too.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            forget(second);
        }
    }
}

/// Wakers on their way out of a lock. Dropped, it wakes them.
#[derive(Debug, Default)]
#[must_use = "wakers are woken when it is dropped, outside the lock"]
pub struct Wakes {
    first: Option<Waker>,
    /// Most often there is one waker or none, and these are neither made nor looked through.
    others: Option<[Option<Waker>; MOST_WAKES - 1]>,
    number: usize,
}

impl Wakes {
    /// Whether no other finds room.
    pub fn is_full(&self) -> bool {
        self.number == MOST_WAKES
    }

    /// Takes one along; not to be called when it is full.
    pub fn add(&mut self, waker: Waker) {
        match self.number.checked_sub(1) {
            None => self.first = Some(waker),
            Some(other) => self.others.get_or_insert_default()[other] = Some(waker),
        }
        self.number += 1;
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        if let Some(waker) = self.first.take() {
            wake(waker);
        }
        if let Some(others) = self.others.take() {
            others.into_iter().flatten().for_each(wake);
        }
    }
}

/// What a look at the state came to.
#[derive(Debug)]
pub enum Turn<R> {
    /// It is ready.
    Ready(R),
    /// It waits, and will be woken.
    Waits,
    /// The caller clones its waker outside the lock, and looks again.
    NeedsWaker,
}

/// What a look needs to wait, and what it leaves to be dropped outside the lock.
#[derive(Debug)]
pub struct Look<'a, 'b> {
    cx: &'a Context<'b>,
    waker: Option<Waker>,
    old: Option<Waker>,
}

impl Look<'_, '_> {
    /// Keeps a place in the queue, or takes the last.
    pub fn wait<R, T: Copy>(
        &mut self,
        queue: &mut Waiters<T>,
        item: T,
        ticket: &mut Option<Ticket>,
    ) -> Turn<R> {
        match (ticket, self.waker.take()) {
            (Some(ticket), _) if queue.will_wake(*ticket, self.cx.waker()) => {}
            (_, None) => return Turn::NeedsWaker,
            (Some(ticket), Some(waker)) => self.old = queue.replace(*ticket, waker),
            (ticket, Some(waker)) => *ticket = Some(queue.join(waker, item)),
        }
        Turn::Waits
    }

    /// Takes the first place again, having been called in vain. The ticket has to be one that was called.
    pub fn wait_first<R, T: Copy>(
        &mut self,
        queue: &mut Waiters<T>,
        item: T,
        ticket: &mut Option<Ticket>,
    ) -> Turn<R> {
        let Some(waker) = self.waker.take() else { return Turn::NeedsWaker };
        if let Some(called) = ticket.take() {
            self.old = queue.leave(called);
        }
        *ticket = Some(queue.join_first(waker, item));
        Turn::Waits
    }

    /// Keeps the waker of the only one that waits here.
    pub fn wait_alone<R>(&mut self, place: &mut Option<Waker>) -> Turn<R> {
        if place.as_ref().is_some_and(|known| known.will_wake(self.cx.waker())) {
            return Turn::Waits;
        }
        let Some(waker) = self.waker.take() else { return Turn::NeedsWaker };
        self.old = place.replace(waker);
        Turn::Waits
    }

    /// Leaves the queue.
    pub fn leave<T: Copy>(&mut self, queue: &mut Waiters<T>, ticket: &mut Option<Ticket>) {
        if let Some(ticket) = ticket.take() {
            self.old = queue.leave(ticket);
        }
    }

    /// Takes a waker along, to be dropped outside the lock.
    pub fn drop_later(&mut self, waker: Option<Waker>) {
        if waker.is_some() {
            self.old = waker;
        }
    }
}

/// Looks at a state until that is ready or waits. The waker is cloned between two looks, and the one that
/// it replaces is dropped after them: `at` locks, and nothing here does.
#[inline]
pub fn look<R>(cx: &Context<'_>, at: impl FnMut(&mut Look<'_, '_>) -> Turn<R>) -> Poll<R> {
    look_with(cx, None, at)
}

/// The same with a waker at hand: for whoever knows that none is kept there, and looks once instead of twice.
#[inline]
pub fn look_with<R>(
    cx: &Context<'_>,
    mut waker: Option<Waker>,
    mut at: impl FnMut(&mut Look<'_, '_>) -> Turn<R>,
) -> Poll<R> {
    loop {
        let mut look = Look { cx, waker, old: None };
        let turn = at(&mut look);
        let Look { waker: unused, old, .. } = look;
        let_go(old);
        let_go(unused);
        match turn {
            Turn::Ready(ready) => return Poll::Ready(ready),
            Turn::Waits => return Poll::Pending,
            Turn::NeedsWaker => waker = Some(cx.waker().clone()),
        }
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
        assert!(waiters.leave(two).is_some());
        assert_eq!(
            (waiters.first(), waiters.last(), waiters.first_item()),
            (Some(one), Some(three), Some(1))
        );
        assert!(waiters.call_first().is_some());
        assert!(waiters.is_called(one) && waiters.is_queued(three));
        assert_eq!((waiters.first_item(), waiters.len()), (Some(3), 1));
        assert!(waiters.leave(one).is_none());
        let [four, five] = [4, 5].map(|amount| waiters.join(waker(), amount));
        assert_eq!(waiters.places.len(), 3);
        assert_eq!((waiters.after(three), waiters.before(five)), (Some(four), Some(four)));
        waiters.dismiss(four);
        let again = waiters.join_first(waker(), 6);
        assert!(waiters.is_queued(again) && waiters.take_waker(four).is_some());
        let order = std::iter::from_fn(|| {
            let amount = waiters.first_item();
            waiters.call_first().and(amount)
        });
        assert_eq!(order.collect::<Vec<_>>(), [6, 3, 5]);
        for ticket in [three, four, five, again] {
            assert!(waiters.leave(ticket).is_none());
        }
        assert!(waiters.is_empty() && waiters.call_first().is_none());
    }

    #[test]
    fn once_all_have_left_places_are_next_to_each_other_again() {
        let mut waiters = Waiters::new();
        for _ in 0..2 {
            let tickets = [1, 2, 3].map(|amount| waiters.join(waker(), amount));
            assert_eq!(tickets.map(Ticket::place), [0, 1, 2]);
            // One was called and has its place until it leaves.
            assert!(waiters.call_first().is_some());
            for at in [1, 2, 0] {
                assert_eq!(waiters.places.len(), 3);
                assert_eq!(waiters.leave(tickets[at]).is_some(), at != 0);
            }
        }
        assert!(waiters.is_empty() && waiters.places.is_empty());
    }

    #[test]
    fn one_who_has_left_is_not_in_the_queue_whoever_asks() {
        let mut waiters = Waiters::new();
        let ticket = waiters.join(waker(), 1);
        drop(waiters.leave(ticket));
        assert!(!waiters.is_queued(ticket));
    }
}
