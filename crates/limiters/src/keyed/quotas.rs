//! [`Quotas`]: the quotas of all keys, which may change while they are used.
//!
//! 1. A quota has two slots, and the last bit of its generation says which one counts.
//! 2. Whoever changes it holds a lock, writes the other slot, and then raises the generation.
//! 3. Whoever reads a slot looks at the generation again afterwards; if it changed, it begins anew.
//! 4. The number of the slot stands in a key's name. Before a slot is written again, no name has it any more.

use weirs_runtime::Instant;

use super::terms::{Terms, WORDS};
use crate::Quota;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, fence, lock};

pub(super) struct Quotas {
    quotas: Box<[Changing]>,
    change: Mutex<()>,
}

/// A quota as it was read without a lock.
pub(super) struct Glance {
    quota: u8,
    generation: u64,
    pub(super) slot: u64,
    pub(super) terms: Terms,
}

#[derive(Default)]
struct Changing {
    generation: AtomicU64,
    slots: [Slot; 2],
}

#[derive(Default)]
struct Slot([AtomicU64; WORDS]);

impl Quotas {
    pub(super) fn new(terms: &[Terms]) -> Self {
        let changing = |terms: &Terms| {
            let changing = Changing::default();
            changing.slots[0].write(terms);
            changing
        };
        Self { quotas: terms.iter().map(changing).collect(), change: Mutex::new(()) }
    }

    pub(super) fn len(&self) -> usize {
        self.quotas.len()
    }

    /// The number of the slot that counts, and what is in it.
    pub(super) fn current(&self, quota: u8) -> (u64, Terms) {
        loop {
            let glance = self.glance(quota);
            if self.is_still(&glance) {
                return (glance.slot, glance.terms);
            }
        }
    }

    /// What seems to count. It is to be used only if it [still](Self::is_still) does when all else is read.
    #[inline]
    pub(super) fn glance(&self, quota: u8) -> Glance {
        let changing = &self.quotas[usize::from(quota)];
        let generation = changing.generation.load(Ordering::Acquire);
        let slot = 2 * u64::from(quota) + (generation & 1);
        let terms = changing.slots[(generation & 1) as usize].read();
        Glance { quota, generation, slot, terms }
    }

    /// Rule 3.
    #[inline]
    pub(super) fn is_still(&self, glance: &Glance) -> bool {
        fence(Ordering::Acquire);
        self.quotas[usize::from(glance.quota)].generation.load(Ordering::Relaxed) == glance.generation
    }

    /// What is in a slot that stands in a name. Rule 4: it is not written meanwhile.
    pub(super) fn of_slot(&self, slot: u64) -> Option<Terms> {
        let changing = self.quotas.get((slot / 2) as usize)?;
        Some(changing.slots[(slot & 1) as usize].read())
    }

    /// One change at a time.
    pub(super) fn changing(&self) -> MutexGuard<'_, ()> {
        lock(&self.change)
    }

    /// Rule 2; gives the new terms. Whoever calls it holds [`changing`](Self::changing), until no name has
    /// the slot from before.
    pub(super) fn set(&self, quota: u8, new: Quota, now: Instant) -> Terms {
        let changing = &self.quotas[usize::from(quota)];
        let generation = changing.generation.load(Ordering::Relaxed) + 1;
        let terms = Terms::new(new, now);
        // Whoever reads this slot while it is written sees that the generation changed since (rule 3).
        fence(Ordering::Release);
        changing.slots[(generation & 1) as usize].write(&terms);
        changing.generation.store(generation, Ordering::Release);
        terms
    }
}

impl Slot {
    fn write(&self, terms: &Terms) {
        for (word, value) in self.0.iter().zip(terms.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }

    #[inline]
    fn read(&self) -> Terms {
        Terms::from_words(std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed)))
    }
}
