//! [`Node`]: what a supervisor, a child's task and the views share of one child.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use weirs_runtime::Instant;
use weirs_runtime::waiting::{Ticket, let_go, wake};
use weirs_scopes::CancelToken;

use super::branch::Branch;
use super::machine::Key;
use super::snapshot::Snapshot;
use crate::actor::Orphan;
use crate::sync::lock;
use crate::{Exit, Id};

/// An incarnation is to begin.
pub(crate) const RUN: u8 = 1;
/// It is asked to stop.
pub(crate) const STOP: u8 = 2;
/// And does not come back.
pub(crate) const LAST: u8 = 4;
/// It is to be dropped.
pub(crate) const KILL: u8 = 8;
/// It said that it is ready.
pub(crate) const READY: u8 = 16;
/// The waker was taken out of the seat.
const WOKEN: u8 = 32;
/// The task is gone, and nobody takes orders any more.
pub(crate) const GONE: u8 = 64;

/// What a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A future.
    Task,
    /// An actor.
    Actor,
    /// A supervisor.
    Tree,
}

/// Where a child stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildState {
    /// It does not run.
    Down,
    /// It waits for its turn to be started.
    Queued,
    /// It runs, and is not ready yet.
    Starting,
    /// It runs.
    Up,
    /// It is restarted after a pause.
    Pausing(Duration),
    /// It was asked to stop.
    Stopping,
    /// It was killed, and does not give its thread back.
    Stuck,
}

/// What a child's body shows of itself.
pub(crate) trait Face: Send + Sync {
    /// Messages may come.
    fn open(&self) {}
    /// Nobody will take messages any more.
    fn close(&self, _exit: &Exit) {}
    /// Keeps an answer that was dropped while it was polled, until it is known why.
    fn orphan(&self, orphan: Arc<dyn Orphan>) -> Result<(), Arc<dyn Orphan>> {
        Err(orphan)
    }
    /// Whether the one who has this ticket still waits for room there.
    fn awaits_room(&self, _ticket: Ticket) -> bool {
        false
    }
    /// A life ended.
    fn life_ended(&self, _exit: &Exit) {}
    /// Fills in what it knows.
    fn show(&self, _snapshot: &mut Snapshot, _now: Instant) {}
    /// The children, if it is a supervisor that runs.
    fn branch(&self) -> Option<Arc<Branch>> {
        None
    }
}

/// What a supervisor, a child's task and the views share of one child.
pub(crate) struct Node {
    pub(crate) id: Id,
    pub(crate) kind: Kind,
    pub(crate) above: OnceLock<(Weak<Branch>, Key)>,
    pub(crate) face: Option<Arc<dyn Face>>,
    flags: AtomicU8,
    seat: Mutex<Seat>,
}

#[derive(Default)]
struct Seat {
    waker: Option<Waker>,
    token: Option<CancelToken>,
    /// Whether an incarnation is there, from the order to begin until its future is gone.
    alive: bool,
    /// Whose answers it waits for, and in whose queues for room.
    waits_for: Option<Box<Waits>>,
    shown: Shown,
}

impl Seat {
    /// Whether the life of that number is there.
    fn lives(&self, number: u64) -> bool {
        self.alive && self.shown.incarnation == number
    }
}

/// What one who waits for the order to stop hears.
pub(crate) enum Heard {
    /// It was asked to stop, or that life is over.
    Stop,
    /// Nothing; the child's own task is woken when that changes, and it is the one that asks.
    Nothing,
    /// Nothing; and whoever asks is not woken by the child's task.
    NothingElsewhere,
}

/// Most wait for nobody.
#[derive(Clone, Default)]
struct Waits(Vec<Wait>);

/// What an actor waits for: the answer of that one, or room in its queue.
#[derive(Clone)]
struct Wait {
    on: Arc<Node>,
    room: Option<Ticket>,
}

impl Wait {
    fn lasts(&self) -> bool {
        let full = |ticket| self.on.face.as_ref().is_some_and(|face| face.awaits_room(ticket));
        self.room.is_none_or(full)
    }
}

/// What the views know.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) state: ChildState,
    pub(crate) incarnation: u64,
    pub(crate) since: Option<Instant>,
    pub(crate) last_exit: Option<Exit>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { state: ChildState::Down, incarnation: 0, since: None, last_exit: None }
    }
}

