//! [`Experiment`]: how a row comes by its numbers.
//!
//! A row is data; a [`Side`] does an operation many times and says what one of them cost. A [`Pair`] of sides
//! is measured in rounds that take turns, each round as many operations as fill its time.

use std::fmt;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::row::{Row, Samples, Unit};
use crate::statistics::median;

/// How long to look.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds of a pair whose round can be as short as we like.
    pub rounds: usize,
    /// How long such a round lasts, about.
    pub round: Duration,
    /// Rounds of a pair whose single operation lasts a second.
    pub long_rounds: usize,
    /// Instead of all this, one side and nothing else: for a profiler.
    pub alone: Option<Alone>,
}

/// One side of a pair, which does so many operations, once.
#[derive(Clone, Copy, Debug)]
pub struct Alone {
    /// Ours, or the peer's.
    pub ours: bool,
    /// Which point of a curve; 0 where there is none.
    pub point: usize,
    /// How many operations.
    pub operations: u64,
}

impl Effort {
    /// Does it run at all, and about how fast? All rows in less than five minutes.
    pub const QUICK: Self = Self { rounds: 9, round: Duration::from_millis(6), long_rounds: 2, alone: None };
    /// A second look at what missed its goal in a quick run, which stays quick.
    pub const QUICK_AGAIN: Self = Self { rounds: 27, ..Self::QUICK };
    /// All rows in some minutes.
    pub const FULL: Self = Self { rounds: 41, round: Duration::from_millis(20), long_rounds: 7, alone: None };
}

/// Does an operation so many times and says what each cost, for each row of its experiment.
pub type Side<const ROWS: usize> = Box<dyn FnMut(u64) -> [f64; ROWS]>;

/// Ours and the peer's way of doing the same.
pub struct Pair<const ROWS: usize = 1> {
    /// Ours.
    pub ours: Side<ROWS>,
    /// The peer's.
    pub peer: Side<ROWS>,
    /// The operation is to wait: its time is not the processor's.
    waits: bool,
}

impl<const ROWS: usize> Pair<ROWS> {
    /// Of these two sides.
    pub fn new(
        ours: impl FnMut(u64) -> [f64; ROWS] + 'static,
        peer: impl FnMut(u64) -> [f64; ROWS] + 'static,
    ) -> Self {
        Self { ours: Box::new(ours), peer: Box::new(peer), waits: false }
    }

    /// The same pair, whose operation it is to wait.
    #[must_use]
    pub fn waits(self) -> Self {
        Self { waits: true, ..self }
    }

    /// Rounds that take turns, as many operations in each as fill its time.
    pub fn take_turns(&mut self, effort: Effort) -> [Samples; ROWS] {
        if let Some(alone) = effort.alone {
            return self.alone(alone);
        }
        let operations = self.fitting(effort.round);
        self.rounds(effort.rounds, operations)
    }

    /// The same with fewer rounds, three at least, where a single operation lasts longer than a round should.
    pub fn take_turns_in_time(&mut self, effort: Effort) -> [Samples; ROWS] {
        if let Some(alone) = effort.alone {
            return self.alone(alone);
        }
        let operations = self.fitting(effort.round);
        let start = wall_time();
        self.round(0, operations);
        let fitting = (effort.round * IN_TIME).div_duration_f64(wall_time() - start);
        self.rounds((fitting as usize).clamp(3, effort.rounds), operations)
    }

    /// Rounds that take turns, of one operation each.
    pub fn take_turns_once(&mut self, effort: Effort) -> [Samples; ROWS] {
        if let Some(alone) = effort.alone {
            return self.alone(alone);
        }
        self.rounds(effort.long_rounds, [1, 1])
    }

    /// One side, so many operations.
    fn alone(&mut self, alone: Alone) -> [Samples; ROWS] {
        let side = if alone.ours { &mut self.ours } else { &mut self.peer };
        side(alone.operations).map(|cost| Samples::Alone(vec![cost]))
    }

    /// How many operations of each side fill a round. Finding out also warms both sides up.
    fn fitting(&mut self, round: Duration) -> [u64; 2] {
        let time = if self.waits { wall_time } else { cpu_time };
        [&mut self.ours, &mut self.peer].map(|side| fit(side, time, round))
    }

