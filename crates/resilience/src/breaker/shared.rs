//! [`Gate`] and [`Ledger`]: the window that threads share.
//!
//! What changes no rate for the worse, a quick success over a place that held another, is counted through the
//! [`Gate`] with one atomic operation. All else is counted with the [`Ledger`], which stands inside the
//! breaker's lock. Rules:
//!
//! 1. Only who holds the lock writes marks, shapes and stamps. Through the gate only a position or a number
//!    of
//!    calls is raised, by an exchange that fails if the stamp beside it has changed.
//! 2. Before the circuit changes, all stamps become zero: whoever is halfway through the gate then fails, and
//!    is told under the lock what holds now. New stamps are stored after the new word. So whoever has loaded
//!    a
//!    stamp and after that found the word as his permit has it, holds a stamp of that generation. (The gate's
//!    loads acquire, the lock's stores release.) A stamp is never used twice.
//! 3. The gate is shut while there are fewer calls than rates need: the success that makes them enough is
//!    counted under the lock, which looks at the rates.

use std::sync::OnceLock;

use super::settings::{Abandoned, Settings, Span};
use super::window::{Counts, Mark, Window};
use crate::sync::{AtomicU64, Ordering};

/// What is done without the lock.
pub(super) struct Gate {
    /// Of a window of calls: stamp 32 bits, position 32. The position goes up to twice the size and then back
    /// to the size, so that it also tells whether the window is full.
    cursor: AtomicU64,
    /// Of a window of time: which bucket may be counted in; [`SHUT`] for none.
    epoch: AtomicU64,
    shape: AtomicU64,
    /// How long a bucket is.
    bucket: AtomicU64,
    /// Of a window of calls: two bits for each call. Of time: stamp 32 bits and calls 32 for each bucket.
    words: Words,
}

/// What is done under the lock.
#[derive(Debug)]
pub(super) struct Ledger {
    span: Option<Span>,
    depth: u32,
    stamp: u32,
    open: bool,
    epoch: u64,
    /// Of a window of calls, all but `calls`.
    counts: Counts,
    /// Failures and slow calls of each bucket.
    buckets: Vec<(u64, u64)>,
}

const SHUT: u64 = u64::MAX;
const LOW: u64 = u32::MAX as u64;
/// Calls in one word.
const EACH: usize = 32;

/// What a call has to know of the settings, in one number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape(u64);

impl Shape {
    const CALLS: u64 = 1;
    const TIME: u64 = 2;
    const TIMED: u64 = 4;
    const BY_AGE: u64 = 8;
    const DROP_FAILS: u64 = 16;
    const BY_CHANCE: u64 = 32;
    const COARSE_CALLS: u64 = 64;
    const COARSE_BUCKETS: u64 = 128;

    /// A call that is slow after so long may be timed by a coarse clock.
    const LONG_CALL: u64 = 50_000_000;
    /// A bucket of that length may be told by a coarse clock.
    const LONG_BUCKET: u64 = 20_000_000;

    fn new(settings: &Settings, span: Option<Span>, depth: u32) -> Self {
        let (kind, size) = match span {
            None => (0, 0),
            Some(Span::Calls(calls)) => (Self::CALLS, calls),
            Some(Span::Time { buckets, .. }) => (Self::TIME, buckets),
        };
        let timed = if settings.times_calls() { Self::TIMED } else { 0 };
        let dropped = match settings.abandoned {
            Abandoned::ByAge => Self::BY_AGE,
            Abandoned::Failure => Self::DROP_FAILS,
            Abandoned::Ignored => 0,
        };
        let coarse_calls = if settings.slow_after >= Self::LONG_CALL { Self::COARSE_CALLS } else { 0 };
        let coarse_buckets = match span {
            Some(Span::Time { length, buckets }) if Span::bucket(length, buckets) >= Self::LONG_BUCKET => {
                Self::COARSE_BUCKETS
            }
            _ => 0,
        };
        let coarse = coarse_calls | coarse_buckets;
        let chance = if settings.open_for.is_by_chance() { Self::BY_CHANCE } else { 0 };
        Self(u64::from(size) << 32 | u64::from(depth) << 8 | coarse | chance | dropped | timed | kind)
    }

    /// Whether there is a window at all.
    #[inline]
    pub(super) fn counts(self) -> bool {
        self.0 & (Self::CALLS | Self::TIME) != 0
    }

