//! [`Core`]: what a scope's handles and the scope itself share.

use std::collections::VecDeque;
use std::mem;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::cell::{Held, Kept, Lent, List, New, ReadyRef, Store, Unit};
use super::header::{Header, Kind};
use super::heritage::Heritage;
use super::shield::Shields;
use super::{ChildId, Refusal};
use crate::panics::{contain, forget_panic};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::tracker::Roster;
use crate::{CancelToken, Reason};

/// Shared by a scope and its handles. `P` is a child of whatever future, [`Send`] or not.
pub(crate) struct Core<P: ?Sized, R> {
    pub(crate) ready: ReadyRef,

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
    /// How many of the children that the state counts have ended in the turn that is being made. Only the
    /// driver writes it, so that the end of a child needs no lock.
    ended: AtomicUsize,
    state: Mutex<State<P>>,
}

struct State<P: ?Sized> {
    store: Store,
    units: List<P>,
    /// To be woken when there is a new child, the first that the driver has not seen.
    driver: Option<Waker>,
    /// How many were spawned, ever.
    spawned: u64,
    children: usize,
    services: usize,
    closed: bool,
    /// Nothing is run any more, not even what was deferred.
    over: bool,
    deferred: Vec<Held<P>>,
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
        let ready = ReadyRef::new();
        let state = State {
            store: Store::new(ready.clone()),
            units: List::new(),
            driver: None,
            spawned: 0,
            children: 0,
            services: 0,
            closed: false,
            over: false,
            deferred: Vec::new(),
            waiting: VecDeque::new(),
            tickets: 0,
        };
        Arc::new(Self {
            ready,
            rule,
            token,
            name,
            roster: None,
            heritage,
            shields: OnceLock::new(),
            limit,
            cancelled_from_within: AtomicBool::new(false),
            ended: AtomicUsize::new(0),
            state: Mutex::new(state),
        })
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
            if self.children_in(state) >= limit.get() || (first.is_some() && first != ticket) {
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
        waiting.into_iter().for_each(|(_, waker)| forget_panic(contain(|| waker.wake())));
    }

    /// Wakes all that wait for room, to hear that there will be none.
    pub(crate) fn dismiss_waiting(&self) {
        let waiting = mem::take(&mut self.lock().waiting);
        waiting.into_iter().for_each(|(_, waker)| forget_panic(contain(|| waker.wake())));
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
        self.children_in(&state) + state.services
    }

    fn children_in(&self, state: &State<P>) -> usize {
        state.children - self.ended.load(Ordering::Acquire)
    }

    /// Closes the scope if no ordinary child is left.
    pub(crate) fn close_if_childless(&self) -> bool {
        let mut state = self.lock();
        state.closed |= state.children == 0;
        state.children == 0
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
            let room = self.limit.is_none_or(|limit| self.children_in(&state) < limit.get());
            match state.waiting.front_mut() {
                // It stays at the head of the queue; it will come with a waker again if it has to.
                Some(first) if room => Some(mem::replace(&mut first.1, Waker::noop().clone())),
                _ => None,
            }
        };
        if let Some(waker) = first {
            forget_panic(contain(|| waker.wake()));
        }
    }

    /// The children that there are, in the order of spawning.
    pub(crate) fn units(&self) -> Vec<Kept> {
        let mut kept = self.lock().units.kept();
        // Those that ended in the turn that is being made.
        kept.retain(|unit| !unit.header().is_done());
        kept
    }

    /// The last that was deferred; when there is none, the scope is over.
    pub(crate) fn pop_deferred(&self) -> Option<Held<P>> {
        let mut state = self.lock();
        let last = state.deferred.pop();
        state.over |= last.is_none();
        last
    }

    /// Ends it all; what was deferred will not run.
    pub(crate) fn end(&self) -> Vec<Held<P>> {
        let mut state = self.lock();
        state.closed = true;
        state.over = true;
        mem::take(&mut state.deferred)
    }

    /// Whether this one is there and not over.
    pub(crate) fn contains(&self, id: ChildId) -> bool {
        self.lock().units.any(|header| header.id() == id && !header.is_done())
    }

    /// Takes it up as the next of its scope, and says who is to be woken for it.
    #[inline]
    fn take_up(&self, state: &mut State<P>, unit: Held<P>) -> Option<Waker> {
        state.spawned += 1;
        unit.header().place(ChildId::new(state.spawned));
        let is_first = state.units.push(unit);
        // The release pairs with whoever is woken after this, and with the driver.
        self.ready.spawned.store(state.spawned, Ordering::Release);
        // Our own waker: to clone it runs no user code.
        if is_first { state.driver.clone() } else { None }
    }

    /// Has this one woken when there are new children.
    pub(crate) fn set_driver(&self, driver: &Waker) {
        self.lock().driver = Some(driver.clone());
    }

    /// Those that were spawned since the last time.
    pub(crate) fn take_new(&self) -> New<P> {
        self.lock().units.take_new()
    }

    // No user code runs under this lock, so nothing can poison it half-way.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        lock(&self.state)
    }
}

