//! [`DeadLetterRing`]: the last dead letters, in memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_sink::Sink;
use weirs_runtime::waiting::{Serve, Served, Ticket, Turn, Waiters, Wakes, let_go};

use super::DeadLetter;
use crate::panics;

/// The last dead letters, in memory: a place for them, and the way back.
///
/// When it is full, the oldest letter makes room, and is counted; or, if it [waits](Self::wait_when_full),
/// the stage stands still until somebody takes letters out. It is a handle: clones share one ring.
///
/// [`redrive`](Self::redrive) sends jobs through a stage that [has](crate::Pipeline::dead_letters_in) this
/// ring again, before whatever is new; each at most [three times](Self::redrive_cap).
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// use weirs_pipelines::{DeadLetterRing, Pipeline};
/// use weirs_runtime::block_on;
///
/// static OUTAGE: AtomicBool = AtomicBool::new(true);
/// let store = async |n: u32| if OUTAGE.load(Relaxed) && n % 2 == 0 { Err("no connection") } else { Ok(n) };
///
/// let ring = DeadLetterRing::new(NonZeroUsize::new(100).unwrap());
/// let source = || Pipeline::source(futures_lite::stream::iter(1..=4));
/// let plan = source().stage("store", 1, store).dead_letters_in(&ring).collect();
/// assert_eq!(block_on(plan.drive().unwrap()).unwrap().output, [1, 3]);
/// assert_eq!(ring.len(), 2);
///
/// // The database is there again.
/// OUTAGE.store(false, Relaxed);
/// assert_eq!(ring.redrive(|letter| letter.error == Some("no connection")), 2);
/// let nothing_new = Pipeline::source(futures_lite::stream::empty());
/// let plan = nothing_new.stage("store", 1, store).dead_letters_in(&ring).collect();
/// assert_eq!(block_on(plan.drive().unwrap()).unwrap().output, [2, 4]);
/// ```
pub struct DeadLetterRing<J, E> {
    shared: Arc<Served<State<J, E>>>,
    /// Of this handle, which waits for room.
    ticket: Option<Ticket>,
}

struct State<J, E> {
    letters: VecDeque<DeadLetter<J, E>>,
    /// On their way back: the jobs, and how often they were sent.
    again: VecDeque<(J, u32)>,
    /// Places among those on their way back, for whoever is choosing now.
    kept_free: usize,
    capacity: usize,
    waits: bool,
    cap: u32,
    stats: RingStats,
    putting: Waiters,
    taking: Waiters,
}

/// A look at a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingStats {
    /// How many letters are in it.
    pub len: usize,
    /// How many jobs are on their way back to a stage.
    pub returning: usize,
    /// How many letters it ever got.
    pub put: u64,
    /// How many had to make room.
    pub evicted: u64,
    /// How many jobs were sent back.
    pub redriven: u64,
}

impl<J, E> State<J, E> {
    fn has_room(&self) -> bool {
        self.letters.len() < self.capacity
    }
}

impl<J, E> Serve for State<J, E> {
    fn somebody_waits(&self) -> bool {
        !self.putting.is_empty() || !self.taking.is_empty()
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        let so = [(self.has_room(), &mut self.putting), (!self.again.is_empty(), &mut self.taking)];
        for (_, waiters) in so.into_iter().filter(|(so, _)| *so) {
            while !wakes.is_full() {
                let Some(waker) = waiters.call_first() else { break };
                wakes.add(waker);
            }
        }
    }
}

impl<J, E> DeadLetterRing<J, E> {
    /// For so many letters.
    pub fn new(capacity: NonZeroUsize) -> Self {
        let state = State {
            letters: VecDeque::new(),
            again: VecDeque::new(),
            kept_free: 0,
            capacity: capacity.get(),
            waits: false,
            cap: 3,
            stats: RingStats::default(),
            putting: Waiters::new(),
            taking: Waiters::new(),
        };
        Self { shared: Arc::new(Served::new(state)), ticket: None }
    }

    /// When it is full, the stage waits until letters were taken out: no letter makes room for another.
    #[must_use]
    pub fn wait_when_full(self) -> Self {
        self.shared.change(|state| state.waits = true);
        self
    }

    /// How often a job may be sent back: 3 times unless said otherwise. What comes back as a letter more
    /// often stays.
    #[must_use]
    pub fn redrive_cap(self, most: u32) -> Self {
        self.shared.change(|state| state.cap = most);
        self
    }

