//! What is known of a task besides its future: where it was spawned, its name, and who watches it.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::PanicPayload;
use crate::panic_hook::{self, PanicHook, PanicOrigin, contain, drop_quietly};
use crate::watch::{Ending, Entered, Spawned, TaskId, TaskKind, Verdict, Watch};

/// Two words for an ordinary task; the rest is there only for one that is named, watched or has a panic hook.
pub(crate) struct Label {
    location: &'static Location<'static>,
    more: Option<Box<More>>,
}

struct More {
    name: Option<Cow<'static, str>>,
    hooks: Arc<Hooks>,
    id: TaskId,
    parent: Option<TaskId>,
    kind: TaskKind,
}

/// Whom a runtime tells of its tasks.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) panic: Option<PanicHook>,
    pub(crate) watches: Vec<Arc<dyn Watch>>,
}

impl Label {
    pub(crate) fn new(
        location: &'static Location<'static>,
        name: Option<Cow<'static, str>>,
        hooks: Option<&Arc<Hooks>>,
        kind: TaskKind,
    ) -> Self {
        let more = (name.is_some() || hooks.is_some()).then(|| {
            let hooks = hooks.map_or_else(Arc::default, Arc::clone);
            Box::new(More { name, hooks, id: TaskId::next(), parent: TaskId::current(), kind })
        });
        Self { location, more }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.more.as_ref()?.name.as_deref()
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// The task's watched side, if anybody watches.
    pub(crate) fn watched(&self) -> Option<WatchedTask<'_>> {
        let more = self.more.as_ref()?;
        (!more.hooks.watches.is_empty()).then_some(WatchedTask { more })
    }

    /// Tells the watchers that the task was made.
    pub(crate) fn spawned(&self) -> Result<(), PanicPayload> {
        let Some(watched) = self.watched() else {
            return Ok(());
        };
        let more = watched.more;
        let spawned = Spawned {
            id: more.id,
            name: more.name.as_deref(),
            location: self.location,
            parent: more.parent,
            kind: more.kind,
        };
        watched.tell(|watch| watch.spawned(&spawned))
    }

    /// Tells the runtime's panic hook of a panic that no joiner will hear of.
    pub(crate) fn report(&self, origin: PanicOrigin, payload: PanicPayload) {
        let hook = self.more.as_ref().and_then(|more| more.hooks.panic.as_ref());
        panic_hook::report(hook, self.name(), self.location, origin, payload);
    }
}

/// What the hooks have captured is foreign, and may go with the last of their tasks, on an executor's thread.
impl Drop for Label {
    fn drop(&mut self) {
        if let Some(more) = self.more.take() {
            if let Err(payload) = contain(|| drop(more)) {
                drop_quietly(payload);
            }
        }
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name:?} at {}", self.location),
            None => write!(f, "{}", self.location),
        }
    }
}

/// A task that somebody watches.
#[derive(Clone, Copy)]
pub(crate) struct WatchedTask<'a> {
    more: &'a More,
}

impl WatchedTask<'_> {
    /// Makes it the current task of this thread.
    pub(crate) fn enter(self) -> Entered {
        Entered::new(self.more.id)
    }

    /// Asks the watchers in turn; the first that has something else in mind decides.
    pub(crate) fn poll_begins(self) -> Result<Verdict, PanicPayload> {
        let verdict = Cell::new(Verdict::Poll);
        let told = self.tell(|watch| {
            let says = watch.poll_begins(self.more.id);
            let said = verdict.replace(Verdict::Poll);
            let (first, other) = if matches!(said, Verdict::Poll) { (says, said) } else { (said, says) };
            verdict.set(first);
            forget_verdict(other);
        });
        match told {
            Ok(()) => Ok(verdict.into_inner()),
            Err(payload) => {
                forget_verdict(verdict.into_inner());
                Err(payload)
            }
        }
    }

    pub(crate) fn poll_ends(self) -> Result<(), PanicPayload> {
        self.tell(|watch| watch.poll_ends(self.more.id))
    }

    pub(crate) fn ended(self, ending: Ending) -> Result<(), PanicPayload> {
        self.tell(|watch| watch.ended(self.more.id, ending))
    }

    /// Calls each of them, whether or not one before it panics, and gives the first panic.
    fn tell(self, call: impl Fn(&dyn Watch)) -> Result<(), PanicPayload> {
        let mut told = Ok(());
        for watch in &self.more.hooks.watches {
            match (contain(|| call(&**watch)), &told) {
                (Err(payload), Ok(())) => told = Err(payload),
                (Err(payload), Err(_)) => drop_quietly(payload),
                (Ok(()), _) => {}
            }
        }
        told
    }
}

/// A payload that was not asked for may have a destructor that panics.
fn forget_verdict(verdict: Verdict) {
    if let Verdict::Panic(payload) = verdict {
        drop_quietly(PanicPayload::new(payload));
    }
}
