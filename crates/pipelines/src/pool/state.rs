//! [`Shared`]: the pool's one state in one lock: what waits, what runs, what is done, and who waits for what.
//!
//! Rules.
//! 1. A job is in exactly one of: the queue (or behind one of its key), the hands of a worker, the unread
//!    ones, those left over, or outside. It moves under the lock, and every move is counted.
//! 2. At most `room` jobs are in the pool; a place is free again when the result was taken by a reader, went
//!    to its caller, or was discarded.
//! 3. So a worker never waits for readers: there is always room for what it has finished.
//! 4. No user code runs under the lock: what is dropped or answered is carried out of it first, in an
//!    [`Out`].
//! 5. Without a worker the pool is closed, and what waits is handed back: nobody waits for what cannot come.

mod intake;
mod readers;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use weirs_runtime::waiting::{Serve, Served, Ticket, Turn, Wakes, let_go};
use weirs_runtime::{Clock, Instant};

use super::builder::Plan;
use super::call::CallError;
use super::completion::{Completion, JobId};
use super::crew::Crew;
use super::entry::{Entry, Hand, Out};
use super::event::{Observer, PoolEvent, Told};
use super::harvest::{Harvest, Tally, Wants};
use super::keys::Keys;
use super::measures::{Backlog, Measures};
use super::outbox::{Outbox, append};
use super::queue::Queue;
use super::shutdown::Settled;
use super::stats::PoolStats;
use crate::line::Line;
use crate::panics;

/// The most jobs that a worker takes at once, and the most results that a reader does.
const MOST_IN_HAND: usize = 32;

/// So many jobs that are quicker than a worker is woken are worth a worker.
const QUICK_IN_HAND: usize = 16;

/// How long a worker's last jobs took.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// One at a time, so that none waits behind a slow one.
    Slow,
    /// Those who are free share what waits.
    Steady,
    /// Less than it takes to wake a worker.
    Quick,
}

/// The key of a job, as a hash.
pub(super) type KeyOf<J> = Arc<dyn Fn(&J) -> u64 + Send + Sync>;

pub(crate) struct Shared<J, T, E> {
    pub(super) clock: Clock,
    key: Option<KeyOf<J>>,
    wants: Wants,
    pub(super) observer: Option<Observer>,
    /// Set under the lock, and read by workers between two jobs.
    stopped: Arc<AtomicBool>,
    pub(super) state: Served<State<J, T, E>>,
}

pub(super) struct State<J, T, E> {
    queue: Queue<J, T, E>,
    keys: Option<Keys<Entry<J, T, E>>>,
    outbox: Outbox<Completion<J, T, E>>,
    /// Not begun, and to be handed back.
    left: Vec<Entry<J, T, E>>,
    /// In the hands of workers.
    in_hand: usize,
    /// How many workers have some in hand, one of which they do.
    hands: usize,
    /// The pace of the worker that came last.
    pace: Pace,
    next_id: u64,
    next_order: u64,
    pub(super) queue_most: usize,
    room: usize,
    /// How many workers there shall be, and how many there are.
    wanted: usize,
    workers: usize,
    stop_on_error: bool,
    /// No more jobs are taken.
    closed: bool,
    /// None is begun any more.
    stopped: Arc<AtomicBool>,
    /// The owner is gone: what is handed back goes nowhere.
    abandoned: bool,
    intakes: usize,
    readers: Readers,
    counts: Settled,
    retried: u64,
    measures: Option<Box<Measures>>,
    pub(super) told: Told,
    submitters: Line,
    idle: Line,
    waiting_readers: Line,
    settling: Line,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// None yet: results wait for them.
    NotYet,
    Some(usize),
    /// They left: results are discarded.
    Gone,
}

