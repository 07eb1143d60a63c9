//! [`Invalid`]: settings that make no sense.

use std::error::Error;
use std::fmt;

/// A setting that makes no sense, found when a pool or a pipeline is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    field: &'static str,
    why: &'static str,
}

impl Invalid {
    pub(crate) const fn new(field: &'static str, why: &'static str) -> Self {
        Self { field, why }
    }

    /// Which setting, such as `pool.workers`.
    pub const fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

impl Error for Invalid {}
