//! [`Event`] and [`Action`]: what goes into the machine, and what comes out of it.

use weirs_runtime::Instant;

use super::line::Key;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The supervisor begins: the children that were put in so far are started in order.
    Start,
    /// The child is ready.
    Ready(Key),
    /// The child's future is gone.
    Ended(Key, Ending),
    /// The timer of that number, which was set for the child, is over.
    TimeUp(Key, u32),
    /// The child, which was [inserted](super::Machine::insert) or is down, is to be started.
    StartChild(Key),
    /// The child is to be stopped, and stays in the tree. No sweep brings it back.
    StopChild(Key),
    /// The child, which is down, leaves the tree.
    DeleteChild(Key),
    /// All is to be stopped, in reverse order, each child in its time.
    Shutdown,
    /// All is to be dropped, now.
    Kill,
}

/// How a child ended, as far as the rules care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was done, or did what it was asked to.
    Normal,
    /// It failed, panicked, was killed, or gave up.
    Abnormal,
    /// It said at its start that there is nothing for it to do.
    Ignored,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start an incarnation of the child.
    Run(Key),
    /// Ask the child to stop. With `true` it does not come back, unless somebody starts it again.
    Ask(Key, bool),
    /// Drop the child's future.
    Kill(Key, bool),
    /// Say [`Event::TimeUp`] with this number at that time. A timer that was set for the same child before
    /// counts no longer.
    SetTimer(Key, u32, Instant),
    /// The same after a pause of the child's backoff, of which this is the so-manieth in a row, from 0.
    Pause(Key, u32, u32),
    /// This is what became of [`Event::StartChild`], [`Event::StopChild`] or [`Event::DeleteChild`]. Each of
    /// them gets one, if its child had not left before.
    Answer(Key, Answer),
    /// The child is down, and does not come back by itself. A restart of all, or of the rest, takes it along
    /// unless somebody stopped it.
    Down(Key),
    /// The child is down and left the tree. The key counts no longer. At the end nobody leaves: all go
    /// together.
    Forget(Key),
    /// The child was killed and did not end: it does not give its thread back.
    Stuck(Key),
    /// All children of the start are up.
    Started,
    /// The supervisor is at its end. Nothing comes after this.
    Exit(Outcome),
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is ready.
    Started,
    /// It ended before it was ready. One that was new left the tree again.
    NotStarted,
    /// Somebody stopped it before it was ready.
    Interrupted,
    /// It is down.
    Stopped,
    /// It was killed, and does not end.
    Stuck,
    /// It left the tree.
    Deleted,
    /// It runs, is about to, or is not gone yet: there is nothing to start or to delete.
    Running,
    /// The supervisor is ending.
    Ending,
}

/// Why a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked to.
    Shutdown,
    /// It was killed.
    Killed,
    /// This child could not be started at the first start.
    StartFailed(Key),
    /// More restarts than allowed; this child wanted the last.
    GaveUp(Key),
    /// The significant children ended; this one, which may have left, was the last.
    Done(Key),
}
