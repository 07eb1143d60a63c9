//! [`Shared`]: the rings of all receivers, and who waits for room in them.
//!
//! The rules:
//! 1. Under one lock an item is put into all rings: that is the one order of all receivers.
//! 2. No user code runs under the lock: items are cloned before, and dropped and wakers woken after it.
//! 3. `full` is how many rings hold the senders back; no ring has more than `capacity`, batches in hand
//!    included.
//! 4. Senders that wait are called one at a time, in their order, when there is room. Until that one has
//!    sent or given up, it is its turn, and nobody else's.

use std::collections::VecDeque;
use std::sync::Arc as Value;
use std::task::{Context, Poll, Waker};

use super::ring::Ring;
use super::{BroadcastStats, Builder, Slow};
use crate::sync::{Mutex, lock};
use weirs_runtime::waiting::{Look, Ticket, Turn, Waiters, Wakes, let_go, wake};
use weirs_runtime::waiting::{Serve, Served};

pub(super) struct Shared<T> {
    pub(super) state: Served<State<T>>,
    /// Buffers of sends that are over.
    #[expect(clippy::vec_box, reason = "each goes in and out with a send, and is large")]
    pool: Mutex<Vec<Box<Work<T>>>>,
    pub(super) slow: Slow,
}

pub(super) struct State<T> {
    rings: Vec<Option<Ring<T>>>,
    free: Vec<usize>,
    /// How many receivers there are.
    receivers: usize,
    /// How many of them get new items.
    active: usize,
    full: usize,
    pub(super) capacity: usize,
    replay: usize,
    history: VecDeque<Value<T>>,
    waits_for_receivers: bool,
    senders: usize,
    pub(super) closed: bool,
    /// Whoever waited when it was closed was called; nobody waits after that.
    all_called: bool,
    room: Waiters,
    is_turn: bool,
    high_water: usize,
    sent: u64,
    missed: u64,
}

/// The buffers of a send: what it made before it took the lock, and what it takes out of it.
pub(super) struct Work<T> {
    /// Clones of the first items, for all receivers but one; all lists have the same length.
    copies: Vec<VecDeque<T>>,
    /// The same for those who come later.
    history: VecDeque<Value<T>>,
    /// How many items are cloned, and for how many receivers.
    cloned: usize,
    lists: usize,
    /// A clone panicked, so that the lists are not of one length.
    is_torn: bool,
    /// For how many was cloned the last time, and whether for those who come later.
    last: (usize, bool),
    one: VecDeque<T>,
    trash: VecDeque<T>,
    old: VecDeque<Value<T>>,
    wakers: Vec<Waker>,
}

impl<T> Default for Work<T> {
    fn default() -> Self {
        Self {
            copies: Vec::new(),
            history: VecDeque::new(),
            cloned: 0,
            lists: 0,
            is_torn: false,
            last: (0, false),
            one: VecDeque::new(),
            trash: VecDeque::new(),
            old: VecDeque::new(),
            wakers: Vec::new(),
        }
    }
}

impl<T> Work<T> {
    /// After the lock: wakes, and drops what was left over.
    fn finish(&mut self) {
        self.wakers.drain(..).for_each(wake);
        self.trash.clear();
        self.old.clear();
    }

    fn forget_copies(&mut self) {
        self.copies.iter_mut().for_each(VecDeque::clear);
        self.history.clear();
        (self.cloned, self.lists, self.is_torn) = (0, 0, false);
    }
}

impl<T: Clone> Work<T> {
    /// Clones so many items for so many receivers more than one.
    fn clone_items(&mut self, items: &VecDeque<T>, number: usize, lists: usize, with_history: bool) {
        let fits = self.cloned == 0 || self.cloned <= number && self.lists >= lists;
        if self.is_torn || !fits {
            self.forget_copies();
        }
        if self.copies.len() < lists {
            self.copies.resize_with(lists, VecDeque::new);
        }
        let (before, lists) = (self.cloned, lists.max(self.lists));
        // If a clone panics there are no copies, not some.
        (self.cloned, self.lists, self.is_torn) = (0, 0, true);
        for copies in &mut self.copies[..lists] {
            copies.extend(items.range(before..number).cloned());
        }
        if with_history {
            self.history.extend(items.range(before..number).cloned().map(Value::new));
        }
        (self.cloned, self.lists, self.is_torn) = (number, lists, false);
        self.last = (lists, with_history);
    }