    /// Whether there is neither a window nor a look at the clock.
    #[inline]
    pub(super) fn is_plain(self) -> bool {
        self.0 & (Self::CALLS | Self::TIME | Self::TIMED) == 0
    }

    /// Whether slow calls count.
    #[inline]
    pub(super) fn is_timed(self) -> bool {
        self.0 & Self::TIMED != 0
    }

    /// Whether it matters how long a call ran that was dropped.
    #[inline]
    pub(super) fn is_by_age(self) -> bool {
        self.0 & Self::BY_AGE != 0
    }

    /// Whether a call that was dropped failed.
    pub(super) fn drop_fails(self) -> bool {
        self.0 & Self::DROP_FAILS != 0
    }

    /// Whether a coarse clock will do to tell how long calls take.
    #[inline]
    pub(super) fn has_coarse_calls(self) -> bool {
        self.0 & Self::COARSE_CALLS != 0
    }

    /// Whether a coarse clock will do to tell the bucket.
    #[inline]
    pub(super) fn has_coarse_buckets(self) -> bool {
        self.0 & Self::COARSE_BUCKETS != 0
    }

    /// Whether the time for which it is open is by chance.
    pub(super) fn is_by_chance(self) -> bool {
        self.0 & Self::BY_CHANCE != 0
    }

    fn size(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn depth(self) -> u32 {
        self.0 as u32 >> 8
    }
}

impl Gate {
    pub(super) fn new(settings: &Settings) -> (Self, Ledger) {
        let span = settings.window();
        let gate = Self {
            cursor: AtomicU64::new(0),
            epoch: AtomicU64::new(SHUT),
            shape: AtomicU64::new(0),
            bucket: AtomicU64::new(1),
            words: Words::new(words_for(span)),
        };
        let counts = Counts::default();
        let mut ledger =
            Ledger { span, depth: 0, stamp: 0, open: false, epoch: 0, counts, buckets: Vec::new() };
        ledger.take_shape(&gate, settings);
        (gate, ledger)
    }

    #[inline]
    pub(super) fn shape(&self) -> Shape {
        Shape(self.shape.load(Ordering::Relaxed))
    }

    /// Counts a quick success of a call with that key, or does nothing.
    #[inline]
    pub(super) fn count(&self, shape: Shape, word: &AtomicU64, key: u64, now: impl FnOnce() -> u64) -> bool {
        if shape.0 & Shape::CALLS != 0 {
            self.count_call(shape, word, key)
        } else {
            self.count_in_time(shape, word, key, now())
        }
    }

    #[inline]
    fn count_call(&self, shape: Shape, word: &AtomicU64, key: u64) -> bool {
        let size = shape.size();
        let words = self.words.at(shape.depth());
        let mut cursor = self.cursor.load(Ordering::Acquire);
        loop {
            let position = cursor as u32;
            let index = if position >= size { position - size } else { position } as usize;
            // Read anew, for what was read before may be older than the stamp.
            if cursor >> 32 == 0 || self.shape.load(Ordering::Acquire) != shape.0 {
                return false;
            }
            let Some(marks) = words.get(index / EACH) else { return false };
            let held = marks.load(Ordering::Acquire) >> (index % EACH * 2) & 3;
            if held != 0 || word.load(Ordering::Acquire) != key {
                return false;
            }
            let next = if position + 1 == 2 * size { size } else { position + 1 };
            let raised = cursor & !LOW | u64::from(next);
            match self.cursor.compare_exchange_weak(cursor, raised, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(found) => cursor = found,
            }
        }
    }

    #[inline]
    fn count_in_time(&self, shape: Shape, word: &AtomicU64, key: u64, now: u64) -> bool {
        let epoch = now / self.bucket.load(Ordering::Relaxed).max(1);
        if self.epoch.load(Ordering::Acquire) != epoch {
            return false;
        }
        let index = (epoch % u64::from(shape.size().max(1))) as usize;
        let Some(bucket) = self.words.at(shape.depth()).get(index) else { return false };
        let mut calls = bucket.load(Ordering::Acquire);
        loop {
            if calls >> 32 == 0
                || calls & LOW == LOW
                || self.shape.load(Ordering::Acquire) != shape.0
                || word.load(Ordering::Acquire) != key
            {
                return false;
            }
            match bucket.compare_exchange_weak(calls, calls + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(found) => calls = found,
            }
        }
    }
}

impl Ledger {
    pub(super) fn has_window(&self) -> bool {
        self.span.is_some()
    }