impl<J, T, E> State<J, T, E> {
    fn new(plan: &Plan<J>, now: Instant, stopped: Arc<AtomicBool>) -> Self {
        Self {
            queue: Queue::default(),
            keys: plan.key.is_some().then(Keys::default),
            outbox: Outbox::new(plan.ordered),
            left: Vec::new(),
            in_hand: 0,
            hands: 0,
            pace: Pace::Slow,
            next_id: 0,
            next_order: 0,
            queue_most: plan.queue,
            room: plan.queue.saturating_add(plan.most_workers).saturating_add(plan.unread),
            wanted: plan.workers,
            workers: plan.workers,
            stop_on_error: plan.stop_on_error,
            closed: false,
            stopped,
            abandoned: false,
            intakes: 1,
            readers: if plan.discards { Readers::Gone } else { Readers::NotYet },
            counts: Settled::default(),
            retried: 0,
            measures: plan.measured.then(|| Box::new(Measures::new(now))),
            told: Told::default(),
            submitters: Line::default(),
            idle: Line::default(),
            waiting_readers: Line::default(),
            settling: Line::default(),
        }
    }

    /// How many jobs wait.
    fn queued(&self) -> usize {
        self.queue.len() + self.keys.as_ref().map_or(0, Keys::waiting)
    }

    /// How many jobs may come in.
    pub(super) fn free(&self) -> usize {
        let inside = self.queued() + self.in_hand + self.outbox.len();
        self.queue_most.saturating_sub(self.queued()).min(self.room.saturating_sub(inside))
    }

    /// Whether every job that was taken has ended.
    fn is_settled(&self) -> bool {
        self.closed && self.queued() == 0 && self.in_hand == 0
    }

    /// Whether no result will ever come.
    fn is_over(&self) -> bool {
        self.is_settled() && self.outbox.len() == 0
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Takes in what a worker has finished.
    fn take_in(&mut self, harvest: &mut Harvest<J, T, E>, out: &mut Out<J, T, E>) {
        if harvest.is_empty() {
            return;
        }
        let Tally { counts, retried, fails } = harvest.tally();
        self.in_hand -= counts.ended() as usize;
        self.counts.add(&counts);
        self.retried += retried;
        if let Some(measures) = &mut self.measures {
            harvest.times().for_each(|(waited, took)| measures.add(waited, took));
        }
        if let Some(keys) = &mut self.keys {
            self.queue.extend(harvest.keys().filter_map(|key| keys.done(key)));
        }
        out.answers.append(harvest.answers());
        let (completions, orders) = harvest.completions();
        let discarded = out.discarded.len();
        if self.readers == Readers::Gone {
            orders.clear();
            append(&mut out.discarded, completions);
        } else {
            self.outbox.take_in(completions, orders, &mut out.discarded);
        }
        self.counts.discarded += (out.discarded.len() - discarded) as u64;
        if fails && self.stop_on_error {
            self.stop(out);
        }
    }

    /// No job is begun any more.
    fn stop(&mut self, out: &mut Out<J, T, E>) {
        self.closed = true;
        self.stopped.store(true, Ordering::Relaxed);
        let mut waiting = mem::take(&mut self.queue);
        let behind = self.keys.as_mut().map(Keys::take);
        while let Some(entry) = waiting.pop() {
            self.hand_back(entry, out);
        }
        for entry in behind.into_iter().flatten() {
            self.hand_back(entry, out);
        }
    }

    /// The job was not begun, and will not be.
    fn hand_back(&mut self, entry: Entry<J, T, E>, out: &mut Out<J, T, E>) {
        self.counts.handed_back += 1;
        let Entry { slip, job } = entry;
        match slip.reply {
            Some(reply) => out.answers.push((reply, Err(CallError::Closed(job)))),
            None => {
                if self.readers != Readers::Gone {
                    self.outbox.never(slip.order);
                }
                if self.abandoned {
                    out.dropped.push(job);
                } else {
                    self.left.push(Entry { slip, job });
                }
            }
        }
    }

    /// Takes back what a worker has not begun.
    fn put_back(&mut self, hand: &mut Queue<J, T, E>, out: &mut Out<J, T, E>) {
        if !hand.is_empty() {
            // The one before them waits for something, and others shall not wait for it.
            self.pace = Pace::Slow;
        }
        self.in_hand -= hand.len();
        while let Some(entry) = hand.pop_last() {
            if self.is_stopped() {
                self.hand_back(entry, out);
            } else {
                self.queue.put_back(entry);
            }
        }
    }

    /// How many results one of the readers takes at once: one of several takes no more than it reads now.
    fn portion(&self) -> usize {
        if let Readers::Some(2..) = self.readers { 1 } else { MOST_IN_HAND }
    }
}

impl<J, T, E> Serve for State<J, T, E> {
    fn somebody_waits(&self) -> bool {
        [&self.submitters, &self.idle, &self.waiting_readers, &self.settling]
            .iter()
            .any(|line| !line.is_empty())
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        let all_if = |all: bool, some: usize| if all { usize::MAX } else { some };
        let settled = self.is_settled();
        let too_many = self.workers.saturating_sub(self.wanted);
        let hands = match self.pace {
            Pace::Quick if self.keys.is_none() => self.queue.len().div_ceil(QUICK_IN_HAND),
            _ => self.queue.len(),
        };
        self.idle.call(all_if(settled || self.is_stopped(), hands + too_many), wakes);
        let free = self.free();
        self.submitters.call(all_if(self.closed, free), wakes);
        if free > 0 && self.queue.is_empty() {
            // Whoever waits for several places at once gets what there is, before a worker stands idle.
            self.submitters.call_one(wakes);
        }
        // All of them: one that was polled once, and then left alone, must not keep a result from the others.
        self.waiting_readers.call(all_if(self.is_over() || self.outbox.ready() > 0, 0), wakes);
        self.settling.call(all_if(settled, 0), wakes);
    }
}

/// What a worker gets when it asks for more.
pub(super) enum Next {
    /// There is something in its hand.
    Jobs,
    /// There never will be, or there is one worker too many.
    Leave,
}

impl<J, T, E> Shared<J, T, E> {
    pub(super) fn new(clock: Clock, plan: &Plan<J>, observer: Option<Observer>) -> Arc<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let state = State::new(plan, clock.now(), Arc::clone(&stopped));
        let key = plan.key.clone();
        let wants = Wants { orders: plan.ordered, keys: key.is_some(), times: plan.measured };
        Arc::new(Self { clock, key, wants, observer, stopped, state: Served::new(state) })
    }

