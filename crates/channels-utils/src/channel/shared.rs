//! [`Shared`]: the ring that both ends share: a queue, who waits at either end, and what was promised to
//! whom.
//!
//! The rules, which the model in `tests/models` checks:
//! 1. `queue + in_hand + reserved + granted <= capacity`, always.
//! 2. Room that comes free is granted to the senders that wait, in their order, before it is free to others:
//!    a sender is called only together with its grant, and gives the grant on when it gives up.
//! 3. There are at least as many called receivers as items, or no receiver waits.
//! 4. Whoever is called was taken out of its queue; its ticket is its own until it leaves.
//! 5. No user code runs under the lock: no waker is cloned, woken or dropped, and no item is dropped.

use std::collections::VecDeque;
use std::mem;
use std::task::{Context, Poll, Waker};

use weirs_runtime::Clock;

use super::policy::Admission;
use super::{ChannelStats, OnDrop, SendError, Sent};
use crate::sync::{Arc, Mutex, MutexGuard, lock};
use weirs_runtime::waiting::{Ticket, Turn, Waiters, Wakes, let_go, look};

/// What both ends share.
pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    on_drop: Option<OnDrop<T>>,
    /// Set when the policy asks for the time.
    clock: Option<Clock>,
    /// Whether senders wait when it is full.
    pub(super) waits: bool,
    pub(super) capacity: usize,
}

pub(super) struct State<T> {
    pub(super) queue: VecDeque<T>,
    capacity: usize,
    /// Taken by [`Batches`](super::Batches) and not yet given back.
    in_hand: usize,
    /// Held by [`Permits`](super::Permits).
    reserved: usize,
    /// Promised to senders that were called.
    granted: usize,
    /// Receivers that were called and did not come yet.
    called: usize,
    senders: usize,
    receivers: usize,
    closed: bool,
    admission: Admission,
    room: Waiters,
    items: Waiters,
    end: Waiters,
    high_water: usize,
    sent: u64,
    received: u64,
    dropped: u64,
}

impl<T> Shared<T> {
    pub(super) fn new(capacity: usize, admission: Admission, on_drop: Option<OnDrop<T>>) -> Arc<Self> {
        let clock = admission.clock();
        let waits = matches!(admission, Admission::Block);
        let state = State {
            queue: VecDeque::new(),
            capacity,
            in_hand: 0,
            reserved: 0,
            granted: 0,
            called: 0,
            senders: 1,
            receivers: 1,
            closed: false,
            admission,
            room: Waiters::new(),
            items: Waiters::new(),
            end: Waiters::new(),
            high_water: 0,
            sent: 0,
            received: 0,
            dropped: 0,
        };
        Arc::new(Self { state: Mutex::new(state), on_drop, clock, waits, capacity })
    }

