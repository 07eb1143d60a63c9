//! [`Window`]: what the rules look back at.

use std::collections::VecDeque;

use super::settings::Span;

/// What happened within a breaker's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that ended.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that took long, whether they failed or not.
    pub slow: u64,
}

/// How a call ended, as the window keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mark {
    /// It failed.
    pub failure: bool,
    /// It took long.
    pub slow: bool,
}

impl Counts {
    pub(super) fn add(&mut self, mark: Mark) {
        self.calls += 1;
        self.failures += u64::from(mark.failure);
        self.slow += u64::from(mark.slow);
    }

    pub(super) fn less(&mut self, mark: Mark) {
        self.calls -= 1;
        self.failures -= u64::from(mark.failure);
        self.slow -= u64::from(mark.slow);
    }

    /// The same in at most so many calls: what a smaller window begins with. No part is more than the whole.
    pub(super) fn within(self, calls: u64) -> Self {
        let whole = self.calls.max(1);
        let kept = self.calls.min(calls);
        let part = |part: u64| {
            let part = u128::from(part.min(whole)) * u128::from(kept);
            part.div_ceil(u128::from(whole)) as u64
        };
        Self { calls: kept, failures: part(self.failures), slow: part(self.slow) }
    }

    /// Each call of it: those that went well are the oldest.
    pub(super) fn marks(self) -> impl Iterator<Item = Mark> {
        (0..self.calls).rev().map(move |left| Mark { failure: left < self.failures, slow: left < self.slow })
    }
}

/// A window that calls are counted in. Times are nanoseconds of the breaker's clock; a time before the latest
/// one counts as that one, as if the clock stood still.
pub(super) trait Window {
    /// Counts a call. Gives what is in the window after it, and whether that is one more.
    fn record(&mut self, now: u64, mark: Mark) -> (Counts, bool);

    /// What is in the window.
    fn counts(&mut self, now: u64) -> Counts;

    /// Begins anew, with nothing in it.
    fn clear(&mut self, now: u64);

    /// Has another shape from now on, and begins with these.
    fn reshape(&mut self, now: u64, span: Option<Span>, counts: Counts);
}

/// The window in the plainest words: the model of the one that threads share.
#[derive(Clone, Debug)]
pub(super) struct PlainWindow {
    span: Option<Span>,
    counts: Counts,
    calls: VecDeque<Mark>,
    /// Buckets by the number of their stretch of time, the newest last.
    buckets: VecDeque<(u64, Counts)>,
    newest: u64,
}

impl PlainWindow {
    pub(super) fn new(span: Option<Span>) -> Self {
        let counts = Counts::default();
        Self { span, counts, calls: VecDeque::new(), buckets: VecDeque::new(), newest: 0 }
    }

    fn turn(&mut self, now: u64) {
        let Some(Span::Time { length, buckets }) = self.span else { return };
        self.newest = self.newest.max(now / Span::bucket(length, buckets));
        while let Some(&(number, old)) = self.buckets.front() {
            if number + u64::from(buckets) > self.newest {
                break;
            }
            self.buckets.pop_front();
            self.counts.calls -= old.calls;
            self.counts.failures -= old.failures;
            self.counts.slow -= old.slow;
        }
    }
}

impl Window for PlainWindow {
    fn record(&mut self, now: u64, mark: Mark) -> (Counts, bool) {
        self.turn(now);
        let before = self.counts.calls;
        match self.span {
            None => return (Counts::default(), false),
            Some(Span::Calls(most)) => {
                self.calls.push_back(mark);
                if self.calls.len() > most as usize {
                    let old = self.calls.pop_front().expect("it holds more than it may");
                    self.counts.less(old);
                }
            }
            Some(Span::Time { .. }) => {
                if self.buckets.back().is_none_or(|(number, _)| *number != self.newest) {
                    self.buckets.push_back((self.newest, Counts::default()));
                }
                self.buckets.back_mut().expect("it was pushed just now").1.add(mark);
            }
        }
        self.counts.add(mark);
        (self.counts, self.counts.calls > before)
    }

    fn counts(&mut self, now: u64) -> Counts {
        self.turn(now);
        self.counts
    }

    fn clear(&mut self, now: u64) {
        self.turn(now);
        self.counts = Counts::default();
        self.calls.clear();
        self.buckets.clear();
    }

    fn reshape(&mut self, now: u64, span: Option<Span>, counts: Counts) {
        *self = Self::new(span);
        self.turn(now);
        let counts = match span {
            None => return,
            Some(Span::Calls(most)) => counts.within(u64::from(most)),
            Some(Span::Time { .. }) => counts.within(u64::from(u32::MAX)),
        };
        self.counts = counts;
        match span {
            Some(Span::Calls(_)) => self.calls.extend(counts.marks()),
            _ => self.buckets.push_back((self.newest, counts)),
        }
    }
}
