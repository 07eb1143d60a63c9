//! [`Context`]: what an actor that runs has around it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use weirs_runtime::Runtime;
use weirs_scopes::CancelToken;

use super::address::Addr;
use super::beside::{Beside, Order, Pipes};
use super::inbox::{Again, BUDGET, Inbox, Taken};
use super::role::Role;
use super::sources::{SourceKey, SourceKind};
use super::timers::{Timer, What};
use crate::registry::Registry;
use crate::supervise::{Incarnation, LAST, STOP};
use crate::{DeadReason, Exit, Id};

/// What an actor that runs has around it: its own address, its name, and what it is asked to do.
pub struct Context<A: Role> {
    pub(super) inbox: Arc<Inbox<A::Told>>,
    pub(super) life: Incarnation,
    batch: VecDeque<A::Told>,
    /// How many since others had their turn.
    in_one_go: usize,
    /// A message is being handled.
    busy: bool,
    /// Where it came from.
    lane: Lane,
    ends: bool,
    /// The queue has the waker.
    waits: bool,
    /// Whose turn it is, if there is anything beside the queue.
    turn: u8,
    /// How many timers, streams and futures there were.
    sources: u32,
    /// One that a life ended over, which comes first; and while it is handled, how many times it came again.
    again: Option<Box<Again<A::Told>>>,
    times: u32,
    /// A copy of the message that is being handled, if it may come again.
    copy: Option<Box<A::Told>>,
    pub(super) beside: Option<Box<Beside<A>>>,
}

/// Where a message came from.
#[derive(Clone, Copy)]
enum Lane {
    Queue,
    Urgent,
    Beside,
}

/// What comes next.
pub(super) enum Next<M> {
    Message(M),
    Stop,
    /// One that it is linked to has failed.
    Struck(Exit),
}

impl<A: Role> Context<A> {
    pub(super) fn new(inbox: Arc<Inbox<A::Told>>, life: Incarnation) -> Self {
        let again = inbox.take_again();
        Self {
            inbox,
            life,
            batch: VecDeque::new(),
            in_one_go: 0,
            busy: false,
            lane: Lane::Queue,
            ends: false,
            waits: false,
            turn: 0,
            sources: 0,
            again,
            times: 0,
            copy: None,
            beside: None,
        }
    }

    /// The actor's own address.
    pub fn address(&self) -> Addr<A::Told> {
        Addr(Arc::clone(&self.inbox))
    }

    /// What the supervisor calls the actor.
    pub fn id(&self) -> &Id {
        self.life.id()
    }

    /// Where it stands in the tree.
    pub fn path(&self) -> String {
        self.life.path()
    }

    /// The how-manieth life this is, from 1.
    pub fn number(&self) -> u64 {
        self.life.number()
    }

    /// How the life before ended, if there was one.
    pub fn last_exit(&self) -> Option<Exit> {
        self.life.last_exit()
    }

    /// Ends this life after the message that is being handled, as if all were done: a permanent actor is
    /// started again, any other is not.
    pub fn end(&mut self) {
        self.ends = true;
    }

    /// Whether it was asked to stop: for handlers that take long.
    pub fn is_stopping(&self) -> bool {
        self.life.is_stopping()
    }

    /// A token that is cancelled when the actor is asked to stop, and when this life ends.
    pub fn token(&self) -> CancelToken {
        self.life.token()
    }

    /// The runtime that the tree runs on, and its clock.
    pub fn runtime(&self) -> &Runtime {
        self.life.runtime()
    }

    pub(super) fn ready(&self) {
        self.life.ready();
    }

    /// The names and groups of the whole tree.
    pub fn registry(&self) -> &Registry {
        self.life.registry()
    }

