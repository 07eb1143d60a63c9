//! The runnable tasks, and the choice among them.

use std::collections::{BinaryHeap, VecDeque};

use super::oracle::Oracle;
use super::schedule::Schedule;

/// The runnable tasks. A task is in it at most once; its owner sees to that.
#[derive(Debug)]
pub(super) enum Ready {
    Fifo(VecDeque<u32>),
    Random(Vec<u32>),
    Pct(Pct),
}

impl Ready {
    pub(super) fn new(schedule: Schedule, oracle: &mut Oracle) -> Self {
        match schedule {
            Schedule::Fifo => Self::Fifo(VecDeque::new()),
            Schedule::Random => Self::Random(Vec::new()),
            Schedule::Pct { depth } => Self::Pct(Pct::new(depth, oracle)),
        }
    }

    /// A task was made. Tasks are numbered without gaps.
    pub(super) fn add_task(&mut self, oracle: &mut Oracle) {
        if let Self::Pct(pct) = self {
            pct.priorities.push(LOWEST_FIRST + (oracle.next() >> 1));
        }
    }

    pub(super) fn push(&mut self, task: u32) {
        match self {
            Self::Fifo(queue) => queue.push_back(task),
            Self::Random(tasks) => tasks.push(task),
            Self::Pct(pct) => pct.push(task),
        }
    }

    /// Makes a task runnable that woke itself while it was polled.
    pub(super) fn push_yielded(&mut self, task: u32) {
        if let Self::Pct(pct) = self {
            pct.lower(task);
        }
        self.push(task);
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Fifo(queue) => queue.is_empty(),
            Self::Random(tasks) => tasks.is_empty(),
            Self::Pct(pct) => pct.runnable.is_empty(),
        }
    }

    /// Chooses the next task.
    pub(super) fn pop(&mut self, oracle: &mut Oracle) -> Option<u32> {
        match self {
            Self::Fifo(queue) => queue.pop_front(),
            Self::Random(tasks) if tasks.is_empty() => None,
            Self::Random(tasks) => Some(tasks.swap_remove(oracle.below(tasks.len() as u64) as usize)),
            Self::Pct(pct) => pct.pop(),
        }
    }

    /// A number that orders timers of the same instant: by chance, except first-in-first-out.
    pub(super) fn tie(&self, oracle: &mut Oracle) -> u64 {
        if matches!(self, Self::Fifo(_)) { 0 } else { oracle.next() }
    }
}

/// First priorities lie above this, those of tasks that were lowered below.
const LOWEST_FIRST: u64 = 1 << 62;

/// Random priorities, and the steps at which the running task loses its own.
#[derive(Debug)]
pub(super) struct Pct {
    runnable: BinaryHeap<(u64, u32)>,
    priorities: Vec<u64>,
    /// The next priority below all others.
    lowest: u64,
    steps: u64,
    /// The change points to come, the next one last.
    changes: Vec<u64>,
}

impl Pct {
    fn new(depth: u32, oracle: &mut Oracle) -> Self {
        // How long the run will be is not known before it has run, and must not be guessed from an earlier
        // one: a seed says everything. So the seed guesses, and some seeds guess well.
        let horizon = 16 << oracle.below(11);
        let mut changes: Vec<u64> = (1..depth).map(|_| 1 + oracle.below(horizon)).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Self { runnable: BinaryHeap::new(), priorities: Vec::new(), lowest: LOWEST_FIRST, steps: 0, changes }
    }

    fn push(&mut self, task: u32) {
        self.runnable.push((self.priorities[task as usize], task));
    }

    /// Puts a task that is not in the heap below all others.
    fn lower(&mut self, task: u32) {
        self.lowest -= 1;
        self.priorities[task as usize] = self.lowest;
    }

    fn pop(&mut self) -> Option<u32> {
        self.steps += 1;
        while self.changes.last().is_some_and(|change| *change <= self.steps) {
            self.changes.pop();
            let (_, task) = self.runnable.pop()?;
            self.lower(task);
            self.push(task);
        }
        Some(self.runnable.pop()?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(schedule: Schedule, seed: u64) -> Vec<u32> {
        let mut oracle = Oracle::new(seed);
        let mut ready = Ready::new(schedule, &mut oracle);
        for task in 0..20 {
            ready.add_task(&mut oracle);
            ready.push(task);
        }
        std::iter::from_fn(|| ready.pop(&mut oracle)).collect()
    }

    #[test]
    fn each_schedule_gives_each_task_once() {
        for schedule in [Schedule::Fifo, Schedule::Random, Schedule::Pct { depth: 5 }] {
            let order = drain(schedule, 1);
            assert_eq!(order == Vec::from_iter(0..20), schedule == Schedule::Fifo, "{order:?}");
            assert_eq!(drain(schedule, 1), order);
            let mut sorted = order;
            sorted.sort_unstable();
            assert_eq!(sorted, Vec::from_iter(0..20));
        }
    }

    #[test]
    fn pct_keeps_to_its_priorities_until_a_task_yields() {
        let mut oracle = Oracle::new(3);
        let mut ready = Ready::new(Schedule::Pct { depth: 1 }, &mut oracle);
        for _ in 0..2 {
            ready.add_task(&mut oracle);
        }
        ready.push(0);
        ready.push(1);
        let high = ready.pop(&mut oracle).unwrap();
        for _ in 0..1000 {
            ready.push(high);
            assert_eq!(ready.pop(&mut oracle), Some(high));
        }
        ready.push_yielded(high);
        assert_eq!(ready.pop(&mut oracle), Some(1 - high));
    }
}
