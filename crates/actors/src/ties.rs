//! [`Ties`]: whom an actor is linked to, and who is told when it is gone for good.

use std::mem::take;
use std::sync::{Arc, Mutex, Weak};

use crate::Id;
use crate::actor::Orphan;
use crate::exit::{Exit, Linked};
use crate::ordered::Ordered;
use crate::sync::lock;

/// Whom an actor is linked to, who is told when it is gone for good, and whose answers it has dropped. Most
/// have none of it.
#[derive(Default)]
pub(crate) struct Ties(Mutex<Option<Box<Knots>>>);

#[derive(Default)]
struct Knots {
    links: Ordered<Weak<dyn Tied>>,
    /// One that this life was linked to ended so.
    struck: Option<Exit>,
    posts: Vec<Post>,
    orphans: Vec<Arc<dyn Orphan>>,
}

/// An actor, as those see it who are linked to it.
pub(crate) trait Tied: Send + Sync {
    fn ties(&self) -> &Ties;
    /// One that it was linked to has failed.
    fn struck(&self);
}

/// A list that an actor is in: it leaves it when it is gone for good.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) list: Weak<dyn List>,
    pub(crate) name: Option<Id>,
}

/// A list that actors leave when they are gone for good.
pub(crate) trait List: Send + Sync {
    fn leave(&self, name: Option<&Id>, who: usize);
}

impl Post {
    fn is(&self, list: &Weak<dyn List>, name: Option<&Id>) -> bool {
        std::ptr::addr_eq(self.list.as_ptr(), list.as_ptr()) && self.name.as_ref() == name
    }
}

/// Where something is: what tells actors and lists apart.
pub(crate) fn address<T: ?Sized>(of: &Arc<T>) -> usize {
    Arc::as_ptr(of).cast::<()>() as usize
}

/// Links the lives of two, both ways. More than once is no more than once.
pub(crate) fn link(one: &Arc<dyn Tied>, other: &Arc<dyn Tied>) {
    // In this order a life of the other that ends in between is none that was linked.
    for (at, to) in [(one, other), (other, one)] {
        let mut ties = lock(&at.ties().0);
        let _ = ties.get_or_insert_default().links.insert(address(to), Arc::downgrade(to));
    }
}

pub(crate) fn unlink(one: &Arc<dyn Tied>, other: &Arc<dyn Tied>) {
    for (at, to) in [(other, one), (one, other)] {
        let gone = lock(&at.ties().0).as_mut().and_then(|knots| knots.links.remove(address(to)));
        drop(gone);
    }
}

/// One that this actor is linked to has ended so.
pub(crate) fn strike(actor: &dyn Tied, by: usize, exit: &Exit) {
    {
        let mut ties = lock(&actor.ties().0);
        let Some(knots) = ties.as_mut() else { return };
        if knots.links.remove(by).is_none() || !exit.is_abnormal() {
            return;
        }
        knots.struck.get_or_insert_with(|| exit.clone());
    }
    actor.struck();
}

/// How those end who are linked to one that ended so.
fn of_other(path: impl FnOnce() -> String, exit: &Exit) -> Exit {
    match exit {
        // Whoever was first is named, however many came between.
        Exit::Linked(_) => exit.clone(),
        exit if exit.is_abnormal() => Exit::Linked(Arc::new(Linked { path: path(), exit: exit.clone() })),
        exit => exit.clone(),
    }
}

impl Ties {
    /// A life is over: all it was linked to hear of it.
    pub(crate) fn cut(&self, who: usize, path: impl FnOnce() -> String, exit: &Exit) {
        let (links, struck) = {
            let mut ties = lock(&self.0);
            let Some(knots) = ties.as_mut() else { return };
            (take(&mut knots.links), knots.struck.take())
        };
        drop(struck);
        if links.len() == 0 {
            return;
        }
        let exit = of_other(path, exit);
        for other in links.iter().filter_map(Weak::upgrade) {
            strike(&*other, who, &exit);
        }
    }

    /// The same for one link alone.
    pub(crate) fn cut_one(
        &self,
        who: usize,
        other: &Arc<dyn Tied>,
        path: impl FnOnce() -> String,
        exit: &Exit,
    ) {
        let link = lock(&self.0).as_mut().and_then(|knots| knots.links.remove(address(other)));
        if link.is_some() {
            strike(&**other, who, &of_other(path, exit));
        }
    }

    /// Why this life has to end, if one that it is linked to has failed.
    pub(crate) fn take_struck(&self) -> Option<Exit> {
        lock(&self.0).as_mut().and_then(|knots| knots.struck.take())
    }

    /// Keeps an answer that was dropped until it is known why.
    pub(crate) fn keep(&self, orphan: Arc<dyn Orphan>) {
        lock(&self.0).get_or_insert_default().orphans.push(orphan);
    }

    pub(crate) fn take_orphans(&self) -> Vec<Arc<dyn Orphan>> {
        lock(&self.0).as_mut().map(|knots| take(&mut knots.orphans)).unwrap_or_default()
    }

    /// It is in this list from now on.
    pub(crate) fn post(&self, post: Post) {
        lock(&self.0).get_or_insert_default().posts.push(post);
    }

    /// It is not in this list any more.
    pub(crate) fn unpost(&self, list: &Weak<dyn List>, name: Option<&Id>) {
        let mut ties = lock(&self.0);
        let Some(knots) = ties.as_mut() else { return };
        if let Some(at) = knots.posts.iter().position(|post| post.is(list, name)) {
            let post = knots.posts.swap_remove(at);
            drop(ties);
            drop(post);
        }
    }

    /// It is gone for good: it leaves all lists.
    pub(crate) fn leave_all(&self, who: usize) {
        let posts = lock(&self.0).as_mut().map(|knots| take(&mut knots.posts));
        for post in posts.into_iter().flatten() {
            if let Some(list) = post.list.upgrade() {
                list.leave(post.name.as_ref(), who);
            }
        }
    }
}