    /// Changes the state, and calls whoever may go on because of it.
    #[inline]
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut state = lock(&self.state);
        let result = change(&mut state);
        if state.somebody_waits() {
            self.call(state);
        }
        result
    }

    #[inline(never)]
    fn call<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) {
        loop {
            let mut wakes = Wakes::default();
            state.call(&mut wakes);
            drop(state);
            if !wakes.is_full() {
                return;
            }
            drop(wakes);
            state = lock(&self.state);
        }
    }

    /// Sends without waiting, or says that there is no room.
    pub(super) fn try_send(&self, item: T) -> Result<Sent<T>, SendError<T>> {
        let now = self.clock.as_ref().map(Clock::now);
        let sent = self.change(|state| {
            if state.closed {
                return Err(SendError::Closed(item));
            }
            if !state.admission.samples(now) {
                return Ok(state.refuse(item));
            }
            if state.free() > 0 {
                state.push(item);
                return Ok(Sent::Queued);
            }
            match state.admission {
                Admission::Block | Admission::Error => Err(SendError::Full(item)),
                Admission::DropOldest => match state.queue.pop_front() {
                    Some(oldest) => {
                        state.dropped += 1;
                        state.push(item);
                        Ok(Sent::Evicted(oldest))
                    }
                    // All room is reserved, or in the hands of receivers.
                    None => Ok(state.refuse(item)),
                },
                _ => Ok(state.refuse(item)),
            }
        });
        if let (Some(on_drop), Ok(Sent::Evicted(item) | Sent::Refused(item))) = (&self.on_drop, &sent) {
            on_drop(item);
        }
        sent
    }

    /// Sends, waiting for room if that is the policy.
    pub(super) fn poll_send(
        &self,
        item: &mut Option<T>,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sent<T>, SendError<T>>> {
        if !self.waits {
            return Poll::Ready(self.try_send(item.take().expect("polled after it was ready")));
        }
        let push = |state: &mut State<T>| state.push(item.take().expect("polled after it was ready"));
        match self.poll_room(1, ticket, cx, push) {
            Poll::Ready(Some(())) => Poll::Ready(Ok(Sent::Queued)),
            Poll::Ready(None) => {
                Poll::Ready(Err(SendError::Closed(item.take().expect("polled after it was ready"))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Sends from the front of `items` until none is left; the error says why some are.
    pub(super) fn poll_send_many(
        &self,
        items: &mut VecDeque<T>,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<()>>> {
        if !self.waits {
            return Poll::Ready(self.try_send_many(items));
        }
        while !items.is_empty() {
            let push = |state: &mut State<T>| {
                // The first has its room already.
                let free = if state.room.is_empty() { state.free() } else { 1 };
                state.push_many(items, free.max(1));
            };
            match self.poll_room(1, ticket, cx, push) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) => return Poll::Ready(Err(SendError::Closed(()))),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends from the front of `items`, by a policy that never waits.
    fn try_send_many(&self, items: &mut VecDeque<T>) -> Result<(), SendError<()>> {
        while let Some(item) = items.pop_front() {
            let (item, error) = match self.try_send(item) {
                Ok(_) => continue,
                Err(SendError::Full(item)) => (item, SendError::Full(())),
                Err(SendError::Closed(item)) => (item, SendError::Closed(())),
            };
            items.push_front(item);
            return Err(error);
        }
        Ok(())
    }

    /// Reserves room for so many.
    pub(super) fn poll_reserve(
        &self,
        amount: usize,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<()>> {
        self.poll_room(amount, ticket, cx, |state| state.reserved += amount)
    }

    /// Reserves room for so many without waiting. `None` says that the channel is closed.
    pub(super) fn try_reserve(&self, amount: usize) -> Option<bool> {
        let mut state = lock(&self.state);
        if state.closed {
            return None;
        }
        let fits = state.free() >= amount;
        if fits {
            state.reserved += amount;
        }
        Some(fits)
    }

    /// Gives reserved room back.
    pub(super) fn give_back(&self, amount: usize) {
        self.change(|state| state.reserved -= amount);
    }

    /// Sends into reserved room.
    pub(super) fn send_reserved(&self, item: T) -> Result<(), T> {
        self.change(|state| {
            state.reserved -= 1;
            if state.closed {
                return Err(item);
            }
            state.push(item);
            Ok(())
        })
    }

    /// Waits for room, in turn, and takes it. `None` says that the channel is closed.
    fn poll_room<R>(
        &self,
        amount: usize,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut State<T>) -> R,
    ) -> Poll<Option<R>> {
        let mut take = Some(take);
        look(cx, |look| {
            self.change(|state| {
                if state.closed {
                    look.leave(&mut state.room, ticket);
                    return Turn::Ready(None);
                }
                let has_room = match ticket {
                    Some(ticket) => state.room.is_called(*ticket),
                    None => state.room.is_empty() && state.free() >= amount,
                };
                if !has_room {
                    return look.wait(&mut state.room, amount, ticket);
                }
                if ticket.is_some() {
                    look.leave(&mut state.room, ticket);
                    state.granted -= amount;
                }
                Turn::Ready(take.take().map(|take| take(state)))
            })
        })
    }

    /// A sender gives up.
    pub(super) fn leave_room(&self, amount: usize, ticket: Ticket) {
        let waker = self.change(|state| {
            let waker = state.room.leave(ticket);
            if waker.is_none() && !state.closed {
                state.granted -= amount;
            }
            waker
        });
        let_go(waker);
    }

    /// Waits for an item, and takes some. `None` says that there is none and will be none. `used` is the
    /// batch that is used up, whose room comes free.
    pub(super) fn poll_take<R>(
        &self,
        ticket: &mut Option<Ticket>,
        mut used: usize,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut State<T>) -> R,
    ) -> Poll<Option<R>> {
        let mut take = Some(take);
        look(cx, |look| {
            self.change(|state| {
                state.in_hand -= mem::take(&mut used);
                if state.queue.is_empty() && !state.has_ended() {
                    let called = ticket.as_ref().is_some_and(|ticket| state.items.is_called(*ticket));
                    if called {
                        // Another one was faster.
                        look.drop_later(state.leave_items(ticket));
                    }
                    return look.wait(&mut state.items, 1, ticket);
                }
                look.drop_later(state.leave_items(ticket));
                let take = if state.queue.is_empty() { None } else { take.take() };
                Turn::Ready(take.map(|take| take(state)))
            })
        })
    }

    /// A receiver gives up waiting.
    pub(super) fn leave_items(&self, ticket: &mut Option<Ticket>) {
        let waker = self.change(|state| state.leave_items(ticket));
        let_go(waker);
    }

    /// Takes an item without waiting; says whether there will be more when there is none.
    pub(super) fn try_take(&self) -> Result<T, bool> {
        self.change(|state| state.pop().ok_or(!state.has_ended()))
    }

    /// Gives a batch back: the items that are left in it to the front of the queue, and its room.
    pub(super) fn return_batch(&self, taken: usize, rest: &mut VecDeque<T>) {
        let left_over = self.change(|state| {
            state.in_hand -= taken;
            state.received -= rest.len() as u64;
            if state.receivers == 0 {
                return mem::take(rest);
            }
            while let Some(item) = rest.pop_back() {
                state.queue.push_front(item);
            }
            VecDeque::new()
        });
        drop(left_over);
    }

    /// Waits until nothing can be sent any more.
    pub(super) fn poll_closed(&self, ticket: &mut Option<Ticket>, cx: &mut Context<'_>) -> Poll<()> {
        look(cx, |look| {
            self.change(|state| {
                if state.closed {
                    look.leave(&mut state.end, ticket);
                    return Turn::Ready(());
                }
                look.wait(&mut state.end, 1, ticket)
            })
        })
    }

    pub(super) fn leave_end(&self, ticket: Ticket) {
        let waker = lock(&self.state).end.leave(ticket);
        let_go(waker);
    }

    pub(super) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    pub(super) fn add_sender(&self) {
        lock(&self.state).senders += 1;
    }

    /// Adds a sender unless the last one is gone.
    pub(super) fn revive_sender(&self) -> bool {
        let mut state = lock(&self.state);
        let alive = state.senders > 0;
        state.senders += usize::from(alive);
        alive
    }

    pub(super) fn add_receiver(&self) {
        lock(&self.state).receivers += 1;
    }

    /// The last sender closes the channel.
    pub(super) fn remove_sender(&self) {
        self.change(|state| {
            state.senders -= 1;
            state.closed |= state.senders == 0;
        });
    }

    /// The last receiver closes the channel, and what is in it is dropped at once.
    pub(super) fn remove_receiver(&self) {
        let left_over = self.change(|state| {
            state.receivers -= 1;
            if state.receivers > 0 {
                return VecDeque::new();
            }
            state.closed = true;
            mem::take(&mut state.queue)
        });
        drop(left_over);
    }

    pub(super) fn stats(&self) -> ChannelStats {
        let state = lock(&self.state);
        ChannelStats {
            len: state.queue.len() + state.in_hand,
            capacity: state.capacity,
            high_water: state.high_water,
            sent: state.sent,
            received: state.received,
            dropped: state.dropped,
            senders_waiting: state.room.len(),
            receivers_waiting: state.items.len(),
        }
    }
}

impl<T> State<T> {
    fn free(&self) -> usize {
        let taken = self.queue.len() + self.in_hand + self.reserved + self.granted;
        self.capacity.saturating_sub(taken)
    }

    /// Whether there will be no more items: a batch in hand may come back.
    fn has_ended(&self) -> bool {
        self.closed && self.in_hand == 0 && self.queue.is_empty()
    }

    fn somebody_waits(&self) -> bool {
        let waits_for_the_end = self.closed && !self.end.is_empty();
        waits_for_the_end || !(self.room.is_empty() && self.items.is_empty())
    }

    /// Calls whoever may go on: rules 2 and 3.
    fn call(&mut self, wakes: &mut Wakes) {
        while !wakes.is_full() {
            let fits = self.room.first_item().is_some_and(|amount| self.closed || amount <= self.free());
            if !fits {
                break;
            }
            self.granted += if self.closed { 0 } else { self.room.first_item().unwrap_or(0) };
            self.room.call_first().into_iter().for_each(|waker| wakes.add(waker));
        }
        while !wakes.is_full()
            && !self.items.is_empty()
            && (self.has_ended() || self.called < self.queue.len())
        {
            self.called += 1;
            self.items.call_first().into_iter().for_each(|waker| wakes.add(waker));
        }
        while !wakes.is_full() && self.closed && !self.end.is_empty() {
            self.end.call_first().into_iter().for_each(|waker| wakes.add(waker));
        }
    }

    fn push(&mut self, item: T) {
        self.queue.push_back(item);
        self.sent += 1;
        self.mark();
    }

    fn push_many(&mut self, items: &mut VecDeque<T>, most: usize) {
        let number = most.min(items.len());
        if number == items.len() {
            // By blocks, and not one by one.
            self.queue.append(items);
        } else {
            self.queue.extend(items.drain(..number));
        }
        self.sent += number as u64;
        self.mark();
    }

    fn mark(&mut self) {
        self.high_water = self.high_water.max(self.queue.len() + self.in_hand);
    }

    fn refuse(&mut self, item: T) -> Sent<T> {
        self.dropped += 1;
        Sent::Refused(item)
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let item = self.queue.pop_front()?;
        self.received += 1;
        Some(item)
    }

    /// Takes so many into the caller's hands.
    pub(super) fn pop_many(&mut self, most: usize) -> impl Iterator<Item = T> + '_ {
        let number = most.min(self.queue.len());
        self.received += number as u64;
        self.queue.drain(..number)
    }

    /// Takes a batch that counts until it is given back: no more than this receiver's part.
    pub(super) fn take_batch(&mut self, most: usize, hand: &mut VecDeque<T>) -> usize {
        let part = self.queue.len() / self.receivers.max(1);
        let number = most.min(part.max(1));
        if number == self.queue.len() && hand.is_empty() {
            // All of it, and none is moved.
            std::mem::swap(&mut self.queue, hand);
            self.received += number as u64;
        } else {
            hand.extend(self.pop_many(number));
        }
        self.in_hand += number;
        number
    }

    #[must_use = "the waker is to be dropped outside the lock"]
    fn leave_items(&mut self, ticket: &mut Option<Ticket>) -> Option<Waker> {
        let waker = self.items.leave(ticket.take()?);
        if waker.is_none() {
            self.called -= 1;
        }
        waker
    }
}
