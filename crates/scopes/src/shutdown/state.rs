//! [`State`]: the groups of a shutdown, their tasks, and how far it has come.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use weirs_runtime::{AbortHandle, Clock, Instant};

use super::member::Seen;
use super::report::{Counts, MemberEnd, MemberReport};
use crate::panics::{contain, forget_panic};
use crate::{CancelToken, Reason, Refusal};

/// So many of a group's tasks are named in the report; the others are counted.
const NAMED: usize = 64;

/// What the shutdown does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    Running,
    Draining,
    Cancelling,
    Over,
}

pub(super) struct State {
    pub(super) mode: Mode,
    /// When it was triggered, and why.
    pub(super) trigger: Option<(Instant, Reason)>,
    pub(super) forced: bool,
    pub(super) claimed: bool,
    /// The first is the top, which holds all others.
    pub(super) groups: Vec<Group>,
    pub(super) by_path: BTreeMap<Arc<str>, usize>,
    /// How many tasks there are, with those that were dropped while they were being polled.
    pub(super) present: usize,
    /// How many tasks there are in the groups that were cancelled in the present round.
    pub(super) in_round: usize,
    pub(super) round: u32,
    pub(super) deferred: Vec<Deferred>,
    pub(super) runner: Option<Waker>,
    members: u64,
}

pub(super) struct Group {
    pub(super) path: Arc<str>,
    pub(super) above: Option<usize>,
    pub(super) within: Vec<usize>,
    /// Who is told when this one is over.
    pub(super) before: Vec<usize>,
    /// How many have to be told or over before this one is told: the group that holds it, and those that
    /// stand before it.
    pub(super) waits_for: usize,
    pub(super) told: bool,
    pub(super) over: bool,
    /// The round in which it was cancelled.
    pub(super) cancelled: Option<u32>,
    /// How many tasks there are in it and all within it, without those that were dropped in a poll.
    pub(super) live: usize,
    pub(super) members: BTreeMap<u64, Entry>,
    pub(super) intake: CancelToken,
    pub(super) token: CancelToken,
    pub(super) counts: Counts,
    pub(super) named: Vec<MemberReport>,
}

pub(super) struct Entry {
    pub(super) name: Cow<'static, str>,
    pub(super) location: &'static Location<'static>,
    pub(super) spawned: Instant,
    pub(super) essential: bool,
    /// None until the runtime has taken it.
    pub(super) abort: Option<AbortHandle>,
    /// It is to be dropped.
    pub(super) dropped: bool,
    /// It was being polled then; it does not count as live.
    pub(super) given_up: bool,
}

pub(super) struct Deferred {
    pub(super) name: Cow<'static, str>,
    pub(super) location: &'static Location<'static>,
    pub(super) future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What is to be done when the lock was let go: all of it is foreign code.
#[derive(Default)]
#[must_use = "it has to be done"]
pub(super) struct Effects {
    pub(super) aborts: Vec<AbortHandle>,
    pub(super) cancels: Vec<(CancelToken, Reason)>,
    pub(super) waker: Option<Waker>,
}

impl Effects {
    pub(super) fn run(self) {
        for abort in self.aborts {
            forget_panic(contain(|| abort.abort()));
        }
        for (token, why) in self.cancels {
            forget_panic(contain(|| {
                token.cancel(why);
            }));
        }
        if let Some(waker) = self.waker {
            forget_panic(contain(|| waker.wake()));
        }
    }
}

impl State {
    pub(super) fn new(clock: &Clock) -> Self {
        let top = Group::new("".into(), None, clock);
        Self {
            mode: Mode::Running,
            trigger: None,
            forced: false,
            claimed: false,
            groups: vec![top],
            by_path: BTreeMap::new(),
            present: 0,
            in_round: 0,
            round: 0,
            deferred: Vec::new(),
            runner: None,
            members: 0,
        }
    }

    /// The group with this path within that one.
    pub(super) fn group(&mut self, above: usize, path: &str, clock: &Clock) -> usize {
        let mut index = above;
        for part in path.split('/') {
            let path: Arc<str> = match &*self.groups[index].path {
                "" => part.into(),
                above => format!("{above}/{part}").into(),
            };
            index = match self.by_path.get(&path) {
                Some(known) => *known,
                None => self.add(index, path, clock),
            };
        }
        index
    }

