//! [`Id`]: what a child is called by its supervisor.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What a child is called by its supervisor: a name, or a number in a pool.
///
/// Made of a `&'static str`, a `String` or a `u64`. A clone is cheap.
#[derive(Clone)]
pub struct Id(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(&'static str),
    Made(Arc<str>),
    Number(u64),
}

impl Id {
    /// The name; none of a number.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Fixed(name) => Some(name),
            Kind::Made(name) => Some(name),
            Kind::Number(_) => None,
        }
    }

    /// The name, if it costs nothing to hand it on.
    pub(crate) fn fixed(&self) -> Option<&'static str> {
        match self.0 {
            Kind::Fixed(name) => Some(name),
            _ => None,
        }
    }

    pub(crate) fn write_to(&self, text: &mut String) {
        match &self.0 {
            Kind::Number(_) => _ = fmt::Write::write_fmt(text, format_args!("{self}")),
            Kind::Fixed(name) => text.push_str(name),
            Kind::Made(name) => text.push_str(name),
        }
    }

    /// The number; none of a name.
    pub fn number(&self) -> Option<u64> {
        match self.0 {
            Kind::Number(number) => Some(number),
            _ => None,
        }
    }
}

impl From<&'static str> for Id {
    fn from(name: &'static str) -> Self {
        Self(Kind::Fixed(name))
    }
}

impl From<String> for Id {
    fn from(name: String) -> Self {
        Self(Kind::Made(name.into()))
    }
}

impl From<Arc<str>> for Id {
    fn from(name: Arc<str>) -> Self {
        Self(Kind::Made(name))
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self(Kind::Number(number))
    }
}

impl From<&Self> for Id {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.number() == other.number()
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Kind::Number(number) => state.write_u64(*number),
            Kind::Fixed(name) => name.hash(state),
            Kind::Made(name) => name.hash(state),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Number(number) => write!(f, "{number}"),
            Kind::Fixed(name) => f.write_str(name),
            Kind::Made(name) => f.write_str(name),
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
