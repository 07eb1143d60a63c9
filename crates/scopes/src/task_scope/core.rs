//! [`Shared`]: what a parallel scope, its handles and its children share.
//!
//! A child is a task of the runtime. Its future holds a [`Ticket`], which the task gives back when its
//! future is gone and its result is in place: then the child has left. Between, the scope keeps of it a
//! [seat](super::seats), with what it takes to cancel it.
//!
//! 1. There is one lock a scope, held for a few instructions. No user code runs under it: no waker is woken
//!    or dropped, no future dropped, no task spawned or aborted.
//! 2. No two of these locks are held at once.
//! 3. A scope is *done* when nobody will wait for anything in it any more. Whoever sets `done` has seen,
//!    under the same lock, that nobody is left. A scope that is done adopts nobody.

mod orphans;

use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::num::NonZeroUsize;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use weirs_runtime::{AbortHandle, PanicPayload, Runtime};

use self::orphans::release;
use super::seats::{Key, Seats};
use crate::panics::{contain, forget_panic};
use crate::scope::heritage::Heritage;
use crate::scope::snapshot::ChildInfo;
use crate::{CancelToken, ChildId, Reason, Refusal, Snapshot};

/// What sort of child it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Keeps the scope open.
    Child,
    /// Ends with the last ordinary child.
    Service,
}

/// Why a scope stops.
pub(crate) enum Cause {
    Failed,
    Panicked,
    Cancelled(Reason),
}

/// What runs after the children, and where it was deferred.
pub(crate) struct Deferred {
    pub(crate) future: Pin<Box<dyn Future<Output = ()> + Send>>,
    pub(crate) location: &'static Location<'static>,
}

/// A scope of whatever rule.
pub(crate) type AnyShared = Shared<dyn Send + Sync>;

/// The core and the rule.
pub(crate) struct Shared<R: ?Sized> {
    pub(crate) core: Core,
    pub(crate) rule: R,
}

/// Everything but the rule.
pub(crate) struct Core {
    pub(crate) runtime: Runtime,
    pub(crate) token: CancelToken,
    pub(crate) name: Option<Box<str>>,
    limit: Option<NonZeroUsize>,
    pub(crate) heritage: Heritage,
    /// It was cancelled by its own handle.
    cancelled_from_within: AtomicBool,
    state: Mutex<State>,
}

struct State {
    seats: Seats,
    children: usize,
    /// How many places of the limit are taken: a child gives its own back before its value is seen, and so
    /// before it has left. Zero without a limit.
    occupied: usize,
    services: usize,
    /// Scopes that were dropped with somebody left, for whom this one waits.
    adopted: usize,
    closed: bool,
    /// Ordinary children are dropped wherever they are met.
    children_stopped: bool,
    services_stopped: bool,
    /// There is no body any more, or never was one: the watchers want to know when nobody is left.
    bodiless: bool,
    abandoned: bool,
    done: bool,
    cause: Option<Cause>,
    panic: Option<PanicPayload>,
    deferred: Vec<Deferred>,
    /// Whoever waits for room, by ticket.
    waiting: BTreeMap<u64, Waker>,
    tickets: u64,
    /// Whoever waits for the end.
    watchers: BTreeMap<u64, Waker>,
    /// The scope around this one. Of an abandoned scope: the one that waits for it.
    outer: Option<Arc<AnyShared>>,
}

impl State {
    fn is_empty(&self) -> bool {
        self.children == 0 && self.services == 0 && self.adopted == 0
    }

    /// Somebody left: who is to be told? Most often nobody, and then nothing is made for it.
    fn left(&mut self) -> Option<Told> {
        if self.children > 0 {
            return None;
        }
        let mut told = Told::default();
        if self.bodiless && (self.is_empty() || !self.services_stopped) {
            told.watchers = mem::take(&mut self.watchers);
        }
        if self.abandoned && self.is_empty() {
            self.done = true;
            told.outer = self.outer.take();
            told.panic = self.panic.take();
        }
        Some(told)
    }

