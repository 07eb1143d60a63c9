//! [`Results`]: what the children of a set came to, kept until it is read; of whatever sort of scope.
//!
//! A set has places. A child takes one before it is spawned, and its result keeps it until it is read: so the
//! children that exist and the results that are unread are never more than the places together.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::mem;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::panics::{FirstPanic, contain, forget_panic};
use crate::{ChildId, Ended, Refusal};

/// Shared by a set, its spawners, and its children. `T` is a value, `H` the handle of a child.
pub(crate) struct Results<T, H> {
    limit: NonZeroUsize,
    state: Mutex<State<T, H>>,
}

struct State<T, H> {
    /// How many places are taken: by children that are about to be, children, and unread results.
    taken: usize,
    slots: Vec<Slot<T, H>>,
    vacant: Vec<usize>,
    unread: VecDeque<Finished<T>>,
    /// How many children there ever were.
    spawned: u64,
    /// Who else may spawn, beside the reader.
    spawners: usize,
    reader: Option<Waker>,
    reader_is_gone: bool,
    waiting: VecDeque<(u64, Waker)>,
    tickets: u64,
}

/// A child of the set, between its place and its result.
enum Slot<T, H> {
    Vacant,
    Reserved,
    Live {
        handle: H,
        id: ChildId,
        number: u64,
    },
    /// Over before whoever spawned it had its handle: they are on two threads.
    Early(Result<T, Ended>),
}

/// A result that is not read yet. `number` counts the set's own children, without a gap.
struct Finished<T> {
    number: u64,
    id: ChildId,
    result: Result<T, Ended>,
}

impl<T, H> Results<T, H> {
    pub(crate) fn new(limit: NonZeroUsize) -> Arc<Self> {
        let state = State {
            taken: 0,
            slots: Vec::new(),
            vacant: Vec::new(),
            unread: VecDeque::new(),
            spawned: 0,
            spawners: 0,
            reader: None,
            reader_is_gone: false,
            waiting: VecDeque::new(),
            tickets: 0,
        };
        Arc::new(Self { limit, state: Mutex::new(state) })
    }

