//! A life of an actor: from its start, through its messages, to its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;
use weirs_runtime::Clock;

use super::Actor;
use super::context::{Context, Next};
use super::inbox::Inbox;
use crate::Exit;
use crate::current::{self, Unheard};
use crate::panics::{contain, let_go};

/// A life of an actor, which ends with its exit.
pub(super) fn live<A: Actor>(actor: A, context: Context<A>) -> impl Future<Output = Exit> + Send {
    let inbox = Arc::clone(&context.inbox);
    Life { life: lead(actor, context), inbox }
}

async fn lead<A: Actor>(mut actor: A, mut context: Context<A>) -> Exit {
    if let Err(error) = actor.started(&mut context).await {
        return Exit::failed(error);
    }
    context.ready();
    let inbox = Arc::clone(&context.inbox);
    let clock = context.runtime().clock().clone();
    let exit = loop {
        let message = match context.next_in_hand() {
            Some(message) => message,
            None => match context.next().await {
                Next::Message(message) => message,
                Next::Stop => break Exit::Normal,
            },
        };
        let name = A::name_of(&message);
        let future = actor.handle(message, &mut context);
        let handled = Handling { future, inbox: &*inbox, clock: &clock, name, shown: false }.await;
        if let Err(error) = handled {
            break Exit::failed(error);
        }
        context.done();
    };
    let why = if context.is_stopping() && !exit.is_abnormal() { Exit::Shutdown } else { exit.clone() };
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

pin_project! {
    /// An actor at a message. If it waits in the middle of it, the views may see that.
    struct Handling<'a, M, Fut> {
        #[pin]
        future: Fut,
        inbox: &'a Inbox<M>,
        clock: &'a Clock,
        name: &'static str,
        shown: bool,
    }
}

impl<M, Fut: Future> Future for Handling<'_, M, Fut> {
    type Output = Fut::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let output = this.future.poll(cx);
        match (&output, *this.shown) {
            (Poll::Pending, false) => {
                *this.shown = true;
                this.inbox.at(this.name, this.clock.now());
            }
            (Poll::Ready(_), true) => this.inbox.at_none(),
            _ => {}
        }
        output
    }
}