    fn first_waiting(&mut self, limit: Option<NonZeroUsize>) -> Option<Waker> {
        if self.occupied >= limit?.get() {
            return None;
        }
        // It stays at the head of the queue; it will come with a waker again if it has to.
        let mut first = self.waiting.first_entry()?;
        Some(mem::replace(first.get_mut(), Waker::noop().clone()))
    }
}

/// What is to be done outside the lock when somebody has left.
#[derive(Default)]
struct Told {
    watchers: BTreeMap<u64, Waker>,
    outer: Option<Arc<AnyShared>>,
    panic: Option<PanicPayload>,
}

/// What the scope's own future is to do when there is no body.
pub(crate) enum Next {
    Wait,
    StopServices,
    Clean(Deferred),
    Done,
}

impl<R> Shared<R> {
    pub(crate) fn new(core: Core, rule: R) -> Arc<Self> {
        Arc::new(Self { core, rule })
    }
}

impl Core {
    pub(crate) fn new(
        runtime: &Runtime,
        token: CancelToken,
        heritage: Heritage,
        outer: Option<Arc<AnyShared>>,
    ) -> Self {
        let state = State {
            seats: Seats::new(),
            children: 0,
            occupied: 0,
            services: 0,
            adopted: 0,
            closed: false,
            children_stopped: false,
            services_stopped: false,
            bodiless: false,
            abandoned: false,
            done: false,
            cause: None,
            panic: None,
            deferred: Vec::new(),
            waiting: BTreeMap::new(),
            tickets: 0,
            watchers: BTreeMap::new(),
            outer,
        };
        Self {
            runtime: runtime.clone(),
            token,
            name: None,
            limit: None,
            heritage,
            cancelled_from_within: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn with(mut self, name: Option<Box<str>>, limit: Option<NonZeroUsize>) -> Self {
        (self.name, self.limit) = (name, limit);
        self
    }

    /// There is no body: whoever waits wants to know when nobody is left.
    pub(crate) fn without_body(mut self) -> Self {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).bodiless = true;
        self
    }

    // ---- coming and going ----

    /// Gives a child its seat, if the scope takes one now: `make` tells it so, and gives what cancels it.
    /// `ticket` is of one who waited for room.
    pub(super) fn admit(
        &self,
        kind: Kind,
        ticket: Option<u64>,
        make: impl FnOnce(Key) -> AbortHandle,
    ) -> Result<Key, Refusal> {
        let (key, waited) = {
            let mut state = self.lock();
            if self.token.is_cancelled() {
                return Err(Refusal::Cancelled);
            }
            if state.closed {
                return Err(Refusal::Closed);
            }
            match (kind, self.limit) {
                (Kind::Child, Some(limit)) => {
                    let first = state.waiting.first_key_value().map(|waiting| *waiting.0);
                    if state.occupied >= limit.get() || (first.is_some() && first != ticket) {
                        return Err(Refusal::Full);
                    }
                    state.occupied += 1;
                    state.children += 1;
                }
                (Kind::Child, None) => state.children += 1,
                (Kind::Service, _) => state.services += 1,
            }
            let waited = ticket.and_then(|ticket| state.waiting.remove(&ticket));
            (state.seats.insert(kind, make), waited)
        };
        if ticket.is_some() {
            drop(waited);
            self.wake_first_waiting();
        }
        Ok(key)
    }

    /// The child's future is gone, and its value on its way: another child may have its place.
    #[inline]
    pub(super) fn vacate(&self, kind: Kind) {
        if self.limit.is_some() && kind == Kind::Child {
            self.make_room();
        }
    }

    fn make_room(&self) {
        let first = {
            let mut state = self.lock();
            state.occupied -= 1;
            state.first_waiting(self.limit)
        };
        if let Some(first) = first {
            forget_panic(contain(|| first.wake()));
        }
    }

    /// The child's future is gone, and its result is where it belongs.
    fn leave(&self, key: Key) {
        let (seat, told) = {
            let mut state = self.lock();
            let seat = state.seats.remove(key);
            match seat.as_ref().map(|seat| seat.kind) {
                Some(Kind::Child) => state.children -= 1,
                Some(Kind::Service) => state.services -= 1,
                None => {}
            }
            let matters = state.bodiless || state.abandoned;
            (seat, if matters { state.left() } else { None })
        };
        drop(seat);
        if let Some(told) = told {
            told.tell();
        }
    }

    /// Ends those of one kind, the last spawned first. One that is waiting for something is gone when this
    /// returns; one that is inside a poll is gone after that.
    pub(crate) fn abort(&self, kind: Kind) {
        let mut handles: Vec<(u64, AbortHandle)> = {
            let mut state = self.lock();
            match kind {
                Kind::Child => state.children_stopped = true,
                Kind::Service => state.services_stopped = true,
            }
            // Cloned, not taken: whoever else ends them meanwhile may not return before they are gone.
            let of_kind = state.seats.iter().filter(|seat| seat.kind == kind);
            of_kind.map(|seat| (seat.number, seat.abort.clone())).collect()
        };
        if !handles.is_sorted_by_key(|handle| handle.0) {
            handles.sort_unstable_by_key(|handle| handle.0);
        }
        while let Some((_, handle)) = handles.pop() {
            handle.abort();
        }
    }

    // ---- stopping ----

    /// The first cause stops the scope; a second one changes nothing.
    pub(crate) fn stop(&self, cause: Cause) {
        let reason = match &cause {
            Cause::Cancelled(reason) => reason.clone(),
            Cause::Failed | Cause::Panicked => Reason::SiblingFailed,
        };
        {
            let mut state = self.lock();
            if state.cause.is_some() {
                return;
            }
            state.cause = Some(cause);
        }
        // Wakers and callbacks are user code. Ours is among them, and does the rest.
        forget_panic(contain(|| {
            self.token.cancel(reason);
        }));
    }

    /// The token is cancelled, by whomever; this is on the thread of whoever cancelled it.
    pub(crate) fn token_cancelled(&self, why: &Reason) {
        let why = why.clone();
        let (waiting, watchers) = {
            let mut state = self.lock();
            state.cause.get_or_insert(Cause::Cancelled(why));
            (mem::take(&mut state.waiting), mem::take(&mut state.watchers))
        };
        if self.heritage.grace.is_zero() {
            self.abort(Kind::Child);
        }
        wake_all(waiting.into_values());
        wake_all(watchers.into_values());
    }

    /// Cancels it by its own handle.
    pub(crate) fn cancel(&self, why: Reason) -> bool {
        if !self.token.is_cancelled() {
            self.cancelled_from_within.store(true, Ordering::Relaxed);
        }
        self.token.cancel(why)
    }

    pub(crate) fn is_cancelled_from_within(&self) -> bool {
        self.cancelled_from_within.load(Ordering::Relaxed)
    }

    /// The first panic is the one that goes on, when all have ended.
    pub(crate) fn panicked(&self, payload: PanicPayload) {
        let later = {
            let mut state = self.lock();
            if state.panic.is_some() || state.done { Some(payload) } else { state.panic.replace(payload) }
        };
        forget_panic(later.map_or(Ok(()), Err));
        self.stop(Cause::Panicked);
    }

    pub(crate) fn take_panic(&self) -> Option<PanicPayload> {
        self.lock().panic.take()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().cause.is_some()
    }

    /// Whether it was an error or a panic that stopped it.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.lock().cause, Some(Cause::Failed | Cause::Panicked))
    }