impl Node {
    pub(crate) fn new(id: Id, kind: Kind, face: Option<Arc<dyn Face>>) -> Arc<Self> {
        Arc::new(Self {
            id,
            kind,
            above: OnceLock::new(),
            face,
            flags: AtomicU8::new(WOKEN),
            seat: Mutex::default(),
        })
    }

    #[inline]
    pub(crate) fn flags(&self) -> u8 {
        self.flags.load(Ordering::Acquire)
    }

    /// Sets flags and tells whether they were not all set before.
    pub(crate) fn set(&self, flags: u8) -> bool {
        self.flags.fetch_or(flags, Ordering::AcqRel) & flags != flags
    }

    /// Takes the order to begin.
    pub(crate) fn take_run(&self) -> bool {
        self.flags() & RUN != 0 && self.flags.fetch_and(!RUN, Ordering::AcqRel) & RUN != 0
    }

    /// Has an incarnation begin: what was said to the one before counts no longer.
    pub(crate) fn run(&self, now: Instant) -> u64 {
        let (waker, number) = {
            let mut seat = lock(&self.seat);
            self.flags.fetch_and(WOKEN | GONE, Ordering::AcqRel);
            self.flags.fetch_or(RUN | WOKEN, Ordering::AcqRel);
            seat.alive = true;
            seat.shown.incarnation += 1;
            seat.shown.state = ChildState::Starting;
            seat.shown.since = Some(now);
            (seat.waker.take(), seat.shown.incarnation)
        };
        if let Some(waker) = waker {
            wake(waker);
        }
        number
    }

    /// Tells the one that runs.
    pub(crate) fn tell(&self, flags: u8) {
        let (waker, token) = {
            let mut seat = lock(&self.seat);
            self.flags.fetch_or(flags | WOKEN, Ordering::AcqRel);
            seat.shown.state = ChildState::Stopping;
            (seat.waker.take(), seat.token.clone())
        };
        if let Some(token) = token {
            token.cancel("stopping");
        }
        if let Some(waker) = waker {
            wake(waker);
        }
    }

    /// Has the one that runs look around.
    pub(crate) fn poke(&self) {
        let waker = {
            let mut seat = lock(&self.seat);
            self.flags.fetch_or(WOKEN, Ordering::AcqRel);
            seat.waker.take()
        };
        if let Some(waker) = waker {
            wake(waker);
        }
    }

