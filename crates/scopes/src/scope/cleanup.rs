//! [`Skipped`]: what was deferred, and did not run to its end.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::header::Header;

/// How long cleanup may take when nothing else is said.
pub(crate) const CLEANUP: Duration = Duration::from_secs(30);

/// Who hears of what was skipped.
pub(crate) type SkippedHook = Arc<dyn Fn(&Skipped) + Send + Sync>;

/// What a scope had [deferred](super::Scope::defer) and dropped before its end, because the
/// [budget](super::ScopeBuilder::cleanup) for it ended, or the scope itself was dropped.
///
/// Given to [`ScopeBuilder::on_skipped`](super::ScopeBuilder::on_skipped). Its `Display` is a list for a log.
#[derive(Clone, Debug)]
pub struct Skipped {
    scope: Option<Box<str>>,
    places: Vec<&'static Location<'static>>,
}

impl Skipped {
    pub(crate) fn new(scope: Option<&str>) -> Self {
        Self { scope: scope.map(Box::from), places: Vec::new() }
    }

    pub(crate) fn push(&mut self, header: &Header) {
        self.places.push(header.location());
    }

    pub(crate) fn push_place(&mut self, place: &'static Location<'static>) {
        self.places.push(place);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many were dropped; at least one.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// Where in the source they were deferred, in the order in which they would have run. The first may have
    /// run in part.
    pub fn places(&self) -> &[&'static Location<'static>] {
        &self.places
    }

    /// The scope's name.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.scope().unwrap_or("(unnamed)");
        writeln!(f, "scope {name:?}: {} of the deferred skipped", self.count())?;
        self.places.iter().try_for_each(|place| writeln!(f, "  deferred at {place}"))
    }
}
