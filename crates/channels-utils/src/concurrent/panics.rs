//! [`FirstPanic`]: a panic that waits until the rest is done.

use std::any::Any;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Keeps the first panic of several pieces of work until all of them are done.
#[derive(Debug, Default)]
pub struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    /// Runs `work`; a panic in it waits here.
    pub(crate) fn run<T>(&mut self, work: impl FnOnce() -> T) -> Option<T> {
        // What `work` touched is dropped by every caller, never used as if it were whole.
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(value) => return Some(value),
            Err(payload) if self.0.is_none() => self.0 = Some(payload),
            // The payload's own destructor may panic too, and there is nobody left to tell.
            Err(payload) => forget(payload),
        }
        None
    }

    /// Goes on with the panic if there was one.
    pub(crate) fn resume(self) {
        if let Some(payload) = self.0 {
            resume_unwind(payload);
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

    /// As [`resume`](Self::resume), in a destructor: there a second panic would abort the process.
    pub(crate) fn resume_in_drop(self) {
        match self.0 {
            Some(payload) if std::thread::panicking() => forget(payload),
            Some(payload) => resume_unwind(payload),
            None => {}
        }
    }
}