    /// Clones one item as often as the last time: most often that is right, and saves a look under the
    /// lock.
    fn clone_ahead(&mut self, items: &VecDeque<T>) {
        let (lists, with_history) = self.last;
        if items.len() == 1 && self.cloned == 0 && (lists > 0 || with_history) {
            self.clone_items(items, 1, lists, with_history);
        }
    }
}

/// What a look at the state came to.
enum Step {
    Sent {
        receivers: usize,
    },
    Closed,
    /// Clone so many items so many times, outside the lock.
    Copy {
        number: usize,
        lists: usize,
        with_history: bool,
    },
    Full,
}

impl<T> Shared<T> {
    pub(super) fn new(builder: Builder) -> Self {
        let state = State {
            rings: Vec::new(),
            free: Vec::new(),
            receivers: 0,
            active: 0,
            full: 0,
            capacity: builder.capacity.get(),
            replay: builder.replay,
            history: VecDeque::new(),
            waits_for_receivers: builder.waits_for_receivers,
            senders: 1,
            closed: false,
            all_called: false,
            room: Waiters::new(),
            is_turn: false,
            high_water: 0,
            sent: 0,
            missed: 0,
        };
        Self { state: Served::new(state), pool: Mutex::new(Vec::new()), slow: builder.slow }
    }

    pub(super) fn work(&self) -> Box<Work<T>> {
        lock(&self.pool).pop().unwrap_or_default()
    }

    /// Buffers for the next send.
    pub(super) fn give_back(&self, mut work: Box<Work<T>>) {
        work.forget_copies();
        work.finish();
        lock(&self.pool).push(work);
    }

    /// A sender gives up.
    pub(super) fn leave_room(&self, ticket: Ticket) {
        let_go(self.state.change(|state| {
            let waker = state.room.leave(ticket);
            state.is_turn &= waker.is_some();
            waker
        }));
    }

    pub(super) fn stats(&self) -> BroadcastStats {
        self.state.peek(|state| BroadcastStats {
            len: state.rings.iter().flatten().map(Ring::used).max().unwrap_or(0),
            capacity: state.capacity,
            high_water: state.high_water,
            sent: state.sent,
            missed: state.missed,
            receivers: state.receivers,
            senders_waiting: state.room.len(),
        })
    }
}

impl<T: Clone> Shared<T> {
    /// Sends as many as there is room for, from the front of `items`, which is not empty; says to how many
    /// receivers. `None` says that it is closed.
    pub(super) fn poll_send(
        &self,
        items: &mut VecDeque<T>,
        work: &mut Work<T>,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Option<usize>> {
        work.clone_ahead(items);
        loop {
            let step = self.state.poll(cx, |state: &mut State<T>, look: &mut Look<'_, '_>| {
                if state.closed {
                    state.leave(ticket, look);
                    return Turn::Ready(Step::Closed);
                }
                let called = ticket.as_ref().is_some_and(|ticket| state.room.is_called(*ticket));
                let is_our_turn = called || ticket.is_none() && state.is_free();
                if is_our_turn && state.has_room() {
                    let step = state.send(items, work);
                    if matches!(step, Step::Sent { .. }) {
                        state.leave(ticket, look);
                    }
                    return Turn::Ready(step);
                }
                if called {
                    // The last receiver went meanwhile.
                    let turn = look.wait_first(&mut state.room, 1, ticket);
                    if matches!(turn, Turn::Waits) {
                        state.is_turn = false;
                    }
                    return turn;
                }
                look.wait(&mut state.room, 1, ticket)
            });
            match step {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Step::Sent { receivers }) => {
                    work.finish();
                    return Poll::Ready(Some(receivers));
                }
                Poll::Ready(Step::Copy { number, lists, with_history }) => {
                    work.clone_items(items, number, lists, with_history);
                }
                Poll::Ready(_) => return Poll::Ready(None),
            }
        }
    }

