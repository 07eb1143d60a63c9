//! [`Addr`]: where an actor is told and asked things.

mod recipient;

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use weirs_runtime::waiting::Ticket;

pub use recipient::Recipient;

use super::ask::{Ask, Reply, write_path};
use super::edge::Edge;
use super::inbox::{Inbox, Refused};
use crate::supervise::{CommandError, Handle, Node, Which};
use crate::{Exit, Id};

/// The address of an actor. It stays the same when the actor is restarted, and a clone is cheap.
///
/// It does not keep the actor alive: its supervisor does.
///
/// # Examples
/// ```
/// use std::convert::Infallible;
/// use weirs_actors::actor::{Actor, Context, Reply, spawn};
/// use weirs_runtime::{Runtime, Smol, block_on};
///
/// struct Echo;
///
/// impl Actor for Echo {
///     type Message = (String, Reply<String>);
///     type Error = Infallible;
///     async fn handle(&mut self, told: Self::Message, _: &mut Context<Self>) -> Result<(), Infallible> {
///         Ok(told.1.send(told.0))
///     }
/// }
///
/// block_on(async {
///     let echo = spawn("echo", || Echo, &Runtime::from(Smol::global()));
///     assert_eq!(echo.ask(|reply| ("hello".to_owned(), reply)).await.unwrap(), "hello");
///     echo.stop().await.unwrap();
///     assert!(echo.ask(|reply| ("hello".to_owned(), reply)).await.is_err());
/// });
/// ```
pub struct Addr<M>(pub(crate) Arc<Inbox<M>>);

impl<M: Send + 'static> Addr<M> {
    /// Tells the actor, waiting for room in its queue. Messages of one sender arrive in order.
    ///
    /// An actor that waits for room handles nothing meanwhile. If the room would wait for it, because it
    /// tells itself or two tell each other, that is an error before it waits.
    ///
    /// # Errors
    /// [`TellError`] says why it was not sent. Here is the message again.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the message was not sent.
    pub fn tell(&self, message: M) -> Tell<'_, M> {
        Tell::new(&self.0, message)
    }

    /// Tells the actor, without waiting.
    ///
    /// # Errors
    /// There is no room, or the actor has ended for good. Here is the message again.
    pub fn try_tell(&self, message: M) -> Result<(), TryTellError<M>> {
        self.0.push(message).map_err(|refused| match refused {
            Refused::Full(message) => TryTellError::Full(message),
            Refused::Closed(message) => TryTellError::Closed(message),
        })
    }

    /// Tells the actor before all others that are not urgent, without waiting. There is a lane for these, as
    /// long as the queue.
    ///
    /// # Errors
    /// As [`try_tell`](Addr::try_tell).
    pub fn try_tell_urgent(&self, message: M) -> Result<(), TryTellError<M>> {
        self.0.push_urgent(message).map_err(|refused| match refused {
            Refused::Full(message) => TryTellError::Full(message),
            Refused::Closed(message) => TryTellError::Closed(message),
        })
    }

    /// Asks the actor, and waits for its answer: `addr.ask(Message::Get).within(limit).await`.
    ///
    /// # Errors
    /// [`AskError`](super::AskError) says why there is no answer. An ask that would wait for itself, in the
    /// end, is an error before it waits.
    ///
    /// # Cancel safety
    /// Dropped before the message was sent, nothing happens; later, the answer is dropped.
    pub fn ask<R: Send + 'static>(&self, question: impl FnOnce(Reply<R>) -> M) -> Ask<'_, M, R> {
        Ask::new(&self.0, question)
    }

    /// An address that takes what this function makes messages of.
    pub fn map<N: Send + 'static>(&self, map: impl Fn(N) -> M + Send + Sync + 'static) -> Recipient<N> {
        Recipient::new(&self.0, map)
    }

    /// An address that does not keep the queue.
    pub fn downgrade(&self) -> WeakAddr<M> {
        WeakAddr(Arc::downgrade(&self.0))
    }

    /// Waits until the actor has ended for good, and tells how.
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    pub fn closed(&self) -> impl Future<Output = Exit> + Send + use<M> {
        let mut watching = Watching { inbox: Arc::clone(&self.0), ticket: None };
        poll_fn(move |cx| watching.inbox.poll_closed(cx, &mut watching.ticket))
    }

    /// Whether no message is taken any more.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// How many messages wait or are in the actor's hands.
    pub fn queued(&self) -> usize {
        self.0.queued()
    }

    /// Stops the actor after the message it is at, whatever its restart rule says, and tells how it ended.
    ///
    /// # Errors
    /// It is [stuck](CommandError::Stuck), its supervisor has ended, or there is [none
    /// yet](CommandError::Unknown). While its supervisor was made and does not run yet, this waits for it. An
    /// actor that stops itself, or a supervisor above it, is told [so](CommandError::Itself) at once, and
    /// stops after the message it is at.
    ///
    /// # Cancel safety
    /// Dropped before it is first polled, nothing happens; later, the actor is stopped all the same.
    pub async fn stop(&self) -> Result<Exit, CommandError> {
        let Some(node) = self.0.node() else { return Err(CommandError::Ended) };
        let Some((branch, key)) = node.above.get() else { return Err(CommandError::Unknown) };
        let Some(branch) = branch.upgrade() else { return Err(CommandError::Ended) };
        Handle::new(branch).stop(Which::At(*key)).await
    }

    /// Takes no more messages, handles those that wait, and stops then, like [`stop`](Addr::stop). The time
    /// that the actor has to stop holds.
    ///
    /// # Errors
    /// As [`stop`](Addr::stop).
    ///
    /// # Cancel safety
    /// As [`stop`](Addr::stop).
    pub async fn drain(&self) -> Result<Exit, CommandError> {
        self.0.drain();
        self.stop().await
    }

    /// What its supervisor calls it.
    pub fn id(&self) -> Option<Id> {
        self.0.node().map(|node| node.id.clone())
    }

    /// Where it stands in its tree.
    pub fn path(&self) -> Option<String> {
        self.0.node().map(|node| node.path())
    }
}

