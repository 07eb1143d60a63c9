//! Messages that are put aside for later: [`Context::stash`].

use std::error::Error;
use std::fmt;

use super::context::Context;
use super::role::Role;

/// So many messages were put aside that there is no room for another. Here it is again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StashFull<M>(pub M);

impl<M> fmt::Debug for StashFull<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StashFull(..)")
    }
}

impl<M> fmt::Display for StashFull<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no room to put another message aside")
    }
}

impl<M> Error for StashFull<M> {}

impl<A: Role> Context<A> {
    /// Puts a message aside, behind those that were put aside before: for one that comes too early.
    ///
    /// There is room for as many as in the queue. When this life ends, those that are still there are put
    /// back before the queue, in order: the next life gets them first.
    ///
    /// # Errors
    /// There is no room. Here is the message again.
    ///
    /// # Examples
    /// ```
    /// use weirs_actors::actor::{Actor, Context};
    ///
    /// enum Message {
    ///     Connected,
    ///     Send(String),
    /// }
    ///
    /// #[derive(Default)]
    /// struct Link {
    ///     is_up: bool,
    /// }
    ///
    /// impl Actor for Link {
    ///     type Message = Message;
    ///     type Error = &'static str;
    ///
    ///     async fn handle(
    ///         &mut self,
    ///         message: Message,
    ///         context: &mut Context<Self>,
    ///     ) -> Result<(), Self::Error> {
    ///         match message {
    ///             Message::Connected => {
    ///                 self.is_up = true;
    ///                 context.unstash_all();
    ///             }
    ///             Message::Send(_) if !self.is_up => {
    ///                 context.stash(message).map_err(|_| "too much to send before there is a link")?;
    ///             }
    ///             Message::Send(text) => println!("{text}"),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn stash(&mut self, message: A::Told) -> Result<(), StashFull<A::Told>> {
        let room = self.inbox.capacity();
        let stash = &mut self.beside().stash;
        if stash.len() >= room {
            return Err(StashFull(message));
        }
        stash.push_back(message);
        Ok(())
    }

    /// Has all messages come next that were put aside, in the order in which they were, before those that
    /// wait. They may be put aside again.
    pub fn unstash_all(&mut self) {
        self.unstash();
    }

    /// How many messages are put aside.
    pub fn stashed(&self) -> usize {
        self.beside.as_ref().map_or(0, |beside| beside.stash.len())
    }
}
