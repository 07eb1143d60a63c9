//! Who is turned away when not all can be served.

mod codel;
mod limit;
mod priority;
mod shedder;
mod throttle;
mod usage;

pub use codel::{CoDel, QueueDelay, QueueDelayStats};
pub use limit::PriorityLimit;
pub use priority::{Class, Priority};
pub use shedder::{PriorityShedder, ShedderStats};
pub use throttle::{Throttle, ThrottleBuilder, ThrottleStats};
pub use usage::Usage;
