//! [`Blueprint`]: a part of a pipeline before it is assembled.

use super::flow::Flow;
use super::site::Site;
use crate::Invalid;
use crate::pool::MOST_WORKERS;

/// A part of a pipeline before it is assembled.
pub trait Blueprint: Send + 'static {
    /// What will come out of it.
    type Item: Send + 'static;

    /// Whether it makes sense.
    fn check(&self, check: &mut Check);

    /// Puts it together, with all that is before it.
    fn assemble(self, site: Site) -> impl Flow<Item = Self::Item>;
}

/// What is known of a pipeline that is to be assembled.
#[derive(Debug, Default)]
pub struct Check {
    names: Vec<&'static str>,
    invalid: Option<Invalid>,
}

impl Check {
    pub(super) fn name(&mut self, name: &'static str) {
        if ["source", "sink"].contains(&name) {
            self.wrong(name, "this is the name of an end of the pipeline");
        } else if self.names.contains(&name) {
            self.wrong(name, "two stages have this name");
        }
        self.names.push(name);
    }

    pub(super) fn at_least_one(&mut self, number: usize, field: &'static str) {
        self.holds(number > 0, field, "there has to be at least one");
    }

    pub(super) fn holds(&mut self, so: bool, field: &'static str, otherwise: &'static str) {
        if !so {
            self.wrong(field, otherwise);
        }
    }

    /// So many workers of a stage.
    pub(super) fn workers(&mut self, number: usize, stage: &'static str) {
        self.at_least_one(number, stage);
        if number > MOST_WORKERS {
            self.wrong(stage, "so many workers cannot be started");
        }
    }

    pub(super) fn last_name(&self) -> &'static str {
        self.names.last().copied().unwrap_or("source")
    }

    fn wrong(&mut self, field: &'static str, why: &'static str) {
        self.invalid.get_or_insert(Invalid::new(field, why));
    }

    pub(super) fn result(self) -> Result<(), Invalid> {
        self.invalid.map_or(Ok(()), Err)
    }
}
