//! [`Handle`]: what others do with a tree that runs.

use std::fmt;
use std::sync::{Arc, Weak};

use super::branch::{Branch, Said};
use super::command::{Command, CommandError, StartChildError, Which};
use super::snapshot::Snapshot;
use super::spec::Spec;
use crate::answer::answer;
use crate::registry::Registry;
use crate::sync::lock;
use crate::{Exit, Id, current};

/// Adds, stops, restarts, deletes and looks at the children of a supervisor that runs. A clone is the same
/// handle; none keeps the tree alive.
///
/// # Examples
/// ```
/// use weirs_actors::supervise::{CommandError, Incarnation, Spec, Supervisor};
/// use weirs_runtime::{Runtime, Smol, block_on};
///
/// let runtime = Runtime::from(Smol::global());
/// let serve = async |life: Incarnation| life.cancelled().await;
/// block_on(async {
///     let tree = Supervisor::one_for_one().child(Spec::task("web", serve)).start(&runtime).await.unwrap();
///     let handle = tree.handle();
///     handle.start_child(Spec::task("mail", serve)).await.unwrap();
///     handle.stop_child("web").await.unwrap();
///     handle.restart_child("web").await.unwrap();
///     assert!(matches!(handle.delete_child("web").await, Err(CommandError::Running)));
///     assert_eq!(tree.shutdown().await.stopped, 2);
///     assert!(matches!(handle.stop_child("web").await, Err(CommandError::Ended)));
/// });
/// ```
#[derive(Clone)]
pub struct Handle(Arc<Branch>);

impl Handle {
    pub(crate) fn new(branch: Arc<Branch>) -> Self {
        Self(branch)
    }

    /// Adds a child behind the others, and waits until it is ready.
    ///
    /// While the supervisor starts or restarts several children, that comes after it. A child that waits for
    /// this before it is ready itself, such as an actor in [`started`](crate::actor::Actor::started), may so
    /// wait for itself: it is better done when the child is ready.
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
    /// There is no such child; it is [stuck](CommandError::Stuck); or it is the one that waits for this, or
    /// above it: then it is told to stop, and this says [so](CommandError::Itself) at once.
    ///
    /// # Cancel safety
    /// Dropped before it is first polled, nothing happens; later, the child is stopped all the same.
    pub async fn stop_child(&self, id: impl Into<Id>) -> Result<Exit, CommandError> {
        self.stop(Which::Called(id.into())).await
    }

    pub(crate) async fn stop(&self, which: Which) -> Result<Exit, CommandError> {
        let (answerer, answered) = answer();
        let is_itself = self.is_above_itself(&which);
        self.0.say(Said::Do(Command::Stop(which, answerer)));
        if is_itself && !self.0.is_closed() {
            return Err(CommandError::Itself);
        }
        answered.await.unwrap_or(Err(CommandError::Ended))
    }

    /// Whether the one that runs here is that child, or below it.
    fn is_above_itself(&self, which: &Which) -> bool {
        let mut node = current::node();
        while let Some(at) = node {
            let Some((branch, key)) = at.above.get().and_then(|(above, key)| Some((above.upgrade()?, *key)))
            else {
                return false;
            };
            if Arc::ptr_eq(&branch, &self.0) {
                return match which {
                    Which::Called(id) => *id == at.id,
                    Which::At(one) => *one == key,
                };
            }
            node = branch.node.as_ref().and_then(Weak::upgrade);
        }
        false
    }

    /// Starts a child that is down again, and waits until it is ready. That is no restart that counts. A
    /// child that is not ready itself should not wait for it, as with [`start_child`](Handle::start_child).
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
