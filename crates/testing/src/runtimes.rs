//! The runtimes that `runtime_test!` runs on: each is made for one test, and gone after it.
//!
//! Public for the macros only.

#[cfg(feature = "async-std")]
pub mod async_std;
pub mod sim;
#[cfg(feature = "smol")]
pub mod smol;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
mod watchdog;
#[cfg(any(feature = "smol", feature = "tokio"))]
mod workers;

use std::fmt::Debug;

/// A test, as its macro knows it.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    module: &'static str,
    runtime: &'static str,
    package: &'static str,
}

impl Test {
    /// The test that is named for a runtime, in this module of this package.
    pub const fn new(module: &'static str, runtime: &'static str, package: &'static str) -> Self {
        Self { module, runtime, package }
    }

    /// The name that libtest knows it by: its path without the crate.
    pub fn name(&self) -> String {
        match self.module.split_once("::") {
            Some((_, module)) => format!("{module}::{}", self.runtime),
            None => self.runtime.to_owned(),
        }
    }
}

/// What a test may return.
pub trait TestOutput {
    /// Panics unless the test went well.
    fn expect_success(self);
}

impl TestOutput for () {
    fn expect_success(self) {}
}

impl<E: Debug> TestOutput for Result<(), E> {
    #[track_caller]
    fn expect_success(self) {
        if let Err(error) = self {
            panic!("the test returned an error: {error:?}");
        }
    }
}
