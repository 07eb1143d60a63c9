//! [`Ask`]: a question, and [`Reply`]: what its answer goes through.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use weirs_runtime::waiting::{Turn, let_go, look_with, wake};
use weirs_runtime::{Clock, Sleep};

use super::address::Tell;
use super::edge::Edge;
use super::inbox::Inbox;
use crate::current::Unheard;
use crate::supervise::Node;
use crate::sync::modelled::{Mutex, lock};
use crate::{Exit, Id, current};

/// Why there is no answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AskError {
    /// The actor has ended for good.
    Closed,
    /// The life of the actor that had the message ended so. Whether it did what it was asked, nobody knows.
    Crashed(Exit),
    /// The actor dropped the reply, or ended with it.
    NoReply,
    /// The queue was full, and its rule is to drop.
    Overflow,
    /// The limit came first.
    TimedOut,
    /// The answer would wait for whoever asks. Here is who waits for whom, from the one that asks back to it.
    ///
    /// An actor that asks waits for the one it asked until there is an answer, also when that one has passed
    /// the question on.
    Cycle(Arc<[Id]>),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the actor has ended"),
            Self::Crashed(exit) => write!(f, "the actor crashed: {exit}"),
            Self::NoReply => f.write_str("the actor did not reply"),
            Self::Overflow => f.write_str("there is no room in the actor's queue"),
            Self::TimedOut => f.write_str("there was no answer in time"),
            Self::Cycle(path) => {
                f.write_str("the answer would wait for itself: ")?;
                write_path(f, path)
            }
        }
    }
}

pub(super) fn write_path(f: &mut fmt::Formatter<'_>, path: &[Id]) -> fmt::Result {
    for (at, id) in path.iter().enumerate() {
        if at > 0 {
            f.write_str(" -> ")?;
        }
        write!(f, "{id}")?;
    }
    Ok(())
}

impl Error for AskError {}

/// An answer that was dropped; somebody finds out why.
pub(crate) trait Orphan: Send + Sync {
    /// The life that dropped it ended so; none if it goes on.
    fn settle(&self, exit: Option<&Exit>);
}

pub(super) struct Cell<R>(Mutex<State<R>>);

struct State<R> {
    answer: Answer<R>,
    waker: Option<Waker>,
    /// Whether somebody still waits.
    wanted: bool,
    /// Who that is, if it is an actor.
    edge: Option<Edge>,
}

enum Answer<R> {
    None,
    Given(R),
    Missing(AskError),
}

impl<R> Cell<R> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { answer: Answer::None, waker: None, wanted: true, edge: None }))
    }

    /// Makes it ready for another question; nobody else has it.
    pub(super) fn renew(&mut self) {
        *self = Self::new();
    }

    fn put(&self, answer: Answer<R>) -> Answer<R> {
        match self.keep(answer) {
            Ok((before, waker)) => {
                if let Some(waker) = waker {
                    wake(waker);
                }
                before
            }
            Err(answer) => answer,
        }
    }

    /// Keeps the answer, if it is wanted, and gives what was there and who is to be woken.
    fn keep(&self, answer: Answer<R>) -> Result<(Answer<R>, Option<Waker>), Answer<R>> {
        let (before, waker, edge) = {
            let mut state = lock(&self.0);
            if !state.wanted {
                return Err(answer);
            }
            (std::mem::replace(&mut state.answer, answer), state.waker.take(), state.edge.take())
        };
        // From now on whoever answered may ask back.
        drop(edge);
        Ok((before, waker))
    }
}

impl<R: Send> Orphan for Cell<R> {
    fn settle(&self, exit: Option<&Exit>) {
        let error = match exit {
            Some(exit) if exit.is_abnormal() => AskError::Crashed(exit.clone()),
            _ => AskError::NoReply,
        };
        drop(self.put(Answer::Missing(error)));
    }
}

/// What the answer to a question goes through. It is part of the message that asks.
///
/// Dropped without an answer, whoever asked hears so at once.
pub struct Reply<R: Send + 'static>(Option<Arc<Cell<R>>>);

impl<R: Send + 'static> Reply<R> {
    /// Gives the answer. If nobody waits for it any more, it is dropped.
    pub fn send(mut self, answer: R) {
        let Some(cell) = self.0.take() else { return };
        let kept = cell.keep(Answer::Given(answer));
        // Let go of before the other wakes: it may use the slot again.
        drop(cell);
        if let Ok((_, Some(waker))) = kept {
            wake(waker);
        }
    }

    /// Whether somebody still waits for the answer.
    pub fn is_wanted(&self) -> bool {
        self.0.as_ref().is_some_and(|cell| lock(&cell.0).wanted)
    }
}

