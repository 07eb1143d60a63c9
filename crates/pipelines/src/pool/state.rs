//! [`Shared`]: the pool's one state in one lock: what waits, what runs, what is done, and who waits for what.
//!
//! Rules.
//! 1. A job is in exactly one of: the queue, the hands of a worker, the finished ones, or outside. It moves under the
//!    lock, and every move is counted.
//! 2. At most `room` jobs are in the pool; a place is free again when the result was taken by a reader, or discarded.
//! 3. So a worker never waits for readers: there is always room for what it has finished.
//! 4. No user code runs under the lock: what is dropped is carried out of it first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use weirs_runtime::waiting::{Look, Serve, Served, Ticket, Turn, Waiters, Wakes, let_go};
use weirs_runtime::{Clock, Instant};

use super::completion::{Completion, JobId};
use super::crew::Crew;
use super::shutdown::Settled;
use super::stats::PoolStats;
use crate::panics;

/// The most jobs that a worker takes at once.
const MOST_IN_HAND: usize = 32;

/// A job that waits.
pub(super) struct Entry<J> {
    pub(super) id: JobId,
    pub(super) job: J,
    /// [`Instant::FAR_FUTURE`] without one.
    pub(super) deadline: Instant,
}

pub(crate) struct Shared<J, T, E> {
    pub(super) clock: Clock,
    pub(super) state: Served<State<J, T, E>>,
}

pub(super) struct State<J, T, E> {
    queue: VecDeque<Entry<J>>,
    /// What is done and not taken. In order, the first one's number is `base`, and a gap is a job that is not done.
    finished: VecDeque<Option<Completion<J, T, E>>>,
    /// How many of those are no gaps.
    unread: usize,
    base: u64,
    ordered: bool,
    /// In the hands of workers.
    in_hand: usize,
    next: u64,
    queue_most: usize,
    room: usize,
    workers: usize,
    /// No more jobs are taken.
    closed: bool,
    /// The owner is gone: what a worker has not begun goes nowhere.
    abandoned: bool,
    intakes: usize,
    readers: Readers,
    counts: Settled,
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

/// How large a pool is.
pub(super) struct Sizes {
    pub(super) queue: usize,
    pub(super) workers: usize,
    pub(super) unread: usize,
    pub(super) ordered: bool,
}

impl<J, T, E> State<J, T, E> {
    fn new(sizes: &Sizes) -> Self {
        Self {
            queue: VecDeque::new(),
            finished: VecDeque::new(),
            unread: 0,
            base: 0,
            ordered: sizes.ordered,
            in_hand: 0,
            next: 0,
            queue_most: sizes.queue,
            room: sizes.queue.saturating_add(sizes.workers).saturating_add(sizes.unread),
            workers: sizes.workers,
            closed: false,
            abandoned: false,
            intakes: 1,
            readers: Readers::NotYet,
            counts: Settled::default(),
            submitters: Line::default(),
            idle: Line::default(),
            waiting_readers: Line::default(),
            settling: Line::default(),
        }
    }

    /// How many jobs may come in.
    fn free(&self) -> usize {
        let inside = self.queue.len() + self.in_hand + self.unread;
        self.queue_most.saturating_sub(self.queue.len()).min(self.room.saturating_sub(inside))
    }

    /// Whether every job that was taken has ended.
    fn is_settled(&self) -> bool {
        self.closed && self.queue.is_empty() && self.in_hand == 0
    }

    /// Whether no result will ever come.
    fn is_over(&self) -> bool {
        self.is_settled() && self.unread == 0
    }

    fn can_read(&self) -> bool {
        match self.finished.front() {
            Some(Some(_)) => true,
            // A job that was handed back: nothing comes of it any more.
            Some(None) => self.is_settled() && self.unread > 0,
            None => false,
        }
    }

    fn push(&mut self, job: J, deadline: Instant) -> JobId {
        let id = JobId(self.next);
        self.next += 1;
        self.counts.taken += 1;
        self.queue.push_back(Entry { id, job, deadline });
        id
    }

    /// Takes in what a worker has finished. What nobody reads is left in `done`.
    fn take_in(&mut self, done: &mut Vec<Completion<J, T, E>>) {
        self.in_hand -= done.len();
        for completion in done.iter() {
            self.counts.count(&completion.result);
        }
        if self.readers == Readers::Gone {
            self.counts.discarded += done.len() as u64;
            return;
        }
        self.unread += done.len();
        if !self.ordered {
            self.finished.extend(done.drain(..).map(Some));
            return;
        }
        for completion in done.drain(..) {
            let place = (completion.id.0 - self.base) as usize;
            if self.finished.len() <= place {
                self.finished.resize_with(place + 1, || None);
            }
            self.finished[place] = Some(completion);
        }
    }
}

impl<J, T, E> Serve for State<J, T, E> {
    fn somebody_waits(&self) -> bool {
        [&self.submitters, &self.idle, &self.waiting_readers, &self.settling]
            .iter()
            .any(|line| !line.waiters.is_empty())
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        let all_if = |all: bool, some: usize| if all { usize::MAX } else { some };
        self.idle.call(all_if(self.closed, self.queue.len()), wakes);
        self.submitters.call(all_if(self.closed, self.free()), wakes);
        let readable = if self.can_read() { self.unread } else { 0 };
        self.waiting_readers.call(all_if(self.is_over(), readable), wakes);
        self.settling.call(all_if(self.is_settled(), 0), wakes);
    }
}

/// Those who wait for the same thing, and how many of them were called and have not come yet.
#[derive(Default)]
struct Line {
    waiters: Waiters,
    called: usize,
}

impl Line {
    /// Calls the first ones, so that with those who were called already there is one for each of so many things.
    fn call(&mut self, things: usize, wakes: &mut Wakes) {
        while self.called < things && !wakes.is_full() {
            let Some(waker) = self.waiters.call_first() else { return };
            self.called += 1;
            wakes.add(waker);
        }
    }

