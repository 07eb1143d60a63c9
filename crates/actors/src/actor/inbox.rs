//! [`Inbox`]: the queue of an actor.
// tidy: allow(size): one queue in one lock; what changes it is read together.

mod face;

use std::collections::VecDeque;
use std::mem::{swap, take};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

use weirs_runtime::Instant;
use weirs_runtime::waiting::{Serve, Served, Ticket, Turn, Waiters, Wakes, wake};

use super::ask::Orphan;
use super::letters::MailboxOf;
use super::mailbox::Overflow;
use crate::current::Unheard;
use crate::panics::let_go;
use crate::supervise::{Face, Kind, Node, Snapshot, What};
use crate::sync::modelled::{AtomicU8, AtomicUsize, Ordering};
use crate::ties::{Tied, Ties};
use crate::{DeadReason, Exit, current};

/// The most messages that are handled in one go, before others get their turn on the executor.
pub(crate) const BUDGET: usize = 64;

/// There are urgent messages.
const URGENT: u8 = 1;
/// There are replies that were dropped while a message was handled.
const ORPHANS: u8 = 2;

/// One that this life is linked to has failed.
const STRUCK: u8 = 4;

/// The queue of an actor. It outlives the actor's lives.
pub(crate) struct Inbox<M> {
    settings: MailboxOf<M>,
    signals: AtomicU8,
    state: Served<State<M>>,
    /// How many messages of its batches the actor has done, ever. Only the actor writes it.
    done: AtomicUsize,
    /// How many others it has done: of timers, streams and futures.
    done_beside: AtomicUsize,
    ties: Ties,
    node: OnceLock<Weak<Node>>,
}

pub(crate) struct State<M> {
    queue: VecDeque<M>,
    /// What few have, made when the first of it is needed.
    rare: Option<Box<Rare<M>>>,
    /// How many are in the actor's hands, when it had done so many.
    taken: usize,
    counted: usize,
    /// An urgent one is in the actor's hands.
    urgent_taken: bool,
    /// How many may come because they waited for room and got it.
    promised: usize,
    capacity: usize,
    receiver: Option<Waker>,
    /// How it ended, if it did.
    closed: Option<Exit>,
    draining: bool,
    handled: u64,
}

/// What most queues never have: it is no part of the size of those that only wait.
struct Rare<M> {
    /// One that a life ended over, and that comes before all.
    again: Option<Box<Again<M>>>,
    urgent: VecDeque<M>,
    /// Those who wait for room, and whether they were promised some.
    senders: Waiters<bool>,
    watchers: Waiters<()>,
    handling: Option<(&'static str, Instant)>,
}

impl<M> Rare<M> {
    fn new() -> Box<Self> {
        Box::new(Self {
            again: None,
            urgent: VecDeque::new(),
            senders: Waiters::new(),
            watchers: Waiters::new(),
            handling: None,
        })
    }
}

/// A message that a life ended over, to be handled again.
pub(crate) struct Again<M> {
    pub(crate) message: M,
    /// How many times it has come again, with this one.
    pub(crate) times: u32,
}

impl<M> State<M> {
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.queue.len() + self.taken + self.promised)
    }

    fn is_open(&self) -> bool {
        self.closed.is_none() && !self.draining
    }

    /// Whether a message may come, and nobody waits to send one before it.
    fn has_room(&self) -> bool {
        self.room() > 0 && self.rare.as_ref().is_none_or(|rare| rare.senders.is_empty())
    }

    fn rare(&mut self) -> &mut Rare<M> {
        self.rare.get_or_insert_with(Rare::new)
    }

    fn queued(&self) -> usize {
        let rare = self.rare.as_ref();
        let rare = rare.map_or(0, |rare| rare.urgent.len() + usize::from(rare.again.is_some()));
        self.queue.len() + self.taken + usize::from(self.urgent_taken) + rare
    }
}

