//! [`AnyError`]: a place for letters, whatever its errors are.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_sink::Sink;
use pin_project_lite::pin_project;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

pin_project! {
    /// A sink whose errors are of one type.
    pub(crate) struct AnyError<S> {
        #[pin]
        pub(crate) sink: S,
    }
}

impl<S, L> Sink<L> for AnyError<S>
where
    S: Sink<L>,
    S::Error: Into<BoxError>,
{
    type Error = BoxError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.project().sink.poll_ready(cx).map_err(Into::into)
    }

    fn start_send(self: Pin<&mut Self>, letter: L) -> Result<(), BoxError> {
        self.project().sink.start_send(letter).map_err(Into::into)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.project().sink.poll_flush(cx).map_err(Into::into)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.project().sink.poll_close(cx).map_err(Into::into)
    }
}
