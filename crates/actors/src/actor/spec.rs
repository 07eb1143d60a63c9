//! How an actor gets into a tree, or runs alone.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use weirs_runtime::Runtime;

use super::Actor;
use super::address::Addr;
use super::context::Context;
use super::inbox::Inbox;
use super::letters::MailboxOf;
use super::life::live;
use super::mailbox::Mailbox;
use crate::supervise::{Face, Handle, Kind, ShutdownReport, Spec, Supervisor, Tree};
use crate::{Exit, Id};

impl Spec {
    /// An actor, made anew for each life; its address and its queue stay. It is ready when
    /// [`started`](Actor::started) has returned.
    ///
    /// What it is told before the tree is started waits in the queue.
    ///
    /// # Examples
    /// ```
    /// # use std::convert::Infallible;
    /// # use weirs_actors::actor::{Actor, Context};
    /// # use weirs_actors::supervise::{Spec, Supervisor};
    /// # use weirs_runtime::{Runtime, Smol, block_on};
    /// # #[derive(Default)]
    /// # struct Printer;
    /// # impl Actor for Printer {
    /// #     type Message = String;
    /// #     type Error = Infallible;
    /// #     async fn handle(&mut self, _: String, _: &mut Context<Self>) -> Result<(), Infallible> {
    /// #         Ok(())
    /// #     }
    /// # }
    /// # let runtime = Runtime::from(Smol::global());
    /// # block_on(async {
    /// let (printer, spec) = Spec::actor("printer", Printer::default);
    /// let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    /// printer.tell("hello".to_owned()).await.unwrap();
    /// # tree.shutdown().await;
    /// # });
    /// ```
    pub fn actor<A: Actor>(
        id: impl Into<Id>,
        make: impl FnMut() -> A + Send + 'static,
    ) -> (Addr<A::Message>, Self) {
        Self::actor_with(id, Mailbox::default(), make)
    }

    /// The same with a mailbox of these settings.
    pub fn actor_with<A: Actor>(
        id: impl Into<Id>,
        mailbox: impl Into<MailboxOf<A::Message>>,
        mut make: impl FnMut() -> A + Send + 'static,
    ) -> (Addr<A::Message>, Self) {
        let inbox = Inbox::new(mailbox);
        // Whoever tells it is not left waiting when nobody will ever listen.
        let queue = Queue(Arc::clone(&inbox));
        let face: Arc<dyn Face> = Arc::clone(&inbox) as _;
        let mut spec = Self::new(id.into(), Kind::Actor, Some(face), move |life| {
            let queue = &queue;
            live(make(), Context::new(Arc::clone(&queue.0), life))
        });
        spec.is_actor(&inbox);
        (Addr(inbox), spec)
    }

    pub(super) fn is_actor<M: Send>(&mut self, inbox: &Inbox<M>) {
        self.announces = true;
        self.empty_mailbox = inbox.capacity() == 0;
        inbox.belongs_to(&self.node);
    }
}

/// Closes the queue when the child is gone.
pub(super) struct Queue<M: Send>(pub(super) Arc<Inbox<M>>);

impl<M: Send> Drop for Queue<M> {
    fn drop(&mut self) {
        self.0.close(&Exit::Lost);
    }
}

/// Runs an actor alone: nobody restarts it.
///
/// For more, put it into a [`Supervisor`].
pub fn spawn<A: Actor>(
    id: impl Into<Id>,
    make: impl FnOnce() -> A + Send + 'static,
    runtime: &Runtime,
) -> Lone<A::Message> {
    let mut make = Some(make);
    let (addr, spec) = Spec::actor(id, move || (make.take().expect("a temporary child has one life"))());
    let tree = Supervisor::one_for_one().child(spec.temporary()).spawn(runtime);
    Lone { addr, tree }
}

/// An actor that runs alone; made by [`spawn`]. It is an [`Addr`] too. Dropped, the actor is dropped.
#[must_use = "dropped, the actor is dropped"]
pub struct Lone<M> {
    addr: Addr<M>,
    tree: Tree,
}

impl<M: Send + 'static> Lone<M> {
    pub(super) const fn new(addr: Addr<M>, tree: Tree) -> Self {
        Self { addr, tree }
    }

    /// Its address, which does not keep it.
    pub fn address(&self) -> Addr<M> {
        self.addr.clone()
    }

    /// To look at it with.
    pub fn handle(&self) -> Handle {
        self.tree.handle()
    }

    /// Stops it after the message it is at, and waits until it is gone.
    ///
    /// # Cancel safety
    /// Dropped, it drops the actor.
    pub async fn shutdown(self) -> ShutdownReport {
        self.tree.shutdown().await
    }
}

impl<M> Deref for Lone<M> {
    type Target = Addr<M>;

    fn deref(&self) -> &Addr<M> {
        &self.addr
    }
}

impl<M> fmt::Debug for Lone<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lone").field(&self.tree).finish()
    }
}
