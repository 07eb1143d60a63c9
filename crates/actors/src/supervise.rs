//! Supervisors: children that are started in order, restarted when they end as they should not, and stopped
//! in reverse order, so that nothing outlives its supervisor.

mod branch;
mod command;
mod handle;
mod incarnation;
#[doc(hidden)]
pub mod machine;
mod names;
pub(crate) mod node;
mod observe;
mod pool;
mod report;
#[doc(hidden)]
pub mod rules;
mod runner;
mod shell;
mod snapshot;
mod spec;
mod supervisor;

pub use command::{CommandError, StartChildError, StartError};
pub use handle::Handle;
pub use incarnation::Incarnation;
pub use node::{ChildState, Kind};
pub use observe::{Event, What};
pub use pool::{Pool, PoolBuilder, PoolError};
pub use report::{Left, ShutdownReport};
pub use rules::{AutoShutdown, Restart, Stop, Strategy};
pub use shell::Run;
pub use snapshot::Snapshot;
pub use spec::Spec;
pub use supervisor::{Supervisor, Tree};

pub(crate) use branch::Branch;
pub(crate) use command::Which;
pub(crate) use node::{Face, LAST, Node, STOP};
pub(crate) use runner::{Runner, Seat};
pub(crate) use spec::Launch;
