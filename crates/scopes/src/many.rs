//! [`Many`]: futures of one type, of which only those are polled that were woken, and not too many in a turn.

mod woken;

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use self::woken::{SlotWaker, Woken};
use crate::panics::FirstPanic;

/// So many are polled in one turn before the others of the executor get theirs.
///
/// Under tokio it must stay well below the 128 waits after which nothing in a task is ready any more: beyond
/// that each poll is in vain, comes again, and makes the whole quadratic.
pub(crate) const BUDGET: usize = 64;

/// Up to here it is cheaper to ask all than to find out who was woken.
const FEW: usize = 32;

/// Futures of one type that are polled together until each is ready.
///
/// A sweep polls those that were woken since the last one, in the order of their slots, and goes on over as
/// many turns as it takes. Whoever is woken meanwhile waits for the next sweep. So nobody is asked twice
/// before everybody who was woken was asked once.
pub(crate) struct Many<F> {
    slots: Vec<Slot<F>>,
    live: usize,
    /// None for few futures: they share the caller's waker.
    woken: Option<Sweep>,
}

pub(crate) struct Slot<F> {
    /// Its place in the list that the caller gave.
    number: usize,
    // A box each: without `unsafe` nothing else can be pinned within a list. It is freed as soon as its
    // future is ready.
    future: Option<Pin<Box<F>>>,
    waker: Option<Waker>,
}

struct Sweep {
    woken: Arc<Woken>,
    /// The slots of this sweep, and how many of them were polled already.
    batch: Vec<usize>,
    polled: usize,
    /// A waker that nobody else holds: most futures are ready at their first poll or not at all.
    spare: Option<Arc<SlotWaker>>,
}

impl<F: Future> Many<F> {
    /// The futures, asked in the order that `arrange` puts their slots into.
    pub(crate) fn new(futures: impl Iterator<Item = F>, arrange: impl FnOnce(&mut [Slot<F>])) -> Self {
        let slot = |(number, future)| Slot { number, future: Some(Box::pin(future)), waker: None };
        let mut slots: Vec<_> = futures.enumerate().map(slot).collect();
        arrange(&mut slots);
        let live = slots.len();
        Self { slots, live, woken: (live > FEW).then(|| Sweep::of_all(live)) }
    }

    /// How many are not ready yet.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Polls those that were woken, at most `budget` of them, and shows each output with the number of its
    /// future. At a break the future that was ready stays where it is, like the others, until
    /// [`clear`](Many::clear).
    pub(crate) fn poll_turn<B>(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        mut visit: impl FnMut(usize, F::Output) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(sweep) = &mut self.woken else {
            for slot in &mut self.slots {
                poll_slot(slot, &mut self.live, |future| future.poll(cx), &mut visit)?;
            }
            return ControlFlow::Continue(());
        };
        sweep.begin();
        for _ in 0..budget {
            let Some(index) = sweep.next() else { break };
            let slot = &mut self.slots[index];
            let waker = slot.waker.take();
            let mut kept = None;
            let poll = |future: Pin<&mut F>| {
                // Only here: a future that is gone needs no waker.
                let waker = waker.unwrap_or_else(|| sweep.waker(index));
                let poll = future.poll(&mut Context::from_waker(&waker));
                kept = poll.is_pending().then_some(waker);
                poll
            };
            poll_slot(slot, &mut self.live, poll, &mut visit)?;
            slot.waker = kept;
        }
        sweep.end(cx.waker());
        ControlFlow::Continue(())
    }

    /// Drops all futures that are left.
    pub(crate) fn clear(&mut self, panics: &mut FirstPanic) {
        drop_all(&mut self.slots, panics);
        self.live = 0;
    }
}

/// Polls the future of a slot if there is one; when it is ready, shows the output and drops the future.
fn poll_slot<F: Future, B>(
    slot: &mut Slot<F>,
    live: &mut usize,
    poll: impl FnOnce(Pin<&mut F>) -> Poll<F::Output>,
    visit: &mut impl FnMut(usize, F::Output) -> ControlFlow<B>,
) -> ControlFlow<B> {
    if let Some(future) = &mut slot.future {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            visit(slot.number, output)?;
            *live -= 1;
            slot.future = None;
        }
    }
    ControlFlow::Continue(())
}

fn drop_all<F>(slots: &mut [Slot<F>], panics: &mut FirstPanic) {
    for slot in slots {
        let future = slot.future.take();
        panics.run(|| drop(future));
    }
}

impl<F> Drop for Many<F> {
    fn drop(&mut self) {
        if let Some(sweep) = &self.woken {
            sweep.woken.close();
        }
        let mut panics = FirstPanic::default();
        drop_all(&mut self.slots, &mut panics);
        panics.resume_in_drop();
    }
}

impl Sweep {
    /// The first sweep, over so many slots.
    fn of_all(slots: usize) -> Self {
        Self { woken: Arc::new(Woken::all(slots)), batch: (0..slots).collect(), polled: 0, spare: None }
    }

    /// Begins the next sweep if the last is over.
    fn begin(&mut self) {
        if self.polled == self.batch.len() {
            self.batch.clear();
            self.polled = 0;
            self.woken.swap(&mut self.batch);
            self.batch.sort_unstable();
        }
    }

    /// The next slot to poll.
    fn next(&mut self) -> Option<usize> {
        let index = *self.batch.get(self.polled)?;
        self.polled += 1;
        self.woken.is_polled(index);
        Some(index)
    }

    /// Ends the turn: the task is woken when there is something to poll, or at once if there is already.
    fn end(&self, task: &Waker) {
        if self.polled < self.batch.len() || !self.woken.wait(task) {
            task.wake_by_ref();
        }
    }

    /// A waker for this slot.
    fn waker(&mut self, index: usize) -> Waker {
        if let Some(spare) = &mut self.spare {
            if let Some(waker) = Arc::get_mut(spare) {
                waker.slot = index;
                return Waker::from(Arc::clone(spare));
            }
        }
        let waker = Arc::new(SlotWaker { woken: Arc::clone(&self.woken), slot: index });
        self.spare = Some(Arc::clone(&waker));
        Waker::from(waker)
    }
}
