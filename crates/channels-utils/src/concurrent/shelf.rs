//! [`InOrder`] and [`AsReady`]: where results stand until they are taken.

use std::collections::VecDeque;
use std::fmt;

use super::panics::FirstPanic;

/// Where results stand until they are taken.
pub trait Shelf {
    /// A result.
    type Item;

    /// A place for one that starts now.
    fn start(&mut self) -> usize;

    /// One has ended; without a result if it panicked.
    fn end(&mut self, number: usize, item: Option<Self::Item>);

    /// The next result.
    fn take(&mut self) -> Option<Self::Item>;

    /// How many run or wait to be taken, when so many run.
    fn held(&self, running: usize) -> usize;

    /// `item` is the last: what stands before it stays, whatever would have to wait for others goes.
    fn cut(&mut self, item: Self::Item, panics: &mut FirstPanic);
}

/// Results come in the order of the items that they were made of.
pub struct InOrder<T> {
    places: VecDeque<Place<T>>,
    /// The number of the first place.
    first: usize,
}

enum Place<T> {
    Running,
    Done(T),
    /// It panicked.
    Gone,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { places: VecDeque::new(), first: 0 }
    }
}

impl<T> Shelf for InOrder<T> {
    type Item = T;

    fn start(&mut self) -> usize {
        self.places.push_back(Place::Running);
        self.first.wrapping_add(self.places.len() - 1)
    }

    fn end(&mut self, number: usize, item: Option<T>) {
        self.places[number.wrapping_sub(self.first)] = item.map_or(Place::Gone, Place::Done);
    }

    fn take(&mut self) -> Option<T> {
        while !matches!(self.places.front(), None | Some(Place::Running)) {
            self.first = self.first.wrapping_add(1);
            if let Some(Place::Done(item)) = self.places.pop_front() {
                return Some(item);
            }
        }
        None
    }

    fn held(&self, _: usize) -> usize {
        self.places.len()
    }

    fn cut(&mut self, item: T, panics: &mut FirstPanic) {
        let next = self.places.iter().position(|place| matches!(place, Place::Running));
        let rest = self.places.split_off(next.unwrap_or(self.places.len()));
        for place in rest {
            panics.run(|| drop(place));
        }
        self.places.push_back(Place::Done(item));
    }
}

/// Results come in the order in which they are ready.
pub struct AsReady<T>(VecDeque<T>);

impl<T> Default for AsReady<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Shelf for AsReady<T> {
    type Item = T;

    fn start(&mut self) -> usize {
        0
    }

    fn end(&mut self, _: usize, item: Option<T>) {
        self.0.extend(item);
    }

    fn take(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    fn held(&self, running: usize) -> usize {
        running + self.0.len()
    }

    fn cut(&mut self, item: T, _: &mut FirstPanic) {
        self.0.push_back(item);
    }
}

impl<T> fmt::Debug for InOrder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InOrder").field("held", &self.places.len()).finish()
    }
}

impl<T> fmt::Debug for AsReady<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsReady").field("unread", &self.0.len()).finish()
    }
}