    /// Opens the gate or shuts it, after the word was stored.
    pub(super) fn set_open(&mut self, gate: &Gate, open: bool) {
        let changed = std::mem::replace(&mut self.open, open) != open;
        let stamp = if changed && open { self.next_stamp() } else { 0 };
        // Shut, nobody else writes these; open, only what is below the stamp is raised.
        let stamp_or_shut = |place: &AtomicU64| match open {
            true => place.fetch_or(stamp, Ordering::AcqRel),
            false => place.fetch_and(LOW, Ordering::AcqRel),
        };
        match self.span {
            Some(Span::Calls(_)) if changed => {
                stamp_or_shut(&gate.cursor);
            }
            Some(Span::Time { buckets, .. }) => {
                if changed {
                    let places = gate.words.at(self.depth).iter().take(buckets as usize);
                    places.for_each(|place| {
                        stamp_or_shut(place);
                    });
                }
                gate.epoch.store(if open { self.epoch } else { SHUT }, Ordering::Release);
            }
            _ => {}
        }
    }

    /// Tells calls of settings that changed but for the window.
    pub(super) fn set_shape(&self, gate: &Gate, settings: &Settings) {
        gate.shape.store(Shape::new(settings, self.span, self.depth).0, Ordering::Release);
    }

    fn take_shape(&mut self, gate: &Gate, settings: &Settings) {
        let buckets = match self.span {
            Some(Span::Time { length, buckets }) => {
                gate.bucket.store(Span::bucket(length, buckets), Ordering::Relaxed);
                buckets as usize
            }
            _ => 0,
        };
        self.buckets = vec![(0, 0); buckets];
        self.set_shape(gate, settings);
    }

    fn next_stamp(&mut self) -> u64 {
        self.stamp = self.stamp.wrapping_add(1).max(1);
        u64::from(self.stamp) << 32
    }
}

/// Both, as the machine sees them under the lock.
pub(super) struct SharedWindow<'w> {
    pub(super) gate: &'w Gate,
    pub(super) ledger: &'w mut Ledger,
    pub(super) settings: &'w Settings,
}

impl SharedWindow<'_> {
    fn words(&self) -> &[AtomicU64] {
        self.gate.words.at(self.ledger.depth)
    }

    /// Whether there is one more call in the window than before.
    fn record_call(&mut self, size: u32, mark: Mark) -> bool {
        let bits = u64::from(mark.failure) | u64::from(mark.slow) << 1;
        loop {
            let cursor = self.gate.cursor.load(Ordering::Acquire);
            let position = cursor as u32;
            let index = if position >= size { position - size } else { position } as usize;
            let (marks, shift) = (&self.words()[index / EACH], index % EACH * 2);
            let before = marks.load(Ordering::Relaxed);
            marks.store(before & !(3 << shift) | bits << shift, Ordering::Release);
            let next = if position + 1 == 2 * size { size } else { position + 1 };
            let raised = cursor & !LOW | u64::from(next);
            // The mark stands before the place is taken, so that whoever takes the place sees it.
            let taken =
                self.gate.cursor.compare_exchange(cursor, raised, Ordering::AcqRel, Ordering::Relaxed);
            if taken.is_err() {
                marks.store(before, Ordering::Release);
                continue;
            }
            let held = before >> shift & 3;
            let counts = &mut self.ledger.counts;
            counts.failures = counts.failures + u64::from(mark.failure) - (held & 1);
            counts.slow = counts.slow + u64::from(mark.slow) - (held >> 1);
            return position < size;
        }
    }

    /// Goes to the bucket of that time.
    fn turn(&mut self, now: u64) {
        let Some(Span::Time { length, buckets }) = self.ledger.span else { return };
        let epoch = now / Span::bucket(length, buckets);
        let steps = epoch.saturating_sub(self.ledger.epoch).min(u64::from(buckets));
        if steps == 0 {
            return;
        }
        self.gate.epoch.store(SHUT, Ordering::Release);
        for passed in 0..steps {
            let index = ((epoch - passed) % u64::from(buckets)) as usize;
            let stamp = if self.ledger.open { self.ledger.next_stamp() } else { 0 };
            self.words()[index].swap(stamp, Ordering::AcqRel);
            self.ledger.buckets[index] = (0, 0);
        }
        self.ledger.epoch = epoch;
    }

    fn newest(&self) -> usize {
        (self.ledger.epoch % self.ledger.buckets.len().max(1) as u64) as usize
    }

    fn sum(&self) -> Counts {
        match self.ledger.span {
            None => Counts::default(),
            Some(Span::Calls(size)) => {
                let position = self.gate.cursor.load(Ordering::Acquire) & LOW;
                Counts { calls: position.min(u64::from(size)), ..self.ledger.counts }
            }
            Some(Span::Time { .. }) => {
                let mut counts = Counts::default();
                for (word, (failures, slow)) in self.words().iter().zip(&self.ledger.buckets) {
                    counts.calls += word.load(Ordering::Acquire) & LOW;
                    counts.failures += failures;
                    counts.slow += slow;
                }
                counts
            }
        }
    }
}

