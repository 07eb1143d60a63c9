//! [`JoinError`]: why a task gave no value.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::PanicOrigin;

/// Why a task gave no value.
///
/// # Examples
/// ```no_run
/// # async fn example(task: weirs_runtime::Task<u32>) {
/// use weirs_runtime::JoinError;
///
/// match task.await {
///     Ok(value) => println!("{value}"),
///     Err(JoinError::Cancelled) => println!("somebody cancelled it"),
///     Err(JoinError::Lost) => println!("its executor is gone"),
///     // Anything else is a bug of the task: let it surface here.
///     Err(error) => panic!("{}", error.resume_panic()),
/// }
/// # }
/// ```
#[non_exhaustive]
pub enum JoinError {
    /// The task panicked, or a destructor did while it was being dropped. Here is what it panicked with.
    Panic(PanicPayload),
    /// The task was cancelled before it finished.
    Cancelled,
    /// The executor refused the task, or dropped it before it finished: most often it was shut down.
    Lost,
    /// The runtime has no spawner for this sort of job: give it one, see
    /// [`Runtime::with_blocking`](crate::Runtime::with_blocking).
    Unsupported,
    /// The result was given out by an earlier poll.
    Taken,
}

impl JoinError {
    /// Goes on with the task's panic here, or gives the error back when it was none.
    ///
    /// # Panics
    /// With the task's payload, if it panicked. (The process's panic hook does not run a second time.)
    pub fn resume_panic(self) -> Self {
        match self {
            Self::Panic(payload) => std::panic::resume_unwind(payload.into_inner()),
            other => other,
        }
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panic(_))
    }

    /// Whether the task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic(payload) => write!(f, "the task panicked: {}", payload.message()),
            Self::Cancelled => f.write_str("the task was cancelled"),
            Self::Lost => f.write_str("the executor refused or dropped the task"),
            Self::Unsupported => {
                f.write_str("the runtime has no place for this sort of job (see `Runtime::with_blocking`)")
            }
            Self::Taken => f.write_str("the task's result was already taken"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic(payload) => f.debug_tuple("Panic").field(payload).finish(),
            Self::Cancelled => f.write_str("Cancelled"),
            Self::Lost => f.write_str("Lost"),
            Self::Unsupported => f.write_str("Unsupported"),
            Self::Taken => f.write_str("Taken"),
        }
    }
}

impl Error for JoinError {}

/// What a task panicked with.
///
/// A payload need not be [`Sync`]; in this wrapper it is, so that a [`JoinError`] goes where errors go.
pub struct PanicPayload(Box<Inner>);

/// Boxed, so that every result of a task is small.
struct Inner {
    message: Cow<'static, str>,
    origin: PanicOrigin,
    payload: Mutex<Box<dyn Any + Send>>,
}

impl PanicPayload {
    /// Wraps what `std::panic::catch_unwind` caught.
    pub fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = if let Some(text) = payload.downcast_ref::<&'static str>() {
            Cow::Borrowed(*text)
        } else if let Some(text) = payload.downcast_ref::<String>() {
            Cow::Owned(text.clone())
        } else {
            Cow::Borrowed("(a payload that is no text)")
        };
        Self(Box::new(Inner { message, origin: PanicOrigin::Task, payload: Mutex::new(payload) }))
    }

    /// The same payload, of a panic that struck there.
    pub(crate) fn during(mut self, origin: PanicOrigin) -> Self {
        self.0.origin = origin;
        self
    }

    /// What was running when it struck, should nobody but the panic hook hear of it.
    pub(crate) fn origin(&self) -> PanicOrigin {
        self.0.origin
    }

    /// The text it panicked with, or a stand-in when the payload is no text.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The payload itself, as `std::panic::resume_unwind` takes it.
    pub fn into_inner(self) -> Box<dyn Any + Send> {
        self.0.payload.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PanicPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.message(), f)
    }
}
