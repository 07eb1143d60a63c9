//! [`LocalActor`]: one that stays on its thread, with state that need not be [`Send`].

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use weirs_runtime::LocalRuntime;

use super::Mailbox;
use super::address::Addr;
use super::context::Context;
use super::host::{LocalHost, Side};
use super::inbox::Inbox;
use super::letters::MailboxOf;
use super::life::live_local;
use super::spec::{Lone, Queue};
use crate::Exit;
use crate::Id;
use crate::supervise::{Face, Kind, Spec, Supervisor};

/// An [`Actor`](super::Actor) that stays on its thread: its state and its futures need not be [`Send`]. Its
/// messages are, and its address is like any other: whoever tells it may be on any thread.
///
/// It runs alone by [`spawn_local`], or in a tree by [`Spec::local_actor`].
///
/// # Examples
/// ```
/// use std::cell::RefCell;
/// use std::convert::Infallible;
/// use std::rc::Rc;
/// use weirs_actors::actor::{LocalActor, LocalContext, spawn_local};
/// use weirs_runtime::LocalRuntime;
///
/// struct Label(Rc<RefCell<String>>);
///
/// impl LocalActor for Label {
///     type Message = String;
///     type Error = Infallible;
///
///     async fn handle(&mut self, text: String, context: &mut LocalContext<Self>) -> Result<(), Infallible> {
///         *self.0.borrow_mut() = text;
///         context.end();
///         Ok(())
///     }
/// }
///
/// let mut pool = futures::executor::LocalPool::new();
/// let runtime = LocalRuntime::new(pool.spawner());
/// let shown = Rc::new(RefCell::new(String::new()));
/// let label = spawn_local("label", { let shown = shown.clone(); move || Label(shown) }, &runtime);
/// pool.run_until(async {
///     label.tell("hello".to_owned()).await.unwrap();
///     label.closed().await;
/// });
/// assert_eq!(*shown.borrow(), "hello");
/// ```
pub trait LocalActor: Sized + 'static {
    /// What it is told and asked.
    type Message: Send + 'static;
    /// What ends this life; its supervisor decides whether there is another.
    type Error: Into<Box<dyn Error + Send + Sync>>;

    /// As [`Actor::started`](super::Actor::started).
    ///
    /// # Errors
    /// What went wrong: the start failed.
    fn started(&mut self, context: &mut LocalContext<Self>) -> impl Future<Output = Result<(), Self::Error>> {
        let _ = context;
        async { Ok(()) }
    }

    /// As [`Actor::handle`](super::Actor::handle).
    ///
    /// # Errors
    /// What went wrong: it ends this life, as a panic does.
    fn handle(
        &mut self,
        message: Self::Message,
        context: &mut LocalContext<Self>,
    ) -> impl Future<Output = Result<(), Self::Error>>;

    /// As [`Actor::stopping`](super::Actor::stopping).
    fn stopping(&mut self, why: &Exit, context: &mut LocalContext<Self>) -> impl Future<Output = ()> {
        let _ = (why, context);
        async {}
    }

    /// As [`Actor::undelivered`](super::Actor::undelivered).
    fn undelivered(&mut self, message: Self::Message) {
        drop(message);
    }

    /// As [`Actor::name_of`](super::Actor::name_of).
    fn name_of(message: &Self::Message) -> &'static str {
        let _ = message;
        std::any::type_name::<Self::Message>()
    }
}

/// What a [`LocalActor`] has around it.
pub type LocalContext<A> = Context<Local<A>>;

/// Stands for a [`LocalActor`] in the type of its [`Context`].
pub struct Local<A>(PhantomData<fn() -> A>);

impl<A> fmt::Debug for Local<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

impl Spec {
    /// An actor that lives on the thread of this host, in a tree that may be anywhere. The function is called
    /// there, for each life.
    ///
    /// It is supervised like any other. Whoever stops or kills it waits until it has been dropped on its own
    /// thread; if the whole tree is dropped, nobody does, and it is dropped as soon as its thread gets to it.
    /// If the host's executor is gone, each of its lives ends at once with [`Exit::Lost`].
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use std::rc::Rc;
    /// use weirs_actors::actor::{LocalActor, LocalContext, LocalHost};
    /// use weirs_actors::supervise::{Spec, Supervisor};
    /// use weirs_runtime::{LocalRuntime, Runtime, Smol};
    ///
    /// struct Widget(Rc<u32>);
    ///
    /// impl LocalActor for Widget {
    ///     type Message = String;
    ///     type Error = Infallible;
    ///     async fn handle(&mut self, _: String, _: &mut LocalContext<Self>) -> Result<(), Infallible> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// // On the thread of the user interface:
    /// let mut pool = futures::executor::LocalPool::new();
    /// let host = LocalHost::new(&LocalRuntime::new(pool.spawner()));
    ///
    /// // Wherever the tree is:
    /// let (widget, spec) = Spec::local_actor("widget", &host, || Widget(Rc::new(7)));
    /// let runtime = Runtime::from(Smol::global());
    /// pool.run_until(async {
    ///     let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
    ///     widget.tell("redraw".to_owned()).await.unwrap();
    ///     tree.shutdown().await;
    /// });
    /// ```
    pub fn local_actor<A: LocalActor>(
        id: impl Into<Id>,
        host: &LocalHost,
        make: impl FnMut() -> A + Send + 'static,
    ) -> (Addr<A::Message>, Self) {
        Self::local_actor_with(id, host, Mailbox::default(), make)
    }

    /// The same with a mailbox of these settings.
    pub fn local_actor_with<A: LocalActor>(
        id: impl Into<Id>,
        host: &LocalHost,
        mailbox: impl Into<MailboxOf<A::Message>>,
        make: impl FnMut() -> A + Send + 'static,
    ) -> (Addr<A::Message>, Self) {
        prepared(id.into(), host, mailbox.into(), |_| make)
    }
}

/// An actor whose lives are made by something that is made, or kept, on the host's thread.
fn prepared<A: LocalActor, F: FnMut() -> A + 'static>(
    id: Id,
    host: &LocalHost,
    mailbox: MailboxOf<A::Message>,
    prepare: impl FnOnce(&mut Side) -> F + Send + 'static,
) -> (Addr<A::Message>, Spec) {
    let inbox = Inbox::new(mailbox);
    let queue = Queue(Arc::clone(&inbox));
    let face: Arc<dyn Face> = Arc::clone(&inbox) as _;
    let launch = host.launch(move |side| {
        let mut make = prepare(side);
        move |life| live_local(make(), <LocalContext<A>>::new(Arc::clone(&queue.0), life))
    });
    let mut spec = Spec::of(id, Kind::Actor, Some(face), launch);
    spec.is_actor(&inbox);
    (Addr(inbox), spec)
}

/// Runs an actor alone on the thread of this runtime: nobody restarts it.
///
/// Tasks of the runtime are all it takes; [`LocalHost`] says more.
pub fn spawn_local<A: LocalActor, F: FnOnce() -> A + 'static>(
    id: impl Into<Id>,
    make: F,
    runtime: &LocalRuntime,
) -> Lone<A::Message> {
    let host = LocalHost::keeping(runtime, Some(Box::new(OnlyOne(Some(make)))));
    let (addr, spec) = prepared(id.into(), &host, Mailbox::default().into(), |side: &mut Side| {
        let mut only = side.take::<OnlyOne<F>>().expect("it was kept for this");
        move || (only.0.take().expect("a temporary child has one life"))()
    });
    Lone::new(addr, Supervisor::one_for_one().child(spec.temporary()).spawn(&host.runtime()))
}

struct OnlyOne<F>(Option<F>);
