//! [`Ticketed`]: a future that has something to be dropped when its task is over, and not before.
//!
//! A scope counts its children with it. Neither the last poll nor the future's destructor is the end of a
//! task: its result is still to be laid down, or dropped if nobody has the handle.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_task::FutureObj;

use super::cell::{Cell, SendJoin};
use super::label::Label;
use super::runner::Runner;
use super::{AbortHandle, Task};
use crate::Runtime;

/// A future that leaves a ticket to the cell of its task; for the other crates of the family.
pub trait Ticketed: Future {
    /// Dropped when the future is gone, and its result is where the handle finds it, or is gone with the
    /// handle. Whoever awaits the task is woken after that.
    type Ticket;

    /// Gives the ticket, right before the future is dropped. Called once, however the task ends.
    fn ticket(self: Pin<&mut Self>) -> Self::Ticket;
}

/// A task that is not spawned yet, so that its owner can file what cancels it before it runs; for the other
/// crates of the family.
pub struct Prepared<F: Ticketed>(Arc<Cell<F, WithTicket>>);

impl<F> Prepared<F>
where
    F: Ticketed + Send + 'static,
    F::Output: Send + 'static,
{
    pub(crate) fn new(future: F, label: Label) -> Self {
        Self(Cell::new(future, label))
    }

    /// The future, as long as there is no abort handle.
    pub fn future_mut(&mut self) -> Option<&mut F> {
        Arc::get_mut(&mut self.0)?.future_mut()
    }

    /// Gives the future back, unless there is an abort handle.
    pub fn into_future(mut self) -> Option<F> {
        Arc::get_mut(&mut self.0)?.take_future()
    }

    /// Cancels the task, before it is spawned too.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(Some(Arc::clone(&self.0).canceller()))
    }

    /// Spawns it.
    pub fn spawn(self, runtime: &Runtime) -> Task<F::Output> {
        let task = Task::new(Arc::clone(&self.0) as _);
        // A refused future is dropped with its runner, and the task says so.
        let _ = runtime.spawner().spawn_obj(FutureObj::new(Runner::new(self.0)));
        task
    }
}

impl<F: Ticketed> fmt::Debug for Prepared<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether the futures of a cell have tickets: [`Plain`] or [`WithTicket`]. It takes no room.
pub(crate) trait Ticketing<F> {
    type Ticket;

    fn ticket(future: Pin<&mut F>) -> Self::Ticket;
}

/// They have none.
pub(crate) enum Plain {}

impl<F> Ticketing<F> for Plain {
    type Ticket = ();

    fn ticket(_: Pin<&mut F>) {}
}

/// They have.
pub(crate) enum WithTicket {}

impl<F: Ticketed> Ticketing<F> for WithTicket {
    type Ticket = F::Ticket;

    fn ticket(future: Pin<&mut F>) -> F::Ticket {
        future.ticket()
    }
}