    /// Whether somebody who comes now may go before those who wait: there is more than these were called for.
    fn is_free(&self, things: usize) -> bool {
        self.waiters.is_empty() && self.called < things
    }

    /// Whether the holder of this ticket was called.
    fn is_called(&self, ticket: Option<Ticket>) -> bool {
        ticket.is_some_and(|ticket| self.waiters.is_called(ticket))
    }

    /// The holder goes, served or not.
    fn leave(&mut self, ticket: &mut Option<Ticket>, look: &mut Look<'_, '_>) {
        self.called -= usize::from(self.is_called(*ticket));
        look.leave(&mut self.waiters, ticket);
    }

    /// Waits, in the last place; whoever was called in vain in the first.
    fn wait<R>(&mut self, ticket: &mut Option<Ticket>, look: &mut Look<'_, '_>) -> Turn<R> {
        if !self.is_called(*ticket) {
            return look.wait(&mut self.waiters, 0, ticket);
        }
        let turn = look.wait_first(&mut self.waiters, 0, ticket);
        self.called -= usize::from(matches!(turn, Turn::Waits));
        turn
    }

    /// Takes out one who gives up. The waker is for the caller to drop, outside the lock.
    #[must_use]
    fn give_up(&mut self, ticket: Ticket) -> Option<std::task::Waker> {
        self.called -= usize::from(self.waiters.is_called(ticket));
        self.waiters.leave(ticket)
    }
}

/// What a worker gets when it asks for more.
pub(super) enum Next {
    /// There is something in its hand.
    Jobs,
    /// There never will be.
    Over,
}

impl<J, T, E> Shared<J, T, E> {
    pub(super) fn new(clock: Clock, sizes: &Sizes) -> Arc<Self> {
        Arc::new(Self { clock, state: Served::new(State::new(sizes)) })
    }

    pub(super) fn try_submit(&self, job: J, deadline: Instant) -> Result<JobId, (J, bool)> {
        self.state.change(|state| match state.submitters.is_free(state.free()) {
            _ if state.closed => Err((job, true)),
            true => Ok(state.push(job, deadline)),
            false => Err((job, false)),
        })
    }