    /// Sends if there is room for the first of `items` now: says to how many, `Err(true)` that it is
    /// closed.
    pub(super) fn try_send(&self, items: &mut VecDeque<T>, work: &mut Work<T>) -> Result<usize, bool> {
        work.clone_ahead(items);
        loop {
            let step = self.state.change(|state| match state.closed {
                true => Step::Closed,
                false if state.is_free() && state.has_room() => state.send(items, work),
                false => Step::Full,
            });
            match step {
                Step::Sent { receivers } => {
                    work.finish();
                    return Ok(receivers);
                }
                Step::Copy { number, lists, with_history } => {
                    work.clone_items(items, number, lists, with_history);
                }
                Step::Full => return Err(false),
                Step::Closed => return Err(true),
            }
        }
    }

    /// [`poll_send`](Self::poll_send) of one item, in a buffer that is there already.
    pub(super) fn poll_send_one(
        &self,
        item: &mut Option<T>,
        work: &mut Work<T>,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Result<usize, T>> {
        let mut one = std::mem::take(&mut work.one);
        one.extend(item.take());
        assert!(!one.is_empty(), "polled after it was ready");
        let sent = self.poll_send(&mut one, work, ticket, cx);
        *item = one.pop_front();
        work.one = one;
        sent.map(|sent| match (sent, item.take()) {
            (None, Some(item)) => Err(item),
            (receivers, _) => Ok(receivers.unwrap_or(0)),
        })
    }

    pub(super) fn try_send_one(&self, item: T, work: &mut Work<T>) -> Result<usize, (T, bool)> {
        let mut one = std::mem::take(&mut work.one);
        one.push_back(item);
        let sent = self.try_send(&mut one, work);
        let item = one.pop_front();
        work.one = one;
        match (sent, item) {
            (Err(closed), Some(item)) => Err((item, closed)),
            (sent, _) => Ok(sent.unwrap_or(0)),
        }
    }
}

impl<T> State<T> {
    /// Whether nobody waits, and it is nobody's turn.
    fn is_free(&self) -> bool {
        self.room.is_empty() && !self.is_turn
    }

    fn has_room(&self) -> bool {
        self.full == 0 && (self.active > 0 || !self.waits_for_receivers)
    }

    /// A sender leaves the queue, called or not.
    fn leave(&mut self, ticket: &mut Option<Ticket>, look: &mut Look<'_, '_>) {
        if let Some(ticket) = ticket.take() {
            self.is_turn &= !self.room.is_called(ticket);
            look.drop_later(self.room.leave(ticket));
        }
    }

