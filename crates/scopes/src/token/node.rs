//! [`Node`]: a token's place in the tree.
//!
//! A node points up to its parent and the parent down to it: both keep each other. That circle is cut by a
//! count of the tokens there are of a node. When it has neither tokens nor children any more, it is taken out
//! of its parent's list, and then it is an ordinary [`Arc`] that dies with its last owner.
//!
//! The protocol, which `tests/models/tests/token.rs` checks:
//!
//! 1. `state` goes from [`IDLE`] or [`OCCUPIED`] to a kind of cancelled, once. Whoever changes it cancels the
//!    node, and nobody else runs what hangs on it.
//! 2. [`IDLE`] means that nothing hangs on the node: then it is cancelled without its lock. Whoever hangs
//!    something on it sets [`OCCUPIED`] first, under the lock, and from then on `state` changes only under
//!    the lock. So a canceller finds all that was hung on, or the one who hangs it on finds the node
//!    cancelled.
//! 3. Of two nodes, at most one is locked at a time; nothing foreign is called, cloned or dropped under a
//!    lock.
//! 4. A node's `slot` is read and written under its parent's lock.
//! 5. Whoever drops a node's last token looks for children after that, under the lock; whoever takes its last
//!    child out, or all of them to cancel them, looks for tokens after that, under the same lock. So one of
//!    them finds neither, and lets the node leave its parent. If both do, the second finds it gone.

use std::mem;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use super::fallout::{Callback, Fallout};
use super::slab::Slab;
use super::time::Time;
use crate::Reason;
use crate::sync::{AtomicU8, AtomicU32, AtomicUsize, Mutex, Ordering, lock};

/// Not cancelled, and nothing hangs on it.
const IDLE: u8 = 0;
/// Not cancelled; children, waiters and the like are under the lock.
const OCCUPIED: u8 = 1;
/// From here on it is cancelled, and the number tells why.
const CANCELLED: u8 = 2;
const DEADLINE: u8 = 3;
const SIBLING_FAILED: u8 = 4;
const SCOPE_DROPPED: u8 = 5;
const SHUTDOWN: u8 = 6;
/// The reason is under the lock.
const OTHER: u8 = 7;
const NOT_NEEDED: u8 = 8;

/// In this order, so that the state shares a cache line with the count of the [`Arc`]: cancelling a leaf
/// touches these two.
#[repr(C)]
pub(super) struct Node {
    state: AtomicU8,
    /// Where the parent's list has it.
    slot: AtomicU32,
    /// How many tokens there are of it.
    tokens: AtomicUsize,
    parent: Option<Arc<Self>>,
    /// None is real time without a deadline.
    time: Option<Arc<Time>>,
    locked: Mutex<Locked>,
}

enum Locked {
    Live(Live),
    /// With the reason, if the state alone does not tell it.
    Cancelled(Option<Reason>),
}

/// What hangs on a node that is not cancelled.
struct Live {
    /// Most tokens have one waiter at a time; it needs no memory.
    first: Option<Waker>,
    more: Option<Box<More>>,
}

struct More {
    children: Vec<Arc<Node>>,
    waiters: Slab<Waiter>,
    rare: Option<Box<Rare>>,
}

/// What only a node with a deadline, or a linked one, has.
#[derive(Default)]
pub(super) struct Rare {
    pub(super) timer: Option<weirs_runtime::Sleep>,
    /// A linked node's outposts: a child of each token that it is linked to, one token of each.
    pub(super) outposts: Vec<Arc<Node>>,
    /// An outpost's linked node.
    forward: Weak<Node>,
}

enum Waiter {
    Waker(Waker),
    Callback(Callback),
}

/// Where a waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

/// The one that needs no memory.
const FIRST: Place = Place(u32::MAX);

/// Lists of children that are empty for the most part give memory back, unless they are shorter than this.
const SHORT: usize = 64;

