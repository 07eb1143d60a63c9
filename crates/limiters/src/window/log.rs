//! The exact log: when each was admitted.

use std::collections::VecDeque;

use super::locked::Count;

pub(crate) struct Log {
    limit: u64,
    length: u64,
    /// When, and how many; in the order of time.
    admitted: VecDeque<(u64, u64)>,
    total: u64,
    latest: u64,
}

impl Log {
    pub(super) fn new(limit: u64, length: u64) -> Self {
        Self { limit, length, admitted: VecDeque::new(), total: 0, latest: 0 }
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
        }
    }

    fn left(&self, _: u64) -> u64 {
        self.limit - self.total
    }

    fn charge(&mut self, now: u64, n: u64) {
        self.total += n;
        match self.admitted.back_mut() {
            Some(last) if last.0 == now => last.1 += n,
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
            self.total -= back;
            n -= back;
            // An empty one stays until its time has come: nothing is moved.
            at += 1;
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