    /// The same pair for the last of its rows alone.
    pub fn last(mut self) -> Pair {
        Pair::new(
            move |operations| [(self.ours)(operations)[ROWS - 1]],
            move |operations| [(self.peer)(operations)[ROWS - 1]],
        )
    }

    fn rounds(&mut self, rounds: usize, operations: [u64; 2]) -> [Samples; ROWS] {
        let mut pairs = [const { Vec::new() }; ROWS];
        for number in 0..rounds {
            let (ours, peer) = self.round(number, operations);
            for (row, pairs) in pairs.iter_mut().enumerate() {
                pairs.push((ours[row], peer[row]));
            }
        }
        pairs.map(Samples::Pairs)
    }

    /// Whoever comes second finds warm caches, or a heap in disorder: each is second in half of the rounds.
    fn round(&mut self, number: usize, [ours, peer]: [u64; 2]) -> ([f64; ROWS], [f64; ROWS]) {
        if number.is_multiple_of(2) {
            let ours = (self.ours)(ours);
            (ours, (self.peer)(peer))
        } else {
            let peer = (self.peer)(peer);
            ((self.ours)(ours), peer)
        }
    }
}

impl<const ROWS: usize> fmt::Debug for Pair<ROWS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}

/// Of so many rounds is there time, where an operation may be longer than a round.
const IN_TIME: u32 = 60;

/// How many operations fill a round, by this clock. Where others use the machine as well, the processor's is
/// the one to ask: by the wall, an operation may seem to take as long as it had to wait for its turn.
fn fit<const ROWS: usize>(side: &mut Side<ROWS>, clock: fn() -> Duration, round: Duration) -> u64 {
    let mut time = |operations| {
        let start = clock();
        side(operations);
        clock() - start
    };
    let mut operations = 1;
    loop {
        // The better of two, so that a thread that starts or a cold cache is not taken for the operation.
        let taken = time(operations).min(time(operations));
        if taken * 2 >= round {
            let fitting = operations as f64 * round.as_secs_f64() / taken.as_secs_f64();
            return (fitting as u64).max(1);
        }
        operations *= 2;
    }
}

/// One row or a few, and how they are measured.
pub struct Experiment {
    /// The rows, in the order of the samples.
    pub rows: Vec<Row>,
    measure: Box<dyn Fn(Effort) -> Result<Vec<Samples>, Missing>>,
}

/// Why an experiment gave no numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It cannot be made here, and that is all right.
    Skipped(String),
    /// It went wrong.
    Failed(String),
}

impl Experiment {
    /// One that measures in a way of its own.
    pub fn new(
        rows: impl IntoIterator<Item = Row>,
        measure: impl Fn(Effort) -> Result<Vec<Samples>, Missing> + 'static,
    ) -> Self {
        Self { rows: rows.into_iter().collect(), measure: Box::new(measure) }
    }

    /// A pair of sides, made anew for each measurement.
    pub fn pair<const ROWS: usize>(rows: [Row; ROWS], pair: impl Fn() -> Pair<ROWS> + 'static) -> Self {
        Self::new(rows, move |effort| Ok(pair().take_turns(effort).to_vec()))
    }

    /// A pair of which one side takes many seconds for one operation: half of the rounds, and at least one.
    pub fn longest_pair<const ROWS: usize>(
        rows: [Row; ROWS],
        pair: impl Fn() -> Pair<ROWS> + 'static,
    ) -> Self {
        Self::new(rows, move |effort| {
            let long_rounds = effort.long_rounds.div_ceil(2);
            Ok(pair().take_turns_once(Effort { long_rounds, ..effort }).to_vec())
        })
    }

    /// A pair whose sides take a second for one operation.
    pub fn long_pair<const ROWS: usize>(rows: [Row; ROWS], pair: impl Fn() -> Pair<ROWS> + 'static) -> Self {
        Self::new(rows, move |effort| Ok(pair().take_turns_once(effort).to_vec()))
    }

    /// The same pair at [`SCALE`] items: see [`curve`](Self::curve).
    pub fn scale(row: &Row, pair: impl Fn(usize) -> Pair + 'static) -> Self {
        Self::curve(row, SCALE, pair)
    }

