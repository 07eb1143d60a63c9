//! [`Ring`]: what one receiver has still to get.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

use super::Slow;

/// What one receiver has still to get.
pub(super) struct Ring<T> {
    pub(super) queue: VecDeque<T>,
    /// Taken as a batch and not used up.
    pub(super) in_hand: usize,
    /// How many items left the queue, at the front.
    head: u64,
    /// Before which item how many are missing, in order; counted as `head` is.
    gaps: VecDeque<(u64, u64)>,
    pub(super) slow: Slow,
    pub(super) waker: Option<Waker>,
    /// It gets no new items.
    pub(super) is_let_go: bool,
    /// It has heard so.
    pub(super) has_heard: bool,
}

impl<T> Ring<T> {
    pub(super) fn new(slow: Slow) -> Self {
        Self {
            queue: VecDeque::new(),
            in_hand: 0,
            head: 0,
            gaps: VecDeque::new(),
            slow,
            waker: None,
            is_let_go: false,
            has_heard: false,
        }
    }

    pub(super) fn used(&self) -> usize {
        self.queue.len() + self.in_hand
    }

    pub(super) fn holds_back(&self, capacity: usize) -> bool {
        self.slow == Slow::Wait && self.used() >= capacity
    }

    /// Puts as many as are in `items` in by its policy; those that did not fit are in `trash`. Says how
    /// many are missed.
    pub(super) fn put(&mut self, items: &mut VecDeque<T>, capacity: usize, trash: &mut VecDeque<T>) -> usize {
        let free = capacity.saturating_sub(self.used());
        match self.slow {
            _ if items.len() <= free => {
                self.queue.append(items);
                0
            }
            // The senders wait, so there is room.
            Slow::Wait => {
                self.queue.append(items);
                0
            }
            Slow::DropOldest => {
                self.queue.append(items);
                let excess = self.used() - capacity;
                trash.extend(self.queue.drain(..excess));
                self.evicted(excess as u64);
                excess
            }
            Slow::DropNewest => {
                let refused = items.len() - free;
                trash.extend(items.drain(free..));
                self.queue.append(items);
                self.missed_at(self.head + self.queue.len() as u64, refused as u64);
                refused
            }
            Slow::Disconnect => {
                self.is_let_go = true;
                let refused = items.len();
                trash.append(items);
                refused
            }
        }
    }

    /// The oldest are gone: the gap is at the front, with those that were behind them.
    fn evicted(&mut self, number: u64) {
        self.head += number;
        let mut missed = number;
        while let Some((_, more)) = self.gaps.front().copied().filter(|gap| gap.0 <= self.head) {
            missed += more;
            self.gaps.pop_front();
        }
        self.gaps.push_front((self.head, missed));
    }

    fn missed_at(&mut self, at: u64, number: u64) {
        match self.gaps.back_mut().filter(|gap| gap.0 == at) {
            Some(gap) => gap.1 += number,
            None => self.gaps.push_back((at, number)),
        }
    }

    /// How many are missing before the next item.
    pub(super) fn take_gap(&mut self) -> Option<u64> {
        let (_, missed) = self.gaps.front().copied().filter(|gap| gap.0 == self.head)?;
        self.gaps.pop_front();
        Some(missed)
    }

    pub(super) fn take_one(&mut self) -> Option<T> {
        let item = self.queue.pop_front()?;
        self.head += 1;
        Some(item)
    }

    /// How many items may be taken at once, up to a gap.
    pub(super) fn ready(&self, most: usize) -> usize {
        let to_gap = self.gaps.front().map_or(u64::MAX, |gap| gap.0 - self.head);
        usize::try_from(to_gap).unwrap_or(usize::MAX).min(most).min(self.queue.len())
    }

    /// Takes so many at the end of `hand`, which is the whole queue at once if it can.
    pub(super) fn take_into(&mut self, number: usize, hand: &mut VecDeque<T>) {
        self.head += number as u64;
        if number == self.queue.len() && hand.is_empty() {
            mem::swap(&mut self.queue, hand);
        } else {
            hand.extend(self.queue.drain(..number));
        }
    }

    pub(super) fn take_into_vec(&mut self, number: usize, into: &mut Vec<T>) {
        self.head += number as u64;
        into.extend(self.queue.drain(..number));
    }
}
