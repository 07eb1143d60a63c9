//! Names and groups of actors, one [`Registry`] for each tree: there is none for the whole program.

mod group;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};

pub use group::Group;

use crate::Id;
use crate::actor::Addr;
use crate::sync::lock;
use crate::ties::{List, Post, address};

/// The names of actors, and the groups they are in. A clone is the same registry.
///
/// A tree has one, which all supervisors and actors in it share: [`Handle::registry`], [`Context::registry`]
/// and [`Incarnation::registry`] give it. An actor leaves it when it has ended for good; a restart is no such
/// end.
///
/// [`Handle::registry`]: crate::supervise::Handle::registry
/// [`Context::registry`]: crate::actor::Context::registry
/// [`Incarnation::registry`]: crate::supervise::Incarnation::registry
///
/// # Examples
/// ```
/// # use std::convert::Infallible;
/// # use weirs_actors::actor::{Actor, Context};
/// use weirs_actors::supervise::{Spec, Supervisor};
/// use weirs_runtime::{Runtime, Smol, block_on};
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
/// let runtime = Runtime::from(Smol::global());
/// block_on(async {
///     let (printer, spec) = Spec::actor("printer", Printer::default);
///     let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
///     tree.registry().register("printer", &printer).unwrap();
///
///     let found = tree.registry().find::<String>("printer").unwrap();
///     found.tell("hello".to_owned()).await.unwrap();
///     // It takes messages of no other type.
///     assert!(tree.registry().find::<u64>("printer").is_none());
///
///     tree.stop_child("printer").await.unwrap();
///     assert!(tree.registry().find::<String>("printer").is_none());
///     tree.shutdown().await;
/// });
/// ```
#[derive(Clone, Default)]
pub struct Registry(Arc<Names>);

#[derive(Default)]
struct Names {
    actors: Mutex<HashMap<Id, Entry>>,
    groups: Mutex<HashMap<(Id, TypeId), Box<dyn Any + Send>>>,
}

struct Entry {
    who: usize,
    addr: Box<dyn Any + Send>,
}

/// There is an actor of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTaken {
    name: Id,
}

impl NameTaken {
    /// The name.
    pub const fn name(&self) -> &Id {
        &self.name
    }
}

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is an actor called {}", self.name)
    }
}

impl Error for NameTaken {}

impl Registry {
    /// One of no tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has this actor found by that name, until it has ended for good. Again for the same actor is no more
    /// than once. One that has ended already is not found.
    ///
    /// # Errors
    /// Another has that name.
    pub fn register<M: Send + 'static>(&self, name: impl Into<Id>, addr: &Addr<M>) -> Result<(), NameTaken> {
        let name = name.into();
        let who = address(&addr.0);
        let entry = Entry { who, addr: Box::new(addr.clone()) };
        {
            let mut actors = lock(&self.0.actors);
            match actors.get(&name).map(|there| there.who) {
                None => {
                    actors.insert(name.clone(), entry);
                }
                Some(there) => {
                    drop(actors);
                    return if there == who { Ok(()) } else { Err(NameTaken { name }) };
                }
            }
        }
        addr.0.ties().post(self.post(Some(name)));
        if addr.0.ended().is_some() {
            addr.0.leave_lists();
        }
        Ok(())
    }

    /// The actor of that name, if there is one and it takes messages of this type.
    pub fn find<M: Send + 'static>(&self, name: impl Into<Id>) -> Option<Addr<M>> {
        let name = name.into();
        lock(&self.0.actors).get(&name)?.addr.downcast_ref::<Addr<M>>().cloned()
    }

    /// Takes a name away from this actor, and tells whether it had it.
    pub fn unregister<M: Send + 'static>(&self, name: impl Into<Id>, addr: &Addr<M>) -> bool {
        let name = name.into();
        let Some(entry) = self.0.take(&name, address(&addr.0)) else { return false };
        addr.0.ties().unpost(&self.list(), Some(&name));
        drop(entry);
        true
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<Id> {
        let mut names: Vec<Id> = lock(&self.0.actors).keys().cloned().collect();
        names.sort_by(|one, other| (one.number(), one.name()).cmp(&(other.number(), other.name())));
        names
    }

    /// The group of that name for messages of this type. It is there from the first call on.
    pub fn group<M: Send + 'static>(&self, name: impl Into<Id>) -> Group<M> {
        let name = name.into();
        let mut groups = lock(&self.0.groups);
        let group = groups
            .entry((name, TypeId::of::<M>()))
            .or_insert_with(|| Box::new(Group::<M>::new()))
            .downcast_ref::<Group<M>>();
        group.expect("groups are kept by the type of their messages").clone()
    }

    fn list(&self) -> Weak<dyn List> {
        let list: Weak<Names> = Arc::downgrade(&self.0);
        list
    }

    fn post(&self, name: Option<Id>) -> Post {
        Post { list: self.list(), name }
    }
}

impl Names {
    fn take(&self, name: &Id, who: usize) -> Option<Entry> {
        let mut actors = lock(&self.actors);
        if actors.get(name)?.who != who {
            return None;
        }
        actors.remove(name)
    }
}

impl List for Names {
    fn leave(&self, name: Option<&Id>, who: usize) {
        let entry = name.and_then(|name| self.take(name, who));
        drop(entry);
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("names", &self.names()).finish_non_exhaustive()
    }
}