    /// What workers tell of jobs that have ended.
    pub(super) fn wants(&self) -> Wants {
        self.wants
    }

    /// Whether no job is begun any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether there is a worker at all.
    pub(super) fn has_workers(&self) -> bool {
        self.state.peek(|state| state.workers > 0)
    }

    /// One more worker comes, besides those of the plan. False says that it is not wanted.
    pub(super) fn join(&self) -> bool {
        self.change(|state| {
            let wanted = state.workers < state.wanted && !state.is_stopped() && !state.is_settled();
            state.workers += usize::from(wanted);
            wanted
        })
    }

    /// Gives what is finished, and asks for more, at this pace.
    pub(super) fn poll_next(
        &self,
        harvest: &mut Harvest<J, T, E>,
        hand: &mut Hand<J, T, E>,
        pace: Pace,
        ticket: &mut Option<Ticket>,
        out: &mut Out<J, T, E>,
        cx: &Context<'_>,
    ) -> Poll<Next> {
        let polled = self.poll(cx, |state, look| {
            if ticket.is_none() {
                // It comes from its work.
                state.pace = pace;
            }
            state.take_in(harvest, out);
            state.hands -= usize::from(mem::take(&mut hand.is_counted));
            if state.workers > state.wanted || state.is_settled() || state.is_stopped() {
                state.idle.leave(ticket, look);
                return Turn::Ready(Next::Leave);
            }
            let number = match state.queue.len() {
                0 => return state.idle.wait(1, ticket, look),
                // Those of one key shall not wait in two hands.
                _ if pace == Pace::Slow || state.keys.is_some() => 1,
                len => {
                    let least = if pace == Pace::Quick { len.min(QUICK_IN_HAND) } else { 1 };
                    (len / state.workers).clamp(least, MOST_IN_HAND)
                }
            };
            state.idle.leave(ticket, look);
            state.in_hand += number;
            state.hands += 1;
            hand.is_counted = true;
            state.queue.move_to(&mut hand.jobs, number);
            Turn::Ready(Next::Jobs)
        });
        out.clear();
        polled
    }