    /// Sends from the front of `items`, or says what is to be cloned first.
    fn send(&mut self, items: &mut VecDeque<T>, work: &mut Work<T>) -> Step {
        let capacity = self.capacity;
        let waits = self.rings.iter().flatten().filter(|ring| ring.slow == Slow::Wait);
        let room = waits.map(|ring| capacity - ring.used()).min().unwrap_or(usize::MAX);
        let mut number = room.min(items.len());
        let lists = self.active.saturating_sub(1);
        let with_history = self.replay > 0;
        if lists > 0 || with_history {
            if work.cloned == 0 || work.lists < lists {
                return Step::Copy { number, lists, with_history };
            }
            number = number.min(work.cloned);
        }
        let receivers = self.active;
        let active = self.rings.iter_mut().flatten().filter(|ring| !ring.is_let_go);
        for (list, ring) in active.enumerate() {
            let from = if list == lists { &mut *items } else { &mut work.copies[list] };
            let missed = if number == from.len() {
                ring.put(from, capacity, &mut work.trash)
            } else {
                work.one.extend(from.drain(..number));
                ring.put(&mut work.one, capacity, &mut work.trash)
            };
            self.missed += missed as u64;
            self.active -= usize::from(ring.is_let_go);
            self.full += usize::from(ring.holds_back(capacity));
            self.high_water = self.high_water.max(ring.used());
            work.wakers.extend(ring.waker.take());
        }
        if receivers == 0 {
            work.trash.extend(items.drain(..number));
        }
        // Copies for receivers that are gone since.
        for copies in work.copies.iter_mut().take(work.lists).skip(lists) {
            work.trash.extend(copies.drain(..number.min(work.cloned)));
        }
        if with_history {
            self.history.extend(work.history.drain(..number));
            let excess = self.history.len().saturating_sub(self.replay);
            work.old.extend(self.history.drain(..excess));
        }
        work.cloned = work.cloned.saturating_sub(number);
        if work.cloned == 0 {
            work.lists = 0;
        }
        work.last = (lists, with_history);
        self.sent += number as u64;
        Step::Sent { receivers }
    }

    /// A receiver comes: its place, and what was sent before.
    pub(super) fn subscribe(&mut self, slow: Slow) -> (usize, VecDeque<Value<T>>) {
        let ring = Ring::new(slow);
        let place = match self.free.pop() {
            Some(place) => {
                self.rings[place] = Some(ring);
                place
            }
            None => {
                self.rings.push(Some(ring));
                self.rings.len() - 1
            }
        };
        self.receivers += 1;
        self.active += 1;
        (place, self.history.clone())
    }

    /// A receiver goes: what was left, to be dropped outside the lock.
    pub(super) fn unsubscribe(&mut self, place: usize) -> Option<Ring<T>> {
        let ring = self.rings[place].take()?;
        self.free.push(place);
        self.receivers -= 1;
        self.active -= usize::from(!ring.is_let_go);
        self.full -= usize::from(ring.holds_back(self.capacity));
        Some(ring)
    }

    pub(super) fn ring(&mut self, place: usize) -> &mut Ring<T> {
        self.rings[place].as_mut().expect("it is there as long as its receiver")
    }

    /// Changes a ring; if it held the senders back and does not any more, they may go on.
    pub(super) fn change_ring<R>(&mut self, place: usize, change: impl FnOnce(&mut Ring<T>) -> R) -> R {
        let capacity = self.capacity;
        let ring = self.ring(place);
        let before = ring.holds_back(capacity);
        let result = change(ring);
        let after = ring.holds_back(capacity);
        self.full = self.full + usize::from(after) - usize::from(before);
        result
    }

    pub(super) fn add_sender(&mut self) {
        self.senders += 1;
    }

    pub(super) fn remove_sender(&mut self) {
        self.senders -= 1;
        self.closed |= self.senders == 0;
    }

    pub(super) fn receivers(&self) -> usize {
        self.receivers
    }

    /// Receivers that wait hear that it is closed.
    fn waiting_receiver(&mut self) -> Option<Waker> {
        self.rings.iter_mut().flatten().find_map(|ring| ring.waker.take())
    }
}

impl<T> Serve for State<T> {
    fn somebody_waits(&self) -> bool {
        !self.room.is_empty() || self.closed && !self.all_called
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        if !self.closed {
            if !self.is_turn && self.has_room() {
                let waker = self.room.call_first();
                self.is_turn = waker.is_some();
                waker.into_iter().for_each(|waker| wakes.add(waker));
            }
            return;
        }
        while !wakes.is_full() && !self.room.is_empty() {
            self.room.call_first().into_iter().for_each(|waker| wakes.add(waker));
        }
        while !wakes.is_full() {
            let Some(waker) = self.waiting_receiver() else {
                self.all_called = true;
                break;
            };
            wakes.add(waker);
        }
    }
}
