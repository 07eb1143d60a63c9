//! [`Slab`]: entries by key, in places that are used again.

use super::ready::Key;
use super::rule::ChildId;

/// A vector with holes. A key names an entry, never another one that came later to the same place.
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    inserted: u64,
}

struct Slot<T> {
    generation: u32,
    /// The entry, and its number in the order of inserting.
    entry: Option<(u64, T)>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), inserted: 0 }
    }

    /// The key and the number of the next entry.
    pub(crate) fn next_key(&self) -> (Key, ChildId) {
        let key = match self.free.last() {
            Some(slot) => Key { slot: *slot, generation: self.slots[*slot as usize].generation },
            None => {
                // The last number is no slot: the body and the control have it.
                let slot = u32::try_from(self.slots.len()).ok().filter(|slot| *slot < u32::MAX);
                let slot = slot.expect("a scope has less than four thousand million children");
                Key { slot, generation: 0 }
            }
        };
        (key, ChildId::new(self.inserted + 1))
    }

    pub(crate) fn insert(&mut self, value: T) {
        self.inserted += 1;
        let entry = Some((self.inserted, value));
        match self.free.pop() {
            Some(slot) => self.slots[slot as usize].entry = entry,
            None => self.slots.push(Slot { generation: 0, entry }),
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation == key.generation { slot.entry.as_ref().map(|entry| &entry.1) } else { None }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        Some(self.vacate(key.slot)?.1)
    }

    /// The entries for which it holds, the last inserted first.
    pub(crate) fn remove_all(&mut self, mut which: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for slot in 0..self.slots.len() {
            if self.slots[slot].entry.as_ref().is_some_and(|entry| which(&entry.1)) {
                removed.extend(self.vacate(slot as u32));
            }
        }
        removed.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.0));
        removed.into_iter().map(|entry| entry.1).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref().map(|entry| &entry.1))
    }

    fn vacate(&mut self, slot: u32) -> Option<(u64, T)> {
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        place.entry.take()
    }
}