impl Window for SharedWindow<'_> {
    fn record(&mut self, now: u64, mark: Mark) -> (Counts, bool) {
        let grew = match self.ledger.span {
            None => false,
            Some(Span::Calls(size)) => self.record_call(size, mark),
            Some(Span::Time { .. }) => {
                self.turn(now);
                let index = self.newest();
                let bucket = &self.words()[index];
                if bucket.load(Ordering::Relaxed) & LOW < LOW - 1 {
                    bucket.fetch_add(1, Ordering::AcqRel);
                    let (failures, slow) = &mut self.ledger.buckets[index];
                    *failures += u64::from(mark.failure);
                    *slow += u64::from(mark.slow);
                }
                true
            }
        };
        (self.sum(), grew)
    }

    fn counts(&mut self, now: u64) -> Counts {
        self.turn(now);
        self.sum()
    }

    fn clear(&mut self, now: u64) {
        if self.ledger.span.is_none() {
            return;
        }
        self.turn(now);
        self.gate.epoch.store(SHUT, Ordering::Release);
        // Swapped, not stored, so that each raise beside it comes before it or fails.
        self.gate.cursor.swap(0, Ordering::AcqRel);
        self.ledger.open = false;
        self.ledger.counts = Counts::default();
        self.ledger.buckets.fill((0, 0));
        for place in self.words() {
            place.swap(0, Ordering::AcqRel);
        }
    }

    fn reshape(&mut self, now: u64, span: Option<Span>, counts: Counts) {
        self.clear(now);
        self.ledger.span = span;
        self.ledger.epoch = 0;
        self.ledger.depth = self.gate.words.depth_for(words_for(span));
        self.ledger.take_shape(self.gate, self.settings);
        self.clear(now);
        match span {
            None => {}
            Some(Span::Calls(size)) => {
                for mark in counts.within(u64::from(size)).marks() {
                    self.record_call(size, mark);
                }
            }
            Some(Span::Time { .. }) => {
                let counts = counts.within(LOW);
                let index = self.newest();
                self.words()[index].fetch_add(counts.calls, Ordering::AcqRel);
                self.ledger.buckets[index] = (counts.failures, counts.slow);
            }
        }
    }
}

fn words_for(span: Option<Span>) -> usize {
    match span {
        None => 0,
        Some(Span::Calls(calls)) => (calls as usize).div_ceil(EACH),
        Some(Span::Time { buckets, .. }) => buckets as usize,
    }
}

/// Room for a window; more room is added when a larger one is asked for, and stays. Each addition is at least
/// twice as large as all before, so there are few of them, and little is lost.
struct Words {
    words: Box<[AtomicU64]>,
    more: OnceLock<Box<Self>>,
}

impl Words {
    fn new(words: usize) -> Self {
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), more: OnceLock::new() }
    }

    #[inline]
    fn at(&self, depth: u32) -> &[AtomicU64] {
        let mut room = self;
        for _ in 0..depth {
            let Some(more) = room.more.get() else { break };
            room = more;
        }
        &room.words
    }

    /// Where there is room for so many.
    fn depth_for(&self, words: usize) -> u32 {
        let (mut room, mut depth, mut sum) = (self, 0, self.words.len());
        while room.words.len() < words {
            let size = words.max(2 * sum);
            room = room.more.get_or_init(|| Box::new(Self::new(size)));
            sum += room.words.len();
            depth += 1;
        }
        depth
    }
}