    /// The same pair at so many items; a side's operation is all of them, and its cost that of one.
    ///
    /// Makes a row for each number, and `flatness`: how many times more an item costs than one among fewer,
    /// at the worst. That it costs less among many is no fault: what begins is spread over more of them.
    /// The goal is for ours; the peer's stands beside it.
    pub fn curve<const POINTS: usize>(
        row: &Row,
        items: [usize; POINTS],
        pair: impl Fn(usize) -> Pair + 'static,
    ) -> Self {
        let flat = Row { peer: Some("a flat curve".to_owned()), ..row.beside("flatness") };
        let peers = Row { peer: None, ..row.beside("flatness/peer") };
        Self::points(row, items, vec![flat.goal(FLAT), peers], pair, |ours, peers| {
            vec![Samples::Pairs(vec![(ours, 1.0)]), Samples::Alone(vec![peers])]
        })
    }

    /// The same, where every curve rises: each item is fetched in no order, and what many need is in no
    /// cache. Ours is to rise no more than the peer's.
    pub fn rising<const POINTS: usize>(
        row: &Row,
        items: [usize; POINTS],
        pair: impl Fn(usize) -> Pair + 'static,
    ) -> Self {
        let flatness = vec![row.beside("flatness").goal(1.1)];
        Self::points(row, items, flatness, pair, |ours, peers| vec![Samples::Pairs(vec![(ours, peers)])])
    }

    /// The points of a curve, and what is made of how far it rises, ours and the peer's.
    fn points<const POINTS: usize>(
        row: &Row,
        items: [usize; POINTS],
        flatness: Vec<Row>,
        pair: impl Fn(usize) -> Pair + 'static,
        of_rises: fn(f64, f64) -> Vec<Samples>,
    ) -> Self {
        let points = items.map(|items| row.beside(&items.to_string()));
        let flatness = flatness.into_iter().map(|row| row.unit(Unit::Times));
        Self::new(points.into_iter().chain(flatness), move |effort| {
            if let Some(alone) = effort.alone {
                return Ok(pair(items[alone.point]).alone(alone).to_vec());
            }
            let mut pairs = items.map(&pair);
            let curves = points_in_turn(&mut pairs, effort);
            let [ours, peers] = [|pair: &(f64, f64)| pair.0, |pair: &(f64, f64)| pair.1]
                .map(|side| rise(curves.iter().map(|points| median(points.iter().map(side)))));
            let points = curves.into_iter().map(Samples::Pairs);
            Ok(points.chain(of_rises(ours, peers)).collect())
        })
    }

    /// What it is called: the name of its first row.
    pub fn name(&self) -> &str {
        &self.rows[0].name
    }

    /// Measures it, in this process.
    ///
    /// # Errors
    /// [`Missing`] says why there are no numbers.
    pub fn measure(&self, effort: Effort) -> Result<Vec<Samples>, Missing> {
        (self.measure)(effort)
    }
}

impl fmt::Debug for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Experiment").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// How many items a curve is measured at.
pub const SCALE: [usize; 3] = [10, 1_000, 100_000];

/// The same, and further.
pub const FAR: [usize; 4] = [10, 1_000, 100_000, 1_000_000];

/// A curve is flat if it rises to no more than this many times its lowest point so far.
pub const FLAT: f64 = 2.5;

/// Rounds that take turns, those of all points as well: a machine that is slower for a while is so for all. A
/// point whose rounds are long has fewer of them.
fn points_in_turn<const POINTS: usize>(pairs: &mut [Pair; POINTS], effort: Effort) -> Vec<Vec<(f64, f64)>> {
    const FEWEST: usize = 3;
    let enough = effort.round * 4 * effort.rounds as u32;
    let operations: Vec<_> = pairs.iter_mut().map(|pair| pair.fitting(effort.round)).collect();
    let mut curves = vec![Vec::with_capacity(effort.rounds); POINTS];
    let mut spent = [Duration::ZERO; POINTS];
    for number in 0..effort.rounds {
        for (point, pair) in pairs.iter_mut().enumerate() {
            if number >= FEWEST && spent[point] > enough {
                continue;
            }
            let start = Instant::now();
            let ([ours], [peer]) = pair.round(number, operations[point]);
            spent[point] += start.elapsed();
            curves[point].push((ours, peer));
        }
    }
    curves
}

