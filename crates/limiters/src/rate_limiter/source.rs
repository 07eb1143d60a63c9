//! The counter as a source of cells for those who wait.

use weirs_runtime::Instant;

use crate::credit::{Credit, Taken};
use crate::line::Source;

impl Source for Credit {
    #[inline]
    fn take(&self, now: Instant, n: u64) -> Taken {
        self.take(now, n)
    }

    fn when(&self, now: Instant, ahead: u64, n: u64) -> Option<Instant> {
        self.when(now, ahead, n)
    }

    fn left(&self, now: Instant) -> u64 {
        self.left(now)
    }

    fn most(&self) -> u64 {
        self.most()
    }

    fn give_back(&self, _: Instant, n: u64) {
        self.give_back(n);
    }

    fn owe(&self, now: Instant, n: u64) {
        self.owe(now, n);
    }
}
