//! [`Core`]: what a scope's handles and the scope itself share.

use std::collections::VecDeque;
use std::mem;
use std::num::NonZeroUsize;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use super::cell::Unit;
use super::header::{Header, Kind};
use super::heritage::Heritage;
use super::ready::{Key, Ready};
use super::shield::Shields;
use super::slab::Slab;
use super::{ChildId, Refusal};
use crate::tracker::Roster;
use crate::{CancelToken, Reason};

/// Shared by a scope and its handles. `P` is a child of whatever future, [`Send`] or not.
pub(crate) struct Core<P: ?Sized, R> {
    pub(crate) ready: Arc<Ready>,
    pub(crate) rule: R,
    pub(crate) token: CancelToken,
    pub(crate) name: Option<Box<str>>,
    /// For its tracker, if it has one.
    pub(crate) roster: Option<Arc<Roster>>,
    /// What scopes in this one take over.
    pub(crate) heritage: Heritage,
    /// Made when the first shield is.
    pub(crate) shields: OnceLock<Arc<Shields>>,
    limit: Option<NonZeroUsize>,
    /// It was cancelled by its own handle.
    cancelled_from_within: AtomicBool,
    state: Mutex<State<P>>,
}

struct State<P: ?Sized> {
    units: Slab<Arc<P>>,
    children: usize,
    services: usize,
    closed: bool,
    /// Nothing is run any more, not even what was deferred.
    over: bool,
    deferred: Vec<Arc<P>>,
    waiting: VecDeque<(u64, Waker)>,
    tickets: u64,
}

