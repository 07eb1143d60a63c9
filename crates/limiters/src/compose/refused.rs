//! [`Refused`]: which of several limiters refused.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::Denied;

/// One of several limiters refused; nothing was charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    index: usize,
    name: Cow<'static, str>,
    denied: Denied,
}

impl Refused {
    pub(super) fn new(index: usize, name: Cow<'static, str>, denied: Denied) -> Self {
        Self { index, name, denied }
    }

    /// Which one, counted from zero.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it said.
    pub fn denied(&self) -> &Denied {
        &self.denied
    }

    /// What it said.
    pub fn into_denied(self) -> Denied {
        self.denied
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.denied)
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.denied)
    }
}