    /// Gives what is finished, and what was not begun.
    pub(super) fn give(
        &self,
        harvest: &mut Harvest<J, T, E>,
        hand: &mut Queue<J, T, E>,
        out: &mut Out<J, T, E>,
    ) {
        if harvest.is_empty() && hand.is_empty() {
            return;
        }
        self.change(|state| {
            state.take_in(harvest, out);
            state.put_back(hand, out);
        });
        out.clear();
    }

    /// A worker goes. The last one closes the pool.
    pub(super) fn leave(&self, ticket: Option<Ticket>, hand: &Hand<J, T, E>) {
        let mut out = Out::default();
        let_go(self.change(|state| {
            state.workers -= 1;
            state.hands -= usize::from(hand.is_counted);
            if state.workers == 0 {
                state.stop(&mut out);
            }
            ticket.and_then(|ticket| state.idle.give_up(ticket))
        }));
        out.clear();
    }

    /// How many workers there shall be: those that are too many leave between two jobs.
    pub(super) fn want(&self, workers: usize) {
        let from = self.change(|state| mem::replace(&mut state.wanted, workers));
        if from != workers {
            self.tell(&PoolEvent::Resized { from, to: workers });
        }
    }

    /// Works on the measurements; none are taken without `measured`.
    pub(super) fn measures<R>(&self, look: impl FnOnce(&mut Measures, Backlog) -> R) -> Option<R> {
        self.change(|state| {
            let oldest = state.queue.oldest();
            let backlog = Backlog { queued: state.queued(), oldest, workers: state.workers };
            state.measures.as_mut().map(|measures| look(measures, backlog))
        })
    }

    /// No observer hears of what others have done just now: a handle may be cloned and dropped under a lock
    /// that the observer takes.
    pub(super) fn add_intake(&self) {
        self.state.change(|state| state.intakes += 1);
    }

    /// See [`add_intake`](Self::add_intake).
    pub(super) fn drop_intake(&self) {
        self.state.change(|state| {
            state.intakes -= 1;
            state.closed |= state.intakes == 0;
        });
    }

    pub(super) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.peek(|state| state.closed)
    }

    /// Has no job begun any more.
    pub(super) fn stop(&self) {
        let mut out = Out::default();
        self.change(|state| state.stop(&mut out));
        out.clear();
    }

    /// Takes what was left over, in the order of submission.
    pub(super) fn take_left(&self) -> Vec<(JobId, J)> {
        let mut left = self.change(|state| mem::take(&mut state.left));
        left.sort_unstable_by_key(|entry| entry.slip.id);
        left.into_iter().map(|entry| (entry.slip.id, entry.job)).collect()
    }

    /// The owner is gone.
    pub(super) fn abandon(&self) {
        let mut out = Out::default();
        let left = self.change(|state| {
            state.abandoned = true;
            state.stop(&mut out);
            mem::take(&mut state.left)
        });
        out.clear();
        left.into_iter().for_each(|entry| panics::let_go(entry.job));
    }

    pub(super) fn poll_settled(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<Settled> {
        self.poll(cx, |state, look| {
            if !state.is_settled() {
                return state.settling.wait(1, ticket, look);
            }
            state.settling.leave(ticket, look);
            Turn::Ready(state.counts.clone())
        })
    }

    pub(super) fn cancel_settled(&self, ticket: Ticket) {
        let_go(self.change(|state| state.settling.give_up(ticket)));
    }

    pub(super) fn counts(&self) -> Settled {
        self.state.peek(|state| state.counts.clone())
    }

    pub(super) fn stats(&self, crew: &Crew) -> PoolStats {
        let workers = crew.stats();
        let at = self.clock.now();
        self.state.peek(|state| PoolStats {
            at,
            queued: state.queued(),
            in_hand: state.in_hand,
            unread: state.outbox.len(),
            closed: state.closed,
            counts: state.counts.clone(),
            retried: state.retried,
            times: state.measures.as_ref().map(|measures| measures.times()),
            workers,
        })
    }
}
