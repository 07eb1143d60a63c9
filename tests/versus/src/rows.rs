//! The rows, a file for each subject.

mod actors;
mod batch;
mod breaker;
mod channel;
mod concurrent;
mod echo;
mod hosts;
mod jobs;
mod keyed;
mod memory;
mod merge;
mod peer_channels;
mod pipelines;
mod pipelines_map;
mod pipelines_pool;
mod pipelines_workers;
mod probe;
mod rate;
mod scale_flows;
mod scale_limiters;
mod scale_scopes;
mod scope;
mod seeds;
mod select;
mod semaphore;
mod sides;
mod simulator;
mod spawn;
mod stack;
mod task_scope;
mod tee;
mod timer;
mod timers_live;
mod token;
mod work;

use crate::measure::Experiment;

pub use actors::actors;
pub use batch::batch;
pub use jobs::{Jobs, Way, polls, ways};
pub use memory::resident;
pub use stack::{dynamic_stack, fixed_stack};
pub use work::{Trouble, Work, in_a_row};

/// All experiments, in the order of the table.
pub fn experiments() -> Vec<Experiment> {
    [
        spawn::experiments(),
        timer::experiments(),
        memory::experiments(),
        simulator::experiments(),
        token::experiments(),
        select::experiments(),
        task_scope::experiments(),
        scope::experiments(),
        channel::experiments(),
        merge::experiments(),
        tee::experiments(),
        concurrent::experiments(),
        rate::experiments(),
        semaphore::experiments(),
        keyed::experiments(),
        breaker::experiments(),
        stack::experiments(),
        actors::experiments(),
        scale_scopes::experiments(),
        scale_limiters::experiments(),
        scale_flows::experiments(),
        pipelines::experiments(),
        pipelines_pool::experiments(),
        pipelines_map::experiments(),
        pipelines_workers::experiments(),
        probe::experiments(),
        seeds::experiments(),
        batch::experiments(),
        echo::experiments(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_read_as_paths() {
        let mut seen = HashSet::new();
        for row in experiments().iter().flat_map(|experiment| &experiment.rows) {
            let good = |letter: char| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || "/-".contains(letter)
            };
            assert!(row.name.chars().all(good), "{}", row.name);
            assert!(seen.insert(row.name.clone()), "{} is there twice", row.name);
        }
    }

    #[test]
    fn whoever_has_a_goal_has_a_peer() {
        for row in experiments().iter().flat_map(|experiment| &experiment.rows) {
            assert!(row.goal.is_none() || row.peer.is_some(), "{}", row.name);
        }
    }
}
