//! [`Wheel`]: timers sorted by time at constant cost, as a plain data structure; [`Timers`] puts it behind
//! locks.

#[cfg(loom)]
pub mod models;
mod timers;

#[cfg(test)]
mod tests;

use std::task::Waker;

pub(crate) use timers::{NEVER, Timers};

/// A hierarchical timing wheel: `insert`, `remove` and `replace` cost the same however many timers there are.
///
/// A deadline is a number of eleven digits of six bits. A timer hangs in the level of the highest digit in
/// which its deadline differs from `now`, in the slot of that digit's value; when `now` comes to that slot,
/// its timers fall to lower levels or fire. Two facts follow and carry all the rest:
///
/// 1. Every occupied slot lies wholly after `now`, and every slot of a level lies before those of the levels
///    above. So the first slot of the lowest occupied level holds the earliest timers.
/// 2. A timer only ever falls. So it is moved ten times at most, and what an `advance` has to look at without
///    firing it is paid for by those moves.
///
/// A slot of the lowest level is one nanosecond and each slot remembers its earliest deadline, so deadlines
/// are exact and the way down is mostly skipped: one timer that is far off fires out of the slot that it was
/// put in.
///
/// Nodes live in one slab and link by index; a wheel that has seen its largest crowd allocates no more. No
/// code of a user runs in here: wakers come and go by value, so that the caller can drop them outside of its
/// lock.
pub(crate) struct Wheel {
    now: u64,
    slots: Box<[Slot]>,
    /// A bit for each slot of each level: set when the slot is not empty.
    occupied: [u64; LEVELS],
    /// The slot that `now` has reached, while `advance` empties it: maybe in several calls.
    draining: Option<usize>,
    nodes: Vec<Node>,
    /// The first free node; the others follow by `next`.
    free: u32,
}

/// Names one timer of one [`Wheel`], and never another one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) index: u32,
    /// From one on: a key is not all zeros.
    pub(crate) generation: u32,
}