    /// Tells the actor this after a time. Timers end with this life.
    ///
    /// It comes when the actor is free and others have had their turn, never too early. Of several that are
    /// due the one that is due longest comes first, and of two for the same time the one that was set first.
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use std::time::Duration;
    /// use weirs_actors::actor::{Actor, Context};
    ///
    /// enum Message {
    ///     Heard,
    ///     Silence,
    /// }
    ///
    /// struct Watchdog;
    ///
    /// impl Actor for Watchdog {
    ///     type Message = Message;
    ///     type Error = Infallible;
    ///
    ///     async fn handle(
    ///         &mut self,
    ///         message: Message,
    ///         context: &mut Context<Self>,
    ///     ) -> Result<(), Infallible> {
    ///         match message {
    ///             // Set again, it replaces the one before.
    ///             Message::Heard => {
    ///                 context.timer("silence").after(Duration::from_secs(30), Message::Silence);
    ///             }
    ///             Message::Silence => println!("nothing for half a minute"),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn after(&mut self, delay: Duration, message: A::Told) -> SourceKey {
        self.set_once(None, delay, message)
    }

    /// Tells the actor once a period what this function makes, from a period from now on. Timers end with
    /// this life.
    ///
    /// If the actor is busy for longer than a period, one message comes for all that were missed, and then
    /// the old rhythm goes on, as with [`MissedTicks::Skip`](weirs_runtime::MissedTicks::Skip).
    ///
    /// # Panics
    /// With a period of zero.
    #[track_caller]
    pub fn every(
        &mut self,
        period: Duration,
        message: impl FnMut() -> A::Told + Send + 'static,
    ) -> SourceKey {
        self.set_every(None, period, Box::new(message))
    }

    /// The timer of that name, to be set, replaced or cancelled.
    pub fn timer(&mut self, name: &'static str) -> Timer<'_, A> {
        Timer { context: self, name }
    }

    /// Takes a timer, a stream, a future or a watch away: no message comes of it any more. One that is over
    /// is left alone.
    pub fn cancel(&mut self, key: SourceKey) {
        let Some(beside) = &mut self.beside else { return };
        match key.kind {
            SourceKind::Timer => {
                beside.timers.cancel(key.number);
            }
            SourceKind::Stream => drop(beside.streams.remove(key.number)),
            SourceKind::Pipe => beside.orders.push(Order::Cancel(key.number)),
        }
    }

    /// How many streams are attached that have not ended.
    pub fn attached(&self) -> usize {
        self.beside.as_ref().map_or(0, |beside| beside.streams.len())
    }

    /// Tells the actor how another has ended for good: once, and soon if it has already. A restart is no such
    /// end. It can be [cancelled](Context::cancel), and it ends with this life.
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use weirs_actors::Exit;
    /// use weirs_actors::actor::{Actor, Addr, Context};
    ///
    /// enum Message {
    ///     Join(Addr<String>),
    ///     Left(Addr<String>, Exit),
    /// }
    ///
    /// #[derive(Default)]
    /// struct Room(Vec<Addr<String>>);
    ///
    /// impl Actor for Room {
    ///     type Message = Message;
    ///     type Error = Infallible;
    ///
    ///     async fn handle(
    ///         &mut self,
    ///         message: Message,
    ///         context: &mut Context<Self>,
    ///     ) -> Result<(), Infallible> {
    ///         match message {
    ///             Message::Join(guest) => {
    ///                 let left = guest.clone();
    ///                 context.watch(&guest, move |exit| Message::Left(left, exit));
    ///                 self.0.push(guest);
    ///             }
    ///             Message::Left(guest, _) => self.0.retain(|other| *other != guest),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn watch<N: Send + 'static>(
        &mut self,
        other: &Addr<N>,
        map: impl FnOnce(Exit) -> A::Told + Send + 'static,
    ) -> SourceKey {
        let closed = other.closed();
        self.begin(A::pipe_of(async move { map(closed.await) }))
    }

    /// Links this life and that of another actor: when one of them fails, the other fails too, with
    /// [`Exit::Linked`], which names it. An end that is not [abnormal](Exit::is_abnormal) only unties the
    /// link. One that has ended for good already counts as if it had ended now.
    ///
    /// A link is one of lives: whoever is restarted is linked to nobody. An actor that fails so is dropped in
    /// the middle of the message it is at, as if it had crashed over it; then it is told that it is
    /// [stopping](super::Actor::stopping). A start is not interrupted.
    pub fn link<N: Send + 'static>(&mut self, other: &Addr<N>) {
        super::link::link(&self.inbox, &other.0);
    }

    /// Unties a link, if there is one.
    pub fn unlink<N: Send + 'static>(&mut self, other: &Addr<N>) {
        super::link::unlink(&self.inbox, &other.0);
    }

    pub(super) fn beside(&mut self) -> &mut Beside<A> {
        self.beside.get_or_insert_with(|| Box::new(Beside::new()))
    }

    /// A number that no source of this life has had.
    fn number_of_source(&mut self) -> u64 {
        self.sources = self.sources.wrapping_add(1);
        (self.number() << 32) | u64::from(self.sources)
    }

    pub(super) fn set_once(
        &mut self,
        name: Option<&'static str>,
        delay: Duration,
        message: A::Told,
    ) -> SourceKey {
        self.set(name, delay, What::Once(message))
    }

    #[track_caller]
    pub(super) fn set_every(
        &mut self,
        name: Option<&'static str>,
        period: Duration,
        message: Box<dyn FnMut() -> A::Told + Send>,
    ) -> SourceKey {
        assert!(!period.is_zero(), "a timer needs a period longer than zero");
        self.set(name, period, What::Every(period, message))
    }

    fn set(&mut self, name: Option<&'static str>, delay: Duration, what: What<A::Told>) -> SourceKey {
        let at = self.runtime().clock().now() + delay;
        let number = self.number_of_source();
        let beside = self.beside();
        beside.timers.set(at, number, name, what);
        beside.look_at_timers();
        SourceKey { kind: SourceKind::Timer, number }
    }

    pub(super) fn cancel_named(&mut self, name: &'static str) -> bool {
        self.beside.as_mut().is_some_and(|beside| beside.timers.cancel_named(name))
    }

    pub(super) fn is_set(&self, name: &'static str) -> bool {
        self.beside.as_ref().is_some_and(|beside| beside.timers.is_set(name))
    }

    pub(super) fn add_stream(&mut self, stream: std::pin::Pin<Box<A::Stream>>) -> SourceKey {
        let number = self.number_of_source();
        self.beside().streams.add(number, stream);
        SourceKey { kind: SourceKind::Stream, number }
    }

    pub(super) fn begin(&mut self, future: std::pin::Pin<Box<A::Pipe>>) -> SourceKey {
        let number = self.number_of_source();
        self.beside().orders.push(Order::Begin(number, future));
        SourceKey { kind: SourceKind::Pipe, number }
    }

    pub(super) fn unstash(&mut self) {
        let Some(beside) = &mut self.beside else { return };
        self.inbox.in_hand(beside.stash.len());
        beside.stash.append(&mut self.batch);
        std::mem::swap(&mut beside.stash, &mut self.batch);
    }

    /// Keeps a copy of the message that it is handed, if that may come again.
    #[inline]
    pub(super) fn begins(&mut self, message: &A::Told) {
        if self.inbox.copies() {
            self.copy = self.inbox.copy(message);
        }
    }

    /// It is done with the message that it was handed.
    #[inline]
    pub(super) fn done(&mut self) {
        self.in_one_go += 1;
        if self.copy.is_some() {
            (self.copy, self.times) = (None, 0);
        }
        self.over();
        self.inbox.settle_orphans(None);
    }

    #[inline]
    fn over(&mut self) {
        self.busy = false;
        if matches!(self.lane, Lane::Queue) {
            self.inbox.done();
        } else {
            self.over_elsewhere();
        }
    }

    #[cold]
    fn over_elsewhere(&self) {
        match self.lane {
            Lane::Queue => {}
            Lane::Urgent => self.inbox.done_urgent(),
            Lane::Beside => self.inbox.done_beside(),
        }
    }

    fn hand_out(&mut self, message: A::Told, lane: Lane) -> Poll<Next<A::Told>> {
        (self.busy, self.lane) = (true, lane);
        Poll::Ready(Next::Message(message))
    }

    /// The next message, if it is in the actor's hands and nothing comes before it.
    #[inline]
    pub(super) fn next_in_hand(&mut self) -> Option<A::Told> {
        if self.in_one_go >= BUDGET
            || self.ends
            || self.life.node.flags() & STOP != 0
            || self.again.is_some()
            || self.beside.is_some()
            || self.inbox.has_news()
        {
            return None;
        }
        let message = self.batch.pop_front();
        (self.busy, self.lane) = (message.is_some(), Lane::Queue);
        message
    }

    /// Waits for the next message, and hands it out.
    pub(super) async fn next(&mut self, pipes: &mut Pipes<A>) -> Next<A::Told> {
        if let Some(beside) = &mut self.beside {
            for order in beside.orders.drain(..) {
                pipes.obey(order);
            }
        }
        std::future::poll_fn(|cx| {
            if self.in_one_go >= BUDGET {
                self.in_one_go = 0;
                self.inbox.others_turn();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.ends {
                return Poll::Ready(Next::Stop);
            }
            let stops = self.life.node.flags() & STOP != 0;
            if stops && !self.inbox.is_draining() {
                return Poll::Ready(Next::Stop);
            }
            if let Some(exit) = self.inbox.take_struck() {
                return Poll::Ready(Next::Struck(exit));
            }
            if let Some(again) = self.again.take() {
                self.times = again.times;
                return self.hand_out(again.message, Lane::Beside);
            }
            if let Some(message) = self.inbox.urgent() {
                return self.hand_out(message, Lane::Urgent);
            }
            let next = if self.beside.is_none() {
                self.next_in_queue(cx, stops)
            } else {
                self.next_of_all(cx, stops, pipes)
            };
            if next.is_pending() {
                self.in_one_go = 0;
            }
            next
        })
        .await
    }

    /// The queue, the futures and the streams take turns.
    fn next_of_all(
        &mut self,
        cx: &TaskContext<'_>,
        stops: bool,
        pipes: &mut Pipes<A>,
    ) -> Poll<Next<A::Told>> {
        if self.inbox.is_draining() {
            return self.next_in_queue(cx, stops);
        }
        for _ in 0..3 {
            let turn = self.turn;
            self.turn = (turn + 1) % 3;
            let message = match turn {
                0 => match self.next_in_queue(cx, stops) {
                    Poll::Ready(next) => return Poll::Ready(next),
                    Poll::Pending => None,
                },
                1 => pipes.next(),
                _ => self.next_beside(),
            };
            if let Some(message) = message {
                return self.hand_out(message, Lane::Beside);
            }
        }
        let woken = self.beside.as_ref().is_some_and(|beside| beside.streams.wait(cx).is_ready());
        if pipes.wait(cx).is_ready() || woken {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    #[inline]
    fn next_in_queue(&mut self, cx: &TaskContext<'_>, stops: bool) -> Poll<Next<A::Told>> {
        loop {
            if let Some(message) = self.batch.pop_front() {
                return self.hand_out(message, Lane::Queue);
            }
            match self.inbox.take(cx, &mut self.batch, &mut self.waits) {
                Poll::Ready(Taken::Some) => {
                    if let Some(message) = self.inbox.urgent() {
                        return self.hand_out(message, Lane::Urgent);
                    }
                }
                Poll::Ready(Taken::Drained) if stops => return Poll::Ready(Next::Stop),
                // Somebody drains it, and is about to stop it.
                Poll::Ready(Taken::Drained) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn next_beside(&mut self) -> Option<A::Told> {
        let beside = self.beside.as_mut()?;
        beside.next(self.life.runtime().clock())
    }

    /// Whether this end is for good.
    pub(super) fn is_last(&self) -> bool {
        self.life.node.flags() & LAST != 0
    }

    /// What is not handled any more.
    pub(super) fn leftovers(&mut self) -> impl Iterator<Item = A::Told> + use<A> {
        self.unstash();
        let again = self.again.take().map(|again| again.message);
        let batch = std::mem::take(&mut self.batch);
        let (urgent, queue) = self.inbox.leftovers();
        again.into_iter().chain(urgent).chain(batch).chain(queue)
    }
}

impl<A: Role> Drop for Context<A> {
    fn drop(&mut self) {
        let crashed = self.busy;
        if crashed {
            self.over();
        }
        self.unstash();
        let mut again = self.again.take();
        let copy = if crashed { self.copy.take() } else { None };
        let mut dead = None;
        if let Some(message) = copy {
            let times = self.times + 1;
            if times <= self.inbox.most_again() {
                again = Some(Box::new(Again { message: *message, times }));
            } else {
                dead = Some(message);
            }
        } else if crashed {
            self.inbox.dead(1, DeadReason::Crashed);
        }
        self.inbox.give_back(&mut self.batch, again);
        if let Some(message) = dead {
            self.inbox.bury(*message, DeadReason::Crashed);
        }
    }
}

impl<A: Role> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("life", &self.life).finish_non_exhaustive()
    }
}
