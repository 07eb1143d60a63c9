//! [`Asker`]: asks one question after another, and uses the same slot for the answers.

use std::fmt;
use std::sync::Arc;

use super::address::Addr;
use super::ask::{Ask, Cell, Reply};

/// Asks an actor one question after another. The slot that an answer comes through is used again, so
/// that a question allocates nothing; [`Addr::ask`] allocates one.
///
/// An answer that is still on its way, to a question that was given up, keeps its slot: then the next
/// question gets a new one.
///
/// # Examples
/// ```
/// # use std::convert::Infallible;
/// # use weirs_actors::actor::{Actor, Context, spawn};
/// use weirs_actors::actor::Reply;
/// use weirs_runtime::{Runtime, Smol, block_on};
/// # #[derive(Default)]
/// # struct Double;
/// # impl Actor for Double {
/// #     type Message = (u64, Reply<u64>);
/// #     type Error = Infallible;
/// #     async fn handle(
/// #         &mut self,
/// #         (n, reply): (u64, Reply<u64>),
/// #         _: &mut Context<Self>,
/// #     ) -> Result<(), Infallible> {
/// #         reply.send(2 * n);
/// #         Ok(())
/// #     }
/// # }
///
/// let runtime = Runtime::from(Smol::global());
/// block_on(async {
///     let double = spawn("double", Double::default, &runtime);
///     let mut asker = double.asker();
///     for n in 0..10 {
///         let answer = asker.ask(|reply| (n, reply)).await.unwrap();
///         assert_eq!(answer, 2 * n);
///     }
///     double.shutdown().await;
/// });
/// ```
pub struct Asker<M, R: Send + 'static> {
    addr: Addr<M>,
    cell: Arc<Cell<R>>,
}

impl<M: Send + 'static, R: Send + 'static> Asker<M, R> {
    /// Asks the actor, as [`Addr::ask`] does.
    ///
    /// # Errors
    /// As [`Addr::ask`].
    ///
    /// # Cancel safety
    /// As [`Addr::ask`]. The asker may be used again at once.
    pub fn ask(&mut self, question: impl FnOnce(Reply<R>) -> M) -> Ask<'_, M, R> {
        match Arc::get_mut(&mut self.cell) {
            Some(cell) => cell.renew(),
            None => self.cell = Arc::new(Cell::new()),
        }
        Ask::with_cell(&self.addr.0, Arc::clone(&self.cell), question)
    }

    /// Who is asked.
    pub const fn address(&self) -> &Addr<M> {
        &self.addr
    }
}

impl<M: Send + 'static> Addr<M> {
    /// For asking one question after another without an allocation for each.
    pub fn asker<R: Send + 'static>(&self) -> Asker<M, R> {
        Asker { addr: self.clone(), cell: Arc::new(Cell::new()) }
    }
}

impl<M, R: Send + 'static> fmt::Debug for Asker<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asker").field(&self.addr).finish()
    }
}