impl<M> Serve for State<M> {
    fn somebody_waits(&self) -> bool {
        let Some(rare) = &self.rare else { return false };
        let senders = !rare.senders.is_empty() && (self.room() > 0 || !self.is_open());
        senders || (self.closed.is_some() && !rare.watchers.is_empty())
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        while !wakes.is_full() {
            let (room, is_open) = (self.room(), self.is_open());
            let Some(rare) = &mut self.rare else { return };
            if self.closed.is_some() {
                if let Some(waker) = rare.watchers.call_first() {
                    wakes.add(waker);
                    continue;
                }
            }
            if !is_open {
                match rare.senders.call_first() {
                    Some(waker) => wakes.add(waker),
                    None => return,
                }
            } else if room > 0 && !rare.senders.is_empty() {
                self.promised += 1;
                if let Some(first) = rare.senders.first() {
                    *rare.senders.get_mut(first) = true;
                }
                if let Some(waker) = rare.senders.call_first() {
                    wakes.add(waker);
                }
            } else {
                return;
            }
        }
    }
}

/// Why a message was not taken.
pub(crate) enum Refused<M> {
    Full(M),
    Closed(M),
}

/// What there is for the actor to do.
pub(crate) enum Taken {
    Some,
    /// Nobody tells it anything any more, and nothing is left.
    Drained,
}

impl<M> Inbox<M> {
    pub(crate) fn new(settings: impl Into<MailboxOf<M>>) -> Arc<Self> {
        let settings = settings.into();
        let state = State {
            queue: VecDeque::new(),
            rare: None,
            taken: 0,
            counted: 0,
            urgent_taken: false,
            promised: 0,
            capacity: settings.mailbox.capacity(),
            receiver: None,
            closed: None,
            draining: false,
            handled: 0,
        };
        Arc::new(Self {
            settings,
            signals: AtomicU8::new(0),
            state: Served::new(state),
            done: AtomicUsize::new(0),
            done_beside: AtomicUsize::new(0),
            ties: Ties::default(),
            node: OnceLock::new(),
        })
    }

