//! [`MailboxOf`]: what a mailbox does with messages of one type; and [`DeadLetter`].

use std::fmt;
use std::sync::Arc;

use super::mailbox::Mailbox;
use crate::DeadReason;
use crate::panics::contain;

/// A mailbox whose settings need to know the type of its messages; made by [`Mailbox::redeliver`] and
/// [`Mailbox::dead_letters`].
#[must_use = "settings do nothing by themselves"]
pub struct MailboxOf<M> {
    pub(super) mailbox: Mailbox,
    pub(super) special: Option<Box<Special<M>>>,
}

/// What few mailboxes have.
pub(super) struct Special<M> {
    again: Option<(u32, Copy<M>)>,
    sink: Option<Sink<M>>,
}

type Copy<M> = fn(&M) -> M;
type Sink<M> = Arc<dyn Fn(DeadLetter<M>) + Send + Sync>;

/// A message that was not delivered.
pub struct DeadLetter<M> {
    /// The message.
    pub message: M,
    /// Why it was not delivered.
    pub reason: DeadReason,
}

impl<M> DeadLetter<M> {
    pub(super) fn new(message: M, reason: DeadReason) -> Self {
        Self { message, reason }
    }
}

impl<M> fmt::Debug for DeadLetter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl Mailbox {
    /// A message that a life ended over comes again, before all others, at most so many times. Then it is a
    /// dead letter.
    ///
    /// Each message is cloned before it is handled. Without this a message is handled at most once: the one
    /// that a life ended over is most likely the reason.
    ///
    /// # Examples
    /// ```
    /// # use std::convert::Infallible;
    /// # use weirs_actors::actor::{Actor, Context};
    /// use weirs_actors::actor::Mailbox;
    /// use weirs_actors::supervise::Spec;
    /// # #[derive(Default)]
    /// # struct Printer;
    /// # impl Actor for Printer {
    /// #     type Message = String;
    /// #     type Error = Infallible;
    /// #     async fn handle(&mut self, _: String, _: &mut Context<Self>) -> Result<(), Infallible> {
    /// #         Ok(())
    /// #     }
    /// # }
    ///
    /// let mailbox = Mailbox::bounded(16).redeliver(2);
    /// let (printer, spec) = Spec::actor_with("printer", mailbox, Printer::default);
    /// # drop((printer, spec));
    /// ```
    pub fn redeliver<M: Clone>(self, most: u32) -> MailboxOf<M> {
        MailboxOf::from(self).redeliver(most)
    }

    /// Gives this function the messages that are not delivered: those that are left when the actor has ended
    /// for good and that it did not take itself in [`undelivered`](super::Actor::undelivered), those that are
    /// dropped because there is no room, and, if they are [redelivered](Mailbox::redeliver), those that it
    /// crashed over too often.
    ///
    /// It should be quick, and its panics are contained. Without it they are dropped.
    pub fn dead_letters<M>(self, sink: impl Fn(DeadLetter<M>) + Send + Sync + 'static) -> MailboxOf<M> {
        MailboxOf::from(self).dead_letters(sink)
    }
}

impl<M> MailboxOf<M> {
    /// As [`Mailbox::redeliver`].
    pub fn redeliver(mut self, most: u32) -> Self
    where
        M: Clone,
    {
        self.special().again = Some((most, M::clone));
        self
    }

    /// As [`Mailbox::dead_letters`].
    pub fn dead_letters(mut self, sink: impl Fn(DeadLetter<M>) + Send + Sync + 'static) -> Self {
        self.special().sink = Some(Arc::new(sink));
        self
    }

    fn special(&mut self) -> &mut Special<M> {
        self.special.get_or_insert_with(|| Box::new(Special { again: None, sink: None }))
    }

    /// A copy of a message that is about to be handled, if it may come again.
    pub(super) fn copy(&self, message: &M) -> Option<M> {
        let (_, copy) = self.special.as_ref()?.again?;
        Some(copy(message))
    }

    /// How many times a message may come again.
    pub(super) fn most(&self) -> u32 {
        self.special.as_ref().and_then(|special| special.again).map_or(0, |(most, _)| most)
    }

    /// Gives a message to whoever takes what was not delivered; if there is nobody, gives it back.
    pub(super) fn bury(&self, message: M, reason: DeadReason) -> Result<(), M> {
        let Some(sink) = self.special.as_ref().and_then(|special| special.sink.as_ref()) else {
            return Err(message);
        };
        if let Err(panic) = contain(|| sink(DeadLetter::new(message, reason))) {
            crate::panics::let_go(panic);
        }
        Ok(())
    }
}

impl<M> From<Mailbox> for MailboxOf<M> {
    fn from(mailbox: Mailbox) -> Self {
        Self { mailbox, special: None }
    }
}

impl<M> Clone for MailboxOf<M> {
    fn clone(&self) -> Self {
        let special = self
            .special
            .as_ref()
            .map(|special| Box::new(Special { again: special.again, sink: special.sink.clone() }));
        Self { mailbox: self.mailbox, special }
    }
}

impl<M> fmt::Debug for MailboxOf<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailboxOf")
            .field("mailbox", &self.mailbox)
            .field("redeliver", &self.most())
            .finish_non_exhaustive()
    }
}