impl Node {
    fn new(parent: Option<Arc<Self>>, time: Option<Arc<Time>>) -> Self {
        Self {
            state: AtomicU8::new(IDLE),
            slot: AtomicU32::new(0),
            tokens: AtomicUsize::new(1),
            parent,
            time,
            locked: Mutex::new(Locked::Live(Live { first: None, more: None })),
        }
    }

    /// The first of a tree. Like all that make one, it gives the node with one token counted.
    pub(super) fn root(time: Option<Arc<Time>>) -> Arc<Self> {
        Arc::new(Self::new(None, time))
    }

    /// A child in the parent's time.
    pub(super) fn child(self: &Arc<Self>) -> Arc<Self> {
        self.child_in(self.time.clone())
    }

    fn child_in(self: &Arc<Self>, time: Option<Arc<Time>>) -> Arc<Self> {
        if let Some(why) = self.reason() {
            // It needs no parent to tell it.
            let child = Self::root(time);
            child.cancel(why);
            return child;
        }
        let child = Arc::new(Self::new(Some(Arc::clone(self)), time));
        self.adopt(&child);
        child
    }

    /// A child with a deadline of its own. Its timer is not set yet.
    pub(super) fn child_with_time(self: &Arc<Self>, time: impl FnOnce(&Weak<Self>) -> Time) -> Arc<Self> {
        let parent = Some(Arc::clone(self));
        let child = Arc::new_cyclic(|owner| Self::new(parent, Some(Arc::new(time(owner)))));
        self.adopt(&child);
        child
    }

