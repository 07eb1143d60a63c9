//! What happens to a panic that no joiner will hear of: [`LostPanic`] and the runtime's panic hook.

use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

use crate::PanicPayload;

/// A panic that no joiner will hear of, as the runtime's panic hook is told of it.
///
/// Its `Display` is the line that the default hook writes to standard error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LostPanic<'a> {
    /// The task's name, if it was given one.
    pub name: Option<&'a str>,
    /// Where in the source the task was spawned.
    pub location: &'static Location<'static>,
    /// What was running when it struck.
    pub origin: PanicOrigin,
    /// The text it panicked with, or a stand-in for a payload that is no text.
    pub message: &'a str,
}

/// What was running when a panic struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PanicOrigin {
    /// The task itself, detached or dropped by its owner.
    Task,
    /// A destructor: of the task's future, of an output that nobody took, or of a panic's payload.
    Drop,
    /// The waker of whoever awaited the task.
    Waker,
    /// The waker that the executor gave the task.
    Executor,
}

impl fmt::Display for LostPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.origin {
            PanicOrigin::Task => "panicked, and nobody awaits it",
            PanicOrigin::Drop => "panicked in a destructor",
            PanicOrigin::Waker => "could not wake whoever awaits it, whose waker panicked",
            PanicOrigin::Executor => "met a waker of its executor's that panicked",
        };
        f.write_str("task ")?;
        if let Some(name) = self.name {
            write!(f, "\"{name}\" ")?;
        }
        write!(f, "spawned at {} {what}: {}", self.location, self.message)
    }
}

/// A runtime's panic hook.
pub(crate) type PanicHook = Arc<dyn Fn(&LostPanic<'_>) + Send + Sync>;

/// Runs `f`; a panic in it comes back as its payload.
pub(crate) fn contain<T>(f: impl FnOnce() -> T) -> Result<T, PanicPayload> {
    // What `f` touched is dropped or reported as failed by every caller, never used as if it were whole.
    catch_unwind(AssertUnwindSafe(f)).map_err(PanicPayload::new)
}

/// Tells the hook, or standard error when there is none, and drops the payload. Nothing that panics on the
/// way leaves this function.
pub(crate) fn report(
    hook: Option<&PanicHook>,
    name: Option<&str>,
    location: &'static Location<'static>,
    origin: PanicOrigin,
    payload: PanicPayload,
) {
    let told = contain(|| {
        let lost = LostPanic { name, location, origin, message: payload.message() };
        match hook {
            Some(hook) => hook(&lost),
            None => eprintln!("{lost}"),
        }
    });
    drop_quietly(payload);
    if let Err(payload) = told {
        drop_quietly(payload);
    }
}

/// A payload may have a destructor that panics, and so may the payload of that panic: there it ends.
pub(crate) fn drop_quietly(payload: PanicPayload) {
    if let Err(payload) = contain(|| drop(payload)) {
        std::mem::forget(payload);
    }
}