impl<P: ?Sized, R> Core<P, R> {
    pub(crate) fn new(
        rule: R,
        token: CancelToken,
        name: Option<Box<str>>,
        limit: Option<NonZeroUsize>,
        heritage: Heritage,
    ) -> Arc<Self> {
        let state = State {
            units: Slab::new(),
            children: 0,
            services: 0,
            closed: false,
            over: false,
            deferred: Vec::new(),
            waiting: VecDeque::new(),
            tickets: 0,
        };
        Arc::new(Self {
            ready: Arc::new(Ready::new()),
            rule,
            token,
            name,
            roster: None,
            heritage,
            shields: OnceLock::new(),
            limit,
            cancelled_from_within: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn header(
        &self,
        kind: Kind,
        name: Option<Box<str>>,
        at: &'static Location<'static>,
    ) -> Header {
        Header::new(Arc::clone(&self.ready), kind, name, at)
    }

    /// Whether the scope takes another child now. `ticket` is of one who waited for room.
    fn admits_in(&self, state: &State<P>, kind: Kind, ticket: Option<u64>) -> Result<(), Refusal> {
        if kind == Kind::Deferred {
            return if state.over { Err(Refusal::Closed) } else { Ok(()) };
        }
        if self.token.is_cancelled() {
            return Err(Refusal::Cancelled);
        }
        if state.closed {
            return Err(Refusal::Closed);
        }
        let limited = if kind == Kind::Child { self.limit } else { None };
        if let Some(limit) = limited {
            let first = state.waiting.front().map(|waiting| waiting.0);
            if state.children >= limit.get() || (first.is_some() && first != ticket) {
                return Err(Refusal::Full);
            }
        }
        Ok(())
    }

    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Wakes all that wait for room, to hear that there will be none.
    pub(crate) fn dismiss_waiting(&self) {
        let waiting = mem::take(&mut self.lock().waiting);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(crate) fn cancel(&self, why: Reason) -> bool {
        if !self.token.is_cancelled() {
            self.cancelled_from_within.store(true, Ordering::Relaxed);
        }
        self.token.cancel(why)
    }

    pub(crate) fn is_cancelled_from_within(&self) -> bool {
        self.cancelled_from_within.load(Ordering::Relaxed)
    }

    pub(crate) fn live(&self) -> usize {
        let state = self.lock();
        state.children + state.services
    }

    /// Closes the scope if no ordinary child is left.
    pub(crate) fn close_if_childless(&self) -> bool {
        let mut state = self.lock();
        state.closed |= state.children == 0;
        state.children == 0
    }

    pub(crate) fn get(&self, keys: &[Key], units: &mut Vec<(Key, Option<Arc<P>>)>) {
        let state = self.lock();
        units.extend(keys.iter().map(|key| (*key, state.units.get(*key).cloned())));
    }

    /// Takes a place in the queue for room, or keeps it.
    pub(crate) fn wait_for_room(&self, ticket: &mut Option<u64>, waker: &Waker) {
        let waker = waker.clone();
        let before = {
            let mut state = self.lock();
            let number = *ticket.get_or_insert_with(|| {
                state.tickets += 1;
                state.tickets
            });
            match state.waiting.iter_mut().find(|waiting| waiting.0 == number) {
                Some(waiting) => Some(mem::replace(&mut waiting.1, waker)),
                None => {
                    state.waiting.push_back((number, waker));
                    None
                }
            }
        };
        drop(before);
    }

    /// Leaves the queue for room; the next one may have its turn.
    pub(crate) fn leave_queue(&self, ticket: u64) {
        let gone = {
            let mut state = self.lock();
            let at = state.waiting.iter().position(|waiting| waiting.0 == ticket);
            at.and_then(|at| state.waiting.remove(at))
        };
        drop(gone);
        self.wake_first_waiting();
    }

    fn wake_first_waiting(&self) {
        let first = {
            let mut state = self.lock();
            let room = self.limit.is_none_or(|limit| state.children < limit.get());
            match state.waiting.front_mut() {
                // It stays at the head of the queue; it will come with a waker again if it has to.
                Some(first) if room => Some(mem::replace(&mut first.1, Waker::noop().clone())),
                _ => None,
            }
        };
        if let Some(waker) = first {
            waker.wake();
        }
    }

    /// The children that there are, in no order.
    pub(crate) fn units(&self) -> Vec<Arc<P>> {
        self.lock().units.iter().cloned().collect()
    }

    /// The last that was deferred; when there is none, the scope is over.
    pub(crate) fn pop_deferred(&self) -> Option<Arc<P>> {
        let mut state = self.lock();
        let last = state.deferred.pop();
        state.over |= last.is_none();
        last
    }

    /// Ends it all; what was deferred will not run.
    pub(crate) fn end(&self) -> Vec<Arc<P>> {
        let mut state = self.lock();
        state.closed = true;
        state.over = true;
        mem::take(&mut state.deferred)
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.lock().units.get(key).is_some()
    }

    // No user code runs under this lock, so nothing can poison it half-way.
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: ?Sized + Unit<R>, R> Core<P, R> {
    /// Takes the child that `make` makes of `seed`, or gives the seed back.
    pub(crate) fn insert<S, C>(
        &self,
        kind: Kind,
        ticket: Option<u64>,
        seed: S,
        make: impl FnOnce(S, ChildId) -> (Arc<P>, C),
    ) -> Result<C, (S, Refusal)> {
        let (key, child, header) = {
            let mut state = self.lock();
            if let Err(why) = self.admits_in(&state, kind, ticket) {
                drop(state);
                return Err((seed, why));
            }
            let (key, id) = state.units.next_key();
            let (unit, child) = make(seed, id);
            match kind {
                Kind::Child => state.children += 1,
                Kind::Service => state.services += 1,
                Kind::Deferred => {
                    state.deferred.push(unit);
                    return Ok(child);
                }
            }
            if ticket.is_some() {
                state.waiting.pop_front();
            }
            unit.header().place(key, id);
            let header = self.roster.as_ref().map(|_| unit.shared_header());
            state.units.insert(unit);
            (key, child, header)
        };
        self.note(header);
        self.ready.push(key);
        if ticket.is_some() {
            self.wake_first_waiting();
        }
        Ok(child)
    }

    /// Tells the tracker. Not under the lock: clocks and wakers are foreign.
    fn note(&self, header: Option<Arc<Header>>) {
        if let (Some(roster), Some(header)) = (&self.roster, header) {
            roster.note(header);
        }
    }

    /// Lets a deferred child run.
    pub(crate) fn start_deferred(&self, unit: Arc<P>) -> Key {
        let header = self.roster.as_ref().map(|_| unit.shared_header());
        let key = {
            let mut state = self.lock();
            let (key, id) = state.units.next_key();
            unit.header().place(key, id);
            state.units.insert(unit);
            key
        };
        self.note(header);
        self.ready.push(key);
        key
    }

    /// The child is over.
    pub(crate) fn remove(&self, key: Key) {
        let removed = {
            let mut state = self.lock();
            let removed = state.units.remove(key);
            match removed.as_ref().map(|unit| unit.header().kind()) {
                Some(Kind::Child) => state.children -= 1,
                Some(Kind::Service) => state.services -= 1,
                _ => {}
            }
            removed
        };
        drop(removed);
        if self.limit.is_some() {
            self.wake_first_waiting();
        }
    }

    /// All that are of one of these kinds, the last spawned first.
    pub(crate) fn remove_all(&self, kinds: &[Kind]) -> Vec<Arc<P>> {
        self.remove_where(|header| kinds.contains(&header.kind()))
    }

    /// All for which it holds, the last spawned first. It is called under a lock.
    pub(crate) fn remove_where(&self, which: impl Fn(&Header) -> bool) -> Vec<Arc<P>> {
        let mut state = self.lock();
        let removed = state.units.remove_all(|unit| which(unit.header()));
        for unit in &removed {
            match unit.header().kind() {
                Kind::Child => state.children -= 1,
                Kind::Service => state.services -= 1,
                Kind::Deferred => {}
            }
        }
        removed
    }
}
