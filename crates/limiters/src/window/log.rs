//! The exact log: when each was admitted.

use std::collections::VecDeque;

use super::locked::Count;

pub(crate) struct Log {
    limit: u64,
    length: u64,
    /// When, and how many; in the order of time.
    admitted: VecDeque<(u64, u64)>,
    total: u64,
    /// How many of them were taken back whole.
    empty: usize,
    latest: u64,
}

impl Log {
    pub(super) fn new(limit: u64, length: u64) -> Self {
        Self { limit, length, admitted: VecDeque::new(), total: 0, empty: 0, latest: 0 }
    }
}

impl Count for Log {
    fn limit(&self) -> u64 {
        self.limit
    }

    fn advance(&mut self, now: u64) {
        self.latest = now;
        while let Some((at, n)) = self.admitted.front().copied() {
            if now - at < self.length {
                break;
            }
            self.admitted.pop_front();
            self.total -= n;
            self.empty -= usize::from(n == 0);
        }
    }

    fn left(&self, _: u64) -> u64 {
        self.limit - self.total
    }

    fn charge(&mut self, now: u64, n: u64) {
        self.total += n;
        match self.admitted.back_mut() {
            Some(last) if last.0 == now => {
                self.empty -= usize::from(last.1 == 0);
                last.1 += n;
            }
            _ => self.admitted.push_back((now, n)),
        }
    }

    fn give_back(&mut self, taken: u64, n: u64) {
        // What was charged a window ago is gone; else it stands at that time or behind it.
        if self.latest.saturating_sub(taken) >= self.length {
            return;
        }
        let (mut at, mut n) = (self.admitted.partition_point(|(at, _)| *at < taken), n);
        while let Some(admitted) = self.admitted.get_mut(at).filter(|_| n > 0) {
            let back = n.min(admitted.1);
            admitted.1 -= back;
            self.empty += usize::from(back > 0 && admitted.1 == 0);
            self.total -= back;
            n -= back;
            at += 1;
        }
        // Empty ones are taken out when they are the most: so seldom that it costs nothing, and soon enough
        // that what is taken back again and again needs no memory.
        if self.empty > self.admitted.len() / 2 {
            self.admitted.retain(|(_, n)| *n > 0);
            self.empty = 0;
        }
    }

    fn when(&self, now: u64, n: u64) -> Option<u64> {
        let mut excess = (self.total + n).saturating_sub(self.limit);
        let mut when = Some(now);
        for (at, n) in &self.admitted {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(*n);
            when = at.checked_add(self.length);
        }
        when
    }

    fn cycle(&self) -> u64 {
        self.length
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_needs_no_memory() {
        let mut log = Log::new(4, 1_000_000_000);
        for now in (0..100_000_u64).map(|turn| turn * 10) {
            log.advance(now);
            log.charge(now, 1);
            log.charge(now + 1, 1);
            log.charge(now + 2, 1);
            // The one in between goes last, so it is not always the newest.
            [now, now + 2, now + 1].into_iter().for_each(|taken| log.give_back(taken, 1));
            assert!((log.total, log.left(now)) == (0, 4) && log.admitted.len() <= 8);
        }
        log.charge(2_000_000, 1);
        log.give_back(2_000_000, 1);
        log.charge(2_000_000, 2);
        log.advance(2_000_000_000);
        assert_eq!((log.total, log.empty, log.admitted.len()), (0, 0, 0));
    }
}
