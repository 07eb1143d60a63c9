//! [`Ahead`]: how far items may run past the oldest that has not ended.

use std::collections::VecDeque;
use std::iter;

/// Lets in an item only if it is no more than so many after the oldest that has not ended.
pub(super) struct Ahead {
    most: usize,
    /// The number of the oldest.
    oldest: u64,
    /// Of that one and those after it, which have ended.
    ended: VecDeque<bool>,
}

impl Ahead {
    pub(super) fn new(most: usize) -> Self {
        Self { most, oldest: 0, ended: VecDeque::new() }
    }

    pub(super) fn has_room(&self) -> bool {
        self.ended.len() <= self.most
    }

    /// So many may come in.
    pub(super) fn room(&self) -> usize {
        self.most.saturating_add(1).saturating_sub(self.ended.len())
    }

    /// The next items are in.
    pub(super) fn take(&mut self, number: usize) {
        self.ended.extend(iter::repeat_n(false, number));
    }

    pub(super) fn ends(&mut self, number: u64) {
        let place = number.checked_sub(self.oldest).and_then(|place| usize::try_from(place).ok());
        if let Some(ended) = place.and_then(|place| self.ended.get_mut(place)) {
            *ended = true;
        }
        while let Some(true) = self.ended.front() {
            self.ended.pop_front();
            self.oldest += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_holds_the_others_up() {
        let mut ahead = Ahead::new(2);
        for _ in 0..3 {
            assert!(ahead.has_room());
            ahead.take(1);
        }
        assert!(!ahead.has_room());
        ahead.ends(2);
        ahead.ends(1);
        assert!(!ahead.has_room());
        ahead.ends(0);
        assert!(ahead.has_room() && ahead.ended.is_empty());
        ahead.take(1);
        ahead.ends(3);
        assert_eq!(ahead.oldest, 4);
        // None may be in besides the oldest.
        let mut alone = Ahead::new(0);
        alone.take(1);
        assert!(!alone.has_room());
    }
}
