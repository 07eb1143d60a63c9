//! What the cases of the suite have in common.

mod children;
mod restart_types;
mod significant;
mod starting;
mod stopping;
mod strategies;
mod trees;

use std::time::Duration;

use weirs_actors::supervise::{Pool, PoolBuilder};

use crate::lab::{Begin, Lab};

const SECOND: Duration = Duration::from_secs(1);

/// A pool whose children are called what they are handed.
fn pool(lab: &Lab) -> PoolBuilder<(&'static str, Begin)> {
    let lab = lab.clone();
    Pool::tasks("pool", move |(name, begin), life| lab.live(name, begin, life)).announces_ready()
}
