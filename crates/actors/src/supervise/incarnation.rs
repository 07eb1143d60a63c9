//! [`Incarnation`]: what a child that runs knows of itself.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use weirs_runtime::Runtime;
use weirs_scopes::CancelToken;

use super::branch::{Branch, Said};
use super::machine::Key;
use super::node::{Heard, Node};
use crate::registry::Registry;
use crate::{Exit, Id};

/// One life of a child, from a start to the next end. Its future is handed it, to hear when it has to stop
/// and to say when it is ready.
///
/// # Examples
/// ```
/// use weirs_actors::supervise::{Incarnation, Spec};
///
/// async fn listen(life: Incarnation) -> Result<(), std::io::Error> {
///     // Bind here ...
///     life.ready();
///     // ... and work here until it is over.
///     life.cancelled().await;
///     Ok(())
/// }
///
/// let spec = Spec::task("listener", listen).announces_ready();
/// ```
#[derive(Clone)]
pub struct Incarnation {
    pub(crate) node: Arc<Node>,
    pub(crate) branch: Arc<Branch>,
    pub(crate) key: Key,
    pub(crate) number: u64,
}

impl Incarnation {
    /// What the supervisor calls the child.
    pub fn id(&self) -> &Id {
        &self.node.id
    }

    /// Where it stands in the tree, such as `app/sessions/17`.
    pub fn path(&self) -> String {
        self.node.path()
    }

    /// The how-manieth life this is, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How the life before ended, if there was one.
    pub fn last_exit(&self) -> Option<Exit> {
        self.node.shown().last_exit
    }

    /// Says that the child is ready: those behind it may start. More than once is no more than once.
    ///
    /// A child that [announces](super::Spec::announces_ready) it is waited for; every other is ready when it
    /// waits for the first time.
    pub fn ready(&self) {
        if self.node.ready(self.number) {
            self.branch.say(Said::Ready(self.key, self.number));
        }
    }

    /// Whether it was asked to stop. Of a life that is over, it was.
    pub fn is_stopping(&self) -> bool {
        self.node.is_stopping(self.number)
    }

    /// Waits until it is asked to stop, or is over.
    ///
    /// In the child's own task it costs nothing; elsewhere it waits for the [token](Incarnation::token).
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    pub async fn cancelled(&self) {
        let mut elsewhere = None;
        poll_fn(|cx| {
            match self.node.hear_stop(self.number, cx) {
                Heard::Stop => return Poll::Ready(()),
                // The order to stop wakes the child's task anyway.
                Heard::Nothing => return Poll::Pending,
                Heard::NothingElsewhere => {}
            }
            let waits = elsewhere.get_or_insert_with(|| self.token().cancelled_owned());
            Pin::new(waits).poll(cx).map(drop)
        })
        .await;
    }

    /// A token that is cancelled when the child is asked to stop, and when this life ends: for whatever works
    /// on its behalf.
    pub fn token(&self) -> CancelToken {
        self.node.token(self.number)
    }

    /// The runtime that the tree runs on.
    pub fn runtime(&self) -> &Runtime {
        &self.branch.runtime
    }

    /// The names and groups of the whole tree.
    pub fn registry(&self) -> &Registry {
        &self.branch.registry
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incarnation").field("path", &self.path()).field("number", &self.number).finish()
    }
}
