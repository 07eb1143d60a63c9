//! Streams and futures beside an actor: [`Context::attach`] and [`Context::pipe`].

use std::future::Future;

use futures_core::Stream;

use super::beside::Attached;
use super::context::Context;
use super::sources::SourceKey;
use super::{Actor, Local, LocalActor};

impl<A: Actor> Context<A> {
    /// Makes messages of the items of a stream. Nothing is told of its end.
    ///
    /// It is polled only when the actor is free, and takes turns with the queue and with others of its kind:
    /// a stream that is always ready keeps nobody from being heard, and one that is faster than the actor
    /// waits for it. Ten thousand streams cost as much as those of them that are ready. It is dropped when
    /// it has ended, and with this life.
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use weirs_actors::actor::{Actor, Context};
    ///
    /// enum Message {
    ///     Line(String),
    ///     NoMoreLines,
    /// }
    ///
    /// struct Session(smol::channel::Receiver<String>);
    ///
    /// impl Actor for Session {
    ///     type Message = Message;
    ///     type Error = Infallible;
    ///
    ///     async fn started(&mut self, context: &mut Context<Self>) -> Result<(), Infallible> {
    ///         context.attach_with_end(self.0.clone(), Message::Line, Message::NoMoreLines);
    ///         Ok(())
    ///     }
    ///
    ///     async fn handle(
    ///         &mut self,
    ///         message: Message,
    ///         context: &mut Context<Self>,
    ///     ) -> Result<(), Infallible> {
    ///         match message {
    ///             Message::Line(line) => println!("{line}"),
    ///             Message::NoMoreLines => context.end(),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn attach<S: Stream + Send + 'static>(
        &mut self,
        stream: S,
        map: impl FnMut(S::Item) -> A::Message + Send + 'static,
    ) -> SourceKey {
        self.add_stream(Box::pin(Attached::new(stream, map, None)))
    }

    /// As [`attach`](Context::attach), and this is told when the stream has ended.
    pub fn attach_with_end<S: Stream + Send + 'static>(
        &mut self,
        stream: S,
        map: impl FnMut(S::Item) -> A::Message + Send + 'static,
        end: A::Message,
    ) -> SourceKey {
        self.add_stream(Box::pin(Attached::new(stream, map, Some(end))))
    }

    /// Has a future go on beside the actor, and makes a message of what it comes to.
    ///
    /// It begins when the handler returns that started it, in the actor's own task, and goes on while later
    /// handlers wait. The actor does not wait for it: an [`ask`](super::Addr::ask) in it is no wait of the
    /// actor, so it is no part of a cycle. There is no bound on their number but what the actor starts. It
    /// ends with this life; a panic of it is one of the actor.
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use std::time::Duration;
    /// use weirs_actors::actor::{Actor, Addr, AskError, Context, Reply};
    ///
    /// enum Message {
    ///     Refresh,
    ///     Price(Result<u64, AskError>),
    /// }
    ///
    /// struct Shop(Addr<Reply<u64>>);
    ///
    /// impl Actor for Shop {
    ///     type Message = Message;
    ///     type Error = Infallible;
    ///
    ///     async fn handle(
    ///         &mut self,
    ///         message: Message,
    ///         context: &mut Context<Self>,
    ///     ) -> Result<(), Infallible> {
    ///         match message {
    ///             Message::Refresh => {
    ///                 let prices = self.0.clone();
    ///                 let second = Duration::from_secs(1);
    ///                 let ask = async move { prices.ask(|reply| reply).within(second).await };
    ///                 context.pipe(ask, Message::Price);
    ///             }
    ///             Message::Price(Ok(price)) => println!("{price}"),
    ///             Message::Price(Err(error)) => println!("{error}"),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn pipe<F: Future + Send + 'static>(
        &mut self,
        future: F,
        map: impl FnOnce(F::Output) -> A::Message + Send + 'static,
    ) -> SourceKey {
        self.begin(Box::pin(async move { map(future.await) }))
    }
}

/// The same for actors that stay on one thread, with streams and futures that do.
impl<A: LocalActor> Context<Local<A>> {
    /// As [`attach`](Context::attach) of other actors.
    pub fn attach<S: Stream + 'static>(
        &mut self,
        stream: S,
        map: impl FnMut(S::Item) -> A::Message + 'static,
    ) -> SourceKey {
        self.add_stream(Box::pin(Attached::new(stream, map, None)))
    }

    /// As [`attach_with_end`](Context::attach_with_end) of other actors.
    pub fn attach_with_end<S: Stream + 'static>(
        &mut self,
        stream: S,
        map: impl FnMut(S::Item) -> A::Message + 'static,
        end: A::Message,
    ) -> SourceKey {
        self.add_stream(Box::pin(Attached::new(stream, map, Some(end))))
    }

    /// As [`pipe`](Context::pipe) of other actors.
    pub fn pipe<F: Future + 'static>(
        &mut self,
        future: F,
        map: impl FnOnce(F::Output) -> A::Message + 'static,
    ) -> SourceKey {
        self.begin(Box::pin(async move { map(future.await) }))
    }
}
