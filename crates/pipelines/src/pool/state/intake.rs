//! What those who hand in jobs do with the state.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use weirs_runtime::Instant;
use weirs_runtime::waiting::{Ticket, Turn, let_go};

use super::{Shared, State};
use crate::pool::completion::JobId;
use crate::pool::entry::{Entry, Jobs, Offer, Slip};

impl<J, T, E> State<J, T, E> {
    /// How many jobs somebody may hand in, with this ticket or without.
    ///
    /// What workers have in hand and have not begun may come back, and whoever was called has come for those
    /// places: nobody else takes what would be left then.
    fn share(&self, ticket: Option<Ticket>) -> usize {
        let may_come_back = match ticket {
            None if self.submitters.has_called() => self.in_hand.saturating_sub(self.hands),
            _ => 0,
        };
        self.submitters.share(ticket, self.free().saturating_sub(may_come_back))
    }

    fn push(&mut self, offer: Offer<J, T, E>, since: Instant) -> JobId {
        let Offer { job, key, deadline, reply } = offer;
        let id = JobId(self.next_id);
        let order = self.next_order;
        self.next_id += 1;
        self.next_order += u64::from(reply.is_none());
        self.counts.taken += 1;
        let entry = Entry { slip: Slip { id, order, key, deadline, since, reply }, job };
        let entry = match &mut self.keys {
            Some(keys) => keys.admit(key, entry),
            None => Some(entry),
        };
        self.queue.extend(entry);
        id
    }

    /// Takes the first of these.
    fn push_some(&mut self, jobs: &mut Jobs<J>, number: usize, since: Instant) {
        if self.keys.is_none() {
            return self.push_without_keys(&mut jobs.jobs, number, since);
        }
        for (job, key) in jobs.jobs.drain(..number).zip(jobs.keys.drain(..number)) {
            self.push(Offer { key, ..Offer::of(job) }, since);
        }
    }

    fn push_without_keys(&mut self, jobs: &mut VecDeque<J>, number: usize, since: Instant) {
        self.queue.push_plain(Slip::plain(JobId(self.next_id), self.next_order, since), jobs, number);
        let number = number as u64;
        self.next_id += number;
        self.next_order += number;
        self.counts.taken += number;
    }
}

impl<J, T, E> Shared<J, T, E> {
    /// Without a key of the job's, and of the user's code.
    pub(in crate::pool) fn offer(&self, job: J) -> Offer<J, T, E> {
        let key = self.key.as_ref().map_or(0, |key| key(&job));
        Offer { key, ..Offer::of(job) }
    }

    /// One more of those that are to be submitted together.
    #[inline]
    pub(in crate::pool) fn offer_one_of(&self, jobs: &mut Jobs<J>, job: J) {
        if let Some(key) = &self.key {
            jobs.keys.push_back(key(&job));
        }
        jobs.jobs.push_back(job);
    }

    fn since(&self) -> Instant {
        if self.wants.times { self.clock.now() } else { Instant::from_nanos(0) }
    }

    /// The offer comes back with whether the pool is closed.
    pub(in crate::pool) fn try_submit(&self, offer: Offer<J, T, E>) -> Result<JobId, (J, bool)> {
        let since = self.since();
        self.change(|state| match state.share(None) {
            _ if state.closed => Err((offer.job, true)),
            0 => Err((offer.job, false)),
            _ => Ok(state.push(offer, since)),
        })
    }

    /// Takes these, as far as there is room; of a pool without keys.
    pub(in crate::pool) fn try_submit_all(&self, jobs: &mut VecDeque<J>) {
        debug_assert!(self.key.is_none(), "what the key of a job is, is for the user to say");
        let since = self.since();
        self.change(|state| {
            let room = if state.closed { 0 } else { state.share(None) };
            state.push_without_keys(jobs, room.min(jobs.len()), since);
        });
    }

    /// The offer is asked for when it is submitted, under the lock; when the pool is closed it never is.
    pub(in crate::pool) fn poll_submit(
        &self,
        offer: impl FnOnce() -> Offer<J, T, E>,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Result<JobId, ()>> {
        let since = self.since();
        let mut offer = Some(offer);
        self.poll(cx, |state, look| {
            if state.closed {
                state.submitters.leave(ticket, look);
                return Turn::Ready(Err(()));
            }
            if state.share(*ticket) == 0 {
                return state.submitters.wait(1, ticket, look);
            }
            state.submitters.leave(ticket, look);
            let offer = offer.take().expect("it is submitted once");
            Turn::Ready(Ok(state.push(offer(), since)))
        })
    }

    /// Submits as many of these as fit; ready when it was at least one, with how many.
    pub(in crate::pool) fn poll_submit_some(
        &self,
        jobs: &mut Jobs<J>,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Result<usize, ()>> {
        let since = self.since();
        self.poll(cx, |state, look| {
            if state.closed {
                state.submitters.leave(ticket, look);
                return Turn::Ready(Err(()));
            }
            let number = state.share(*ticket).min(jobs.len());
            if number == 0 {
                // Half a queue at a time, or it would be woken for every job.
                let wants = jobs.len().min(state.queue_most.div_ceil(2));
                return state.submitters.wait(wants, ticket, look);
            }
            state.submitters.leave(ticket, look);
            state.push_some(jobs, number, since);
            Turn::Ready(Ok(number))
        })
    }

    pub(in crate::pool) fn cancel_submit(&self, ticket: Ticket) {
        let_go(self.change(|state| state.submitters.give_up(ticket)));
    }
}
