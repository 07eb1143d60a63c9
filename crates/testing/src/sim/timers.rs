//! The simulated timers: what is due when, and who is to be woken.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;
use std::task::Waker;

use weirs_runtime::TimerKey;

/// Timers by deadline. Wakers come out, so that they are woken and dropped where no lock is held.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// Removed timers stay until they come up or outnumber the others.
    heap: BinaryHeap<Reverse<Due>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// Ordered by deadline, then by what the schedule says, then by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: u64,
    tie: u64,
    order: u64,
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    waker: Option<Waker>,
}

impl Timers {
    /// `order` grows with every call.
    pub(super) fn insert(&mut self, at: u64, tie: u64, order: u64, waker: Waker) -> TimerKey {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { generation: 1, waker: None });
                (self.slots.len() - 1) as u32
            }
        };
        let generation = self.slots[slot as usize].generation;
        self.slots[slot as usize].waker = Some(waker);
        self.heap.push(Reverse(Due { at, tie, order, slot, generation }));
        key(slot, generation)
    }

    /// The waker of a timer that is still there.
    pub(super) fn get_mut(&mut self, key: TimerKey) -> Option<&mut Waker> {
        let (slot, generation) = parts(key);
        let slot = self.slots.get_mut(slot as usize)?;
        if slot.generation == generation { slot.waker.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        let (slot, generation) = parts(key);
        let waker = self.take(slot, generation)?;
        let live = self.slots.len() - self.free.len();
        if self.heap.len() > 64 && self.heap.len() > 2 * live {
            let slots = &self.slots;
            self.heap.retain(|Reverse(due)| slots[due.slot as usize].generation == due.generation);
        }
        Some(waker)
    }

    /// When the next one is due.
    pub(super) fn next(&mut self) -> Option<u64> {
        loop {
            let Reverse(due) = self.heap.peek()?;
            if self.slots[due.slot as usize].generation == due.generation {
                return Some(due.at);
            }
            self.heap.pop();
        }
    }

    /// Moves the wakers of all that are due at `now` out, in order.
    pub(super) fn fire(&mut self, now: u64, wakers: &mut Vec<Waker>) {
        while self.next().is_some_and(|at| at <= now) {
            if let Some(Reverse(due)) = self.heap.pop() {
                wakers.extend(self.take(due.slot, due.generation));
            }
        }
    }

    /// Removes all.
    pub(super) fn clear(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        self.fire(u64::MAX, &mut wakers);
        wakers
    }

    fn take(&mut self, slot: u32, generation: u32) -> Option<Waker> {
        let place = self.slots.get_mut(slot as usize)?;
        if place.generation != generation {
            return None;
        }
        let waker = place.waker.take()?;
        // A slot whose generations are used up is never used again, and so is no key.
        place.generation = generation.wrapping_add(1);
        if place.generation != 0 {
            self.free.push(slot);
        }
        Some(waker)
    }
}

fn key(slot: u32, generation: u32) -> TimerKey {
    let number = (u64::from(generation) << 32) | u64::from(slot);
    // Generations of live timers are never zero.
    TimerKey::new(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
}

fn parts(key: TimerKey) -> (u32, u32) {
    let number = key.number().get();
    (number as u32, (number >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timers(deadlines: &[u64]) -> (Timers, Vec<TimerKey>) {
        let mut timers = Timers::default();
        let insert = |(order, at): (usize, &u64)| timers.insert(*at, 0, order as u64, Waker::noop().clone());
        let keys = deadlines.iter().enumerate().map(insert).collect();
        (timers, keys)
    }

    #[test]
    fn smoke() {
        let (mut timers, keys) = timers(&[30, 10, 20]);
        assert_eq!(timers.next(), Some(10));
        assert!(timers.remove(keys[1]).is_some());
        assert!(timers.remove(keys[1]).is_none());
        assert!(timers.get_mut(keys[2]).is_some());
        let mut fired = Vec::new();
        timers.fire(20, &mut fired);
        assert_eq!(fired.len(), 1);
        assert!(timers.get_mut(keys[2]).is_none());
        assert_eq!(timers.clear().len(), 1);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_key_is_never_used_again() {
        let mut timers = Timers::default();
        let first = timers.insert(1, 0, 0, Waker::noop().clone());
        timers.remove(first);
        let second = timers.insert(1, 0, 1, Waker::noop().clone());
        assert_ne!(first, second);
        assert!(timers.remove(first).is_none());
    }

    #[test]
    fn removed_timers_take_no_room() {
        let mut timers = Timers::default();
        for order in 0..10_000 {
            let key = timers.insert(1_000_000, 0, order, Waker::noop().clone());
            timers.remove(key);
        }
        assert!(timers.heap.len() <= 65, "{}", timers.heap.len());
        assert_eq!(timers.slots.len(), 1);
    }
}
