//! [`Outbox`]: the ends of jobs that nobody has read, as they come or in the order of submission.

use std::collections::VecDeque;

/// What is done and was not read.
pub(super) struct Outbox<C> {
    ready: VecDeque<C>,
    ordered: bool,
    /// In order: the place in the order of the first of the window. All before it are ready, or were read.
    base: u64,
    window: VecDeque<Place<C>>,
    /// How many of the window are done.
    held: usize,
}

enum Place<C> {
    /// It is not done.
    Open,
    /// It never will be: it was handed back.
    Never,
    Done(C),
}

impl<C> Outbox<C> {
    pub(super) fn new(ordered: bool) -> Self {
        Self { ready: VecDeque::new(), ordered, base: 0, window: VecDeque::new(), held: 0 }
    }

    /// How many were not read.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.held
    }

    /// How many can be read now.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Puts in the end of the job with that place in the order; gives it back if it comes after a
    /// [`skip`](Self::skip_to) past it.
    pub(super) fn put(&mut self, order: u64, completion: C) -> Option<C> {
        if !self.ordered {
            self.ready.push_back(completion);
        } else if order < self.base {
            return Some(completion);
        } else {
            self.held += 1;
            *self.place(order) = Place::Done(completion);
            self.advance();
        }
        None
    }

    /// Puts in the ends of several jobs, with their places if that matters. What is not wanted is `refused`.
    pub(super) fn take_in(
        &mut self,
        completions: &mut VecDeque<C>,
        orders: &mut Vec<u64>,
        refused: &mut VecDeque<C>,
    ) {
        if self.ordered {
            let placed = orders.drain(..).zip(completions.drain(..));
            refused.extend(placed.filter_map(|(order, completion)| self.put(order, completion)));
        } else {
            append(&mut self.ready, completions);
        }
    }

    /// Nothing will come for that place.
    pub(super) fn never(&mut self, order: u64) {
        if self.ordered && order >= self.base {
            *self.place(order) = Place::Never;
            self.advance();
        }
    }

    /// Takes some that are ready.
    pub(super) fn read(&mut self, into: &mut VecDeque<C>, most: usize) {
        if self.ready.len() <= most {
            append(into, &mut self.ready);
        } else {
            move_first(into, &mut self.ready, most);
        }
    }

    /// Puts back what a reader has not read, to be read first.
    pub(super) fn put_back(&mut self, left: &mut VecDeque<C>) {
        while let Some(completion) = left.pop_back() {
            self.ready.push_front(completion);
        }
    }

    /// Takes everything, and wants nothing any more from before that place in the order.
    pub(super) fn skip_to(&mut self, next: u64) -> VecDeque<C> {
        let mut all = std::mem::take(&mut self.ready);
        let done = |place| if let Place::Done(completion) = place { Some(completion) } else { None };
        all.extend(std::mem::take(&mut self.window).into_iter().filter_map(done));
        self.held = 0;
        self.base = next;
        all
    }

    fn place(&mut self, order: u64) -> &mut Place<C> {
        let at = (order - self.base) as usize;
        if self.window.len() <= at {
            self.window.resize_with(at + 1, || Place::Open);
        }
        &mut self.window[at]
    }

    fn advance(&mut self) {
        while let Some(Place::Done(_) | Place::Never) = self.window.front() {
            self.base += 1;
            if let Some(Place::Done(completion)) = self.window.pop_front() {
                self.held -= 1;
                self.ready.push_back(completion);
            }
        }
    }
}

/// Moves all of them to the end of others; where there are no others, none is moved.
pub(super) fn append<C>(to: &mut VecDeque<C>, from: &mut VecDeque<C>) {
    if to.is_empty() {
        std::mem::swap(to, from);
    } else {
        to.append(from);
    }
}

/// Moves the first ones, of which there are as many, to the end of others.
#[inline]
pub(super) fn move_first<C>(to: &mut VecDeque<C>, from: &mut VecDeque<C>, number: usize) {
    // A range knows its length, and so room is made once; what is drained would ask for room for each.
    to.extend((0..number).map(|_| from.pop_front().expect("there are as many")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_hold_up_and_what_never_comes_does_not() {
        let mut outbox = Outbox::new(true);
        let mut hand = VecDeque::new();
        assert_eq!((outbox.put(2, 'c'), outbox.put(1, 'b')), (None, None));
        assert_eq!((outbox.len(), outbox.ready()), (2, 0));
        outbox.never(0);
        outbox.never(4);
        assert_eq!((outbox.len(), outbox.ready()), (2, 2));
        assert_eq!(outbox.put(5, 'f'), None);
        outbox.read(&mut hand, 1);
        assert_eq!(outbox.put(3, 'd'), None);
        outbox.put_back(&mut hand);
        outbox.read(&mut hand, 9);
        assert_eq!(hand, ['b', 'c', 'd', 'f']);
        assert_eq!(outbox.put(7, 'h'), None);
        assert_eq!(outbox.skip_to(8), ['h']);
        assert_eq!((outbox.put(6, 'g'), outbox.put(8, 'i'), outbox.len()), (Some('g'), None, 1));
    }
}
