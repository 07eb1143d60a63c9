//! [`Usage`]: who uses how much, in bounded memory.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use super::Priority;
use crate::sync::{Mutex, lock};

const CELLS: usize = 2048;
const ROWS: usize = 2;

/// Tracks how much each user used lately, and says whose turn it is to be turned away.
///
/// Its memory is fixed, however many users there are, 32 KiB: users share cells, each has two, and the
/// smaller one counts. So nobody is thought to use less than he does, and among some hundred heavy users a
/// light one is rarely thought to be heavy. What was used counts half after each half-life.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{Class, Priority, Usage};
/// use weirs_runtime::Clock;
///
/// let usage = Usage::new(Duration::from_secs(10), Clock::default());
/// for _ in 0..100 {
///     usage.add("greedy", 1);
/// }
/// usage.add("modest", 1);
/// let [greedy, modest] = ["greedy", "modest"].map(|user| Priority::new(Class::Normal, usage.place(user)));
/// assert!(modest < greedy, "the greedy one is turned away first");
/// ```
pub struct Usage {
    clock: Clock,
    half_life: Duration,
    seed: u64,
    state: Mutex<Cells>,
}

struct Cells {
    cells: Box<[[f64; CELLS]; ROWS]>,
    total: f64,
    /// How many cells of the first row are in use: about how many users there are.
    used: usize,
    halved: Instant,
}

impl Usage {
    /// What was used counts half after this time.
    ///
    /// # Panics
    /// When it is zero.
    #[track_caller]
    pub fn new(half_life: Duration, clock: Clock) -> Self {
        assert!(!half_life.is_zero(), "a half-life of zero forgets everything at once");
        let cells = Cells { cells: Box::new([[0.0; CELLS]; ROWS]), total: 0.0, used: 0, halved: clock.now() };
        // Nobody outside is to find users that share cells.
        Self { half_life, seed: clock.random_u64(), clock, state: Mutex::new(cells) }
    }

    /// This user used so much: one for a request, or its time, or its bytes.
    pub fn add<K: Hash + ?Sized>(&self, user: &K, amount: u64) {
        let (places, now) = (self.places(user), self.clock.now());
        let mut cells = lock(&self.state);
        cells.halve(now, self.half_life);
        cells.add(places, amount as f64);
    }

    /// How much of all that was used lately was used by this one: between 0 and 1.
    pub fn share<K: Hash + ?Sized>(&self, user: &K) -> f64 {
        let (places, now) = (self.places(user), self.clock.now());
        let mut cells = lock(&self.state);
        cells.halve(now, self.half_life);
        if cells.total > 0.0 { (cells.of(places) / cells.total).min(1.0) } else { 0.0 }
    }

    /// The user's place within a class: 50 for one who uses as much as the others do, more for one who uses
    /// more.
    pub fn place<K: Hash + ?Sized>(&self, user: &K) -> u16 {
        let (places, now) = (self.places(user), self.clock.now());
        let mut cells = lock(&self.state);
        cells.halve(now, self.half_life);
        if cells.total <= 0.0 {
            return Priority::PLACES / 2;
        }
        let times = cells.of(places) * cells.used.max(1) as f64 / cells.total;
        (f64::from(Priority::PLACES) * times / (times + 1.0)) as u16
    }

    /// The user's hash is taken outside the lock: it is the user's code.
    fn places<K: Hash + ?Sized>(&self, user: &K) -> [usize; ROWS] {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        user.hash(&mut hasher);
        let hash = hasher.finish();
        [hash as usize % CELLS, (hash >> 32) as usize % CELLS]
    }
}

impl Cells {
    fn of(&self, places: [usize; ROWS]) -> f64 {
        self.cells[0][places[0]].min(self.cells[1][places[1]])
    }

    fn add(&mut self, places: [usize; ROWS], amount: f64) {
        self.used += usize::from(self.cells[0][places[0]] == 0.0 && amount > 0.0);
        self.total += amount;
        for (row, place) in self.cells.iter_mut().zip(places) {
            row[place] += amount;
        }
    }

    fn halve(&mut self, now: Instant, half_life: Duration) {
        let since = now.saturating_since(self.halved).as_nanos();
        let (passed, rest) = (since / half_life.as_nanos(), since % half_life.as_nanos());
        if passed == 0 {
            return;
        }
        let kept = if passed < 64 { 0.5_f64.powi(passed as i32) } else { 0.0 };
        // What is left of a half-life counts for the next.
        self.halved = now - Duration::from_nanos(rest as u64);
        self.total = 0.0;
        self.used = 0;
        for cell in self.cells.iter_mut().flatten() {
            *cell = if *cell * kept < 0.01 { 0.0 } else { *cell * kept };
        }
        for cell in &self.cells[0] {
            self.total += cell;
            self.used += usize::from(*cell > 0.0);
        }
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = lock(&self.state);
        f.debug_struct("Usage")
            .field("total", &cells.total)
            .field("used", &cells.used)
            .finish_non_exhaustive()
    }
}
