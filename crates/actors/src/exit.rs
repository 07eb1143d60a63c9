//! [`Exit`]: how a child ended.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use weirs_runtime::PanicPayload;

use crate::Id;

/// How a child, an actor or a whole tree ended.
///
/// A clone is cheap: many may hear of the same end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Exit {
    /// It was done.
    Normal,
    /// It ended because it was asked to.
    Shutdown,
    /// It said at its start that there is nothing for it to do.
    Ignored,
    /// It failed.
    Failed(Arc<dyn Error + Send + Sync>),
    /// It panicked; here is what with, if that was text.
    Panicked(Arc<str>),
    /// It was dropped because it did not end in time, or because somebody said so.
    Killed,
    /// It was dropped because it was not ready in time.
    Late,
    /// It was a supervisor and gave up: there were more restarts than allowed.
    GaveUp(Arc<GaveUp>),
    /// It was an actor, and one that it was [linked](crate::actor::Context::link) to failed.
    Linked(Arc<Linked>),
    /// Its executor dropped it: most often that was shut down.
    Lost,
}

/// Whose restart was one too many.
#[derive(Clone, Debug)]
pub struct GaveUp {
    /// The child.
    pub child: Id,
    /// How it ended last.
    pub exit: Exit,
}

/// Who failed, and took those with it who were linked to it. If these were linked to others in turn, it is
/// the first of them all.
#[derive(Clone, Debug)]
pub struct Linked {
    /// Where it stands in its tree.
    pub path: String,
    /// How it ended.
    pub exit: Exit,
}

impl fmt::Display for Linked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.exit)
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.child, self.exit)
    }
}

impl Exit {
    /// It failed with this.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(Arc::from(error.into()))
    }

    /// Whether it is none of [`Normal`](Exit::Normal), [`Shutdown`](Exit::Shutdown) and
    /// [`Ignored`](Exit::Ignored): a [transient](crate::supervise::Restart::Transient) child is started
    /// again.
    pub fn is_abnormal(&self) -> bool {
        !matches!(self, Self::Normal | Self::Shutdown | Self::Ignored)
    }

    pub(crate) fn panicked(payload: &PanicPayload) -> Self {
        Self::Panicked(Arc::from(payload.message()))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("done"),
            Self::Shutdown => f.write_str("stopped"),
            Self::Ignored => f.write_str("nothing to do"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Killed => f.write_str("killed"),
            Self::Late => f.write_str("not ready in time"),
            Self::GaveUp(why) => write!(f, "gave up on {why}"),
            Self::Linked(other) => write!(f, "linked to {other}"),
            Self::Lost => f.write_str("lost by its executor"),
        }
    }
}

/// What a child may end with: `()`, an [`Exit`], or a `Result` of these with any error.
pub trait IntoExit {
    /// How it ended.
    fn into_exit(self) -> Exit;
}

impl IntoExit for () {
    fn into_exit(self) -> Exit {
        Exit::Normal
    }
}

impl IntoExit for Exit {
    fn into_exit(self) -> Exit {
        self
    }
}

impl IntoExit for std::convert::Infallible {
    fn into_exit(self) -> Exit {
        match self {}
    }
}

impl<T: IntoExit, E: Into<Box<dyn Error + Send + Sync>>> IntoExit for Result<T, E> {
    fn into_exit(self) -> Exit {
        match self {
            Ok(done) => done.into_exit(),
            Err(error) => Exit::failed(error),
        }
    }
}
