//! [`Branch`]: what a supervisor that runs shares with its children, its handles and the views.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, Weak};
use std::task::Context;

use weirs_runtime::Runtime;
use weirs_runtime::waiting::{Turn, look, wake};

use super::command::Command;
use super::machine::Key;
use super::names::Names;
use super::node::Node;
use super::observe::{Event, Observer, What};
use super::report::Left;
use super::rules::Rules;
use crate::panics::{contain, let_go};
use crate::registry::Registry;
use crate::sync::lock;
use crate::{Exit, Id};

/// What a supervisor is told.
pub(crate) enum Said {
    /// The life of that number is ready.
    Ready(Key, u64),
    Ended(Key, Exit),
    Do(Command),
}

/// What a supervisor that runs shares with its children, its handles and the views.
pub(crate) struct Branch {
    /// What the root is called; the others are called by their node.
    pub(crate) name: Option<Id>,
    pub(crate) node: Option<Weak<Node>>,
    pub(crate) runtime: Runtime,
    /// One for the whole tree.
    pub(crate) registry: Registry,
    pub(crate) rules: Rules,
    pub(crate) observer: Option<Observer>,
    /// How many restarts the window held at the last one.
    pub(crate) restarts: AtomicUsize,
    pub(crate) roster: Mutex<Roster>,
    pub(crate) report: Mutex<Report>,
    pub(crate) exit: Mutex<Option<Exit>>,
    inbox: Mutex<Inbox>,
}

/// Who is there, at the place of its key; with the number of its place in the order of starts.
#[derive(Default)]
pub(crate) struct Roster {
    nodes: Vec<Option<(u64, Arc<Node>)>>,
    names: Names,
    next: u64,
}

impl Roster {
    pub(crate) fn put(&mut self, key: Key, node: Arc<Node>) {
        if self.nodes.len() <= key.place() {
            self.nodes.resize_with(key.place() + 1, || None);
        }
        self.names.put(&node.id, key.place());
        self.nodes[key.place()] = Some((self.next, node));
        self.next += 1;
    }

    pub(crate) fn take(&mut self, key: Key) -> Option<Arc<Node>> {
        let (_, node) = self.nodes.get_mut(key.place())?.take()?;
        self.names.take(&node.id, key.place());
        Some(node)
    }

    pub(crate) fn find(&self, id: &Id) -> Option<Key> {
        self.node(id)?.above.get().map(|(_, key)| *key)
    }

    pub(crate) fn node(&self, id: &Id) -> Option<&Arc<Node>> {
        let at = |place: usize| self.nodes.get(place)?.as_ref().map(|(_, node)| node);
        at(self.names.find(id, |place| at(place).is_some_and(|node| node.id == *id))?)
    }

    /// In the order of their start.
    pub(crate) fn in_order(&self) -> Vec<(u64, Arc<Node>)> {
        let mut nodes: Vec<_> = self.nodes.iter().flatten().cloned().collect();
        nodes.sort_unstable_by_key(|(number, _)| *number);
        nodes
    }
}

/// What is known of the end.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) stopped: usize,
    pub(crate) left: Vec<Left>,
}

#[derive(Default)]
struct Inbox {
    said: Vec<Said>,
    waker: Option<std::task::Waker>,
    closed: bool,
}

impl Branch {
    pub(crate) fn new(
        name: Option<Id>,
        node: Option<Weak<Node>>,
        runtime: Runtime,
        registry: Registry,
        rules: Rules,
        observer: Option<Observer>,
    ) -> Self {
        Self {
            name,
            node,
            runtime,
            registry,
            rules,
            observer,
            restarts: AtomicUsize::new(0),
            roster: Mutex::default(),
            report: Mutex::default(),
            exit: Mutex::default(),
            inbox: Mutex::default(),
        }
    }

    /// Tells the supervisor. If it is over, gives it back.
    pub(crate) fn tell(&self, said: Said) -> Result<(), Said> {
        self.tell_of(said, |said| said)
    }

    /// Tells the supervisor what is made of this, made only if it is not over; otherwise gives it back. No
    /// user code is to run in `said`.
    pub(crate) fn tell_of<T>(&self, of: T, said: impl FnOnce(T) -> Said) -> Result<(), T> {
        let waker = {
            let mut inbox = lock(&self.inbox);
            if inbox.closed {
                return Err(of);
            }
            inbox.said.push(said(of));
            inbox.waker.take()
        };
        if let Some(waker) = waker {
            wake(waker);
        }
        Ok(())
    }

    /// Tells the supervisor what it need not hear when it is over.
    pub(crate) fn say(&self, said: Said) {
        if let Err(said) = self.tell(said) {
            let_go(said);
        }
    }

    /// Takes what was said, into an empty list, or keeps the waker and tells that there was nothing.
    pub(crate) fn hear(&self, said: &mut Vec<Said>, cx: &Context<'_>) -> bool {
        look(cx, |look| {
            let mut inbox = lock(&self.inbox);
            if inbox.said.is_empty() {
                return look.wait_alone(&mut inbox.waker);
            }
            std::mem::swap(&mut inbox.said, said);
            Turn::Ready(())
        })
        .is_ready()
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.inbox).closed
    }

    /// Nothing is heard any more; what was said and not heard is given to the caller.
    pub(crate) fn close(&self) -> Vec<Said> {
        let (said, waker) = {
            let mut inbox = lock(&self.inbox);
            inbox.closed = true;
            (std::mem::take(&mut inbox.said), inbox.waker.take())
        };
        weirs_runtime::waiting::let_go(waker);
        said
    }

    /// Tells the observer, if there is one.
    pub(crate) fn observe(&self, node: &Node, what: What<'_>) {
        self.tell_observer(|| node.path(), what);
    }

    /// Tells the observer of the supervisor itself.
    pub(crate) fn observe_itself(&self, what: What<'_>) {
        self.tell_observer(|| self.path(), what);
    }

    fn tell_observer(&self, path: impl FnOnce() -> String, what: What<'_>) {
        if let Some(observer) = &self.observer {
            let path = path();
            if let Err(panic) = contain(|| observer(&Event { path: &path, what })) {
                let_go(panic);
            }
        }
    }

    pub(crate) fn path(&self) -> String {
        match (&self.name, self.node.as_ref().and_then(Weak::upgrade)) {
            (_, Some(node)) => node.path(),
            (Some(name), None) => name.to_string(),
            (None, None) => String::new(),
        }
    }
}
