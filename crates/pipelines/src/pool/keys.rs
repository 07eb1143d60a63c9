//! [`Keys`]: one job of each key is let through at a time, the others wait behind it.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// The keys of which one job was let through, each with the jobs that wait for it to end.
///
/// A key is a hash here: so no code of the user's runs under the pool's lock. Two keys of one hash wait for
/// each other, and nothing worse.
pub(super) struct Keys<E> {
    busy: HashMap<u64, VecDeque<E>, BuildHasherDefault<Itself>>,
    waiting: usize,
}

impl<E> Keys<E> {
    /// How many jobs wait behind one of their key.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Lets the job through if none of its key is on its way.
    pub(super) fn admit(&mut self, key: u64, entry: E) -> Option<E> {
        match self.busy.get_mut(&key) {
            Some(line) => {
                line.push_back(entry);
                self.waiting += 1;
                None
            }
            None => {
                self.busy.insert(key, VecDeque::new());
                Some(entry)
            }
        }
    }

    /// The job of that key has ended: lets the next one through.
    pub(super) fn done(&mut self, key: u64) -> Option<E> {
        let next = self.busy.get_mut(&key)?.pop_front();
        match next {
            Some(_) => self.waiting -= 1,
            None => _ = self.busy.remove(&key),
        }
        next
    }

    /// Takes out all that wait, in no order.
    pub(super) fn take(&mut self) -> impl Iterator<Item = E> + use<E> {
        self.waiting = 0;
        std::mem::take(&mut self.busy).into_values().flatten()
    }
}

impl<E> Default for Keys<E> {
    fn default() -> Self {
        Self { busy: HashMap::default(), waiting: 0 }
    }
}

/// A hash is its own hash.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are numbers");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