    /// A node that is cancelled with any of these.
    pub(super) fn linked<'a>(
        sources: impl Iterator<Item = &'a Arc<Self>>,
        time: Option<Arc<Time>>,
    ) -> Arc<Self> {
        let node = Self::root(time);
        let mut rare = Box::<Rare>::default();
        for source in sources {
            let outpost = source.child();
            let forward = Box::new(Rare { forward: Arc::downgrade(&node), ..Rare::default() });
            let kept = outpost.keep(forward);
            rare.outposts.push(outpost);
            if kept.is_err() {
                break;
            }
        }
        let cancelled = rare.outposts.last().and_then(|outpost| outpost.reason());
        let left = node.keep(rare);
        if let Some(why) = cancelled {
            node.cancel(why);
        }
        if let Err(rare) = left {
            rare.end();
        }
        node
    }

    /// Puts the child into the list of children, or cancels it.
    fn adopt(&self, child: &Arc<Self>) {
        {
            let mut locked = lock(&self.locked);
            if let Some(live) = self.occupy(&mut locked) {
                let children = &mut live.more().children;
                let slot = u32::try_from(children.len()).expect("fewer than four billion children");
                // Relaxed: the lock orders it (rule 4).
                child.slot.store(slot, Ordering::Relaxed);
                children.push(Arc::clone(child));
                return;
            }
        }
        if let Some(why) = self.reason() {
            child.cancel(why);
        }
    }

    pub(super) fn time(&self) -> Option<&Arc<Time>> {
        self.time.as_ref()
    }

    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        // Pairs with the change of state in `mark`: whoever sees it cancelled sees what the canceller did
        // before.
        self.state.load(Ordering::Acquire) >= CANCELLED
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        Some(match self.state.load(Ordering::Acquire) {
            IDLE | OCCUPIED => return None,
            DEADLINE => Reason::Deadline,
            SIBLING_FAILED => Reason::SiblingFailed,
            NOT_NEEDED => Reason::NotNeeded,
            SCOPE_DROPPED => Reason::ScopeDropped,
            SHUTDOWN => Reason::Shutdown,
            OTHER => match &*lock(&self.locked) {
                // A clone of an `Arc`: nothing foreign.
                Locked::Cancelled(Some(why)) => why.clone(),
                _ => unreachable!("the reason is there before the state says so"),
            },
            _ => Reason::Requested,
        })
    }

    /// Cancels it and all below it; `false` if it was cancelled already.
    pub(super) fn cancel(&self, why: Reason) -> bool {
        let mut fallout = Fallout::default();
        if !self.mark(&why, &mut fallout) {
            return false;
        }
        while let Some(children) = fallout.below.pop() {
            for child in children {
                child.mark(&why, &mut fallout);
            }
        }
        fallout.happen(&why);
        true
    }

    /// Sets the flag, and gathers what has to happen because of it. Nothing happens yet.
    fn mark(&self, why: &Reason, fallout: &mut Fallout) -> bool {
        let kind = kind(why);
        // The release, here and below, pairs with `is_cancelled` and `reason`.
        let exchange = || self.state.compare_exchange(IDLE, kind, Ordering::AcqRel, Ordering::Acquire);
        // No look before: a load that misses the cache and then an exchange cost more than an exchange.
        if kind != OTHER && exchange().is_ok() {
            return true; // Rule 2: nothing hangs on it.
        }
        let mut locked = lock(&self.locked);
        if self.state.load(Ordering::Relaxed) == OCCUPIED {
            // Rule 2: nobody else changes it.
            self.state.store(kind, Ordering::Release);
        } else if exchange().is_err() {
            return false;
        }
        let reason = (kind == OTHER).then(|| why.clone());
        let before = mem::replace(&mut *locked, Locked::Cancelled(reason));
        // Relaxed: rule 5.
        let done = self.tokens.load(Ordering::Relaxed) == 0;
        drop(locked);
        if done {
            self.leave();
        }
        if let Locked::Live(Live { first, more }) = before {
            fallout.wakers.extend(first);
            if let Some(more) = more {
                more.fall_into(fallout);
            }
        }
        true
    }

    /// What hangs on it, for more to be hung on; none if it is cancelled. The lock is held.
    fn occupy<'l>(&self, locked: &'l mut Locked) -> Option<&'l mut Live> {
        // Relaxed: it was set under this lock.
        if self.state.load(Ordering::Relaxed) != OCCUPIED {
            // The acquire pairs with a canceller's release, who did not take the lock.
            let exchange = self.state.compare_exchange(IDLE, OCCUPIED, Ordering::AcqRel, Ordering::Acquire);
            if exchange.is_err() {
                return None;
            }
        }
        match locked {
            Locked::Live(live) => Some(live),
            Locked::Cancelled(_) => None,
        }
    }

    /// Waits: the waker is woken when it is cancelled. `place` is where the waiter stands, none at first.
    #[inline]
    pub(super) fn poll(&self, place: &mut Option<Place>, cx: &mut Context<'_>) -> Poll<Reason> {
        if let Some(why) = self.reason() {
            *place = None;
            return Poll::Ready(why);
        }
        if let Some(place) = *place {
            let mut locked = lock(&self.locked);
            if locked.waker(place).is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
        }
        self.register(place, cx.waker().clone())
    }

    fn register(&self, place: &mut Option<Place>, waker: Waker) -> Poll<Reason> {
        let before = {
            let mut locked = lock(&self.locked);
            match self.occupy(&mut locked) {
                None => Some(waker),
                Some(live) => match place.and_then(|place| live.waker(place)) {
                    Some(before) => Some(mem::replace(before, waker)),
                    None => {
                        *place = Some(live.wait(waker));
                        None
                    }
                },
            }
        };
        drop(before);
        // Cancelled in between, it will not wake us.
        match self.reason() {
            None => Poll::Pending,
            Some(why) => {
                *place = None;
                Poll::Ready(why)
            }
        }
    }

    /// Registers a callback; gives it back if it is cancelled.
    pub(super) fn on_cancel(&self, callback: Callback) -> Result<Place, Callback> {
        let mut locked = lock(&self.locked);
        match self.occupy(&mut locked) {
            Some(live) => Ok(Place(live.more().waiters.insert(Waiter::Callback(callback)))),
            None => Err(callback),
        }
    }

    /// Takes a waiter out; `false` when it was woken or is being called.
    pub(super) fn unregister(&self, place: Place) -> bool {
        if self.is_cancelled() {
            return false;
        }
        let waiter = match &mut *lock(&self.locked) {
            Locked::Live(live) => live.take(place),
            Locked::Cancelled(_) => None,
        };
        // Dropped here, after the lock.
        waiter.is_some()
    }

    /// Keeps a timer or links until it is cancelled; gives them back if it is.
    pub(super) fn keep(&self, rare: Box<Rare>) -> Result<(), Box<Rare>> {
        let mut locked = lock(&self.locked);
        match self.occupy(&mut locked) {
            Some(live) => {
                let before = live.more().rare.replace(rare);
                drop(locked);
                drop(before);
                Ok(())
            }
            None => Err(rare),
        }
    }

    /// Takes the timer out, to set it anew.
    pub(super) fn take_timer(&self) -> Option<weirs_runtime::Sleep> {
        match &mut *lock(&self.locked) {
            Locked::Live(live) => live.more.as_mut()?.rare.as_mut()?.timer.take(),
            Locked::Cancelled(_) => None,
        }
    }

    /// One token more.
    #[inline]
    pub(super) fn retain(&self) {
        // Relaxed: whoever calls it has a token.
        self.tokens.fetch_add(1, Ordering::Relaxed);
    }

    /// One token more, unless it is done with.
    pub(super) fn try_retain(&self) -> bool {
        let more = |tokens| (tokens > 0).then_some(tokens + 1);
        if self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok() {
            return true;
        }
        // While it has children it does not leave, and this is seen by whoever takes the last one out.
        let mut locked = lock(&self.locked);
        let has_children = !locked.children().is_none_or(|children| children.is_empty());
        if has_children {
            self.retain();
        }
        has_children
    }

    /// One token less.
    #[inline]
    pub(super) fn release(&self) {
        // AcqRel: the last one to go comes after all others.
        if self.tokens.fetch_sub(1, Ordering::AcqRel) == 1 && self.parent.is_some() && !self.has_children() {
            self.leave();
        }
    }

    fn has_children(&self) -> bool {
        // Without tokens, nothing is hung on an idle node; of a cancelled one the list was taken.
        if self.state.load(Ordering::Acquire) != OCCUPIED {
            return false;
        }
        !lock(&self.locked).children().is_none_or(|children| children.is_empty())
    }

    /// Leaves its parent, which may have to leave its own because of that, and so on.
    fn leave(&self) {
        let mut node = self;
        while let Some(parent) = &node.parent {
            if !parent.let_go(node) {
                break;
            }
            node = parent;
        }
    }

    /// Takes a child out of the list; `true` when this node has nothing left, and has to leave too.
    fn let_go(&self, child: &Self) -> bool {
        if self.is_cancelled() {
            return false; // Whoever cancelled it has taken the list.
        }
        let (taken, done) = {
            let mut locked = lock(&self.locked);
            let Some(children) = locked.children() else {
                return false;
            };
            // Relaxed: the lock orders it (rule 4).
            let slot = child.slot.load(Ordering::Relaxed);
            if !children.get(slot as usize).is_some_and(|there| std::ptr::eq(&**there, child)) {
                return false; // It has left already, or never was there.
            }
            let taken = children.swap_remove(slot as usize);
            if let Some(moved) = children.get(slot as usize) {
                moved.slot.store(slot, Ordering::Relaxed);
            }
            if children.capacity() > SHORT && children.len() < children.capacity() / 4 {
                children.shrink_to(children.len() * 2);
            }
            // Relaxed: by rule 5 the lock orders it, if it is zero by then.
            (taken, children.is_empty() && self.tokens.load(Ordering::Relaxed) == 0)
        };
        // Not the last: whoever lets the child leave has it.
        drop(taken);
        done
    }

    fn take_outposts(&mut self) -> Vec<Arc<Self>> {
        match self.locked.get_mut() {
            Ok(Locked::Live(Live { more: Some(more), .. })) => {
                more.rare.as_mut().map_or_else(Vec::new, |rare| mem::take(&mut rare.outposts))
            }
            _ => Vec::new(),
        }
    }
}

