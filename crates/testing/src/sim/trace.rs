//! The trace of a run: what happened, as a hash for comparing, as short entries for finding the first
//! difference, and as the last few events for reading.

use std::time::Duration;

use weirs_runtime::Ending;

use super::oracle::mix;
use super::report::Named;
use super::tasks::Tasks;

/// Entries beyond these count for the hash only: a trace takes at most 12 MB.
const ENTRIES: usize = 1 << 20;
/// How many events a report shows.
const RECENT: usize = 20;
/// In the place of a task: none.
pub(super) const NOBODY: u32 = u32::MAX;

/// What happened in a run, in order.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    entries: Vec<Entry>,
    recent: [Recent; RECENT],
    recorded: usize,
    /// What follows is the taking down of the run, which is no part of it.
    closed: bool,
}

/// What a task did, or what was done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Spawned,
    Refused,
    Polled,
    PolledSpuriously,
    Woken,
    CancelledByFault,
    PanickedByFault,
    Finished,
    Panicked,
    Cancelled,
    Lost,
    /// The clock jumped: the event of nobody.
    Time,
    /// Somebody drew a random number.
    Chance,
}

impl From<Ending> for Event {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Finished => Self::Finished,
            Ending::Panicked => Self::Panicked,
            Ending::Cancelled => Self::Cancelled,
            _ => Self::Lost,
        }
    }
}

/// An event in one word: what, to whom, and by whom or what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    event: Event,
    task: u32,
    by: u32,
}

#[derive(Clone, Copy, Debug)]
struct Recent {
    entry: Entry,
    step: u64,
    now: u64,
}

impl Trace {
    pub(super) fn new() -> Self {
        let nothing = Entry { event: Event::Time, task: NOBODY, by: NOBODY };
        Self {
            hash: 0,
            entries: Vec::new(),
            recent: [Recent { entry: nothing, step: 0, now: 0 }; RECENT],
            recorded: 0,
            closed: false,
        }
    }

    /// A trace that stays empty.
    pub(super) fn closed() -> Self {
        Self { closed: true, ..Self::new() }
    }

    /// Records that `event` happened to `task`, by the doing of the task `by`.
    pub(super) fn record(&mut self, event: Event, task: u32, by: u32, step: u64, now: u64) {
        if self.closed {
            return;
        }
        let entry = Entry { event, task, by };
        self.keep(entry);
        self.recent[self.recorded % RECENT] = Recent { entry, step, now };
        self.recorded += 1;
    }

    /// Records that the clock jumped.
    pub(super) fn record_time(&mut self, step: u64, now: u64) {
        if !self.closed {
            self.mix_in(now);
            self.record(Event::Time, NOBODY, (now ^ (now >> 32)) as u32, step, now);
        }
    }

    /// Records that `task` drew a random number. Not for reading: there may be many.
    pub(super) fn record_chance(&mut self, task: u32, number: u64) {
        if !self.closed {
            self.keep(Entry { event: Event::Chance, task, by: number as u32 });
        }
    }

    /// Records no more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn hash(&self) -> u64 {
        mix(self.hash)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The last events, as lines.
    pub(super) fn recent(&self, tasks: &Tasks) -> Vec<String> {
        let first = self.recorded.saturating_sub(RECENT);
        let line = |index: usize| {
            let Recent { entry, step, now } = self.recent[index % RECENT];
            let now = Duration::from_nanos(now);
            format!("step {step}, {now:?}: {}", entry.describe(tasks))
        };
        (first..self.recorded).map(line).collect()
    }

    fn keep(&mut self, entry: Entry) {
        self.mix_in(((entry.event as u64) << 60) ^ (u64::from(entry.by) << 28) ^ u64::from(entry.task));
        if self.entries.len() < ENTRIES {
            self.entries.push(entry);
        }
    }

    fn mix_in(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Entry {
    /// Whether a step began with it.
    pub(super) fn is_step(self) -> bool {
        matches!(self.event, Event::Polled | Event::PolledSpuriously | Event::Time)
    }

    /// The event in words.
    pub(super) fn describe(self, tasks: &Tasks) -> String {
        let what = match self.event {
            Event::Spawned => "spawned",
            Event::Refused => "refused by the spawner, as a fault",
            Event::Polled => "polled",
            Event::PolledSpuriously => "polled though nobody woke it, as a fault",
            Event::Woken => "woken",
            Event::CancelledByFault => "cancelled, as a fault",
            Event::PanickedByFault => "made to panic, as a fault",
            Event::Finished => "finished",
            Event::Panicked => "panicked",
            Event::Cancelled => "cancelled",
            Event::Lost => "lost",
            Event::Time => return "the clock jumped".to_owned(),
            Event::Chance => "drew a random number",
        };
        let named = Named::new(tasks, self.task);
        match self.event {
            Event::Spawned | Event::Woken if self.by == self.task => format!("{named} {what} by itself"),
            Event::Woken if self.by == NOBODY => format!("{named} {what} by its timer"),
            Event::Spawned | Event::Woken if self.by != NOBODY => {
                format!("{named} {what} by {}", Named::new(tasks, self.by))
            }
            _ => format!("{named} {what}"),
        }
    }
}

/// Where two traces differ first.
pub(super) struct Difference {
    /// The number of the step.
    pub(super) step: u64,
    /// What each did there; none when its run was over.
    pub(super) entries: [Option<Entry>; 2],
}

impl Difference {
    /// The first difference between the kept entries, if there is one.
    pub(super) fn first(one: &[Entry], two: &[Entry]) -> Option<Self> {
        let same = one.iter().zip(two).take_while(|(a, b)| a == b).count();
        let entries = [one.get(same).copied(), two.get(same).copied()];
        if entries == [None, None] {
            return None;
        }
        let begun = one[..same].iter().filter(|entry| entry.is_step()).count() as u64;
        let begins = entries.iter().flatten().any(|entry| entry.is_step());
        Some(Self { step: begun + u64::from(begins), entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(events: &[(Event, u32)]) -> Trace {
        let mut trace = Trace::new();
        for (step, (event, task)) in events.iter().enumerate() {
            trace.record(*event, *task, NOBODY, step as u64, 0);
        }
        trace
    }

    #[test]
    fn the_hash_is_of_the_order_too() {
        let one = trace(&[(Event::Polled, 1), (Event::Polled, 2)]);
        let two = trace(&[(Event::Polled, 2), (Event::Polled, 1)]);
        assert_ne!(one.hash(), two.hash());
        assert_eq!(one.hash(), trace(&[(Event::Polled, 1), (Event::Polled, 2)]).hash());
    }

    #[test]
    fn the_first_difference_has_its_step() {
        let one = trace(&[(Event::Polled, 1), (Event::Woken, 2), (Event::Polled, 2)]);
        let two = trace(&[(Event::Polled, 1), (Event::Woken, 2), (Event::Polled, 1)]);
        let difference = Difference::first(one.entries(), two.entries()).unwrap();
        assert_eq!(difference.step, 2);
        assert!(Difference::first(one.entries(), one.entries()).is_none());
        let shorter = trace(&[(Event::Polled, 1)]);
        let difference = Difference::first(one.entries(), shorter.entries()).unwrap();
        assert_eq!((difference.step, difference.entries[1]), (1, None));
    }

    #[test]
    fn what_comes_after_the_close_does_not_count() {
        let mut one = trace(&[(Event::Polled, 1)]);
        let hash = one.hash();
        one.close();
        one.record(Event::Lost, 1, NOBODY, 1, 0);
        one.record_time(1, 1);
        assert_eq!((one.hash(), one.entries().len()), (hash, 1));
    }
}