    pub(crate) fn belongs_to(&self, node: &Arc<Node>) {
        let _ = self.node.set(Arc::downgrade(node));
    }

    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        self.node.get().and_then(Weak::upgrade)
    }

    /// Puts a message in, without waiting.
    #[inline]
    pub(crate) fn push(&self, message: M) -> Result<(), Refused<M>> {
        let pushed = self.state.change(|state| {
            if state.is_open() && state.has_room() {
                state.queue.push_back(message);
                Ok(state.receiver.take())
            } else {
                Err(message)
            }
        });
        match pushed {
            Ok(None) => Ok(()),
            Ok(Some(receiver)) => {
                wake(receiver);
                Ok(())
            }
            Err(message) => self.push_full(message),
        }
    }

    /// The same where there may be no room.
    #[cold]
    fn push_full(&self, message: M) -> Result<(), Refused<M>> {
        let (result, dropped, receiver) = self.state.change(|state| {
            if !state.is_open() {
                return (Err(Refused::Closed(message)), None, None);
            }
            self.count(state);
            if state.has_room() {
                state.queue.push_back(message);
                return (Ok(()), None, state.receiver.take());
            }
            match self.settings.mailbox.overflow {
                Overflow::Wait => (Err(Refused::Full(message)), None, None),
                Overflow::DropNewest => (Ok(()), Some(message), None),
                Overflow::DropOldest => match state.queue.pop_front() {
                    Some(oldest) => {
                        state.queue.push_back(message);
                        (Ok(()), Some(oldest), state.receiver.take())
                    }
                    // All of them are in the actor's hands.
                    None => (Ok(()), Some(message), None),
                },
            }
        });
        if let Some(receiver) = receiver {
            wake(receiver);
        }
        if let Some(dropped) = dropped {
            self.unheard(dropped, Unheard::Overflow);
        }
        result
    }

    /// Lets go of a message that no actor has seen.
    pub(crate) fn unheard(&self, message: M, why: Unheard) {
        let reason = match why {
            Unheard::Closed => DeadReason::Ended,
            Unheard::Overflow => DeadReason::Overflow,
        };
        current::unheard(why, || self.let_go_of(message, reason));
        self.dead(1, reason);
    }

    /// Gives a dead letter to whoever takes them, or drops it.
    fn let_go_of(&self, message: M, reason: DeadReason) {
        if let Err(message) = self.settings.bury(message, reason) {
            let_go(message);
        }
    }

    /// A message that a life ended over does not come again.
    pub(crate) fn bury(&self, message: M, reason: DeadReason) {
        self.let_go_of(message, reason);
        self.dead(1, reason);
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.settings.mailbox.capacity()
    }

    /// A copy of a message that is about to be handled, if it may come again.
    #[inline]
    pub(crate) fn copy(&self, message: &M) -> Option<Box<M>> {
        self.settings.copy(message).map(Box::new)
    }

    /// Whether messages may come again.
    #[inline]
    pub(crate) const fn copies(&self) -> bool {
        self.settings.special.is_some()
    }

    /// How many times a message may come again.
    pub(crate) fn most_again(&self) -> u32 {
        self.settings.most()
    }

    /// What the life before ended over, if it comes again.
    pub(crate) fn take_again(&self) -> Option<Box<Again<M>>> {
        if self.most_again() == 0 {
            return None;
        }
        self.state.change(|state| state.rare.as_mut()?.again.take())
    }

    /// So many more are in the actor's hands.
    pub(crate) fn in_hand(&self, more: usize) {
        if more > 0 {
            self.state.change(|state| {
                self.count(state);
                state.taken += more;
            });
        }
    }

    pub(crate) const fn ties(&self) -> &Ties {
        &self.ties
    }

    /// How it has ended for good, if it has.
    pub(crate) fn ended(&self) -> Option<Exit> {
        self.state.peek(|state| state.closed.clone())
    }

    /// Why this life has to end, if one that it is linked to has failed.
    #[inline]
    pub(crate) fn take_struck(&self) -> Option<Exit> {
        if self.signals.load(Ordering::Acquire) & STRUCK == 0 {
            return None;
        }
        self.signals.fetch_and(!STRUCK, Ordering::AcqRel);
        self.ties.take_struck()
    }

    /// It is in no list any more.
    pub(crate) fn leave_lists(&self) {
        self.ties.leave_all(std::ptr::from_ref(self).addr());
    }

    /// Waits for room. Ready, there is a place promised, which [`Inbox::push_promised`] or
    /// [`Inbox::leave`] uses up.
    pub(crate) fn poll_room(&self, cx: &Context<'_>, ticket: &mut Option<Ticket>) -> Poll<Result<(), ()>> {
        self.state.poll(cx, |state, look| {
            self.count(state);
            let (is_open, has_room) = (state.is_open(), state.has_room());
            let senders = &mut state.rare.get_or_insert_with(Rare::new).senders;
            let called = ticket.is_some_and(|ticket| senders.is_called(ticket));
            let promised = ticket.is_some_and(|ticket| *senders.get(ticket));
            if !is_open {
                state.promised -= usize::from(promised);
                look.leave(senders, ticket);
                return Turn::Ready(Err(()));
            }
            if promised {
                look.leave(senders, ticket);
                return Turn::Ready(Ok(()));
            }
            if called {
                // It was closed, and is open again.
                return look.wait_first(senders, false, ticket);
            }
            if ticket.is_none() && has_room {
                state.promised += 1;
                return Turn::Ready(Ok(()));
            }
            look.wait(senders, false, ticket)
        })
    }

    /// Whether whoever has this ticket still waits.
    pub(crate) fn awaits_room(&self, ticket: Ticket) -> bool {
        // What is done may be room for it.
        self.state.change(|state| self.count(state));
        self.state.peek(|state| {
            let queued = |rare: &Rare<M>| rare.senders.is_queued(ticket);
            state.is_open() && state.rare.as_deref().is_some_and(queued)
        })
    }

    /// Puts a message into the place that was promised.
    pub(crate) fn push_promised(&self, message: M) -> Result<(), M> {
        let (result, receiver) = self.state.change(|state| {
            state.promised -= 1;
            if !state.is_open() {
                return (Err(message), None);
            }
            state.queue.push_back(message);
            (Ok(()), state.receiver.take())
        });
        if let Some(receiver) = receiver {
            wake(receiver);
        }
        result
    }

    /// Whether a message is dropped when there is no room.
    pub(crate) fn never_waits(&self) -> bool {
        self.settings.mailbox.overflow != Overflow::Wait
    }

    /// Gives up waiting for room.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let waker = self.state.change(|state| {
            let senders = &mut state.rare.get_or_insert_with(Rare::new).senders;
            state.promised -= usize::from(*senders.get(ticket));
            senders.leave(ticket)
        });
        weirs_runtime::waiting::let_go(waker);
    }

    /// Gives back a place that was promised and is not used.
    pub(crate) fn break_promise(&self) {
        self.state.change(|state| state.promised -= 1);
    }

    /// Puts a message before all others that are not urgent; there is a lane of the same size for these.
    pub(crate) fn push_urgent(&self, message: M) -> Result<(), Refused<M>> {
        let (result, receiver) = self.state.change(|state| {
            if !state.is_open() {
                return (Err(Refused::Closed(message)), None);
            }
            let (taken, capacity) = (usize::from(state.urgent_taken), state.capacity);
            let rare = state.rare();
            if rare.urgent.len() + taken >= capacity {
                return (Err(Refused::Full(message)), None);
            }
            rare.urgent.push_back(message);
            self.signals.fetch_or(URGENT, Ordering::Release);
            (Ok(()), state.receiver.take())
        });
        if let Some(receiver) = receiver {
            wake(receiver);
        }
        result
    }

    /// Whether anything comes before the messages in the actor's hands.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.signals.load(Ordering::Acquire) & (URGENT | STRUCK) != 0
    }

    /// Whether there are urgent messages.
    #[inline]
    pub(crate) fn has_urgent(&self) -> bool {
        self.signals.load(Ordering::Acquire) & URGENT != 0
    }

    /// The next urgent message, if there is one.
    #[inline]
    pub(crate) fn urgent(&self) -> Option<M> {
        if !self.has_urgent() {
            return None;
        }
        self.state.change(|state| {
            let urgent = &mut state.rare.get_or_insert_with(Rare::new).urgent;
            let message = urgent.pop_front();
            state.urgent_taken = message.is_some();
            if urgent.is_empty() {
                self.signals.fetch_and(!URGENT, Ordering::AcqRel);
            }
            message
        })
    }

    /// The actor is done with a message of its batch.
    #[inline]
    pub(crate) fn done(&self) {
        // Released, so that whoever counts it as room knows what the actor did with it.
        self.done.store(self.done.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// The actor is done with a message that was in no queue.
    pub(crate) fn done_beside(&self) {
        let done = self.done_beside.load(Ordering::Relaxed);
        self.done_beside.store(done.wrapping_add(1), Ordering::Relaxed);
    }

    /// The actor is done with an urgent message.
    pub(crate) fn done_urgent(&self) {
        self.state.change(|state| {
            state.handled += u64::from(state.urgent_taken);
            state.urgent_taken = false;
        });
    }

    /// What is done leaves room.
    fn count(&self, state: &mut State<M>) {
        let done = self.done.load(Ordering::Acquire);
        let more = done.wrapping_sub(state.counted);
        state.counted = done;
        state.handled += more as u64;
        state.taken = state.taken.saturating_sub(more);
    }

    /// Takes what waits into an empty batch, or has the actor wait. It notes whether the waker is there:
    /// whoever puts a message in takes it out.
    pub(crate) fn take(&self, cx: &Context<'_>, batch: &mut VecDeque<M>, waits: &mut bool) -> Poll<Taken> {
        let waker = if *waits { None } else { Some(cx.waker().clone()) };
        let taken = self.state.poll_with(cx, waker, |state, look| {
            self.count(state);
            if !state.queue.is_empty() {
                let waiting = state.queue.len();
                // The oldest cannot be dropped out of the actor's hands: there are never many in them.
                if self.settings.mailbox.overflow == Overflow::DropOldest && waiting > 1 {
                    state.taken = (state.capacity / 2).clamp(1, BUDGET).min(waiting);
                    batch.extend(state.queue.drain(..state.taken));
                } else {
                    state.taken = waiting;
                    swap(&mut state.queue, batch);
                }
                return Turn::Ready(Taken::Some);
            }
            if state.rare.as_ref().is_none_or(|rare| rare.urgent.is_empty()) {
                if state.draining {
                    return Turn::Ready(Taken::Drained);
                }
                return look.wait_alone(&mut state.receiver);
            }
            Turn::Ready(Taken::Some)
        });
        *waits = taken.is_pending();
        taken
    }

    /// Others have their turn; what is done leaves room for them.
    pub(crate) fn others_turn(&self) {
        self.state.change(|state| self.count(state));
    }

    /// The actor waits in the middle of a message; those before it leave room.
    pub(crate) fn at(&self, name: &'static str, now: Instant) {
        self.state.change(|state| {
            self.count(state);
            state.rare().handling = Some((name, now));
        });
    }

    /// It goes on.
    pub(crate) fn at_none(&self) {
        self.state.change(|state| state.rare().handling = None);
    }

    /// A life is over: what it did not get to comes first in the next.
    pub(crate) fn give_back(&self, batch: &mut VecDeque<M>, again: Option<Box<Again<M>>>) {
        self.state.change(|state| {
            self.count(state);
            state.taken = 0;
            state.urgent_taken = false;
            if again.is_some() || state.rare.is_some() {
                let rare = state.rare();
                (rare.handling, rare.again) = (None, again);
            }
            // What came since then is less than what is left of a long batch, after each of many crashes.
            swap(&mut state.queue, batch);
            state.queue.append(batch);
        });
    }

    /// No more messages are taken; those that wait are handled.
    pub(crate) fn drain(&self) {
        let receiver = self.state.change(|state| {
            state.draining = true;
            state.receiver.take()
        });
        if let Some(receiver) = receiver {
            wake(receiver);
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.state.peek(|state| state.draining)
    }

    /// No more messages are taken, and here are those that wait.
    pub(crate) fn leftovers(&self) -> (VecDeque<M>, VecDeque<M>) {
        self.state.change(|state| {
            state.draining = true;
            self.signals.fetch_and(!URGENT, Ordering::AcqRel);
            let urgent = state.rare.as_mut().map(|rare| take(&mut rare.urgent));
            (urgent.unwrap_or_default(), take(&mut state.queue))
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        !self.state.peek(State::is_open)
    }

    pub(crate) fn queued(&self) -> usize {
        self.state.change(|state| {
            self.count(state);
            state.queued()
        })
    }

    /// Waits until the actor is gone for good.
    pub(crate) fn poll_closed(&self, cx: &Context<'_>, ticket: &mut Option<Ticket>) -> Poll<Exit> {
        self.state.poll(cx, |state, look| match &state.closed {
            Some(exit) => {
                let exit = exit.clone();
                if let Some(rare) = &mut state.rare {
                    look.leave(&mut rare.watchers, ticket);
                }
                Turn::Ready(exit)
            }
            None => look.wait(&mut state.rare().watchers, (), ticket),
        })
    }

    pub(crate) fn stop_watching(&self, ticket: Ticket) {
        let waker = self.state.change(|state| state.rare().watchers.leave(ticket));
        weirs_runtime::waiting::let_go(waker);
    }

    /// Some messages will never be handled.
    pub(crate) fn dead(&self, count: usize, reason: DeadReason) {
        if count == 0 {
            return;
        }
        if let Some(node) = self.node() {
            if let Some(branch) = node.above.get().and_then(|(branch, _)| branch.upgrade()) {
                let message = std::any::type_name::<M>();
                branch.observe(&node, What::DeadLetters { message, count, reason });
            }
        }
    }

    /// Those who waited for an answer that was dropped while a message was handled without trouble.
    #[inline]
    pub(crate) fn settle_orphans(&self, exit: Option<&Exit>) {
        if self.signals.load(Ordering::Acquire) & ORPHANS != 0 {
            self.settle_all(exit);
        }
    }

    #[cold]
    fn settle_all(&self, exit: Option<&Exit>) {
        // Before they are taken: one that comes in between is seen next time.
        self.signals.fetch_and(!ORPHANS, Ordering::AcqRel);
        for orphan in self.ties.take_orphans() {
            orphan.settle(exit);
        }
    }
}
