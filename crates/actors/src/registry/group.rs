//! [`Group`]: actors that take the same messages, told together or by turns.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use crate::actor::{Addr, TryTellError};
use crate::ordered::Ordered;
use crate::sync::lock;
use crate::ties::{List, Post, address};

/// Actors that take the same messages, in the order in which they joined. A clone is the same group.
///
/// Made by [`Registry::group`](super::Registry::group), or alone by [`Group::new`]. A member leaves when it
/// has ended for good; a restart is no such end.
///
/// # Examples
/// ```
/// # use std::convert::Infallible;
/// # use weirs_actors::actor::{Actor, Context};
/// use weirs_actors::actor::spawn;
/// use weirs_actors::registry::Group;
/// use weirs_runtime::{Runtime, Smol, block_on};
/// # #[derive(Default)]
/// # struct Worker;
/// # impl Actor for Worker {
/// #     type Message = u64;
/// #     type Error = Infallible;
/// #     async fn handle(&mut self, _: u64, _: &mut Context<Self>) -> Result<(), Infallible> {
/// #         Ok(())
/// #     }
/// # }
///
/// let runtime = Runtime::from(Smol::global());
/// block_on(async {
///     let workers = Group::new();
///     let one = spawn("one", Worker::default, &runtime);
///     let two = spawn("two", Worker::default, &runtime);
///     workers.join(&one);
///     workers.join(&two);
///
///     // Each in turn:
///     for job in 0..10 {
///         workers.next().unwrap().tell(job).await.unwrap();
///     }
///     // All of them:
///     assert_eq!(workers.tell_all(&10).await, 2);
///
///     one.shutdown().await;
///     assert_eq!(workers.len(), 1);
///     two.shutdown().await;
/// });
/// ```
pub struct Group<M>(Arc<Members<M>>);

struct Members<M>(Mutex<State<M>>);

struct State<M> {
    members: Ordered<Addr<M>>,
    /// Whose turn it was last.
    last: Option<u64>,
}

impl<M: Send + 'static> Group<M> {
    /// Nobody yet.
    pub fn new() -> Self {
        Self(Arc::new(Members(Mutex::new(State { members: Ordered::default(), last: None }))))
    }

    /// Takes an actor in, until it has ended for good, and tells whether it is new. One that has ended
    /// already is not taken in.
    pub fn join(&self, addr: &Addr<M>) -> bool {
        if addr.0.ended().is_some() {
            return false;
        }
        let again = lock(&self.0.0).members.insert(address(&addr.0), addr.clone());
        if again.is_err() {
            return false;
        }
        addr.0.ties().post(Post { list: self.list(), name: None });
        if addr.0.ended().is_some() {
            addr.0.leave_lists();
        }
        true
    }

    /// Takes an actor out, and tells whether it was in.
    pub fn leave(&self, addr: &Addr<M>) -> bool {
        let gone = lock(&self.0.0).members.remove(address(&addr.0));
        if gone.is_none() {
            return false;
        }
        addr.0.ties().unpost(&self.list(), None);
        true
    }

    /// Who is in it, in the order in which they joined.
    pub fn members(&self) -> Vec<Addr<M>> {
        lock(&self.0.0).members.iter().cloned().collect()
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        lock(&self.0.0).members.len()
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this actor is in it.
    pub fn contains(&self, addr: &Addr<M>) -> bool {
        lock(&self.0.0).members.contains(address(&addr.0))
    }

    /// The next in turn.
    pub fn next(&self) -> Option<Addr<M>> {
        let mut state = lock(&self.0.0);
        let (place, addr) = state.members.after(state.last)?;
        let addr = addr.clone();
        state.last = Some(place);
        Some(addr)
    }

    /// The one for whom the fewest messages wait; of several such, the one that joined first. All are looked
    /// at.
    pub fn least_queued(&self) -> Option<Addr<M>> {
        self.members().into_iter().min_by_key(Addr::queued)
    }

    /// Tells all who have room, without waiting, and gives those who have not.
    pub fn try_tell_all(&self, message: &M) -> Vec<Addr<M>>
    where
        M: Clone,
    {
        let full = |addr: &Addr<M>| matches!(addr.try_tell(message.clone()), Err(TryTellError::Full(_)));
        self.members().into_iter().filter(full).collect()
    }

    /// Tells all, and gives how many heard it. Those who have room hear it at once; then it waits for the
    /// others, one after another.
    ///
    /// # Waiting
    /// For room with those who have none.
    ///
    /// # Cancel safety
    /// Dropped before it is done, some have heard it and others have not.
    pub async fn tell_all(&self, message: &M) -> usize
    where
        M: Clone + Sync,
    {
        let mut told = 0;
        let mut full = Vec::new();
        for addr in self.members() {
            match addr.try_tell(message.clone()) {
                Ok(()) => told += 1,
                Err(TryTellError::Full(message)) => full.push((addr, message)),
                Err(TryTellError::Closed(_)) => {}
            }
        }
        for (addr, message) in full {
            told += usize::from(addr.tell(message).await.is_ok());
        }
        told
    }

    fn list(&self) -> Weak<dyn List> {
        let list: Weak<Members<M>> = Arc::downgrade(&self.0);
        list
    }
}

impl<M: Send + 'static> List for Members<M> {
    fn leave(&self, _: Option<&crate::Id>, who: usize) {
        let gone = lock(&self.0).members.remove(who);
        drop(gone);
    }
}

impl<M: Send + 'static> Default for Group<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Clone for Group<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> fmt::Debug for Group<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("members", &lock(&self.0.0).members.len()).finish()
    }
}
