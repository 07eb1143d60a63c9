//! [`Names`]: finds children by what they are called, without a second copy of their names.

use std::hash::{BuildHasher, RandomState};

use crate::Id;

/// Finds the places of children by what they are called. The names themselves are where the places are.
#[derive(Default)]
pub(super) struct Names {
    /// A power of two of them, or none. Who finds its slot taken is in one of those that follow.
    slots: Vec<Slot>,
    taken: usize,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    place: u32,
}

const FREE: Slot = Slot { hash: 0, place: u32::MAX };

impl Slot {
    const fn is_free(self) -> bool {
        self.place == FREE.place
    }
}

impl Names {
    /// With room for so many.
    pub(super) fn with_capacity(names: usize) -> Self {
        let slots = if names == 0 { 0 } else { (names * 4).div_ceil(3).next_power_of_two() };
        Self { slots: vec![FREE; slots], ..Self::default() }
    }

    /// The place of that name, after those that `is` accepts.
    pub(super) fn find(&self, id: &Id, is: impl Fn(usize) -> bool) -> Option<usize> {
        let hash = self.hash(id);
        let found = |slot: Slot| slot.hash == hash && is(slot.place as usize);
        self.slot(hash, found).map(|at| self.slots[at].place as usize)
    }

    /// Adds one whose name nobody else has.
    pub(super) fn put(&mut self, id: &Id, place: usize) {
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.taken += 1;
        let slot = Slot { hash: self.hash(id), place: place as u32 };
        self.settle(slot);
    }

    /// Takes the one with this name and place out.
    pub(super) fn take(&mut self, id: &Id, place: usize) {
        let hash = self.hash(id);
        let Some(mut hole) = self.slot(hash, |slot| slot.place as usize == place) else { return };
        self.taken -= 1;
        // Those that follow come closer to where they belong, so that nobody is looked for past a hole.
        let mut at = self.after(hole);
        while !self.slots[at].is_free() {
            let home = self.home(self.slots[at].hash);
            if self.way(home, at) >= self.way(hole, at) {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.slots[hole] = FREE;
    }

    /// The slot that is found, of those that begin where this hash belongs.
    fn slot(&self, hash: u32, found: impl Fn(Slot) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        while !self.slots[at].is_free() {
            if found(self.slots[at]) {
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    fn settle(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash);
        while !self.slots[at].is_free() {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        let more = (self.slots.len() * 2).max(4);
        let before = std::mem::replace(&mut self.slots, vec![FREE; more]);
        before.into_iter().filter(|slot| !slot.is_free()).for_each(|slot| self.settle(slot));
    }

    fn hash(&self, id: &Id) -> u32 {
        self.hasher.hash_one(id) as u32
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    /// How many slots lie between.
    fn way(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A long script of puts and takes finds what a map of names finds.
    #[test]
    fn it_finds_what_a_map_finds() {
        let mut names = Names::default();
        let mut model: HashMap<u64, usize> = HashMap::new();
        let mut dice = 1_u64;
        for step in 0..20_000_usize {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (dice >> 33) % 200;
            match model.remove(&number) {
                Some(place) => names.take(&number.into(), place),
                None => {
                    model.insert(number, step);
                    names.put(&number.into(), step);
                }
            }
            let asked = (dice >> 12) % 200;
            let known = model.get(&asked).copied();
            assert_eq!(names.find(&asked.into(), |place| Some(place) == known), known);
            assert_eq!(names.taken, model.len());
        }
    }

    #[test]
    fn with_room_for_many_it_does_not_grow() {
        for many in [0, 1, 2, 3, 4, 5, 6, 7, 100] {
            let mut names = Names::with_capacity(many);
            let slots = names.slots.len();
            (0..many).for_each(|place| names.put(&(place as u64).into(), place));
            assert_eq!(names.slots.len(), slots);
            assert!(names.find(&(many as u64).into(), |_| true).is_none());
        }
    }
}
