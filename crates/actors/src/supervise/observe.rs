//! [`Event`]: what an observer hears.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{DeadReason, Exit};

pub(crate) type Observer = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// Something that happened in a tree.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Where, such as `app/sessions/17`.
    pub path: &'a str,
    /// What.
    pub what: What<'a>,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum What<'a> {
    /// A life of that number began.
    Started(u64),
    /// It is ready.
    Ready,
    /// It ended.
    Ended(&'a Exit),
    /// It is restarted after this pause.
    Restarting(Duration),
    /// It was killed, and does not give its thread back.
    Stuck,
    /// It left the tree.
    Left,
    /// The supervisor there gave up, or could not start, or was stopped.
    Over(&'a Exit),
    /// So many messages of that type were not delivered.
    DeadLetters {
        /// The type of the messages.
        message: &'static str,
        /// How many.
        count: usize,
        /// Why.
        reason: DeadReason,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match self.what {
            What::Started(number) => write!(f, "started, life {number}"),
            What::Ready => f.write_str("ready"),
            What::Ended(exit) => exit.fmt(f),
            What::Restarting(pause) => write!(f, "restarts after {pause:?}"),
            What::Stuck => f.write_str("killed, and does not end"),
            What::Left => f.write_str("left"),
            What::Over(exit) => write!(f, "over: {exit}"),
            What::DeadLetters { message, count, reason } => {
                write!(f, "{count} undelivered of {message}: {reason}")
            }
        }
    }
}
