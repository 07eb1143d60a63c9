//! What becomes of panics in code that is not ours: kept until the rest is done, given back as a value, or
//! let go.

use std::any::Any;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use weirs_runtime::PanicPayload;

/// Keeps the first panic of several pieces of work until all of them are done.
#[derive(Default)]
pub(crate) struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    /// Runs `work`; a panic in it waits here.
    pub(crate) fn run(&mut self, work: impl FnOnce()) {
        // What `work` was to drop is gone either way, so nobody sees it half done.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
            match self.0 {
                None => self.0 = Some(payload),
                // The payload's own destructor may panic too, and there is nobody left to tell.
                Some(_) => forget(payload),
            }
        }
    }

    /// Gives `value` if all went well. If not, drops it and goes on with the panic.
    pub(crate) fn resume_or<T>(mut self, value: T) -> T {
        if self.0.is_none() {
            return value;
        }
        self.run(|| drop(value));
        match self.0 {
            Some(payload) => resume_unwind(payload),
            None => unreachable!("it was there before"),
        }
    }

    /// Goes on with the panic, in a destructor: there a second one would abort the process.
    pub(crate) fn resume_in_drop(self) {
        match self.0 {
            Some(payload) if std::thread::panicking() => forget(payload),
            Some(payload) => resume_unwind(payload),
            None => {}
        }
    }
}

/// Runs user code; a panic in it comes back as its payload.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, PanicPayload> {
    // What `work` touched is dropped or reported as failed by every caller, never used as if it were whole.
    catch_unwind(AssertUnwindSafe(work)).map_err(PanicPayload::new)
}

/// Lets go of a panic that nobody is to hear of but the standard panic hook, which has; its payload may have
/// a destructor that panics again.
pub(crate) fn forget_panic(result: Result<(), PanicPayload>) {
    if let Err(payload) = result {
        if let Err(second) = contain(|| drop(payload)) {
            forget(second);
        }
    }
}