/// How far a curve rises above its lowest point so far, as a multiple of that.
fn rise(points: impl Iterator<Item = f64>) -> f64 {
    let (mut lowest, mut rise) = (f64::INFINITY, 1.0_f64);
    for point in points {
        lowest = lowest.min(point);
        rise = rise.max(point / lowest);
    }
    rise
}

/// The wall time in nanoseconds that the work took for each of so many operations.
pub fn wall(operations: u64, work: impl FnOnce()) -> [f64; 1] {
    let start = Instant::now();
    work();
    [start.elapsed().as_nanos() as f64 / operations as f64]
}

/// The processor time of the whole process in nanoseconds, for each of so many operations.
pub fn cpu(operations: u64, work: impl FnOnce()) -> [f64; 1] {
    [wall_and_cpu(operations, work)[1]]
}

/// The wall time and the processor time of the whole process in nanoseconds, for each of so many operations.
pub fn wall_and_cpu(operations: u64, work: impl FnOnce()) -> [f64; 2] {
    let (cpu_start, start) = (cpu_time(), Instant::now());
    work();
    let (taken, cpu) = (start.elapsed(), cpu_time() - cpu_start);
    [taken, cpu].map(|time| time.as_nanos() as f64 / operations as f64)
}

/// The time on the wall, since some moment.
fn wall_time() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// The processor time that all threads of this process have used.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Does the work so many times, and lets the compiler skip none of it.
pub fn repeat<T>(operations: u64, mut work: impl FnMut() -> T) {
    for _ in 0..operations {
        black_box(work());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Measured;

    #[test]
    fn rounds_take_turns_and_the_order_alternates() {
        use std::cell::RefCell;
        use std::rc::Rc;

        let order = Rc::new(RefCell::new(String::new()));
        let side = |name: char| {
            let order = Rc::clone(&order);
            move |_| {
                order.borrow_mut().push(name);
                [1.0]
            }
        };
        let [samples] =
            Pair::new(side('a'), side('b')).take_turns_once(Effort { long_rounds: 3, ..Effort::QUICK });
        assert_eq!(*order.borrow(), "abbaab");
        assert_eq!(samples, Samples::Pairs(vec![(1.0, 1.0); 3]));
    }

    #[test]
    fn a_curve_is_as_flat_as_it_rises() {
        assert_eq!(rise([2.0, 1.0, 4.0].into_iter()), 4.0);
        assert_eq!(rise([1.0, 3.0, 2.0].into_iter()), 3.0);
        assert_eq!(rise([9.0, 3.0, 1.0].into_iter()), 1.0);
    }

    #[test]
    fn one_side_alone_is_all_that_runs() {
        let pair = |items: usize| {
            let ours = move |operations| [(items as u64 * operations) as f64];
            Pair::new(ours, |_| -> [f64; 1] { unreachable!("nobody asked for the peer's") })
        };
        let experiment = Experiment::curve(&Row::new("a/scale/peer", "peer 1.0"), [10, 100], pair);
        let alone = Some(Alone { ours: true, point: 1, operations: 3 });
        let samples = experiment.measure(Effort { alone, ..Effort::QUICK });
        assert_eq!(samples, Ok(vec![Samples::Alone(vec![300.0])]));
    }

    #[test]
    fn whether_a_curve_is_flat_is_judged() {
        // One of so many items costs as much as there are: as steep as it gets. The peer's is flat.
        let steep = |items: usize| Pair::new(move |_| [items as f64], |_| [1.0]);
        let row = Row::new("a/scale/peer", "peer 1.0");
        let experiment = Experiment::curve(&row, [10, 100], steep);
        let samples = experiment.measure(Effort { rounds: 2, round: Duration::ZERO, ..Effort::QUICK });
        let measured = experiment.rows.iter().cloned().zip(samples.expect("nothing is missing"));
        let measured: Vec<_> = measured.map(|(row, samples)| Measured::new(row, samples)).collect();
        let names: Vec<_> = measured.iter().map(|measured| &*measured.row.name).collect();
        assert_eq!(
            names,
            ["a/scale/peer/10", "a/scale/peer/100", "a/scale/peer/flatness", "a/scale/peer/flatness/peer"]
        );
        assert_eq!(measured.iter().map(Measured::met).collect::<Vec<_>>(), [None, None, Some(false), None]);
        assert_eq!((measured[2].ours.median, measured[3].ours.median), (10.0, 1.0));
    }
}