impl<R: Send + 'static> Drop for Reply<R> {
    fn drop(&mut self) {
        let Some(cell) = self.0.take() else { return };
        if !lock(&cell.0).wanted {
            return;
        }
        if let Some(why) = current::is_unheard() {
            drop(cell.put(Answer::Missing(match why {
                Unheard::Closed => AskError::Closed,
                Unheard::Overflow => AskError::Overflow,
            })));
            return;
        }
        // Dropped by an actor that crashes, it tells of the crash; that is known when this poll is over.
        let node = current::node();
        let orphan: Arc<dyn Orphan> = cell;
        let kept = match node.as_ref().and_then(|node| node.face.as_ref()) {
            Some(face) => face.orphan(orphan),
            None => Err(orphan),
        };
        if let Err(orphan) = kept {
            orphan.settle(None);
        }
    }
}

impl<R: Send + 'static> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("wanted", &self.is_wanted()).finish()
    }
}

/// Asks an actor; made by [`Addr::ask`](super::Addr::ask).
#[must_use = "nothing is asked unless it is awaited"]
pub struct Ask<'a, M, R> {
    tell: Tell<'a, M>,
    cell: Arc<Cell<R>>,
    within: Option<Duration>,
    sleep: Option<Sleep>,
    begun: bool,
    /// The answer was looked for.
    waits: bool,
    /// And is there.
    done: bool,
}

// Nothing is pinned in it.
impl<M, R> Unpin for Ask<'_, M, R> {}

impl<'a, M: Send + 'static, R: Send + 'static> Ask<'a, M, R> {
    pub(super) fn new(inbox: &'a Inbox<M>, question: impl FnOnce(Reply<R>) -> M) -> Self {
        Self::with_cell(inbox, Arc::new(Cell::new()), question)
    }

    pub(super) fn with_cell(
        inbox: &'a Inbox<M>,
        cell: Arc<Cell<R>>,
        question: impl FnOnce(Reply<R>) -> M,
    ) -> Self {
        let message = question(Reply(Some(Arc::clone(&cell))));
        let tell = Tell::of_ask(inbox, message);
        Self { tell, cell, within: None, sleep: None, begun: false, waits: false, done: false }
    }

    /// Gives up after this time, which counts from the first wait. Room in the queue is waited for too.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// An actor that asks waits for the other; unless that waits for it.
    fn begin(&mut self) -> Result<(), AskError> {
        self.begun = true;
        if let Some(edge) = Edge::note(|| self.tell.inbox().node(), None).map_err(AskError::Cycle)? {
            lock(&self.cell.0).edge = Some(edge);
        }
        Ok(())
    }

    /// The clock of the tree of whoever is asked, or asks; a tree that was not started has none.
    fn clock(&self) -> Clock {
        let of = |node: Arc<Node>| Some(node.above.get()?.0.upgrade()?.runtime.clock().clone());
        let asked = self.tell.inbox().node().and_then(of);
        asked.or_else(|| current::node().and_then(of)).unwrap_or_default()
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, AskError>> {
        if !self.tell.is_sent() {
            if let Err(error) = ready!(Pin::new(&mut self.tell).poll(cx)) {
                current::unheard(Unheard::Closed, || drop(error));
                return Poll::Ready(Err(AskError::Closed));
            }
        }
        // The first look finds no waker there.
        let waker = if self.waits { None } else { Some(cx.waker().clone()) };
        self.waits = true;
        let (answer, edge) = ready!(look_with(cx, waker, |look| {
            let mut state = lock(&self.cell.0);
            if matches!(state.answer, Answer::None) {
                return look.wait_alone(&mut state.waker);
            }
            state.wanted = false;
            Turn::Ready((std::mem::replace(&mut state.answer, Answer::None), state.edge.take()))
        }));
        drop(edge);
        self.done = true;
        Poll::Ready(match answer {
            Answer::Given(answer) => Ok(answer),
            Answer::Missing(error) => Err(error),
            Answer::None => unreachable!("it waits"),
        })
    }
}

impl<M: Send + 'static, R: Send + 'static> Future for Ask<'_, M, R> {
    type Output = Result<R, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.begun {
            this.begin()?;
        }
        if let Poll::Ready(answer) = this.poll_answer(cx) {
            return Poll::Ready(answer);
        }
        if let Some(within) = this.within {
            if this.sleep.is_none() {
                this.sleep = Some(this.clock().sleep(within));
            }
            if let Some(sleep) = &mut this.sleep {
                ready!(Pin::new(sleep).poll(cx));
                return Poll::Ready(Err(AskError::TimedOut));
            }
        }
        Poll::Pending
    }
}

impl<M, R> Drop for Ask<'_, M, R> {
    fn drop(&mut self) {
        // Whoever gave the answer took all that was there.
        if self.done {
            return;
        }
        let (answer, waker, edge) = {
            let mut state = lock(&self.cell.0);
            state.wanted = false;
            (std::mem::replace(&mut state.answer, Answer::None), state.waker.take(), state.edge.take())
        };
        drop(edge);
        let_go(waker);
        drop(answer);
    }
}

impl<M, R> fmt::Debug for Ask<'_, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("within", &self.within).finish_non_exhaustive()
    }
}