    /// Keeps the waker of the child's task, if there is none or another.
    pub(crate) fn register(&self, known: &mut Option<Waker>, cx: &Context<'_>) {
        let woken = self.flags() & WOKEN != 0;
        if !woken && known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            return;
        }
        let (kept, ours) = (cx.waker().clone(), cx.waker().clone());
        let old = {
            let mut seat = lock(&self.seat);
            self.flags.fetch_and(!WOKEN, Ordering::AcqRel);
            seat.waker.replace(kept)
        };
        let_go(old);
        let_go(known.replace(ours));
    }

    /// The life of that number is ready. Tells whether it was not before.
    pub(crate) fn ready(&self, number: u64) -> bool {
        let seat = lock(&self.seat);
        seat.lives(number) && self.set(READY)
    }

    /// Whether the life of that number is asked to stop, or over.
    pub(crate) fn is_stopping(&self, number: u64) -> bool {
        !lock(&self.seat).lives(number) || self.flags() & (STOP | KILL) != 0
    }

    /// What one who waits in the life of that number hears.
    pub(crate) fn hear_stop(&self, number: u64, cx: &Context<'_>) -> Heard {
        let seat = lock(&self.seat);
        if !seat.lives(number) || self.flags() & (STOP | KILL) != 0 {
            return Heard::Stop;
        }
        match &seat.waker {
            Some(waker) if waker.will_wake(cx.waker()) => Heard::Nothing,
            _ => Heard::NothingElsewhere,
        }
    }

    /// The token of the life of that number, made when somebody asks for it.
    pub(crate) fn token(&self, number: u64) -> CancelToken {
        let fresh = CancelToken::new();
        let token = {
            let mut seat = lock(&self.seat);
            seat.lives(number).then(|| seat.token.get_or_insert_with(|| fresh.clone()).clone())
        };
        let Some(token) = token else {
            fresh.cancel("ended");
            return fresh;
        };
        if self.flags() & (STOP | KILL) != 0 {
            token.cancel("stopping");
        }
        token
    }

    /// The incarnation is gone.
    pub(crate) fn ended(&self, exit: Exit) {
        let (token, before) = {
            let mut seat = lock(&self.seat);
            seat.alive = false;
            (seat.token.take(), seat.shown.last_exit.replace(exit))
        };
        if let Some(token) = token {
            token.cancel("ended");
        }
        crate::panics::let_go(before);
    }

    /// It waits for another: for its answer, or with a ticket for room in its queue. An error, with the path,
    /// if that waits for it in the end.
    pub(crate) fn wait_for(self: &Arc<Self>, on: &Arc<Self>, room: Option<Ticket>) -> Result<(), Vec<Id>> {
        // Noted before the others are looked at: of two that ask each other at the same time, one sees both.
        let wait = Wait { on: Arc::clone(on), room };
        lock(&self.seat).waits_for.get_or_insert_default().0.push(wait);
        match on.way_to(self) {
            Some(way) => {
                self.waits_no_longer(on, room);
                Err(std::iter::once(self.id.clone()).chain(way).collect())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn waits_no_longer(&self, on: &Arc<Self>, room: Option<Ticket>) {
        let mut seat = lock(&self.seat);
        let same = |wait: &Wait| Arc::ptr_eq(&wait.on, on) && wait.room == room;
        let Some(waits) = &mut seat.waits_for else { return };
        if let Some(at) = waits.0.iter().position(same) {
            let wait = waits.0.swap_remove(at);
            drop(seat);
            drop(wait);
        }
    }

    /// Who waits for whom from here to `target`, if this waits for it through others or is it.
    fn way_to(self: &Arc<Self>, target: &Arc<Self>) -> Option<Vec<Id>> {
        if Arc::ptr_eq(self, target) {
            return Some(vec![self.id.clone()]);
        }
        // Most wait for nobody.
        if lock(&self.seat).waits_for.as_ref().is_none_or(|waits| waits.0.is_empty()) {
            return None;
        }
        // Breadth first, each with the place of the one it was reached from.
        let mut reached = vec![(Arc::clone(self), 0)];
        let mut seen = HashSet::from([Arc::as_ptr(self)]);
        let mut at = 0;
        while let Some((node, _)) = reached.get(at) {
            let waits = lock(&node.seat).waits_for.clone();
            for wait in waits.into_iter().flat_map(|waits| waits.0) {
                if !seen.contains(&Arc::as_ptr(&wait.on)) && wait.lasts() {
                    seen.insert(Arc::as_ptr(&wait.on));
                    if Arc::ptr_eq(&wait.on, target) {
                        let mut way = vec![target.id.clone()];
                        while at > 0 {
                            way.push(reached[at].0.id.clone());
                            at = reached[at].1;
                        }
                        way.push(self.id.clone());
                        way.reverse();
                        return Some(way);
                    }
                    reached.push((wait.on, at));
                }
            }
            at += 1;
        }
        None
    }

    /// The first whose answer it waits for.
    pub(crate) fn waiting_on(&self) -> Option<Arc<Self>> {
        lock(&self.seat).waits_for.as_ref()?.0.first().map(|wait| Arc::clone(&wait.on))
    }

    pub(crate) fn show(&self, state: ChildState) {
        lock(&self.seat).shown.state = state;
    }

    pub(crate) fn shown(&self) -> Shown {
        lock(&self.seat).shown.clone()
    }

    pub(crate) fn incarnation(&self) -> u64 {
        lock(&self.seat).shown.incarnation
    }

    /// From the root down, such as `app/sessions/17`.
    pub(crate) fn path(&self) -> String {
        let mut names = Vec::new();
        let mut branch = self.above.get().and_then(|(branch, _)| branch.upgrade());
        while let Some(above) = branch {
            match above.node.as_ref().and_then(Weak::upgrade) {
                Some(node) => {
                    names.push(node.id.clone());
                    branch = node.above.get().and_then(|(branch, _)| branch.upgrade());
                }
                None => {
                    names.extend(above.name.clone());
                    branch = None;
                }
            }
        }
        let mut path = String::new();
        for name in names.iter().rev() {
            name.write_to(&mut path);
            path.push('/');
        }
        self.id.write_to(&mut path);
        path
    }
}
