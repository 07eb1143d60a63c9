//! [`State`]: the levels, who waits for room in them, and whose turn it is.
//!
//! The rules:
//! 1. Items and granted room are within the capacity.
//! 2. Room that comes free is granted to the senders that wait, the most urgent first, before it is free to
//!    others.
//! 3. At least as many receivers are called as there are items, or none waits.

use std::collections::VecDeque;
use std::task::Waker;

use super::PriorityStats;
use weirs_runtime::waiting::Serve;
use weirs_runtime::waiting::{Ticket, Waiters, Wakes};

pub(super) struct State<T> {
    levels: Vec<Level<T>>,
    capacity: usize,
    per_level: bool,
    items_turns: Turns,
    room_turns: Turns,
    /// Items in all levels.
    len: usize,
    /// Room that was promised to senders that were called, in all levels.
    granted: usize,
    waiting: usize,
    pub(super) items: Waiters,
    called: usize,
    pub(super) senders: usize,
    pub(super) receivers: usize,
    pub(super) closed: bool,
    high_water: usize,
    sent: u64,
    received: u64,
}

struct Level<T> {
    queue: VecDeque<T>,
    granted: usize,
    room: Waiters,
}

/// Whose turn it is: the first that is ready, or one that was passed over often enough.
struct Turns {
    aging: Option<usize>,
    /// How often each was passed over while it was ready.
    passed: Vec<usize>,
    aged: u64,
}

impl Turns {
    fn new(levels: usize, aging: Option<usize>) -> Self {
        Self { aging, passed: vec![0; levels], aged: 0 }
    }

    fn next(&mut self, is_ready: impl Fn(usize) -> bool) -> Option<usize> {
        let first = (0..self.passed.len()).find(|level| is_ready(*level))?;
        let Some(aging) = self.aging else { return Some(first) };
        let longest = (first..self.passed.len())
            .filter(|level| is_ready(*level) && self.passed[*level] >= aging)
            .max_by_key(|level| self.passed[*level]);
        let next = longest.unwrap_or(first);
        self.aged += u64::from(next != first);
        for level in first..self.passed.len() {
            let waits = level != next && is_ready(level) && level > first;
            self.passed[level] = if waits { self.passed[level] + 1 } else { 0 };
        }
        Some(next)
    }
}

impl<T> State<T> {
    pub(super) fn new(levels: usize, capacity: usize, per_level: bool, aging: Option<usize>) -> Self {
        let level = || Level { queue: VecDeque::new(), granted: 0, room: Waiters::new() };
        Self {
            levels: std::iter::repeat_with(level).take(levels).collect(),
            capacity,
            per_level,
            items_turns: Turns::new(levels, aging),
            room_turns: Turns::new(levels, aging),
            len: 0,
            granted: 0,
            waiting: 0,
            items: Waiters::new(),
            called: 0,
            senders: 1,
            receivers: 1,
            closed: false,
            high_water: 0,
            sent: 0,
            received: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn has_room(&self, level: usize) -> bool {
        let taken = if self.per_level {
            self.levels[level].queue.len() + self.levels[level].granted
        } else {
            self.len + self.granted
        };
        taken < self.capacity
    }

    pub(super) fn room(&mut self, level: usize) -> &mut Waiters {
        &mut self.levels[level].room
    }

    /// Whether somebody who comes just now may send. If there is room, nobody waits for it.
    pub(super) fn may_send(&self, level: usize, ticket: Option<&Ticket>) -> bool {
        match ticket {
            Some(ticket) => self.levels[level].room.is_called(*ticket),
            None => self.has_room(level),
        }
    }

    pub(super) fn push(&mut self, level: usize, item: T) {
        self.levels[level].queue.push_back(item);
        self.len += 1;
        self.sent += 1;
        self.high_water = self.high_water.max(self.len);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let Self { levels, items_turns, .. } = self;
        let level = items_turns.next(|level| !levels[level].queue.is_empty())?;
        let item = self.levels[level].queue.pop_front()?;
        self.len -= 1;
        self.received += 1;
        Some(item)
    }

    /// A sender came to wait.
    pub(super) fn joined(&mut self) {
        self.waiting += 1;
    }

    /// A sender leaves the queue; if it was called, its room is free again.
    pub(super) fn leave_room(&mut self, level: usize, ticket: &mut Option<Ticket>) -> Option<Waker> {
        let waker = self.levels[level].room.leave(ticket.take()?);
        if waker.is_some() {
            self.waiting -= 1;
        } else if !self.closed {
            self.granted -= 1;
            self.levels[level].granted -= 1;
        }
        waker
    }

    pub(super) fn leave_items(&mut self, ticket: &mut Option<Ticket>) -> Option<Waker> {
        let waker = self.items.leave(ticket.take()?);
        if waker.is_none() {
            self.called -= 1;
        }
        waker
    }

    /// All that is in it, when nobody will take it.
    pub(super) fn take_all(&mut self) -> Vec<VecDeque<T>> {
        self.len = 0;
        self.levels.iter_mut().map(|level| std::mem::take(&mut level.queue)).collect()
    }

    pub(super) fn stats(&self) -> PriorityStats {
        PriorityStats {
            levels: self.levels.iter().map(|level| level.queue.len()).collect(),
            capacity: self.capacity,
            high_water: self.high_water,
            sent: self.sent,
            received: self.received,
            aged: self.items_turns.aged,
            senders_waiting: self.waiting,
            receivers_waiting: self.items.len(),
        }
    }

    /// Calls the sender whose turn it is, if there is room for it.
    fn call_sender(&mut self) -> Option<Waker> {
        if self.waiting == 0 {
            return None;
        }
        let Self { levels, capacity, per_level, closed, len, granted, .. } = self;
        let fits = |level: &Level<T>| {
            let taken = if *per_level { level.queue.len() + level.granted } else { *len + *granted };
            *closed || taken < *capacity
        };
        let level = self.room_turns.next(|level| !levels[level].room.is_empty() && fits(&levels[level]))?;
        let waker = self.levels[level].room.call_first();
        self.waiting -= 1;
        if !self.closed {
            self.granted += 1;
            self.levels[level].granted += 1;
        }
        waker
    }
}

impl<T> Serve for State<T> {
    fn somebody_waits(&self) -> bool {
        self.waiting > 0 || !self.items.is_empty()
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        while !wakes.is_full() {
            let Some(waker) = self.call_sender() else { break };
            wakes.add(waker);
        }
        while !wakes.is_full() && !self.items.is_empty() && (self.closed || self.called < self.len) {
            self.called += 1;
            self.items.call_first().into_iter().for_each(|waker| wakes.add(waker));
        }
    }
}
