//! A life of an actor: from its start, through its messages, to its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;

use super::beside::Pipes;
use super::context::{Context, Next};
use super::inbox::Inbox;
use super::role::Role;
use super::{Actor, LocalActor, LocalContext};
use crate::Exit;
use crate::current::{self, Unheard};
use crate::panics::{contain, let_go};
use crate::supervise::Branch;

/// A life of an actor, which ends with its exit.
pub(super) fn live<A: Actor>(actor: A, context: Context<A>) -> impl Future<Output = Exit> + Send {
    let inbox = Arc::clone(&context.inbox);
    Life { life: lead(actor, context), inbox }
}

/// The same for one that stays on its thread.
pub(super) fn live_local<A: LocalActor>(
    actor: A,
    context: LocalContext<A>,
) -> impl Future<Output = Exit> + use<A> {
    let inbox = Arc::clone(&context.inbox);
    Life { life: lead_local(actor, context), inbox }
}

/// Written once for both kinds of actors: no trait can say that the futures of only one of them are `Send`.
macro_rules! lead {
    ($lead:ident: $Actor:ident, $Context:ty $(, $Send:ident)?) => {
        fn $lead<A: $Actor>(
            mut actor: A,
            mut context: $Context,
        ) -> impl Future<Output = Exit> $(+ $Send)? + use<A> {
            // Not an `async fn`: that has room for its arguments twice.
            async move {
                // They are dropped in the order in which they come here.
                let _ = (&context, &actor);
                if let Err(error) = actor.started(&mut context).await {
                    return Exit::failed(error);
                }
                context.ready();
                let exit = {
                    let mut around = Around::new(&context);
                    loop {
                        let message = match context.next_in_hand() {
                            Some(message) => message,
                            None => match context.next(&mut around.pipes).await {
                                Next::Message(message) => message,
                                Next::Stop => break Exit::Normal,
                                Next::Struck(exit) => break exit,
                            },
                        };
                        let name = A::name_of(&message);
                        context.begins(&message);
                        let future = actor.handle(message, &mut context);
                        match (Handling { future, around: &mut around, name, shown: false }).await {
                            Ok(Ok(())) => context.done(),
                            Ok(Err(error)) => break Exit::failed(error),
                            Err(exit) => break exit,
                        }
                    }
                };
                let stops = context.is_stopping() && !exit.is_abnormal();
                let why = if stops { Exit::Shutdown } else { exit.clone() };
                actor.stopping(&why, &mut context).await;
                if !context.is_last() {
                    return exit;
                }
                let mut panicked = None;
                for message in context.leftovers() {
                    // A panic over one of them is no reason to lose the others.
                    let given = current::unheard(Unheard::Closed, || contain(|| actor.undelivered(message)));
                    if let Err(panic) = given {
                        panicked.get_or_insert_with(|| Exit::panicked(&panic));
                        let_go(panic);
                    }
                }
                match panicked {
                    Some(panicked) if !exit.is_abnormal() => panicked,
                    _ => exit,
                }
            }
        }
    };
}

lead!(lead: Actor, Context<A>, Send);
lead!(lead_local: LocalActor, LocalContext<A>);

pin_project! {
    /// What it let go of without an answer in a poll that did not end it, it did not want to answer.
    struct Life<M, Fut> {
        #[pin]
        life: Fut,
        inbox: Arc<Inbox<M>>,
    }
}

impl<M, Fut: Future> Future for Life<M, Fut> {
    type Output = Fut::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let output = this.life.poll(cx);
        if output.is_pending() {
            this.inbox.settle_orphans(None);
        }
        output
    }
}

/// What goes on around a handler. Whoever handles has the context.
struct Around<A: Role> {
    inbox: Arc<Inbox<A::Told>>,
    branch: Arc<Branch>,
    pipes: Pipes<A>,
}

impl<A: Role> Around<A> {
    fn new(context: &Context<A>) -> Self {
        let (inbox, branch) = (Arc::clone(&context.inbox), Arc::clone(&context.life.branch));
        Self { inbox, branch, pipes: Pipes::new() }
    }
}

pin_project! {
    /// An actor at a message. If it waits in the middle of it, the views may see that, the futures beside it
    /// go on, and one that it is linked to may end it.
    struct Handling<'a, A: Role, Fut> {
        #[pin]
        future: Fut,
        around: &'a mut Around<A>,
        name: &'static str,
        shown: bool,
    }
}

impl<A: Role, Fut: Future> Future for Handling<'_, A, Fut> {
    type Output = Result<Fut::Output, Exit>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(cx) {
            Poll::Ready(output) => {
                if *this.shown {
                    this.around.inbox.at_none();
                }
                Poll::Ready(Ok(output))
            }
            Poll::Pending => {
                let around = &mut **this.around;
                if !*this.shown {
                    *this.shown = true;
                    around.inbox.at(this.name, around.branch.runtime.clock().now());
                }
                if let Some(exit) = around.inbox.take_struck() {
                    return Poll::Ready(Err(exit));
                }
                around.pipes.poll(cx);
                Poll::Pending
            }
        }
    }
}