/// Drops a parent, and releases outposts, and whatever dies of that, and so on: a chain may be a million
/// long.
pub(super) fn drop_all(mut parent: Option<Arc<Node>>, mut outposts: Vec<Arc<Node>>) {
    loop {
        let next = parent.take().or_else(|| {
            let outpost = outposts.pop()?;
            outpost.release();
            Some(outpost)
        });
        let Some(node) = next else {
            return;
        };
        if let Some(mut node) = Arc::into_inner(node) {
            outposts.append(&mut node.take_outposts());
            parent = node.parent.take();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let outposts = self.take_outposts();
        if self.parent.is_some() || !outposts.is_empty() {
            drop_all(self.parent.take(), outposts);
        }
    }
}

impl Locked {
    fn children(&mut self) -> Option<&mut Vec<Arc<Node>>> {
        match self {
            Self::Live(Live { more: Some(more), .. }) => Some(&mut more.children),
            _ => None,
        }
    }

    fn waker(&mut self, place: Place) -> Option<&mut Waker> {
        match self {
            Self::Live(live) => live.waker(place),
            Self::Cancelled(_) => None,
        }
    }
}

impl Live {
    fn more(&mut self) -> &mut More {
        self.more
            .get_or_insert_with(|| Box::new(More { children: Vec::new(), waiters: Slab::new(), rare: None }))
    }

    fn waker(&mut self, place: Place) -> Option<&mut Waker> {
        if place == FIRST {
            return self.first.as_mut();
        }
        match self.more.as_mut()?.waiters.get_mut(place.0)? {
            Waiter::Waker(waker) => Some(waker),
            Waiter::Callback(_) => None,
        }
    }

    fn wait(&mut self, waker: Waker) -> Place {
        if self.first.is_none() {
            self.first = Some(waker);
            return FIRST;
        }
        Place(self.more().waiters.insert(Waiter::Waker(waker)))
    }

    fn take(&mut self, place: Place) -> Option<Waiter> {
        if place == FIRST {
            return self.first.take().map(Waiter::Waker);
        }
        self.more.as_mut()?.waiters.remove(place.0)
    }
}

impl More {
    fn fall_into(self, fallout: &mut Fallout) {
        if !self.children.is_empty() {
            fallout.below.push(self.children);
        }
        for waiter in self.waiters.into_values() {
            match waiter {
                Waiter::Waker(waker) => fallout.wakers.push(waker),
                Waiter::Callback(callback) => fallout.callbacks.push(callback),
            }
        }
        if let Some(rare) = self.rare {
            fallout.below.extend(rare.forward.upgrade().map(|linked| vec![linked]));
            fallout.rare.push(rare);
        }
    }
}

impl Rare {
    pub(super) fn with_timer(timer: weirs_runtime::Sleep) -> Box<Self> {
        Box::new(Self { timer: Some(timer), ..Self::default() })
    }

    /// Its node is cancelled.
    pub(super) fn end(self) {
        drop(self.timer);
        drop_all(None, self.outposts);
    }
}

fn kind(why: &Reason) -> u8 {
    match why {
        Reason::Requested => CANCELLED,
        Reason::Deadline => DEADLINE,
        Reason::SiblingFailed => SIBLING_FAILED,
        Reason::NotNeeded => NOT_NEEDED,
        Reason::ScopeDropped => SCOPE_DROPPED,
        Reason::Shutdown => SHUTDOWN,
        Reason::Other(_) => OTHER,
    }
}
