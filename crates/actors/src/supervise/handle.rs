//! [`Handle`]: what others do with a tree that runs.

use std::fmt;
use std::sync::Arc;

use super::branch::{Branch, Said};
use super::command::{Command, CommandError, StartChildError, Which};
use super::snapshot::Snapshot;
use super::spec::Spec;
use crate::answer::answer;
use crate::registry::Registry;
use crate::sync::lock;
use crate::{Exit, Id};

/// Adds, stops, restarts, deletes and looks at the children of a supervisor that runs. A clone is the same
/// handle; none keeps the tree alive.
#[derive(Clone)]
pub struct Handle(Arc<Branch>);

impl Handle {
    pub(crate) fn new(branch: Arc<Branch>) -> Self {
        Self(branch)
    }

    /// Adds a child behind the others, and waits until it is ready.
    ///
    /// # Errors
    /// [`StartChildError`] says why it is not in the tree.
    ///
    /// # Cancel safety
    /// Dropped before it is first polled, nothing happens; later, the child is started all the same.
    pub async fn start_child(&self, spec: Spec) -> Result<(), StartChildError> {
        if let Err(invalid) = spec.check() {
            return Err(StartChildError::Invalid(invalid, Box::new(spec)));
        }
        let (answerer, answered) = answer();
        match self.0.tell(Said::Do(Command::Start(Box::new(spec), Some(answerer)))) {
            Ok(()) => answered.await.unwrap_or(Err(StartChildError::Ended(None))),
            Err(Said::Do(Command::Start(spec, _))) => Err(StartChildError::Ended(Some(spec))),
            Err(_) => Err(StartChildError::Ended(None)),
        }
    }

    /// Stops a child, whatever its restart rule says, and waits until it is gone. It stays in the tree, if it
    /// is not temporary, and may be [restarted](Handle::restart_child). Gives how it ended.
    ///
    /// # Errors
    /// There is no such child; or it is [stuck](CommandError::Stuck).
    ///
    /// # Cancel safety
    /// Dropped before it is first polled, nothing happens; later, the child is stopped all the same.
    pub async fn stop_child(&self, id: impl Into<Id>) -> Result<Exit, CommandError> {
        self.stop(Which::Called(id.into())).await
    }

    pub(crate) async fn stop(&self, which: Which) -> Result<Exit, CommandError> {
        let (answerer, answered) = answer();
        self.0.say(Said::Do(Command::Stop(which, answerer)));
        answered.await.unwrap_or(Err(CommandError::Ended))
    }

    /// Starts a child that is down again, and waits until it is ready. That is no restart that counts.
    ///
    /// # Errors
    /// There is no such child; it runs; or it did not start.
    ///
    /// # Cancel safety
    /// As [`stop_child`](Handle::stop_child).
    pub async fn restart_child(&self, id: impl Into<Id>) -> Result<(), CommandError> {
        let (answerer, answered) = answer();
        self.0.say(Said::Do(Command::Restart(Which::Called(id.into()), answerer)));
        answered.await.unwrap_or(Err(CommandError::Ended))
    }

    /// Takes a child that is down out of the tree.
    ///
    /// # Errors
    /// There is no such child; or it runs.
    ///
    /// # Cancel safety
    /// As [`stop_child`](Handle::stop_child).
    pub async fn delete_child(&self, id: impl Into<Id>) -> Result<(), CommandError> {
        let (answerer, answered) = answer();
        self.0.say(Said::Do(Command::Delete(Which::Called(id.into()), answerer)));
        answered.await.unwrap_or(Err(CommandError::Ended))
    }

    /// Asks the tree to stop, all children in reverse order, and does not wait.
    pub fn stop_all(&self) {
        self.0.say(Said::Do(Command::Shutdown));
    }

    /// Drops all children at once, and does not wait.
    pub fn kill_all(&self) {
        self.0.say(Said::Do(Command::Kill));
    }

    /// What the tree looks like now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of_branch(&self.0)
    }

    /// The supervisor that is the child of that name, while it runs.
    pub fn subtree(&self, id: impl Into<Id>) -> Option<Self> {
        let id = id.into();
        let node = lock(&self.0.roster).node(&id).cloned();
        node?.face.as_ref()?.branch().filter(|branch| !branch.is_closed()).map(Self)
    }

    /// The names and groups of the whole tree, also of one that is part of another.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(super) fn branch(&self) -> &Branch {
        &self.0
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.path()).finish()
    }
}