    /// How many children and unread results there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().taken
    }

    /// Whether there is a place.
    pub(crate) fn has_place(&self) -> bool {
        self.len() < self.limit.get()
    }

    /// Takes a place, if there is one and nobody else waits for it. `ticket` is of one who waited.
    pub(crate) fn reserve(self: &Arc<Self>, ticket: Option<u64>) -> Result<Ticket<T, H>, Refusal> {
        let mut state = self.lock();
        if state.reader_is_gone {
            return Err(Refusal::Closed);
        }
        let first = state.waiting.front().map(|waiting| waiting.0);
        if state.taken >= self.limit.get() || (first.is_some() && first != ticket) {
            return Err(Refusal::Full);
        }
        if ticket.is_some() {
            state.waiting.pop_front();
        }
        state.taken += 1;
        let slot = match state.vacant.pop() {
            Some(slot) => slot,
            None => {
                state.slots.push(Slot::Vacant);
                state.slots.len() - 1
            }
        };
        state.slots[slot] = Slot::Reserved;
        drop(state);
        if ticket.is_some() {
            // There may be places for more of them.
            self.wake_first_waiting();
        }
        Ok(Ticket { place: Some((Arc::clone(self), slot)), in_poll: false })
    }

    /// The child has its handle. Gives it back when nobody reads any more: the child is to be cancelled.
    pub(crate) fn spawned(&self, slot: usize, handle: H, id: ChildId) -> Option<H> {
        let (reader, unused) = {
            let mut state = self.lock();
            if state.reader_is_gone {
                return Some(handle);
            }
            let number = state.spawned;
            state.spawned += 1;
            match mem::replace(&mut state.slots[slot], Slot::Vacant) {
                Slot::Early(result) => {
                    state.vacant.push(slot);
                    state.unread.push_back(Finished { number, id, result });
                    (state.reader.take(), Some(handle))
                }
                _ => {
                    state.slots[slot] = Slot::Live { handle, id, number };
                    (None, None)
                }
            }
        };
        drop(unused);
        wake(reader);
        None
    }

    fn finished(&self, slot: usize, result: Result<T, Ended>) {
        let (reader, unused) = {
            let mut state = self.lock();
            if state.reader_is_gone {
                drop(state);
                return;
            }
            match mem::replace(&mut state.slots[slot], Slot::Vacant) {
                Slot::Live { handle, id, number } => {
                    state.vacant.push(slot);
                    state.unread.push_back(Finished { number, id, result });
                    (state.reader.take(), Some(handle))
                }
                _ => {
                    state.slots[slot] = Slot::Early(result);
                    (None, None)
                }
            }
        };
        // The handle drops the child's cell, or at least looks at it.
        drop(unused);
        wake(reader);
    }

    /// Nothing was spawned after all.
    fn unreserve(&self, slot: usize) {
        let reader = {
            let mut state = self.lock();
            if state.reader_is_gone {
                return;
            }
            state.slots[slot] = Slot::Vacant;
            state.vacant.push(slot);
            state.taken -= 1;
            state.reader.take()
        };
        wake(reader);
        self.wake_first_waiting();
    }

    /// The next result, in the order in which they came. It keeps its place until [`read`](Self::read).
    fn poll_finished(&self, cx: &mut Context<'_>) -> Poll<Option<Finished<T>>> {
        let mut new = None;
        loop {
            let mut state = self.lock();
            if let Some(finished) = state.unread.pop_front() {
                return Poll::Ready(Some(finished));
            }
            if state.taken == 0 && state.spawners == 0 {
                return Poll::Ready(None);
            }
            if state.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            match new.take() {
                Some(waker) => {
                    let before = state.reader.replace(waker);
                    drop(state);
                    drop(before);
                    return Poll::Pending;
                }
                // Cloning is user code: not under the lock.
                None => {
                    drop(state);
                    new = Some(cx.waker().clone());
                }
            }
        }
    }

    /// A result was read: its place is free.
    fn read(&self) {
        self.lock().taken -= 1;
        self.wake_first_waiting();
    }

    /// Nobody reads any more: `cancel`s the children that live. Whatever panics here keeps none of them.
    ///
    /// # Panics
    /// With the panic of a value's destructor, after all that; called by a destructor.
    pub(crate) fn forsake(&self, cancel: impl Fn(&H)) {
        let (slots, unread, reader, waiting) = {
            let mut state = self.lock();
            state.reader_is_gone = true;
            let slots = mem::take(&mut state.slots);
            (slots, mem::take(&mut state.unread), state.reader.take(), mem::take(&mut state.waiting))
        };
        let mut panics = FirstPanic::default();
        for slot in &slots {
            if let Slot::Live { handle, .. } = slot {
                panics.run(|| cancel(handle));
            }
        }
        waiting.into_iter().for_each(|(_, waker)| wake(Some(waker)));
        panics.run(|| drop(reader));
        slots.into_iter().for_each(|slot| panics.run(|| drop(slot)));
        unread.into_iter().for_each(|finished| panics.run(|| drop(finished)));
        panics.resume_in_drop();
    }

    pub(crate) fn add_spawner(&self) {
        self.lock().spawners += 1;
    }

    pub(crate) fn remove_spawner(&self) {
        let reader = {
            let mut state = self.lock();
            state.spawners -= 1;
            if state.spawners == 0 { state.reader.take() } else { None }
        };
        wake(reader);
    }

    fn wait_for_place(&self, ticket: &mut Option<u64>, waker: &Waker) {
        let waker = waker.clone();
        let before = {
            let mut state = self.lock();
            let number = *ticket.get_or_insert_with(|| {
                state.tickets += 1;
                state.tickets
            });
            // Numbers only grow, so the queue is in their order.
            match state.waiting.binary_search_by_key(&number, |waiting| waiting.0) {
                Ok(at) => Some(mem::replace(&mut state.waiting[at].1, waker)),
                Err(_) => {
                    state.waiting.push_back((number, waker));
                    None
                }
            }
        };
        drop(before);
    }

    fn leave_queue(&self, ticket: u64) {
        let gone = {
            let mut state = self.lock();
            let at = state.waiting.binary_search_by_key(&ticket, |waiting| waiting.0);
            at.ok().and_then(|at| state.waiting.remove(at))
        };
        drop(gone);
        self.wake_first_waiting();
    }

    fn wake_first_waiting(&self) {
        let first = {
            let mut state = self.lock();
            let room = state.taken < self.limit.get();
            match state.waiting.front_mut() {
                // It stays at the head of the queue; it will come with a waker again if it has to.
                Some(first) if room => Some(mem::replace(&mut first.1, Waker::noop().clone())),
                _ => None,
            }
        };
        wake(first);
    }

    // No user code runs under this lock.
    fn lock(&self) -> MutexGuard<'_, State<T, H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        // Often in a destructor, and never for the sake of the one who wakes.
        forget_panic(contain(|| waker.wake()));
    }
}

/// A place in a set. Dropped with a child that has not ended, it says so.
pub(crate) struct Ticket<T, H> {
    place: Option<(Arc<Results<T, H>>, usize)>,
    /// Its child is being polled: if that is where the ticket is dropped, the child has panicked.
    in_poll: bool,
}

impl<T, H> Ticket<T, H> {
    /// Where it is, to tell of the child's handle; none after it was used.
    pub(crate) fn slot(&self) -> usize {
        self.place.as_ref().map_or(usize::MAX, |place| place.1)
    }

