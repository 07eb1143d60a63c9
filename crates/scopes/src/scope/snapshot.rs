//! [`Snapshot`]: what lives in a scope, by name and place.

use std::fmt;
use std::panic::Location;

use super::ChildId;
use super::header::{Header, Kind};

/// The children and services of a scope at one moment, in the order of spawning.
///
/// Its `Display` is a list for a log.
#[derive(Clone, Debug)]
pub struct Snapshot {
    name: Option<Box<str>>,
    children: Vec<ChildInfo>,
}

impl Snapshot {
    pub(crate) fn new<'a>(name: Option<&str>, headers: impl Iterator<Item = &'a Header>) -> Self {
        let mut children: Vec<_> = headers.map(ChildInfo::new).collect();
        children.sort_unstable_by_key(|child| child.id);
        Self { name: name.map(Box::from), children }
    }

    pub(crate) fn of(name: Option<&str>, mut children: Vec<ChildInfo>) -> Self {
        children.sort_unstable_by_key(|child| child.id);
        Self { name: name.map(Box::from), children }
    }

    /// The scope's name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Who was there.
    pub fn children(&self) -> &[ChildInfo] {
        &self.children
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scope {:?}: {} live", self.name().unwrap_or("(unnamed)"), self.children.len())?;
        self.children.iter().try_for_each(|child| writeln!(f, "  {child}"))
    }
}

/// A child, as a [`Snapshot`] shows it.
#[derive(Clone, Debug)]
pub struct ChildInfo {
    pub(crate) id: ChildId,
    pub(crate) name: Option<Box<str>>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) service: bool,
}

impl ChildInfo {
    fn new(header: &Header) -> Self {
        Self {
            id: header.id(),
            name: header.name().map(Box::from),
            location: header.location(),
            service: header.kind() == Kind::Service,
        }
    }

    /// Its number in the order of spawning.
    pub fn id(&self) -> ChildId {
        self.id
    }

    /// The name that it was given.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where in the source it was spawned.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Whether it is a service.
    pub fn is_service(&self) -> bool {
        self.service
    }
}

impl fmt::Display for ChildInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} ", self.id.number())?;
        if let Some(name) = self.name() {
            write!(f, "{name:?} ")?;
        }
        let what = if self.service { "service, " } else { "" };
        write!(f, "{what}spawned at {}", self.location)
    }
}