impl<M> Clone for Addr<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> PartialEq for Addr<M> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<M> Eq for Addr<M> {}

impl<M> fmt::Debug for Addr<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Addr").field(&self.0.node().map(|node| node.path())).finish()
    }
}

/// An address that does not keep the queue of an actor that is gone.
pub struct WeakAddr<M>(Weak<Inbox<M>>);

impl<M> WeakAddr<M> {
    /// The address, if the queue is still there.
    pub fn upgrade(&self) -> Option<Addr<M>> {
        self.0.upgrade().map(Addr)
    }
}

impl<M> Clone for WeakAddr<M> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl<M> fmt::Debug for WeakAddr<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WeakAddr").field(&self.upgrade()).finish()
    }
}

/// Waits until an actor is gone.
struct Watching<M> {
    inbox: Arc<Inbox<M>>,
    ticket: Option<Ticket>,
}

impl<M> Drop for Watching<M> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.inbox.stop_watching(ticket);
        }
    }
}

/// Tells an actor; made by [`Addr::tell`].
#[must_use = "nothing is sent unless it is awaited"]
pub struct Tell<'a, M> {
    place: Place<'a, Inbox<M>>,
    message: Option<M>,
    /// It is part of an ask, which has noted who waits for whom.
    asks: bool,
}

// Nothing is pinned in it.
impl<M> Unpin for Tell<'_, M> {}

impl<'a, M> Tell<'a, M> {
    pub(super) fn new(inbox: &'a Inbox<M>, message: M) -> Self {
        Self { place: Place::new(inbox), message: Some(message), asks: false }
    }

    pub(super) fn of_ask(inbox: &'a Inbox<M>, message: M) -> Self {
        Self { asks: true, ..Self::new(inbox, message) }
    }

    pub(super) fn inbox(&self) -> &'a Inbox<M> {
        self.place.room
    }

    pub(super) fn is_sent(&self) -> bool {
        self.message.is_none()
    }

    /// Does not send it, and gives the message back.
    pub fn into_message(mut self) -> Option<M> {
        self.message.take()
    }
}

impl<M> Future for Tell<'_, M> {
    type Output = Result<(), TellError<M>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let message = this.message.take().expect("not polled after it was ready");
        if this.place.is_waiting() {
            return this.wait(cx, message);
        }
        match this.inbox().push(message) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Refused::Closed(message)) => Poll::Ready(Err(TellError::Closed(message))),
            Err(Refused::Full(message)) => this.wait(cx, message),
        }
    }
}

impl<M> Tell<'_, M> {
    /// Waits for room.
    #[cold]
    fn wait(&mut self, cx: &Context<'_>, message: M) -> Poll<Result<(), TellError<M>>> {
        self.message = Some(message);
        let room = ready!(self.place.poll(cx, !self.asks));
        let message = self.message.take().expect("put there above");
        Poll::Ready(match room {
            Ok(()) => self.inbox().push_promised(message).map_err(TellError::Closed),
            Err(NoRoom::Closed) => Err(TellError::Closed(message)),
            Err(NoRoom::Cycle(path)) => Err(TellError::Cycle(message, path)),
        })
    }
}