impl Wheel {
    /// Keys have an `index` below this.
    pub(crate) const CAPACITY: usize = 1 << 28;

    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            slots: vec![Slot::EMPTY; LEVELS * SLOTS_PER_LEVEL].into_boxed_slice(),
            occupied: [0; LEVELS],
            draining: None,
            nodes: Vec::new(),
            free: NIL,
        }
    }

    /// How many timers there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.nodes.iter().filter(|node| node.waker.is_some()).count()
    }

    /// Adds a timer, or gives the waker back when the wheel has already come to `at`.
    #[inline]
    pub(crate) fn insert(&mut self, at: u64, waker: Waker) -> Result<Key, Waker> {
        if at <= self.now {
            return Err(waker);
        }
        let index = self.allocate(at, waker);
        self.link(index);
        Ok(Key { index, generation: self.node(index).generation })
    }

    /// The waker of a timer that has neither fired nor been removed.
    #[inline]
    pub(crate) fn waker(&self, key: Key) -> Option<&Waker> {
        let node = self.nodes.get(key.index as usize)?;
        if node.generation == key.generation { node.waker.as_ref() } else { None }
    }

    /// Exchanges a timer's waker and gives back the old one, or the new one when the timer is no longer
    /// there.
    pub(crate) fn replace(&mut self, key: Key, waker: Waker) -> Result<Waker, Waker> {
        match self.nodes.get_mut(key.index as usize) {
            Some(Node { generation, waker: Some(old), .. }) if *generation == key.generation => {
                Ok(std::mem::replace(old, waker))
            }
            _ => Err(waker),
        }
    }

    /// Takes a timer out, if it is still there.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> Option<Waker> {
        self.waker(key)?;
        self.unlink(key.index);
        self.release(key.index)
    }

    /// Moves on to `now` and puts the wakers of all timers up to there into `fired`: slot by slot in order of
    /// time, and in order of insertion out of a slot that was passed as a whole.
    ///
    /// It looks at no more than `limit` timers. When that was not enough, [`next`](Self::next) is not after
    /// `now` and the call is to be made again.
    pub(crate) fn advance(&mut self, now: u64, fired: &mut Vec<Waker>, limit: usize) {
        let now = now.max(self.now);
        let mut left = limit;
        loop {
            if let Some(slot) = self.draining {
                while self.slots[slot].first != NIL {
                    if left == 0 {
                        return;
                    }
                    left -= 1;
                    let index = self.slots[slot].first;
                    self.unlink(index);
                    if self.node(index).at <= now {
                        fired.extend(self.release(index));
                    } else {
                        self.link(index);
                    }
                }
                self.draining = None;
            }
            match self.first_occupied() {
                Some(slot) if self.span(slot).0 <= now => {
                    // As far as now can go with no other slot behind it: what is left then falls all the way.
                    self.now = now.min(self.span(slot).1);
                    self.draining = Some(slot);
                }
                _ => break,
            }
        }
        self.now = now;
    }

    /// When to call [`advance`](Self::advance) next: the earliest deadline, or somewhat before it when that
    /// of an earlier timer is still remembered which was removed. A call at that time always brings this
    /// further.
    pub(crate) fn next(&self) -> Option<u64> {
        if self.draining.is_some_and(|slot| self.slots[slot].first != NIL) {
            return Some(self.now);
        }
        self.first_occupied().map(|slot| self.slots[slot].earliest)
    }

    fn first_occupied(&self) -> Option<usize> {
        let level = self.occupied.iter().position(|bits| *bits != 0)?;
        Some(level * SLOTS_PER_LEVEL + self.occupied[level].trailing_zeros() as usize)
    }

    /// The first and the last nanosecond of an occupied slot.
    fn span(&self, slot: usize) -> (u64, u64) {
        let below = (1 << (slot / SLOTS_PER_LEVEL * BITS_PER_LEVEL)) - 1;
        let within = self.slots[slot].earliest;
        (within & !below, within | below)
    }

    /// Hangs a timer that is after `now` into its slot.
    #[inline]
    fn link(&mut self, index: u32) {
        let at = self.node(index).at;
        let level = (at ^ self.now).ilog2() as usize / BITS_PER_LEVEL;
        let digit = (at >> (level * BITS_PER_LEVEL)) as usize % SLOTS_PER_LEVEL;
        let slot = level * SLOTS_PER_LEVEL + digit;

        let last = self.slots[slot].last;
        if last == NIL {
            self.slots[slot] = Slot { earliest: at, first: index, last: index };
            self.occupied[level] |= 1 << digit;
        } else {
            self.slots[slot].earliest = self.slots[slot].earliest.min(at);
            self.slots[slot].last = index;
            self.node_mut(last).next = index;
        }
        let node = self.node_mut(index);
        node.slot = slot as u32;
        node.previous = last;
        node.next = NIL;
    }

    #[inline]
    fn unlink(&mut self, index: u32) {
        let &Node { slot, previous, next, .. } = self.node(index);
        let slot = slot as usize;
        match previous {
            NIL => self.slots[slot].first = next,
            _ => self.node_mut(previous).next = next,
        }
        match next {
            NIL => self.slots[slot].last = previous,
            _ => self.node_mut(next).previous = previous,
        }
        if self.slots[slot].first == NIL {
            self.occupied[slot / SLOTS_PER_LEVEL] &= !(1 << (slot % SLOTS_PER_LEVEL));
        }
    }

    #[inline]
    fn allocate(&mut self, at: u64, waker: Waker) -> u32 {
        if self.free != NIL {
            let index = self.free;
            let node = self.node_mut(index);
            node.at = at;
            node.waker = Some(waker);
            self.free = node.next;
            return index;
        }
        assert!(self.nodes.len() < Self::CAPACITY, "too many timers");
        let index = self.nodes.len() as u32;
        self.nodes.push(Node { at, waker: Some(waker), generation: 1, slot: 0, previous: NIL, next: NIL });
        index
    }

    /// Frees an unlinked node for the next timer, which gets another key.
    #[inline]
    fn release(&mut self, index: u32) -> Option<Waker> {
        let free = self.free;
        let node = self.node_mut(index);
        let waker = node.waker.take();
        // A node whose keys have run out is never used again: forty bytes lost every four thousand million
        // timers.
        if let Some(generation) = node.generation.checked_add(1) {
            node.generation = generation;
            node.next = free;
            self.free = index;
        }
        waker
    }

    fn node(&self, index: u32) -> &Node {
        &self.nodes[index as usize]
    }

    fn node_mut(&mut self, index: u32) -> &mut Node {
        &mut self.nodes[index as usize]
    }
}

const BITS_PER_LEVEL: usize = 6;
const SLOTS_PER_LEVEL: usize = 1 << BITS_PER_LEVEL;
/// As many as it takes to cover all nanoseconds of a `u64`; the last has but four bits.
const LEVELS: usize = u64::BITS.div_ceil(BITS_PER_LEVEL as u32) as usize;

/// The end of a list.
const NIL: u32 = u32::MAX;

/// A list of timers in order of insertion.
#[derive(Clone, Copy)]
struct Slot {
    /// No timer here is earlier. It may be too early, since removing a timer does not look for the next one.
    earliest: u64,
    first: u32,
    last: u32,
}

impl Slot {
    const EMPTY: Self = Self { earliest: u64::MAX, first: NIL, last: NIL };
}

struct Node {
    at: u64,
    /// `None` in a node that is free.
    waker: Option<Waker>,
    generation: u32,
    slot: u32,
    previous: u32,
    next: u32,
}