impl<P: ?Sized + Unit<R>, R> Core<P, R> {
    /// Takes the child that `make` makes of `future`, or gives that back.
    // A future is moved once, into its cell: hence the inlining here and above, down to the spawning.
    #[inline(always)]
    pub(crate) fn insert<F, C>(
        &self,
        kind: Kind,
        ticket: Option<u64>,
        future: F,
        make: impl FnOnce(ReadyRef, F, ChildId) -> (Held<P>, C),
    ) -> Result<C, (F, Refusal)> {
        let mut state = match self.admit(kind, ticket) {
            Ok(state) => state,
            Err(why) => return Err((future, why)),
        };
        let id = ChildId::new(state.spawned + 1);
        let (unit, child) = make(state.store.take(), future, id);
        self.enter(state, ticket, unit);
        Ok(child)
    }

    /// Room for another child, as long as the lock is held.
    fn admit(&self, kind: Kind, ticket: Option<u64>) -> Result<MutexGuard<'_, State<P>>, Refusal> {
        let state = self.lock();
        self.admits_in(&state, kind, ticket)?;
        Ok(state)
    }

    fn enter(&self, mut state: MutexGuard<'_, State<P>>, ticket: Option<u64>, unit: Held<P>) {
        match unit.header().kind() {
            Kind::Child => state.children += 1,
            Kind::Service => state.services += 1,
            _ => {
                state.deferred.push(unit);
                return;
            }
        }
        if ticket.is_some() {
            state.waiting.pop_front();
        }
        let kept = self.kept(&unit);
        let driver = self.take_up(&mut state, unit);
        drop(state);
        self.note(kept);
        driver.into_iter().for_each(Waker::wake);
        if ticket.is_some() {
            self.wake_first_waiting();
        }
    }

    /// For the tracker, if there is one.
    #[inline]
    fn kept(&self, unit: &Held<P>) -> Option<Kept> {
        self.roster.as_ref().map(|_| unit.kept())
    }

    /// Tells the tracker. Not under the lock: clocks and wakers are foreign.
    #[inline]
    fn note(&self, kept: Option<Kept>) {
        if let (Some(roster), Some(kept)) = (&self.roster, kept) {
            roster.note(kept);
        }
    }

    /// The child is over: the tracker need not keep it.
    pub(crate) fn forget(&self, header: &Header) {
        if let Some(roster) = &self.roster {
            roster.forget(header.id());
        }
    }

    /// Lets a deferred child run.
    pub(crate) fn start_deferred(&self, unit: Held<P>) -> ChildId {
        let kept = self.kept(&unit);
        let (driver, id) = {
            let mut state = self.lock();
            (self.take_up(&mut state, unit), ChildId::new(state.spawned))
        };
        self.note(kept);
        driver.into_iter().for_each(Waker::wake);
        id
    }

    /// Counts out a child that is over, until it is [removed](Self::remove).
    #[inline]
    pub(crate) fn ended(&self, unit: &Lent<P>) {
        if unit.header().kind() == Kind::Child {
            // No exchange: only the driver writes.
            let ended = self.ended.load(Ordering::Relaxed);
            self.ended.store(ended + 1, Ordering::Release);
        }
    }

    /// Removes those who are over, and have been [counted out](Self::ended).
    pub(crate) fn remove(&self, ended: &mut Vec<Lent<P>>) {
        if self.roster.is_some() {
            ended.iter().for_each(|unit| self.forget(unit.header()));
        }
        {
            let mut state = self.lock();
            for unit in ended.drain(..) {
                if let Some(removed) = state.units.remove(&unit) {
                    state.services -= usize::from(unit.header().kind() == Kind::Service);
                    if let Some(ready) = removed.take_back() {
                        state.store.put(ready);
                    }
                    // That frees memory at the most.
                    drop(removed);
                }
            }
            state.children -= self.ended.load(Ordering::Relaxed);
            self.ended.store(0, Ordering::Release);
        }
        if self.limit.is_some() {
            self.wake_first_waiting();
        }
    }

    /// Whether whoever waits for room is to hear of the end of a child at once.
    pub(crate) fn has_limit(&self) -> bool {
        self.limit.is_some()
    }

    /// All that are of one of these kinds and not over, the last spawned first.
    pub(crate) fn remove_all(&self, kinds: &[Kind]) -> Vec<Held<P>> {
        self.remove_where(|header| kinds.contains(&header.kind()))
    }

    /// All for which it holds and that are not over, the last spawned first. It is called under a lock.
    pub(crate) fn remove_where(&self, which: impl Fn(&Header) -> bool) -> Vec<Held<P>> {
        let mut state = self.lock();
        let removed = state.units.remove_all(|header| !header.is_done() && which(header));
        for unit in &removed {
            match unit.header().kind() {
                Kind::Child => state.children -= 1,
                Kind::Service => state.services -= 1,
                _ => {}
            }
        }
        removed
    }
}