    pub(crate) fn take_cause(&self) -> Option<Cause> {
        self.lock().cause.take()
    }

    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            mem::take(&mut state.waiting)
        };
        wake_all(waiting.into_values());
    }

    // ---- waiting for the end ----

    /// Has the scope's own future woken when the scope is stopped; `false` if it is, and `knows` not of it.
    pub(crate) fn watch(&self, knows: bool, waker: &Waker) -> bool {
        let waker = waker.clone();
        let (watching, before) = {
            let mut state = self.lock();
            let watching = knows || state.cause.is_none();
            (watching, if watching { state.watchers.insert(0, waker) } else { Some(waker) })
        };
        drop(before);
        watching
    }

    /// What is to be done without a body. A scope that waits wakes this waker.
    pub(crate) fn next(&self, waker: &Waker) -> Next {
        let waker = waker.clone();
        let (next, before, outer) = {
            let mut state = self.lock();
            state.bodiless = true;
            state.closed |= state.children == 0;
            if state.children == 0 && state.services > 0 && !state.services_stopped {
                (Next::StopServices, Some(waker), None)
            } else if !state.is_empty() {
                (Next::Wait, state.watchers.insert(0, waker), None)
            } else if let Some(last) = state.deferred.pop() {
                (Next::Clean(last), Some(waker), None)
            } else {
                state.done = true;
                let before = state.watchers.remove(&0);
                (Next::Done, before, state.outer.take())
            }
        };
        drop((before, outer));
        next
    }

    /// For a scope without a body: whether nobody is left. If somebody is, the waker is woken later.
    pub(crate) fn poll_empty(&self, place: &mut Option<u64>, waker: &Waker) -> bool {
        let waker = waker.clone();
        let (empty, before) = {
            let mut state = self.lock();
            if state.is_empty() {
                (true, Some(waker))
            } else {
                let number = *place.get_or_insert_with(|| {
                    state.tickets += 1;
                    state.tickets
                });
                (false, state.watchers.insert(number, waker))
            }
        };
        drop(before);
        empty
    }

    /// Takes a waker out that [`poll_empty`](Self::poll_empty) left.
    pub(crate) fn unwatch(&self, place: u64) {
        let watcher = self.lock().watchers.remove(&place);
        drop(watcher);
    }

    // ---- what runs after the end ----

    /// Runs this after the children, unless it is too late: then it is given back.
    pub(crate) fn defer(&self, deferred: Deferred) -> Option<Deferred> {
        let mut state = self.lock();
        if state.done || state.abandoned {
            return Some(deferred);
        }
        state.deferred.push(deferred);
        None
    }

    pub(crate) fn take_deferred(&self) -> Vec<Deferred> {
        mem::take(&mut self.lock().deferred)
    }

    // ---- waiting for room ----

    /// Takes a place in the queue for room, or keeps it.
    pub(super) fn wait_for_room(&self, ticket: &mut Option<u64>, waker: &Waker) {
        let waker = waker.clone();
        let before = {
            let mut state = self.lock();
            let number = *ticket.get_or_insert_with(|| {
                state.tickets += 1;
                state.tickets
            });
            state.waiting.insert(number, waker)
        };
        drop(before);
    }

    /// Leaves the queue for room; the next one may have its turn.
    pub(super) fn leave_queue(&self, ticket: u64) {
        let gone = self.lock().waiting.remove(&ticket);
        drop(gone);
        self.wake_first_waiting();
    }

    fn wake_first_waiting(&self) {
        let first = self.lock().first_waiting(self.limit);
        if let Some(waker) = first {
            forget_panic(contain(|| waker.wake()));
        }
    }

    // ---- looking ----

    pub(crate) fn live(&self) -> usize {
        let state = self.lock();
        let children = if self.limit.is_some() { state.occupied } else { state.children };
        children + state.services
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let children: Vec<_> = {
            let state = self.lock();
            state.seats.iter().map(|seat| (seat.number, seat.kind, seat.abort.clone())).collect()
        };
        let info = |(number, kind, task): (u64, Kind, AbortHandle)| {
            Some(ChildInfo {
                id: ChildId::new(number),
                name: task.name().map(Box::from),
                location: task.location()?,
                service: kind == Kind::Service,
            })
        };
        Snapshot::of(self.name.as_deref(), children.into_iter().filter_map(info).collect())
    }

    // No user code runs under this lock, so nothing can poison it half-way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn tell(self) {
        wake_all(self.watchers.into_values());
        forget_panic(self.panic.map_or(Ok(()), Err));
        release(self.outer);
    }
}

fn wake_all(wakers: impl Iterator<Item = Waker>) {
    for waker in wakers {
        forget_panic(contain(|| waker.wake()));
    }
}

/// What a child's task gives back when it is over: dropping it is the leaving.
pub(crate) struct Ticket<R> {
    pub(super) shared: Arc<Shared<R>>,
    pub(super) key: Key,
    pub(super) kind: Kind,
}

impl<R> Drop for Ticket<R> {
    fn drop(&mut self) {
        self.shared.core.leave(self.key);
    }
}
