//! The rules of supervision: [`Strategy`], [`Restart`], [`Stop`], [`AutoShutdown`].

use std::time::Duration;

/// Which children are restarted when one of them ends as it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// That one.
    OneForOne,
    /// All of them: they are stopped in reverse order, and started in order. One that had been done by itself
    /// is started with them; one that somebody stopped is not.
    OneForAll,
    /// That one, and those that come after it in the order of the start, in the same way.
    RestForOne,
    /// That one; and at the end all are stopped at the same time. A child that is down leaves, whatever its
    /// [`Restart`]: for many that come and go.
    Dynamic,
}

/// Whether a child that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// When it failed, panicked, was killed or gave up; not when it was done.
    Transient,
    /// Never; and it leaves the tree when it ends.
    Temporary,
}

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its future is dropped.
    Kill,
    /// It is asked to stop, and is dropped if it has not ended after this time.
    Within(Duration),
    /// It is asked to stop, and has all the time it wants.
    Forever,
}

/// Whether a supervisor ends by itself when its [significant](crate::supervise::Spec::significant) children
/// do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoShutdown {
    /// It does not.
    Never,
    /// When one of them ended and is not restarted.
    AnySignificant,
    /// When the last of them ended and is not restarted.
    AllSignificant,
}

/// What holds for a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Who is restarted.
    pub strategy: Strategy,
    /// How many restarts are allowed,
    pub most: u32,
    /// within which time.
    pub within: Duration,
    /// Whether it ends with its significant children.
    pub auto_shutdown: AutoShutdown,
}

/// What holds for a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildRules {
    /// Whether it is started again.
    pub restart: Restart,
    /// How it is stopped.
    pub stop: Stop,
    /// How long it may take to be gone when it was killed, before it counts as stuck.
    pub kill_grace: Duration,
    /// How long it may take to be ready.
    pub start_within: Option<Duration>,
    /// Whether its supervisor may end with it.
    pub significant: bool,
    /// Whether restarts pause.
    pub pauses: bool,
    /// After how long a time without trouble the pauses begin anew.
    pub reset_after: Duration,
}
