//! [`ShutdownReport`]: how a tree went down.

use std::fmt;

use crate::Exit;

/// How a tree went down: whoever did not end as it should, by path.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How the tree itself ended.
    pub exit: Exit,
    /// How many children ended as they were asked to, in the whole tree.
    pub stopped: usize,
    /// The others.
    pub left: Vec<Left>,
}

/// One that did not end as it was asked to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Left {
    /// Where it stands in the tree.
    pub path: String,
    /// How it ended; none if it is stuck: killed, and not gone.
    pub exit: Option<Exit>,
}

impl ShutdownReport {
    /// Whether everybody ended as they were asked to.
    pub fn is_clean(&self) -> bool {
        self.left.is_empty()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} stopped in order", self.exit, self.stopped)?;
        for left in &self.left {
            match &left.exit {
                Some(exit) => write!(f, "\n{}: {exit}", left.path)?,
                None => write!(f, "\n{}: stuck, it does not give its thread back", left.path)?,
            }
        }
        Ok(())
    }
}