    fn add(&mut self, above: usize, path: Arc<str>, clock: &Clock) -> usize {
        let index = self.groups.len();
        self.by_path.insert(Arc::clone(&path), index);
        let mut group = Group::new(path, Some(above), clock);
        let holder = &mut self.groups[above];
        holder.within.push(index);
        // One that comes late is as far as the one that holds it.
        if holder.told {
            group.waits_for = 0;
            group.told = true;
            let why = self.trigger.as_ref().map_or(Reason::Shutdown, |trigger| trigger.1.clone());
            group.intake.cancel(why);
        }
        if holder.cancelled.is_some() || self.mode == Mode::Over {
            group.cancelled = holder.cancelled.or(Some(self.round));
            group.token.cancel(Reason::Shutdown);
        }
        self.groups.push(group);
        index
    }

    /// Takes a task; it is not spawned yet.
    pub(super) fn admit(&mut self, group: usize, entry: Entry) -> Result<u64, Refusal> {
        if self.mode == Mode::Over || self.groups[group].cancelled.is_some() {
            return Err(Refusal::Cancelled);
        }
        self.members += 1;
        let id = self.members;
        self.groups[group].members.insert(id, entry);
        self.present += 1;
        let mut index = Some(group);
        while let Some(at) = index {
            self.groups[at].live += 1;
            index = self.groups[at].above;
        }
        Ok(id)
    }

    /// A task is over. Gives what was known of it, and what is to be done.
    pub(super) fn ended(
        &mut self,
        group: usize,
        id: u64,
        seen: Seen,
        now: Option<Instant>,
    ) -> Option<(Entry, Effects)> {
        let at = &mut self.groups[group];
        let entry = at.members.remove(&id)?;
        if let Some((triggered, _)) = self.trigger {
            let end = match seen {
                Seen::Finished if at.cancelled.is_some() => MemberEnd::Cancelled,
                Seen::Finished => MemberEnd::Finished,
                Seen::Dropped => MemberEnd::Dropped,
                Seen::Panicked => MemberEnd::Panicked,
            };
            at.note(&entry, end, now.unwrap_or(triggered));
        }
        self.present -= 1;
        let mut effects = Effects::default();
        if !entry.given_up {
            self.left(group, 1, &mut effects);
        }
        let none_in_round = self.mode == Mode::Cancelling && self.in_round == 0;
        if self.trigger.is_some() && (self.groups[0].live == 0 || none_in_round) {
            effects.waker = self.runner.take();
        }
        Some((entry, effects))
    }

    /// So many of this group have ended, or were dropped.
    pub(super) fn left(&mut self, group: usize, number: usize, effects: &mut Effects) {
        if self.groups[group].cancelled == Some(self.round) {
            self.in_round -= number;
        }
        let (mut next, mut reached) = (Some(group), Vec::new());
        while let Some(index) = next {
            self.groups[index].live -= number;
            self.look_if_over(index, &mut reached);
            next = self.groups[index].above;
        }
        self.tell(reached, effects);
    }
}

impl Group {
    fn new(path: Arc<str>, above: Option<usize>, clock: &Clock) -> Self {
        Self {
            path,
            waits_for: usize::from(above.is_some()),
            above,
            within: Vec::new(),
            before: Vec::new(),
            told: false,
            over: false,
            cancelled: None,
            live: 0,
            members: BTreeMap::new(),
            intake: CancelToken::with_clock(clock.clone()),
            token: CancelToken::with_clock(clock.clone()),
            counts: Counts::default(),
            named: Vec::new(),
        }
    }

    /// Counts a task for the report, and names it if its end was not a good one.
    pub(super) fn note(&mut self, entry: &Entry, end: MemberEnd, now: Instant) {
        self.counts.add(end);
        if !matches!(end, MemberEnd::Finished | MemberEnd::Cancelled) && self.named.len() < NAMED {
            let age = now.saturating_since(entry.spawned);
            self.named.push(MemberReport::new(entry.name.clone(), entry.location, age, end));
        }
    }
}