    pub(crate) fn finish(mut self, result: Result<T, Ended>) {
        if let Some((results, slot)) = self.place.take() {
            results.finished(slot, result);
        }
    }

    /// The child was not spawned.
    pub(crate) fn undo(mut self) {
        if let Some((results, slot)) = self.place.take() {
            results.unreserve(slot);
        }
    }

    pub(crate) fn about_to_settle(&mut self) {
        self.in_poll = true;
    }
}

impl<T, H> Drop for Ticket<T, H> {
    fn drop(&mut self) {
        if let Some((results, slot)) = self.place.take() {
            let why = if self.in_poll { Ended::Panicked } else { Ended::Cancelled };
            results.finished(slot, Err(why));
        }
    }
}

pin_project! {
    /// A child of a set: its future, and the ticket for its result.
    pub(crate) struct Reporting<F, T, H> {
        #[pin]
        future: Option<F>,
        // After the future: what is told to be over is gone.
        ticket: Option<Ticket<T, H>>,
    }
}

impl<F, T, H> Reporting<F, T, H> {
    pub(crate) fn new(future: F, ticket: Ticket<T, H>) -> Self {
        Self { future: Some(future), ticket: Some(ticket) }
    }

    /// The future of a child that was not spawned, and never polled.
    pub(crate) fn undo(self) -> F {
        if let Some(ticket) = self.ticket {
            ticket.undo();
        }
        self.future.expect("it was not polled")
    }
}

impl<F: Future, T, H> Future for Reporting<F, T, H> {
    type Output = (F::Output, Ticket<T, H>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let ticket = this.ticket.as_mut().expect("polled after it was ready");
        let future = this.future.as_mut().as_pin_mut().expect("polled after it was ready");
        ticket.in_poll = true;
        match future.poll(cx) {
            Poll::Pending => {
                ticket.in_poll = false;
                Poll::Pending
            }
            Poll::Ready(output) => {
                this.future.set(None);
                let mut ticket = this.ticket.take().expect("it was there before");
                ticket.in_poll = false;
                Poll::Ready((output, ticket))
            }
        }
    }
}

/// Waits for a place in a set.
pub(crate) struct Place<T, H> {
    results: Arc<Results<T, H>>,
    number: Option<u64>,
}

impl<T, H> Place<T, H> {
    pub(crate) fn new(results: Arc<Results<T, H>>) -> Self {
        Self { results, number: None }
    }
}

impl<T, H> Future for Place<T, H> {
    type Output = Result<Ticket<T, H>, Refusal>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut queued = false;
        loop {
            match this.results.reserve(this.number) {
                Ok(ticket) => {
                    this.number = None;
                    return Poll::Ready(Ok(ticket));
                }
                Err(Refusal::Full) if queued => return Poll::Pending,
                Err(Refusal::Full) => this.results.wait_for_place(&mut this.number, cx.waker()),
                Err(why) => return Poll::Ready(Err(why)),
            }
            // A place that came between the first look and the queue is seen by a second look.
            queued = true;
        }
    }
}

impl<T, H> Drop for Place<T, H> {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            self.results.leave_queue(number);
        }
    }
}

/// In which order a reader is given the results.
pub(crate) enum Order<T> {
    Completion,
    /// Those that came before their turn wait here, in their places.
    Spawning {
        next: u64,
        early: BTreeMap<u64, (ChildId, Result<T, Ended>)>,
    },
}

impl<T> Order<T> {
    pub(crate) fn spawning() -> Self {
        Self::Spawning { next: 0, early: BTreeMap::new() }
    }

    pub(crate) fn poll_next<H>(
        &mut self,
        results: &Results<T, H>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(ChildId, Result<T, Ended>)>> {
        loop {
            if let Self::Spawning { next, early } = self {
                if let Some(result) = early.remove(next) {
                    *next += 1;
                    results.read();
                    return Poll::Ready(Some(result));
                }
            }
            let Some(finished) = std::task::ready!(results.poll_finished(cx)) else {
                return Poll::Ready(None);
            };
            match self {
                Self::Completion => {
                    results.read();
                    return Poll::Ready(Some((finished.id, finished.result)));
                }
                Self::Spawning { early, .. } => {
                    early.insert(finished.number, (finished.id, finished.result));
                }
            }
        }
    }
}

/// Waits for the next of a stream; made by `join_next` of sets of results.
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct JoinNext<'a, S> {
    stream: &'a mut S,
}

impl<'a, S> JoinNext<'a, S> {
    pub(crate) fn new(stream: &'a mut S) -> Self {
        Self { stream }
    }
}

impl<S: Stream + Unpin> Future for JoinNext<'_, S> {
    type Output = Option<S::Item>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        Pin::new(&mut *self.stream).poll_next(cx)
    }
}
