//! [`ShareBudget`]: a share of the calls of the last seconds.

use std::time::Duration;

use weirs_runtime::Clock;

use super::{Budget, BudgetStats, Kind, TOKEN, Taken, parts, percent};
use crate::Invalid;
use crate::attempt::nanos;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

const EPOCHS: usize = 10;

/// So many calls share one look at the clock, so that a call costs one atomic addition.
const STRIDE: u64 = 16;

/// An epoch of that length in nanoseconds may be told by a coarse clock.
const LONG: u64 = 20_000_000;

/// How a [`Budget::share`] is set up.
#[derive(Clone, Debug)]
#[must_use = "nothing happens until `build`"]
pub struct ShareBudget {
    share: f64,
    time_to_live: Duration,
    floor: u32,
    clock: Option<Clock>,
}

impl ShareBudget {
    pub(super) fn new(share: f64) -> Self {
        Self { share, time_to_live: Duration::from_secs(10), floor: 10, clock: None }
    }

    /// How long what a call brought may be used: ten seconds unless said otherwise. It lives for nine tenths
    /// of this at least, and never longer, but for up to 15 calls after which no other came.
    pub fn time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = time_to_live;
        self
    }

    /// How many each second there are beside the share: ten unless said otherwise. It is for those who call
    /// seldom; what is not used within a second is not kept.
    pub fn floor(mut self, each_second: u32) -> Self {
        self.floor = each_second;
        self
    }

    /// The clock whose time counts: real time unless said otherwise.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// The budget.
    ///
    /// # Errors
    /// A share that is no number, below zero or above 1,000; no time to live.
    pub fn build(self) -> Result<Budget, Invalid> {
        let each = parts("budget.share", self.share, 1_000.0)?;
        if self.time_to_live.is_zero() {
            return Err(Invalid::new("budget.time_to_live", "no time at all; nothing could ever be used"));
        }
        let clock = self.clock.unwrap_or_default();
        let width = (nanos(self.time_to_live) / EPOCHS as u64).max(1);
        let now = clock.now().as_nanos();
        let window = Window {
            epoch: now / width,
            deposits: [0; EPOCHS],
            floor: Floor { each_second: self.floor, level: Floor::full(self.floor), at: now },
        };
        Ok(Budget::new(Kind::Share(Share {
            each,
            width,
            floor: self.floor,
            clock,
            calls: AtomicU64::new(0),
            window: Mutex::new(window),
        })))
    }
}

pub(super) struct Share {
    /// What a call brings, in parts.
    each: u64,
    /// How long an epoch is, in nanoseconds.
    width: u64,
    floor: u32,
    clock: Clock,
    /// Calls that are not yet in the window: they count as of whoever looks next.
    calls: AtomicU64,
    window: Mutex<Window>,
}

impl Share {
    #[inline]
    pub(super) fn deposit(&self) {
        // Only the number counts; the lock orders all else.
        if self.calls.fetch_add(1, Ordering::Relaxed) % STRIDE == STRIDE - 1 {
            self.look(|_| ());
        }
    }

    #[inline]
    pub(super) fn take(&self) -> Option<Taken> {
        self.look(|window| window.take().map(|epoch| Taken::Share { epoch }))
    }

    pub(super) fn give_back(&self, epoch: Option<u64>) {
        self.look(|window| window.give_back(epoch));
    }

    pub(super) fn stats(&self) -> BudgetStats {
        let available = self.look(|window| window.available());
        BudgetStats { available, ..BudgetStats::default() }
    }

    pub(super) fn words(&self) -> String {
        let live = Duration::from_nanos(self.width.saturating_mul(EPOCHS as u64));
        let (share, floor) = (percent(self.each), self.floor);
        format!("{share} % of the calls of the last {live:?}, and {floor} each second")
    }

    /// The window as it is now.
    fn look<R>(&self, look: impl FnOnce(&mut Window) -> R) -> R {
        // Before the lock: a clock may be anybody's.
        // A tick earlier or later does not matter to seconds.
        let now = match self.width >= LONG {
            true => self.clock.coarse_now(),
            false => self.clock.now(),
        };
        let now = now.as_nanos();
        let mut window = lock(&self.window);
        window.advance(now, self.width);
        let calls = self.calls.swap(0, Ordering::Relaxed);
        window.deposit(calls.saturating_mul(self.each));
        look(&mut window)
    }
}

/// What is there, by the time in which it came.
struct Window {
    /// The current one; the ring holds it and those before it.
    epoch: u64,
    deposits: [u64; EPOCHS],
    floor: Floor,
}

impl Window {
    fn advance(&mut self, now: u64, width: u64) {
        self.floor.advance(now);
        let epoch = now / width;
        // A clock that was set back changes nothing.
        let steps = epoch.saturating_sub(self.epoch);
        for step in 1..=steps.min(EPOCHS as u64) {
            self.deposits[Self::slot(self.epoch.wrapping_add(step))] = 0;
        }
        if steps > EPOCHS as u64 {
            self.deposits = [0; EPOCHS];
        }
        self.epoch += steps;
    }

    fn deposit(&mut self, parts: u64) {
        let current = &mut self.deposits[Self::slot(self.epoch)];
        *current = current.saturating_add(parts);
    }

    /// Takes a token, of the oldest deposits first, and tells the youngest epoch that it is of, or that it is
    /// of the floor.
    fn take(&mut self) -> Option<Option<u64>> {
        if self.sum() < TOKEN {
            return self.floor.take().then_some(None);
        }
        let mut left = TOKEN;
        let mut epoch = self.epoch.saturating_sub(EPOCHS as u64 - 1);
        loop {
            let there = &mut self.deposits[Self::slot(epoch)];
            let some = left.min(*there);
            *there -= some;
            left -= some;
            if left == 0 {
                return Some(Some(epoch));
            }
            epoch += 1;
        }
    }

    fn give_back(&mut self, epoch: Option<u64>) {
        match epoch {
            None => self.floor.give_back(),
            // What would have ended by now has ended.
            Some(epoch) if self.epoch - epoch >= EPOCHS as u64 => {}
            Some(epoch) => {
                let there = &mut self.deposits[Self::slot(epoch)];
                *there = there.saturating_add(TOKEN);
            }
        }
    }

    fn available(&self) -> u64 {
        self.sum() / TOKEN + self.floor.available()
    }

    fn sum(&self) -> u64 {
        self.deposits.iter().fold(0, |sum, some| sum.saturating_add(*some))
    }

    fn slot(epoch: u64) -> usize {
        (epoch % EPOCHS as u64) as usize
    }
}

/// So many each second, and no more than that at once.
struct Floor {
    each_second: u32,
    /// In billionths of a token, so that every nanosecond brings a whole number.
    level: u64,
    at: u64,
}

impl Floor {
    const WHOLE: u64 = 1_000_000_000;

    const fn full(each_second: u32) -> u64 {
        each_second as u64 * Self::WHOLE
    }

    fn advance(&mut self, now: u64) {
        let passed = now.saturating_sub(self.at);
        self.at += passed;
        let brought = passed.saturating_mul(u64::from(self.each_second));
        self.level = self.level.saturating_add(brought).min(Self::full(self.each_second));
    }

    fn take(&mut self) -> bool {
        let enough = self.level >= Self::WHOLE;
        if enough {
            self.level -= Self::WHOLE;
        }
        enough
    }

    fn give_back(&mut self) {
        self.level = (self.level + Self::WHOLE).min(Self::full(self.each_second));
    }

    fn available(&self) -> u64 {
        self.level / Self::WHOLE
    }
}
