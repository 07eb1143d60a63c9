//! [`Roster`]: the children of a tracked scope, for its tracker to look at.
//!
//! A scope and its children may borrow, and its tracker lives elsewhere. So the tracker holds no scope and no
//! child; it holds the scope's roster, which keeps the children's cells for the sake of their headers, and
//! these borrow nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use weirs_runtime::{Clock, Instant};

use super::{LiveKind, LiveTask};
use crate::panics::{contain, forget_panic};
use crate::scope::ChildId;
use crate::scope::cell::Kept;
use crate::scope::header::Kind;
use crate::sync::{Mutex, lock};

/// The children of one scope.
pub(crate) struct Roster {
    rosters: Arc<Rosters>,
    clock: Clock,
    name: Option<String>,
    location: &'static Location<'static>,
    /// By their numbers, and so in the order of spawning.
    children: Mutex<BTreeMap<ChildId, (Kept, Instant)>>,
}

impl Roster {
    pub(super) fn new(
        rosters: Arc<Rosters>,
        clock: Clock,
        name: Option<&str>,
        location: &'static Location<'static>,
    ) -> Arc<Self> {
        let name = name.map(str::to_owned);
        Arc::new(Self { rosters, clock, name, location, children: Mutex::default() })
    }

    /// Notes a child that may be over by now.
    pub(crate) fn note(&self, child: Kept) {
        let now = self.clock.now();
        let mut children = lock(&self.children);
        // One that is over by now may have been forgotten already; one that is not will be, after this.
        if !child.header().is_done() {
            children.insert(child.header().id(), (child, now));
        }
    }

    /// Forgets a child that is over.
    pub(crate) fn forget(&self, child: ChildId) {
        let gone = lock(&self.children).remove(&child);
        drop(gone);
    }

    /// Puts the scope on its tracker's list until the return value is dropped.
    pub(crate) fn enroll(self: &Arc<Self>) -> Enrolled {
        let begun = self.clock.now();
        let mut state = lock(&self.rosters.0);
        state.numbers += 1;
        let number = state.numbers;
        state.scopes.insert(number, (Arc::downgrade(self), begun));
        drop(state);
        Enrolled { rosters: Arc::clone(&self.rosters), number }
    }

    fn list(&self, begun: Instant, now: Instant, tasks: &mut Vec<LiveTask>) {
        let (name, location) = (self.name.clone(), self.location);
        let age = now.saturating_since(begun);
        tasks.push(LiveTask { name, location, kind: LiveKind::Scope, age, task: None });
        let children = lock(&self.children);
        let live = children.values().map(|(child, spawned)| (child.header(), spawned));
        tasks.extend(live.filter(|entry| !entry.0.is_done()).map(|(header, spawned)| LiveTask {
            name: header.name().map(str::to_owned),
            location: header.location(),
            kind: match header.kind() {
                Kind::Child => LiveKind::Child,
                Kind::Service => LiveKind::Service,
                _ => LiveKind::Deferred,
            },
            age: now.saturating_since(*spawned),
            task: None,
        }));
    }
}

/// The scopes of one tracker.
#[derive(Default)]
pub(super) struct Rosters(Mutex<State>);

#[derive(Default)]
struct State {
    scopes: BTreeMap<u64, (Weak<Roster>, Instant)>,
    numbers: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl Rosters {
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).scopes.is_empty()
    }

    pub(super) fn list(&self, now: Instant, tasks: &mut Vec<LiveTask>) {
        let scopes: Vec<_> = lock(&self.0).scopes.values().cloned().collect();
        for (roster, begun) in scopes {
            if let Some(roster) = roster.upgrade() {
                roster.list(begun, now, tasks);
            }
        }
    }

    /// Waits until there is no scope.
    pub(super) fn none(self: &Arc<Self>) -> NoScopes {
        NoScopes { rosters: Arc::clone(self), ticket: None }
    }
}

/// A scope is on the list while this lives.
pub(crate) struct Enrolled {
    rosters: Arc<Rosters>,
    number: u64,
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        let (roster, woken) = {
            let mut state = lock(&self.rosters.0);
            let roster = state.scopes.remove(&self.number);
            let none = state.scopes.is_empty();
            (roster, if none { std::mem::take(&mut state.waiting) } else { BTreeMap::new() })
        };
        drop(roster);
        // A waker that panics is not the scope's fault.
        woken.into_values().for_each(|waker| forget_panic(contain(|| waker.wake())));
    }
}

/// Waits until a tracker has no scope.
pub(super) struct NoScopes {
    rosters: Arc<Rosters>,
    ticket: Option<u64>,
}

impl Future for NoScopes {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let waker = cx.waker().clone();
        let mut state = lock(&this.rosters.0);
        let none = state.scopes.is_empty();
        let before = if none {
            (this.ticket.take().and_then(|ticket| state.waiting.remove(&ticket)), Some(waker))
        } else {
            let ticket = *this.ticket.get_or_insert_with(|| {
                state.numbers += 1;
                state.numbers
            });
            (state.waiting.insert(ticket, waker), None)
        };
        drop(state);
        drop(before);
        if none { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for NoScopes {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let waker = lock(&self.rosters.0).waiting.remove(&ticket);
            drop(waker);
        }
    }
}

impl fmt::Debug for NoScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoScopes").field("waiting", &self.ticket.is_some()).finish()
    }
}