    /// How many letters there are.
    pub fn len(&self) -> usize {
        self.shared.peek(|state| state.letters.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A look at it.
    pub fn stats(&self) -> RingStats {
        self.shared.peek(|state| RingStats {
            len: state.letters.len(),
            returning: state.again.len(),
            ..state.stats
        })
    }

    /// Takes all letters out, the oldest first.
    pub fn take(&self) -> Vec<DeadLetter<J, E>> {
        self.shared.change(|state| std::mem::take(&mut state.letters)).into()
    }

    /// Sends the jobs of those letters of which the filter says so back to their stage, and gives how many.
    /// What was sent back as often as the cap allows stays; and no more jobs are on their way back at a time
    /// than the ring has places for letters.
    ///
    /// If no stage takes them now, they wait for the next pipeline that has this ring.
    ///
    /// # Panics
    /// A panic of the filter goes to the caller; all letters stay.
    pub fn redrive(&self, mut filter: impl FnMut(&DeadLetter<J, E>) -> bool) -> usize {
        // Whoever is asked may take its time, and use the ring: no lock is held meanwhile.
        let (cap, mut borrowed) = self.take_out();
        let mut room = borrowed.room;
        let choose = |letter: &DeadLetter<J, E>| {
            let chosen = room > 0 && letter.redrives < cap && filter(letter);
            room -= usize::from(chosen);
            chosen
        };
        let chosen: Vec<bool> = borrowed.letters.iter().map(choose).collect();
        let mut stay = VecDeque::new();
        let mut go = Vec::new();
        for (letter, chosen) in borrowed.letters.drain(..).zip(chosen) {
            match chosen {
                true => go.push((letter.job, letter.redrives + 1, letter.error, letter.panic)),
                false => stay.push_back(letter),
            }
        }
        borrowed.letters = stay;
        let number = go.len();
        let mut jobs = Vec::with_capacity(number);
        for (job, redrives, error, panic) in go {
            jobs.push((job, redrives));
            panics::let_go(error);
            panics::let_go(panic);
        }
        self.shared.change(|state| {
            state.stats.redriven += number as u64;
            state.again.extend(jobs);
        });
        number
    }

    /// How often a job may be sent back, all letters, and all the room for jobs on their way back.
    fn take_out(&self) -> (u32, Borrowed<'_, J, E>) {
        self.shared.change(|state| {
            let room = state.capacity.saturating_sub(state.again.len() + state.kept_free);
            state.kept_free += room;
            let letters = std::mem::take(&mut state.letters);
            (state.cap, Borrowed { ring: self, letters, room })
        })
    }

    /// The next job that comes back, if there is one; otherwise whoever asks is woken when there is.
    pub(crate) fn poll_again(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<(J, u32)> {
        self.shared.poll(cx, |state, look| match state.again.pop_front() {
            Some(job) => {
                look.leave(&mut state.taking, ticket);
                Turn::Ready(job)
            }
            None if ticket.is_some_and(|ticket| state.taking.is_called(ticket)) => {
                look.wait_first(&mut state.taking, 0, ticket)
            }
            None => look.wait(&mut state.taking, 0, ticket),
        })
    }

    /// The next job that comes back, if there is one now.
    pub(crate) fn try_again(&self) -> Option<(J, u32)> {
        self.shared.change(|state| state.again.pop_front())
    }

    /// Puts a job back that was to come back and was not begun.
    pub(crate) fn forget(&self, ticket: &mut Option<Ticket>) {
        if let Some(ticket) = ticket.take() {
            let_go(self.shared.change(|state| state.taking.leave(ticket)));
        }
    }

    fn stop_waiting(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let_go(self.shared.change(|state| state.putting.leave(ticket)));
        }
    }
}

/// Letters that a filter looks at: they go back to the front, whatever it does.
struct Borrowed<'r, J, E> {
    ring: &'r DeadLetterRing<J, E>,
    letters: VecDeque<DeadLetter<J, E>>,
    /// So many may go back to their stage; nobody else may send any meanwhile.
    room: usize,
}

impl<J, E> Drop for Borrowed<'_, J, E> {
    fn drop(&mut self) {
        let evicted = self.ring.shared.change(|state| {
            state.kept_free -= self.room;
            while let Some(letter) = self.letters.pop_back() {
                state.letters.push_front(letter);
            }
            let over = state.letters.len().saturating_sub(state.capacity);
            if state.waits {
                return VecDeque::new();
            }
            state.stats.evicted += over as u64;
            state.letters.drain(..over).collect()
        });
        evicted.into_iter().for_each(panics::let_go);
    }
}

impl<J, E> Clone for DeadLetterRing<J, E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ticket: None }
    }
}

impl<J, E> Drop for DeadLetterRing<J, E> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

impl<J, E> Unpin for DeadLetterRing<J, E> {}

/// Letters go in by the ecosystem's own trait.
impl<J, E> Sink<DeadLetter<J, E>> for DeadLetterRing<J, E> {
    type Error = Infallible;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let this = &mut *self;
        let (shared, ticket) = (&this.shared, &mut this.ticket);
        shared
            .poll(cx, |state, look| {
                if !state.waits || state.has_room() {
                    look.leave(&mut state.putting, ticket);
                    return Turn::Ready(());
                }
                if ticket.is_some_and(|ticket| state.putting.is_called(ticket)) {
                    return look.wait_first(&mut state.putting, 0, ticket);
                }
                look.wait(&mut state.putting, 0, ticket)
            })
            .map(Ok)
    }

    fn start_send(self: Pin<&mut Self>, letter: DeadLetter<J, E>) -> Result<(), Infallible> {
        let evicted = self.shared.change(|state| {
            state.stats.put += 1;
            let evicted = if state.has_room() || state.waits { None } else { state.letters.pop_front() };
            state.stats.evicted += u64::from(evicted.is_some());
            state.letters.push_back(letter);
            evicted
        });
        panics::let_go(evicted);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl<J, E> fmt::Debug for DeadLetterRing<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterRing").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
