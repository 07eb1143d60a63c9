//! [`AcquirePermit`] and its siblings: waiting for permits.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use weirs_runtime::waiting::{Ticket, Wakes, let_go};
use weirs_runtime::{Instant, Sleep};

use super::queue::Look;
use super::{OwnedPermit, Permit, Semaphore};
use crate::Denied;
use crate::sync::lock;

/// The future of [`Semaphore::acquire`]. Polled again after its end it asks anew.
#[must_use = "it does nothing unless it is awaited"]
pub struct AcquirePermit<'a> {
    semaphore: &'a Semaphore,
    n: u64,
    place: Place,
}

impl<'a> AcquirePermit<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, n: u64) -> Self {
        Self { semaphore, n, place: None }
    }
}

impl<'a> Future for AcquirePermit<'a> {
    type Output = Result<Permit<'a>, Denied>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = this.semaphore.poll(this.n, &mut this.place, cx);
        polled.map_ok(|()| Permit::new(this.semaphore, this.n))
    }
}

impl Drop for AcquirePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.place {
            self.semaphore.leave(ticket);
        }
    }
}

impl fmt::Debug for AcquirePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquirePermit").field("n", &self.n).finish_non_exhaustive()
    }
}

/// The future of [`Semaphore::acquire_owned`]. Polled again after its end it asks anew.
#[must_use = "it does nothing unless it is awaited"]
pub struct AcquirePermitOwned {
    semaphore: Arc<Semaphore>,
    n: u64,
    place: Place,
}

impl AcquirePermitOwned {
    #[inline]
    pub(super) fn new(semaphore: Arc<Semaphore>, n: u64) -> Self {
        Self { semaphore, n, place: None }
    }
}

impl Future for AcquirePermitOwned {
    type Output = Result<OwnedPermit, Denied>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = this.semaphore.poll(this.n, &mut this.place, cx);
        polled.map_ok(|()| OwnedPermit::new(Arc::clone(&this.semaphore), this.n))
    }
}

impl Drop for AcquirePermitOwned {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.place {
            self.semaphore.leave(ticket);
        }
    }
}

impl fmt::Debug for AcquirePermitOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquirePermitOwned").field("n", &self.n).finish_non_exhaustive()
    }
}

/// The future of [`Semaphore::acquire_by`]. Polled again after its end it asks anew.
#[must_use = "it does nothing unless it is awaited"]
#[derive(Debug)]
pub struct AcquirePermitBy<'a> {
    acquire: AcquirePermit<'a>,
    deadline: Sleep,
}

impl<'a> AcquirePermitBy<'a> {
    pub(super) fn new(semaphore: &'a Semaphore, n: u64, deadline: Instant) -> Self {
        Self { acquire: AcquirePermit::new(semaphore, n), deadline: semaphore.clock.sleep_until(deadline) }
    }
}

impl<'a> Future for AcquirePermitBy<'a> {
    type Output = Result<Permit<'a>, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(result) = Pin::new(&mut this.acquire).poll(cx) {
            return Poll::Ready(result);
        }
        if Pin::new(&mut this.deadline).poll(cx).is_pending() {
            return Poll::Pending;
        }
        if let Some(ticket) = this.acquire.place.take() {
            this.acquire.semaphore.leave(ticket);
        }
        this.acquire.semaphore.deadline_passed(this.acquire.n).map(Err)
    }
}

/// The future of [`Semaphore::acquire_owned_by`]. Polled again after its end it asks anew.
#[must_use = "it does nothing unless it is awaited"]
#[derive(Debug)]
pub struct AcquirePermitOwnedBy {
    acquire: AcquirePermitOwned,
    deadline: Sleep,
}

impl AcquirePermitOwnedBy {
    pub(super) fn new(semaphore: Arc<Semaphore>, n: u64, deadline: Instant) -> Self {
        let deadline = semaphore.clock.sleep_until(deadline);
        Self { acquire: AcquirePermitOwned::new(semaphore, n), deadline }
    }
}

