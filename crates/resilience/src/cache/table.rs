//! [`Table`]: a place for each key, those that keep something in the order of their last use.
//!
//! 1. No code of keys or answers runs in here: keys are found by their hashes, and compared by the caller
//!    outside the lock. Whatever is taken out is given to the caller, who drops it there.
//! 2. A place is freed when nothing is kept in it and nobody is in flight for it.
//! 3. A new place is put before the others of the same hash. So whoever saw the first one again knows all of
//!    them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::state::State;

pub(super) const NONE: u32 = u32::MAX;

pub(super) struct Table<K, T, E> {
    /// The first place of each hash.
    index: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    places: Vec<Place<K, T, E>>,
    free: u32,
    /// Used last, and longest ago.
    newest: u32,
    oldest: u32,
    kept: usize,
    capacity: usize,
}

struct Place<K, T, E> {
    /// None if it is free.
    key: Option<Arc<K>>,
    hash: u64,
    state: State<T, E>,
    /// The next of the same hash, or the next that is free.
    next: u32,
    is_kept: bool,
    newer: u32,
    older: u32,
}

/// What was in a place, to be dropped outside the lock.
pub(super) struct Gone<K, T, E> {
    _key: Option<Arc<K>>,
    _state: Option<State<T, E>>,
}

/// What a change took out, and whether the capacity did.
pub(super) struct Settled<K, T, E> {
    _gone: [Option<Gone<K, T, E>>; 2],
    pub(super) evicted: bool,
}

/// The hash is one already.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("hashes are words");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl<K, T, E> Table<K, T, E> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            index: HashMap::default(),
            places: Vec::new(),
            free: NONE,
            newest: NONE,
            oldest: NONE,
            kept: 0,
            capacity,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many places keep something.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// The first place of this hash.
    #[inline]
    pub(super) fn first(&self, hash: u64) -> Option<u32> {
        self.index.get(&hash).copied()
    }

    pub(super) fn after(&self, at: u32) -> Option<u32> {
        Some(self.places[at as usize].next).filter(|next| *next != NONE)
    }

    pub(super) fn key(&self, at: u32) -> Option<&Arc<K>> {
        self.places.get(at as usize)?.key.as_ref()
    }

    pub(super) fn state(&mut self, at: u32) -> Option<&mut State<T, E>> {
        self.places.get_mut(at as usize).map(|place| &mut place.state)
    }

    pub(super) fn insert(&mut self, hash: u64, key: Arc<K>) -> u32 {
        let next = self.first(hash).unwrap_or(NONE);
        let place = Place {
            key: Some(key),
            hash,
            state: State::default(),
            next,
            is_kept: false,
            newer: NONE,
            older: NONE,
        };
        let at = match self.free {
            NONE => {
                let at = u32::try_from(self.places.len()).ok().filter(|at| *at != NONE);
                self.places.push(place);
                at.expect("there are less than four thousand million keys")
            }
            at => {
                self.free = self.places[at as usize].next;
                // A free place holds nothing that would be dropped here.
                self.places[at as usize] = place;
                at
            }
        };
        self.index.insert(hash, at);
        at
    }

    /// Notes that it is used now.
    #[inline]
    pub(super) fn touch(&mut self, at: u32) {
        if self.newest != at && self.places[at as usize].is_kept {
            self.unlink(at);
            self.link(at);
        }
    }

    /// Puts a place in order after its state was changed.
    pub(super) fn settle(&mut self, at: u32) -> Settled<K, T, E> {
        let mut settled = Settled { _gone: [None, None], evicted: false };
        let Some(place) = self.places.get_mut(at as usize).filter(|place| place.key.is_some()) else {
            return settled;
        };
        let is_kept = place.state.is_kept();
        if place.is_kept != is_kept {
            place.is_kept = is_kept;
            match is_kept {
                true => self.link(at),
                false => self.unlink(at),
            }
            self.kept = if is_kept { self.kept + 1 } else { self.kept - 1 };
        }
        settled._gone[0] = self.free_if_idle(at);
        if self.kept > self.capacity {
            let victim = self.oldest;
            let place = &mut self.places[victim as usize];
            let state = place.state.forget_kept();
            place.is_kept = false;
            self.unlink(victim);
            self.kept -= 1;
            let key = self.free_if_idle(victim).and_then(|gone| gone._key);
            settled._gone[1] = Some(Gone { _key: key, _state: Some(state) });
            settled.evicted = true;
        }
        settled
    }

    /// Rule 2.
    fn free_if_idle(&mut self, at: u32) -> Option<Gone<K, T, E>> {
        let place = &mut self.places[at as usize];
        if !place.state.is_idle() {
            return None;
        }
        let (key, hash, next) = (place.key.take(), place.hash, place.next);
        place.next = self.free;
        self.free = at;
        match self.index.get_mut(&hash) {
            Some(first) if *first == at && next == NONE => {
                self.index.remove(&hash);
            }
            Some(first) if *first == at => *first = next,
            Some(first) => {
                let mut before = *first;
                while self.places[before as usize].next != at {
                    before = self.places[before as usize].next;
                }
                self.places[before as usize].next = next;
            }
            None => unreachable!("every place that is not free is in the index"),
        }
        Some(Gone { _key: key, _state: None })
    }

    fn link(&mut self, at: u32) {
        let newest = self.newest;
        let place = &mut self.places[at as usize];
        (place.newer, place.older) = (NONE, newest);
        match newest {
            NONE => self.oldest = at,
            newest => self.places[newest as usize].newer = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let Place { newer, older, .. } = self.places[at as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.places[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.places[older as usize].newer = newer,
        }
    }
}