    /// The job is taken out when it is submitted; with an error it stays.
    pub(super) fn poll_submit(
        &self,
        job: &mut Option<J>,
        deadline: Instant,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Result<JobId, ()>> {
        self.state.poll(cx, |state, look| {
            if state.closed {
                state.submitters.leave(ticket, look);
                return Turn::Ready(Err(()));
            }
            let free = state.free();
            let may = match ticket {
                Some(_) => state.submitters.is_called(*ticket) && free > 0,
                None => state.submitters.is_free(free),
            };
            if !may {
                return state.submitters.wait(ticket, look);
            }
            state.submitters.leave(ticket, look);
            let job = job.take().expect("it is there until it is submitted");
            Turn::Ready(Ok(state.push(job, deadline)))
        })
    }

    pub(super) fn cancel_submit(&self, ticket: Ticket) {
        let_go(self.state.change(|state| state.submitters.give_up(ticket)));
    }

    /// Gives what is finished, and asks for more. `slow` workers take one job at a time.
    pub(super) fn poll_next(
        &self,
        finished: &mut Vec<Completion<J, T, E>>,
        hand: &mut VecDeque<Entry<J>>,
        slow: bool,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Next> {
        let polled = self.state.poll(cx, |state, look| {
            state.take_in(finished);
            let number = match state.queue.len() {
                0 if state.closed => {
                    state.idle.leave(ticket, look);
                    return Turn::Ready(Next::Over);
                }
                0 => return state.idle.wait(ticket, look),
                _ if slow => 1,
                len => (len / state.workers).clamp(1, MOST_IN_HAND),
            };
            state.idle.leave(ticket, look);
            state.in_hand += number;
            hand.extend(state.queue.drain(..number));
            Turn::Ready(Next::Jobs)
        });
        // Discarded ones, outside the lock.
        finished.drain(..).for_each(panics::let_go);
        polled
    }

    /// Gives what is finished.
    pub(super) fn give(&self, finished: &mut Vec<Completion<J, T, E>>) {
        if !finished.is_empty() {
            self.state.change(|state| state.take_in(finished));
            finished.drain(..).for_each(panics::let_go);
        }
    }

    /// A worker goes: it gives its place in the line back, and what it has not begun, to the front of the queue.
    pub(super) fn leave(&self, ticket: Option<Ticket>, hand: &mut VecDeque<Entry<J>>) {
        let_go(self.state.change(|state| {
            state.in_hand -= hand.len();
            if state.abandoned {
                state.counts.handed_back += hand.len() as u64;
            } else {
                while let Some(entry) = hand.pop_back() {
                    state.queue.push_front(entry);
                }
            }
            ticket.and_then(|ticket| state.idle.give_up(ticket))
        }));
        hand.drain(..).for_each(panics::let_go);
    }

    /// Takes what can be read, for one of the readers.
    pub(super) fn poll_read(
        &self,
        into: &mut VecDeque<Completion<J, T, E>>,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Option<()>> {
        self.state.poll(cx, |state, look| {
            if !state.can_read() {
                if state.is_over() {
                    state.waiting_readers.leave(ticket, look);
                    return Turn::Ready(None);
                }
                return state.waiting_readers.wait(ticket, look);
            }
            state.waiting_readers.leave(ticket, look);
            state.read(into);
            Turn::Ready(Some(()))
        })
    }

    /// A reader goes, with what it has in hand.
    pub(super) fn drop_reader(&self, ticket: Option<Ticket>, left: &mut VecDeque<Completion<J, T, E>>) {
        let (waker, gone) = self.state.change(|state| {
            if let Readers::Some(number) = state.readers {
                state.readers = if number > 1 { Readers::Some(number - 1) } else { Readers::Gone };
            }
            state.counts.discarded += left.len() as u64;
            let gone = if state.readers == Readers::Gone { state.take_finished() } else { VecDeque::new() };
            state.counts.discarded += gone.len() as u64;
            (ticket.and_then(|ticket| state.waiting_readers.give_up(ticket)), gone)
        });
        let_go(waker);
        gone.into_iter().for_each(panics::let_go);
        left.drain(..).for_each(panics::let_go);
    }

    /// Takes all that is done and was not read.
    pub(super) fn take_finished(&self) -> Vec<Completion<J, T, E>> {
        self.state.change(State::take_finished).into()
    }

    pub(super) fn add_reader(&self) {
        self.state.change(|state| match &mut state.readers {
            Readers::Some(number) => *number += 1,
            Readers::NotYet | Readers::Gone => state.readers = Readers::Some(1),
        });
    }

    pub(super) fn add_intake(&self) {
        self.state.change(|state| state.intakes += 1);
    }

    pub(super) fn drop_intake(&self) {
        self.state.change(|state| {
            state.intakes -= 1;
            state.closed |= state.intakes == 0;
        });
    }

    pub(super) fn close(&self) {
        self.state.change(|state| state.closed = true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.peek(|state| state.closed)
    }

    /// Takes everything that waits: nobody will begin it.
    pub(super) fn take_queue(&self) -> VecDeque<Entry<J>> {
        self.state.change(|state| {
            state.closed = true;
            let queue = std::mem::take(&mut state.queue);
            state.counts.handed_back += queue.len() as u64;
            queue
        })
    }

    /// The owner is gone.
    pub(super) fn abandon(&self) {
        self.state.change(|state| state.abandoned = true);
        self.take_queue().into_iter().for_each(panics::let_go);
    }

    pub(super) fn poll_settled(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<Settled> {
        self.state.poll(cx, |state, look| {
            if !state.is_settled() {
                return state.settling.wait(ticket, look);
            }
            state.settling.leave(ticket, look);
            Turn::Ready(state.counts.clone())
        })
    }

    pub(super) fn cancel_settled(&self, ticket: Ticket) {
        let_go(self.state.change(|state| state.settling.give_up(ticket)));
    }

    pub(super) fn counts(&self) -> Settled {
        self.state.peek(|state| state.counts.clone())
    }

    pub(super) fn stats(&self, crew: &Crew) -> PoolStats {
        self.state.peek(|state| PoolStats {
            queued: state.queue.len(),
            in_hand: state.in_hand,
            unread: state.unread,
            closed: state.closed,
            counts: state.counts.clone(),
            workers: crew.stats(),
        })
    }
}

impl<J, T, E> State<J, T, E> {
    fn take_finished(&mut self) -> VecDeque<Completion<J, T, E>> {
        self.unread = 0;
        self.base += self.finished.len() as u64;
        std::mem::take(&mut self.finished).into_iter().flatten().collect()
    }

    /// Takes what can be read; one of several readers takes its part.
    fn read(&mut self, into: &mut VecDeque<Completion<J, T, E>>) {
        let readers = if let Readers::Some(number) = self.readers { number } else { 1 };
        let most = (self.unread / readers).max(1);
        while into.len() < most {
            if !self.can_read() {
                break;
            }
            self.base += 1;
            if let Some(completion) = self.finished.pop_front().flatten() {
                self.unread -= 1;
                into.push_back(completion);
            }
        }
    }
}
