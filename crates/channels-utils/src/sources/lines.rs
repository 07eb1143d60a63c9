//! [`lines`]: the lines of a reader, none longer than it may be.

use std::error::Error;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_io::AsyncBufRead;
use pin_project_lite::pin_project;

/// So many buffers are looked through in one turn before the others of the executor get theirs.
const BUDGET: usize = 32;

/// The lines of a reader, without their ends; none is longer than `longest` bytes.
///
/// Whoever writes to the other end decides how long a line is. So there is a limit, and no more than that is
/// kept in memory: what is longer is an error, the rest of it is skipped, and the next line is read as usual.
///
/// A line ends with `\n` or `\r\n`. The last one needs no end.
///
/// # Waiting
/// It waits for the reader.
///
/// # Cancel safety
/// Waiting for the next line may be given up at any time: the part that was read is kept for the next try.
///
/// # Errors
/// Each item may be a [`LineError`]. After one from the reader the stream is over; after the others it goes
/// on.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use futures_lite::{StreamExt, io::Cursor};
/// use weirs_channels_utils::{LineError, lines};
/// use weirs_runtime::block_on;
///
/// let input = Cursor::new("short\r\na very long one\nend");
/// let read: Vec<_> = block_on(lines(input, NonZeroUsize::new(8).unwrap()).collect());
/// assert_eq!(read[0].as_ref().unwrap(), "short");
/// assert!(matches!(read[1], Err(LineError::TooLong)));
/// assert_eq!(read[2].as_ref().unwrap(), "end");
/// ```
pub fn lines<R: AsyncBufRead>(reader: R, longest: NonZeroUsize) -> Lines<R> {
    Lines { reader, line: Vec::new(), longest: longest.get(), state: State::Within }
}

pin_project! {
    /// The lines of a reader; made by [`lines`].
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Lines<R> {
        #[pin]
        reader: R,
        line: Vec<u8>,
        longest: usize,
        state: State,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Within,
    /// In a line that is too long, of which that was said.
    Skipping,
    Over,
}

/// Why there is no line.
#[derive(Debug)]
#[non_exhaustive]
pub enum LineError {
    /// It is longer than it may be. It is skipped.
    TooLong,
    /// It is no text: these are its bytes.
    NotText(Vec<u8>),
    /// The reader failed.
    Read(io::Error),
}

impl<R> Lines<R> {
    /// The reader.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The reader, and the part of a line that was read.
    pub fn into_parts(self) -> (R, Vec<u8>) {
        (self.reader, self.line)
    }
}

impl<R: AsyncBufRead> Stream for Lines<R> {
    type Item = Result<String, LineError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if *this.state == State::Over {
            return Poll::Ready(None);
        }
        for _ in 0..BUDGET {
            let buffer = match ready!(this.reader.as_mut().poll_fill_buf(cx)) {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    *this.state = State::Over;
                    return Poll::Ready(Some(Err(LineError::Read(error))));
                }
            };
            if buffer.is_empty() {
                // A line without an end is the last; one that is skipped was told of.
                let is_line = *this.state == State::Within && !this.line.is_empty();
                *this.state = State::Over;
                return Poll::Ready(is_line.then(|| text(std::mem::take(this.line), *this.longest)));
            }
            // A carriage return before the end is no part of the line, so one byte more may be kept.
            let room = this.longest.saturating_add(1) - this.line.len();
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let length = end.unwrap_or(buffer.len());
            let used = end.map_or(length, |end| end + 1);
            let was = *this.state;
            let fits = was == State::Within && length <= room;
            if fits {
                this.line.extend_from_slice(&buffer[..length]);
            }
            this.reader.as_mut().consume(used);
            *this.state = if end.is_some() || fits { State::Within } else { State::Skipping };
            let too_long = was == State::Within && !fits;
            if too_long {
                this.line.clear();
                return Poll::Ready(Some(Err(LineError::TooLong)));
            }
            if end.is_some() && was == State::Within {
                let mut line = std::mem::take(this.line);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Poll::Ready(Some(text(line, *this.longest)));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn text(line: Vec<u8>, longest: usize) -> Result<String, LineError> {
    if line.len() > longest {
        return Err(LineError::TooLong);
    }
    String::from_utf8(line).map_err(|error| LineError::NotText(error.into_bytes()))
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("a line is longer than it may be"),
            Self::NotText(_) => f.write_str("a line is no valid UTF-8"),
            Self::Read(_) => f.write_str("a line could not be read"),
        }
    }
}

impl Error for LineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::TooLong | Self::NotText(_) => None,
        }
    }
}

impl<R: fmt::Debug> fmt::Debug for Lines<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Lines");
        debug.field("reader", &self.reader).field("longest", &self.longest);
        debug.field("read", &self.line.len()).field("state", &self.state).finish()
    }
}
