//! [`Snapshot`]: what a tree looks like now.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weirs_runtime::Instant;

use super::branch::Branch;
use super::node::{ChildState, Kind, Node};
use super::rules::Strategy;
use crate::sync::lock;
use crate::{Exit, Id};

/// What a tree, or one child of it, looks like now. Printed, it is a tree.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// What it is called.
    pub id: Option<Id>,
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub state: ChildState,
    /// The how-manieth life this is.
    pub incarnation: u64,
    /// How long that lasts.
    pub age: Duration,
    /// How the life before ended.
    pub last_exit: Option<Exit>,
    /// Of a supervisor: whom it restarts.
    pub strategy: Option<Strategy>,
    /// Of a supervisor: how many restarts its window held when it last looked.
    pub restarts: usize,
    /// Of an actor: how many messages wait.
    pub queued: usize,
    /// Of an actor: how many messages it has handled in all its lives.
    pub handled: u64,
    /// Of an actor that waits in the middle of a message: which, and for how long.
    pub handling: Option<(&'static str, Duration)>,
    /// Of an actor that waits for the answer of another: of whom, by path.
    pub waiting_on: Option<String>,
    /// Of a supervisor: its children, in the order of their start.
    pub children: Vec<Self>,
}

impl Snapshot {
    /// The child of that name.
    pub fn child(&self, id: impl Into<Id>) -> Option<&Self> {
        let id = id.into();
        self.children.iter().find(|child| child.id.as_ref() == Some(&id))
    }

    /// How many nodes it has, itself included.
    pub fn count(&self) -> usize {
        1 + self.children.iter().map(Self::count).sum::<usize>()
    }

    pub(super) fn of_branch(branch: &Branch) -> Self {
        let now = branch.runtime.clock().now();
        let mut root = Self::empty(branch.name.clone(), Kind::Tree);
        root.state = ChildState::Up;
        root.incarnation = 1;
        root.add_branch(branch, now);
        root
    }

    fn empty(id: Option<Id>, kind: Kind) -> Self {
        Self {
            id,
            kind,
            state: ChildState::Down,
            incarnation: 0,
            age: Duration::ZERO,
            last_exit: None,
            strategy: None,
            restarts: 0,
            queued: 0,
            handled: 0,
            handling: None,
            waiting_on: None,
            children: Vec::new(),
        }
    }

    fn of_node(node: &Arc<Node>, now: Instant) -> Self {
        let shown = node.shown();
        let mut snapshot = Self::empty(Some(node.id.clone()), node.kind);
        snapshot.state = shown.state;
        snapshot.incarnation = shown.incarnation;
        snapshot.age = shown.since.map_or(Duration::ZERO, |since| now.saturating_since(since));
        snapshot.last_exit = shown.last_exit;
        snapshot.waiting_on = node.waiting_on().map(|other| other.path());
        if let Some(face) = &node.face {
            face.show(&mut snapshot, now);
            if let Some(branch) = face.branch() {
                snapshot.add_branch(&branch, now);
            }
        }
        snapshot
    }

    fn add_branch(&mut self, branch: &Branch, now: Instant) {
        self.strategy = Some(branch.rules.strategy);
        self.restarts = branch.restarts.load(Ordering::Relaxed);
        let nodes = lock(&branch.roster).in_order();
        self.children = nodes.iter().map(|(_, node)| Self::of_node(node, now)).collect();
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, before: &str, last: Option<bool>) -> fmt::Result {
        let (branch, below) = match last {
            None => ("", ""),
            Some(false) => ("├─ ", "│  "),
            Some(true) => ("└─ ", "   "),
        };
        write!(f, "{before}{branch}")?;
        match &self.id {
            Some(id) => write!(f, "{id}")?,
            None => f.write_str("(root)")?,
        }
        match self.state {
            ChildState::Down => f.write_str("  down")?,
            ChildState::Queued => f.write_str("  queued")?,
            ChildState::Starting => f.write_str("  starting")?,
            ChildState::Up => f.write_str("  up")?,
            ChildState::Pausing(pause) => write!(f, "  pausing {pause:?}")?,
            ChildState::Stopping => f.write_str("  stopping")?,
            ChildState::Stuck => f.write_str("  stuck")?,
        }
        if let Some(strategy) = self.strategy {
            write!(f, ", {strategy:?}")?;
            if self.restarts > 0 {
                write!(f, ", {} restarts lately", self.restarts)?;
            }
        }
        if self.incarnation > 1 {
            write!(f, ", life {}", self.incarnation)?;
        }
        if self.kind == Kind::Actor {
            write!(f, ", {} queued, {} handled", self.queued, self.handled)?;
        }
        if let Some((message, since)) = self.handling {
            write!(f, ", at {message} for {since:?}")?;
        }
        if let Some(path) = &self.waiting_on {
            write!(f, ", waits for {path}")?;
        }
        if let Some(exit) = &self.last_exit {
            write!(f, ", before: {exit}")?;
        }
        f.write_str("\n")?;
        let before = format!("{before}{below}");
        for (at, child) in self.children.iter().enumerate() {
            child.print(f, &before, Some(at + 1 == self.children.len()))?;
        }
        Ok(())
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "", None)
    }
}
