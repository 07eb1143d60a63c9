//! [`Role`]: whatever lives in a [`Context`](super::Context).

use std::future::Future;
use std::pin::Pin;

use futures_core::Stream;

use super::{Actor, Local, LocalActor};

/// Whatever lives in a [`Context`](super::Context): every [`Actor`], and [`Local`] for every [`LocalActor`].
///
/// There is no need to implement it.
pub trait Role: Sized + 'static {
    /// What it is told and asked.
    type Told: Send + 'static;
    /// A stream beside it.
    #[doc(hidden)]
    type Stream: Stream<Item = Self::Told> + ?Sized;
    /// A future beside it.
    #[doc(hidden)]
    type Pipe: Future<Output = Self::Told> + ?Sized;
    /// One that may be on any thread.
    #[doc(hidden)]
    fn pipe_of(future: impl Future<Output = Self::Told> + Send + 'static) -> Pin<Box<Self::Pipe>>;
}

impl<A: Actor> Role for A {
    type Told = A::Message;
    type Stream = dyn Stream<Item = A::Message> + Send;
    type Pipe = dyn Future<Output = A::Message> + Send;

    fn pipe_of(future: impl Future<Output = Self::Told> + Send + 'static) -> Pin<Box<Self::Pipe>> {
        Box::pin(future)
    }
}

impl<A: LocalActor> Role for Local<A> {
    type Told = A::Message;
    type Stream = dyn Stream<Item = A::Message>;
    type Pipe = dyn Future<Output = A::Message>;

    fn pipe_of(future: impl Future<Output = Self::Told> + Send + 'static) -> Pin<Box<Self::Pipe>> {
        Box::pin(future)
    }
}
