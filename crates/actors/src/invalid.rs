//! [`Invalid`]: settings that make no sense.

use std::error::Error;
use std::fmt;

use crate::Id;

/// A setting that makes no sense, found before anything is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    child: Option<Id>,
    field: &'static str,
    why: &'static str,
}

impl Invalid {
    pub(crate) const fn new(field: &'static str, why: &'static str) -> Self {
        Self { child: None, field, why }
    }

    pub(crate) fn of_child(child: &Id, field: &'static str, why: &'static str) -> Self {
        Self { child: Some(child.clone()), field, why }
    }

    /// Which setting, such as `supervisor.intensity`.
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The child whose setting it is, if it is a child's.
    pub const fn child(&self) -> Option<&Id> {
        self.child.as_ref()
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.child {
            Some(child) => write!(f, "{} of {child}: {}", self.field, self.why),
            None => write!(f, "{}: {}", self.field, self.why),
        }
    }
}

impl Error for Invalid {}
