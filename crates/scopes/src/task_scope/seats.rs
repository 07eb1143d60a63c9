//! [`Seats`]: who lives in a parallel scope, and how to end it.

use weirs_runtime::AbortHandle;

use super::core::Kind;
use crate::ChildId;

/// Places in chunks: none is moved when there come more, and no chunk is large. A place is used again.
pub(super) struct Seats {
    chunks: Vec<Vec<Place>>,
    /// The first free place; free places are a chain.
    free: u32,
    taken: usize,
    last: u64,
}

/// Names one child, never another that came later to the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    place: u32,
    number: u64,
}

impl Key {
    pub(super) fn id(self) -> ChildId {
        ChildId::new(self.number)
    }
}

enum Place {
    Free { next: u32 },
    Taken(Seat),
}

/// A child. Its name and where it was spawned are known to its task.
pub(super) struct Seat {
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) abort: AbortHandle,
}

/// The end of the chain.
const NONE: u32 = u32::MAX;
/// Places of a chunk. One chunk is kept when all are free.
const CHUNK: usize = 64;

impl Seats {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: NONE, taken: 0, last: 0 }
    }

    /// Seats the next child; `make` is told its key, and gives what cancels it.
    #[inline]
    pub(super) fn insert(&mut self, kind: Kind, make: impl FnOnce(Key) -> AbortHandle) -> Key {
        if self.free == NONE {
            self.grow();
        }
        let place = self.free;
        let key = Key { place, number: self.last + 1 };
        let abort = make(key);
        let free = &mut self.chunks[place as usize / CHUNK][place as usize % CHUNK];
        if let Place::Free { next } = *free {
            self.free = next;
        }
        *free = Place::Taken(Seat { number: key.number, kind, abort });
        self.last += 1;
        self.taken += 1;
        key
    }

    /// One more free place, when there is none.
    fn grow(&mut self) {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let at = self.chunks.len() - 1;
        let place = u32::try_from(at * CHUNK + self.chunks[at].len()).ok().filter(|place| *place < NONE);
        self.free = place.expect("a scope has less than four thousand million children");
        self.chunks[at].push(Place::Free { next: NONE });
    }

    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<Seat> {
        let place = self.chunks.get_mut(key.place as usize / CHUNK)?.get_mut(key.place as usize % CHUNK)?;
        if !matches!(place, Place::Taken(seat) if seat.number == key.number) {
            return None;
        }
        let gone = std::mem::replace(place, Place::Free { next: self.free });
        self.free = key.place;
        self.taken -= 1;
        if self.taken == 0 && self.chunks.len() > 1 {
            self.chunks.truncate(1);
            self.chunks[0].clear();
            self.chunks.shrink_to(1);
            self.free = NONE;
        }
        match gone {
            Place::Taken(seat) => Some(seat),
            Place::Free { .. } => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Seat> {
        self.chunks.iter().flatten().filter_map(|place| match place {
            Place::Taken(seat) => Some(seat),
            Place::Free { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(seats: &mut Seats) -> Key {
        let runtime = weirs_runtime::Runtime::new(Nowhere);
        seats.insert(Kind::Child, |_| runtime.spawn(async {}).abort_handle())
    }

    struct Nowhere;

    impl futures::task::Spawn for Nowhere {
        fn spawn_obj(
            &self,
            _: futures::task::FutureObj<'static, ()>,
        ) -> Result<(), futures::task::SpawnError> {
            Ok(())
        }
    }

    #[test]
    fn places_are_used_again_and_keys_are_not() {
        let mut seats = Seats::new();
        let (a, b) = (insert(&mut seats), insert(&mut seats));
        assert_eq!(seats.remove(a).map(|seat| seat.number), Some(1));
        assert!(seats.remove(a).is_none());
        let c = insert(&mut seats);
        assert_eq!((c.place, c.number), (a.place, 3));
        assert!(seats.remove(a).is_none());
        assert_eq!(seats.iter().map(|seat| seat.number).collect::<Vec<_>>(), [3, 2]);
        assert!(seats.remove(b).is_some() && seats.remove(c).is_some());
    }

    #[test]
    fn when_all_are_free_the_memory_is_given_back() {
        let mut seats = Seats::new();
        let keys: Vec<_> = (0..1000).map(|_| insert(&mut seats)).collect();
        assert_eq!(seats.iter().count(), 1000);
        keys.into_iter().rev().for_each(|key| assert!(seats.remove(key).is_some()));
        assert_eq!((seats.chunks.len(), seats.chunks.capacity() < 8), (1, true));
        assert_eq!(insert(&mut seats), Key { place: 0, number: 1001 });
    }
}
