//! [`Line`]: the children in the order of their start, each found, put in and taken out in constant time.

use super::Member;

const NONE: u32 = u32::MAX;

/// Names a child of one supervisor. It is not used again when the child has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    at: u32,
    generation: u32,
}

impl Key {
    /// The number of its place, which others get after it.
    pub fn place(self) -> usize {
        self.at as usize
    }
}

#[derive(Debug, Default)]
pub(super) struct Line {
    places: Vec<Place>,
    free: Vec<u32>,
    head: Option<u32>,
    tail: Option<u32>,
    /// How often a place was looked at.
    #[cfg(test)]
    pub(super) looks: std::cell::Cell<u64>,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    previous: u32,
    next: u32,
    member: Option<Member>,
}

impl Line {
    pub(super) fn push_back(&mut self, member: Member) -> Key {
        let previous = self.tail.unwrap_or(NONE);
        let at = match self.free.pop() {
            Some(at) => {
                let place = &mut self.places[at as usize];
                (place.previous, place.next, place.member) = (previous, NONE, Some(member));
                at
            }
            None => {
                let at = self.places.len() as u32;
                assert!(at != NONE, "less than four thousand million children");
                self.places.push(Place { generation: 0, previous, next: NONE, member: Some(member) });
                at
            }
        };
        match self.tail {
            Some(tail) => self.places[tail as usize].next = at,
            None => self.head = Some(at),
        }
        self.tail = Some(at);
        self.key(at)
    }

    pub(super) fn remove(&mut self, key: Key) {
        let Some(place) = self.places.get_mut(key.place()) else { return };
        if place.generation != key.generation || place.member.take().is_none() {
            return;
        }
        place.generation = place.generation.wrapping_add(1);
        let (previous, next) = (place.previous, place.next);
        match previous {
            NONE => self.head = some(next),
            previous => self.places[previous as usize].next = next,
        }
        match next {
            NONE => self.tail = some(previous),
            next => self.places[next as usize].previous = previous,
        }
        self.free.push(key.at);
    }

    pub(super) fn get(&self, key: Key) -> Option<&Member> {
        self.look();
        let place = self.places.get(key.place())?;
        place.member.as_ref().filter(|_| place.generation == key.generation)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Member> {
        self.look();
        let place = self.places.get_mut(key.place())?;
        place.member.as_mut().filter(|_| place.generation == key.generation)
    }

    /// One that is there.
    pub(super) fn member(&mut self, key: Key) -> &mut Member {
        self.get_mut(key).expect("a child that is in the line")
    }

    pub(super) fn first(&self) -> Option<Key> {
        self.head.map(|at| self.key(at))
    }

    pub(super) fn last(&self) -> Option<Key> {
        self.tail.map(|at| self.key(at))
    }

    pub(super) fn after(&self, key: Key) -> Option<Key> {
        self.look();
        some(self.places[key.place()].next).map(|at| self.key(at))
    }

    pub(super) fn before(&self, key: Key) -> Option<Key> {
        self.look();
        some(self.places[key.place()].previous).map(|at| self.key(at))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        std::iter::successors(self.first(), |key| self.after(*key))
    }

    fn look(&self) {
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
    }

    fn key(&self, at: u32) -> Key {
        Key { at, generation: self.places[at as usize].generation }
    }
}

fn some(at: u32) -> Option<u32> {
    (at != NONE).then_some(at)
}
