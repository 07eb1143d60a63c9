//! [`Edge`]: that an actor waits for another, for as long as it does.

use std::sync::Arc;

use weirs_runtime::waiting::Ticket;

use crate::supervise::{Kind, Node};
use crate::{Id, current};

/// An actor waits for another, for its answer or for room in its queue, until this is dropped.
pub(super) struct Edge {
    waits: Arc<Node>,
    on: Arc<Node>,
    room: Option<Ticket>,
}

impl Edge {
    /// Whoever is polled on this thread waits, if it is an actor: others do not stand still while they wait.
    ///
    /// # Errors
    /// The other waits for it, in the end. Here is the way from the one that waits back to it.
    pub(super) fn note(
        on: impl FnOnce() -> Option<Arc<Node>>,
        room: Option<Ticket>,
    ) -> Result<Option<Self>, Arc<[Id]>> {
        let Some(waits) = current::node().filter(|node| node.kind == Kind::Actor) else { return Ok(None) };
        let Some(on) = on() else { return Ok(None) };
        waits.wait_for(&on, room)?;
        Ok(Some(Self { waits, on, room }))
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.waits.waits_no_longer(&self.on, self.room);
    }
}