impl Future for AcquirePermitOwnedBy {
    type Output = Result<OwnedPermit, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(result) = Pin::new(&mut this.acquire).poll(cx) {
            return Poll::Ready(result);
        }
        if Pin::new(&mut this.deadline).poll(cx).is_pending() {
            return Poll::Pending;
        }
        if let Some(ticket) = this.acquire.place.take() {
            this.acquire.semaphore.leave(ticket);
        }
        this.acquire.semaphore.deadline_passed(this.acquire.n).map(Err)
    }
}

/// The place in the queue of one who waits, as a number.
type Place = Option<u64>;

impl Semaphore {
    #[inline]
    pub(super) fn poll(&self, n: u64, place: &mut Place, cx: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        if place.is_none() && self.word.take_if_nobody_waits(n) {
            self.counts.admit(n);
            return Poll::Ready(Ok(()));
        }
        self.poll_slowly(n, place, cx)
    }

    pub(super) fn deadline_passed(&self, n: u64) -> Poll<Denied> {
        self.counts.count::<()>(n, &Err(Denied::DeadlinePassed));
        Poll::Ready(Denied::DeadlinePassed)
    }

    #[cold]
    fn poll_slowly(&self, n: u64, place: &mut Place, cx: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        let polled = self.poll_queue(n, place, cx);
        if let Poll::Ready(result) = &polled {
            self.counts.count(n, result);
        }
        polled
    }

    fn poll_queue(&self, n: u64, place: &mut Place, cx: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        match *place {
            Some(ticket) => {
                let polled = self.look(Ticket::of(ticket as usize), cx);
                if polled.is_ready() {
                    *place = None;
                }
                polled
            }
            None => {
                // Where it may overtake, it may be done before it needs a waker.
                if self.word.available() >= n {
                    match lock(&self.queue).try_take(&self.word, n) {
                        Err(Denied::Busy { .. }) => {}
                        result => return Poll::Ready(result),
                    }
                }
                let mut waker = Some(cx.waker().clone());
                let now = self.now_if_counted();
                let joined = lock(&self.queue).join(&self.word, n, now, &mut waker);
                match joined {
                    Ok(Some(ticket)) => {
                        *place = Some(ticket.place() as u64);
                        Poll::Pending
                    }
                    Ok(None) => Poll::Ready(Ok(())),
                    Err(denied) => Poll::Ready(Err(denied)),
                }
            }
        }
    }

    fn look(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        let mut fresh: Option<Waker> = None;
        loop {
            // All are dropped after the lock.
            let (mut wakes, mut old) = (Wakes::default(), None);
            let _replaced;
            let mut queue = lock(&self.queue);
            let (polled, others) = match queue.look(&self.word, ticket, cx.waker(), &mut old) {
                Look::Over { result, took } => (Poll::Ready(result), took),
                Look::Waits { lost } => (Poll::Pending, lost),
                Look::Waker => {
                    match fresh.take() {
                        Some(waker) => _replaced = queue.replace(ticket, waker),
                        None => {
                            drop(queue);
                            fresh = Some(cx.waker().clone());
                        }
                    }
                    continue;
                }
            };
            let done = !others || queue.serve(&self.word, &mut wakes);
            drop(queue);
            let_go(old);
            if !done {
                drop(wakes);
                self.serve();
            }
            return polled;
        }
    }

    /// Takes a wait back.
    #[cold]
    pub(super) fn leave(&self, ticket: u64) {
        // They are dropped after the lock.
        let mut wakes = Wakes::default();
        let mut queue = lock(&self.queue);
        let waker = queue.leave(&self.word, Ticket::of(ticket as usize));
        let done = queue.serve(&self.word, &mut wakes);
        drop(queue);
        let_go(waker);
        if !done {
            drop(wakes);
            self.serve();
        }
    }
}
