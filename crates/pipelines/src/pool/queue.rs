//! [`Queue`]: jobs in a row, each with its slip; those of which only the number is known have one together.

use std::collections::VecDeque;
use std::mem;

use weirs_runtime::Instant;

use super::completion::JobId;
use super::entry::{Entry, Slip};
use super::outbox::{append, move_first};

/// Jobs in a row, each with its slip.
///
/// Most jobs came with others, one number after another, and have nothing else to tell them apart. Such a run
/// has one slip: so what moves from thread to thread is hardly more than the jobs.
pub(super) struct Queue<J, T, E> {
    jobs: VecDeque<J>,
    /// Together as long as `jobs`.
    runs: VecDeque<Run<J, T, E>>,
}

/// The slips of some jobs in a row. If there are several, they are plain.
struct Run<J, T, E> {
    /// Of the first.
    slip: Slip<J, T, E>,
    length: usize,
}

impl<J, T, E> Run<J, T, E> {
    /// The slip of a plain job so many places after the first.
    #[inline]
    fn at(&self, place: usize) -> Slip<J, T, E> {
        let place = place as u64;
        Slip::plain(JobId(self.slip.id.0 + place), self.slip.order + place, self.slip.since)
    }

    /// Takes out the first one; not the only one.
    #[inline]
    fn take_first(&mut self) -> Slip<J, T, E> {
        let first = self.at(0);
        self.slip.id.0 += 1;
        self.slip.order += 1;
        self.length -= 1;
        first
    }

    /// Takes out the first ones; not all of them.
    fn split(&mut self, length: usize) -> Self {
        let rest = self.at(length);
        self.length -= length;
        Self { slip: mem::replace(&mut self.slip, rest), length }
    }

    /// Whether the other one is the rest of it.
    fn goes_on(&self, next: &Self) -> bool {
        let length = self.length as u64;
        let (slip, other) = (&self.slip, &next.slip);
        slip.is_plain()
            && other.is_plain()
            && slip.id.0 + length == other.id.0
            && slip.order + length == other.order
            && slip.since == other.since
    }
}

impl<J, T, E> Queue<J, T, E> {
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Since when the first waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.runs.front().map(|run| run.slip.since)
    }

    pub(super) fn push(&mut self, entry: Entry<J, T, E>) {
        self.jobs.push_back(entry.job);
        self.push_run(Run { slip: entry.slip, length: 1 });
    }

    /// Puts in the first of these plain jobs, with the slip of the first.
    pub(super) fn push_plain(&mut self, slip: Slip<J, T, E>, jobs: &mut VecDeque<J>, number: usize) {
        if number > 0 {
            self.push_run(Run { slip, length: number });
            if number == jobs.len() {
                append(&mut self.jobs, jobs);
            } else {
                move_first(&mut self.jobs, jobs, number);
            }
        }
    }

    fn push_run(&mut self, run: Run<J, T, E>) {
        match self.runs.back_mut() {
            Some(last) if last.goes_on(&run) => last.length += run.length,
            _ => self.runs.push_back(run),
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Entry<J, T, E>> {
        let job = self.jobs.pop_front()?;
        let slip = match self.runs.front_mut() {
            Some(run) if run.length > 1 => run.take_first(),
            _ => self.runs.pop_front().expect("each job has a slip").slip,
        };
        Some(Entry { slip, job })
    }

    /// Puts one back that was the first.
    pub(super) fn put_back(&mut self, entry: Entry<J, T, E>) {
        self.jobs.push_front(entry.job);
        let mut run = Run { slip: entry.slip, length: 1 };
        match self.runs.front_mut() {
            Some(first) if run.goes_on(first) => {
                run.length += first.length;
                *first = run;
            }
            _ => self.runs.push_front(run),
        }
    }

    /// Takes out the last.
    pub(super) fn pop_last(&mut self) -> Option<Entry<J, T, E>> {
        let job = self.jobs.pop_back()?;
        let slip = match self.runs.back_mut() {
            Some(run) if run.length > 1 => {
                run.length -= 1;
                run.at(run.length)
            }
            _ => self.runs.pop_back().expect("each job has a slip").slip,
        };
        Some(Entry { slip, job })
    }

    /// Moves the first ones to another queue.
    pub(super) fn move_to(&mut self, other: &mut Self, number: usize) {
        if number == self.len() && other.is_empty() {
            // All of them, and none is moved.
            return mem::swap(self, other);
        }
        move_first(&mut other.jobs, &mut self.jobs, number);
        let mut left = number;
        while left > 0 {
            let first = self.runs.front_mut().expect("each job has a slip");
            let run = if first.length > left {
                first.split(left)
            } else {
                self.runs.pop_front().expect("it is there")
            };
            left -= run.length;
            other.push_run(run);
        }
    }
}

impl<J, T, E> Default for Queue<J, T, E> {
    fn default() -> Self {
        Self { jobs: VecDeque::new(), runs: VecDeque::new() }
    }
}

impl<J, T, E> Extend<Entry<J, T, E>> for Queue<J, T, E> {
    fn extend<I: IntoIterator<Item = Entry<J, T, E>>>(&mut self, entries: I) {
        entries.into_iter().for_each(|entry| self.push(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Plain = Queue<char, (), ()>;

    fn slip(id: u64) -> Slip<char, (), ()> {
        Slip::plain(JobId(id), id, Instant::from_nanos(0))
    }

    /// The jobs in order, and the numbers of them.
    fn all(queue: &mut Plain) -> Vec<(char, u64)> {
        std::iter::from_fn(|| queue.pop()).map(|entry| (entry.job, entry.slip.id.0)).collect()
    }

    #[test]
    fn runs_grow_part_and_come_together_again() {
        let mut queue = Plain::default();
        let mut jobs: VecDeque<char> = "abcde".chars().collect();
        queue.push_plain(slip(0), &mut jobs, 3);
        queue.push_plain(slip(3), &mut jobs, 2);
        queue.push(Entry { slip: slip(5), job: 'f' });
        assert_eq!((queue.len(), queue.runs.len()), (6, 1));
        let mut hand = Plain::default();
        queue.move_to(&mut hand, 4);
        assert_eq!((hand.len(), queue.len(), hand.runs.len(), queue.runs.len()), (4, 2, 1, 1));
        let first = hand.pop().unwrap();
        assert_eq!((first.job, first.slip.id), ('a', JobId(0)));
        while let Some(entry) = hand.pop_last() {
            queue.put_back(entry);
        }
        assert_eq!(queue.runs.len(), 1);
        assert_eq!(all(&mut queue), [('b', 1), ('c', 2), ('d', 3), ('e', 4), ('f', 5)]);
        assert!(queue.is_empty() && queue.runs.is_empty());
    }

    #[test]
    fn a_job_with_a_slip_of_its_own_is_a_run_of_its_own() {
        let mut queue = Plain::default();
        queue.push(Entry { slip: slip(0), job: 'a' });
        queue.push(Entry { slip: Slip { deadline: Instant::from_nanos(9), ..slip(1) }, job: 'b' });
        queue.push(Entry { slip: slip(2), job: 'c' });
        queue.push(Entry { slip: slip(4), job: 'e' });
        assert_eq!(queue.runs.len(), 4);
        let mut hand = Plain::default();
        queue.move_to(&mut hand, 2);
        assert_eq!(hand.pop_last().unwrap().slip.deadline, Instant::from_nanos(9));
        assert_eq!(all(&mut hand), [('a', 0)]);
        queue.move_to(&mut hand, 2);
        assert_eq!(all(&mut hand), [('c', 2), ('e', 4)]);
    }
}