/// Where one waits for room.
trait Room {
    /// Waits for room. Ready, there is a place promised.
    fn poll_room(&self, cx: &Context<'_>, ticket: &mut Option<Ticket>) -> Poll<Result<(), ()>>;
    fn leave(&self, ticket: Ticket);
    fn awaits(&self, ticket: Ticket) -> bool;
    fn node(&self) -> Option<Arc<Node>>;
}

impl<M> Room for Inbox<M> {
    fn poll_room(&self, cx: &Context<'_>, ticket: &mut Option<Ticket>) -> Poll<Result<(), ()>> {
        Self::poll_room(self, cx, ticket)
    }

    fn leave(&self, ticket: Ticket) {
        Self::leave(self, ticket);
    }

    fn awaits(&self, ticket: Ticket) -> bool {
        self.awaits_room(ticket)
    }

    fn node(&self) -> Option<Arc<Node>> {
        Self::node(self)
    }
}

/// A place among those who wait for room.
struct Place<'a, R: Room + ?Sized> {
    room: &'a R,
    /// Most do not wait.
    waits: Option<Waits<'a, R>>,
}

struct Waits<'a, R: Room + ?Sized> {
    room: &'a R,
    ticket: Option<Ticket>,
    /// Only actors have one.
    edge: Option<Box<Edge>>,
}

/// Why there is no room to wait for.
enum NoRoom {
    Closed,
    Cycle(Arc<[Id]>),
}

impl<'a, R: Room + ?Sized> Place<'a, R> {
    fn new(room: &'a R) -> Self {
        Self { room, waits: None }
    }

    fn is_waiting(&self) -> bool {
        self.waits.is_some()
    }

    /// Waits for room; an actor that would wait for itself in the end is told so, if it is to be noted.
    fn poll(&mut self, cx: &Context<'_>, note: bool) -> Poll<Result<(), NoRoom>> {
        let room = self.room;
        let waits = self.waits.get_or_insert(Waits { room, ticket: None, edge: None });
        let found = ready!(waits.poll(cx, note));
        self.waits = None;
        Poll::Ready(found)
    }
}

impl<R: Room + ?Sized> Waits<'_, R> {
    fn poll(&mut self, cx: &Context<'_>, note: bool) -> Poll<Result<(), NoRoom>> {
        loop {
            // A ticket that is given back may be somebody else's at once: the edge goes before it.
            drop(self.edge.take());
            if let Poll::Ready(room) = self.room.poll_room(cx, &mut self.ticket) {
                return Poll::Ready(room.map_err(|()| NoRoom::Closed));
            }
            let (Some(ticket), true) = (self.ticket, note) else { return Poll::Pending };
            match Edge::note(|| self.room.node(), Some(ticket)) {
                Ok(edge) => {
                    self.edge = edge.map(Box::new);
                    return Poll::Pending;
                }
                // There is room by now.
                Err(_) if !self.room.awaits(ticket) => {}
                Err(path) => return Poll::Ready(Err(NoRoom::Cycle(path))),
            }
        }
    }
}

impl<R: Room + ?Sized> Drop for Waits<'_, R> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.edge = None;
            self.room.leave(ticket);
        }
    }
}

impl<M> fmt::Debug for Tell<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tell").field("waits", &self.place.is_waiting()).finish_non_exhaustive()
    }
}

/// Why a message was not sent. Here it is again.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellError<M> {
    /// The actor has ended for good.
    Closed(M),
    /// There is no room, and whoever makes room waits for the actor that tells; or that tells itself. Here is
    /// who waits for whom, from the one that tells back to it.
    Cycle(M, Arc<[Id]>),
}

impl<M> TellError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            Self::Closed(message) | Self::Cycle(message, _) => message,
        }
    }
}

/// Why a message was not taken at once. Here it is again.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryTellError<M> {
    /// There is no room: wait, or do without.
    Full(M),
    /// The actor has ended for good.
    Closed(M),
}

impl<M> TryTellError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Cycle(_, path) => write!(f, "Cycle(.., {path:?})"),
        }
    }
}

impl<M> fmt::Display for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("the actor has ended"),
            Self::Cycle(_, path) => {
                f.write_str("room would wait for itself: ")?;
                write_path(f, path)
            }
        }
    }
}

impl<M> Error for TellError<M> {}

impl<M> fmt::Debug for TryTellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<M> fmt::Display for TryTellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "there is no room in the actor's queue",
            Self::Closed(_) => "the actor has ended",
        })
    }
}

impl<M> Error for TryTellError<M> {}
