//! Actors: private state, one message at a time, and an address that is the same across restarts.

mod address;
mod ask;
mod asker;
mod attach;
mod beside;
mod context;
mod edge;
mod host;
mod inbox;
mod letters;
mod life;
mod link;
mod local;
mod mailbox;
#[cfg(loom)]
pub(crate) mod models;
mod role;
mod sources;
mod spec;
mod stash;
mod timers;

use std::any::type_name;
use std::error::Error;
use std::future::Future;

pub use address::{Addr, Recipient, Tell, TellError, TryTellError, WeakAddr};
pub use ask::{Ask, AskError, Reply};
pub use asker::Asker;
pub use context::Context;
pub use host::LocalHost;
pub use letters::{DeadLetter, MailboxOf};
pub use local::{Local, LocalActor, LocalContext, spawn_local};
pub use mailbox::{Mailbox, Overflow};
pub use role::Role;
pub use sources::SourceKey;
pub use spec::{Lone, spawn};
pub use stash::StashFull;
pub use timers::Timer;

pub(crate) use ask::Orphan;

use crate::Exit;

/// Private state that handles one message after another.
///
/// Messages of an actor are one enum; what wants an answer has a [`Reply`] in its variant.
///
/// # Examples
/// ```
/// use std::convert::Infallible;
/// use weirs_actors::actor::{Actor, Context, Reply, spawn};
/// use weirs_runtime::{Runtime, Smol, block_on};
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// enum Message {
///     Add(u64),
///     Get(Reply<u64>),
/// }
///
/// impl Actor for Counter {
///     type Message = Message;
///     type Error = Infallible;
///
///     async fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Result<(), Infallible> {
///         match message {
///             Message::Add(n) => self.0 += n,
///             Message::Get(reply) => reply.send(self.0),
///         }
///         Ok(())
///     }
/// }
///
/// let runtime = Runtime::from(Smol::global());
/// block_on(async {
///     let counter = spawn("counter", Counter::default, &runtime);
///     counter.tell(Message::Add(2)).await.unwrap();
///     counter.tell(Message::Add(3)).await.unwrap();
///     assert_eq!(counter.ask(Message::Get).await.unwrap(), 5);
///     counter.shutdown().await;
/// });
/// ```
pub trait Actor: Sized + Send + 'static {
    /// What it is told and asked.
    type Message: Send + 'static;
    /// What ends this life; its supervisor decides whether there is another.
    type Error: Into<Box<dyn Error + Send + Sync>> + Send;

    /// A life begins. No message is handled before it returns, and the children behind it are not started.
    ///
    /// It has all the time it wants, unless [`start_within`](crate::supervise::Spec::start_within) says
    /// otherwise.
    ///
    /// # Errors
    /// What went wrong: the start failed.
    fn started(
        &mut self,
        context: &mut Context<Self>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = context;
        async { Ok(()) }
    }

    /// Handles a message. The next one waits until it returns.
    ///
    /// # Errors
    /// What went wrong: it ends this life, as a panic does.
    fn handle(
        &mut self,
        message: Self::Message,
        context: &mut Context<Self>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A life ends: it was asked to stop, or an error ends it. Not called after a panic or a kill.
    ///
    /// The time to stop holds for it too. After an error nobody has asked it to stop: the next life waits
    /// until this returns.
    fn stopping(&mut self, why: &Exit, context: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (why, context);
        async {}
    }

    /// A message that is not handled any more, because the actor stops for good.
    fn undelivered(&mut self, message: Self::Message) {
        drop(message);
    }

    /// What a message is called in snapshots and reports. Its type, unless said otherwise.
    fn name_of(message: &Self::Message) -> &'static str {
        let _ = message;
        type_name::<Self::Message>()
    }
}
