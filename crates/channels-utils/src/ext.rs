//! [`StreamUtil`]: the operators, as methods of every stream.

use futures_core::Stream;

/// Operators over any [`Stream`]; what comes out is a stream again.
pub trait StreamUtil: Stream {
    // Where items go, and until when.

    // Time.

    // Several at once.
}

impl<S: Stream + ?Sized> StreamUtil for S {}
