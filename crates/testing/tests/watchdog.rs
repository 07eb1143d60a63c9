//! A test that hangs ends its process, by name, with the tasks that were live.

#![cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]

use std::process::{Child, Command, Stdio};

use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test};

/// Without it the tests that are here to hang do not.
const HANG: &str = "WEIRS_TESTING_HANG";

mod group {
    use super::*;

    #[apply(runtime_test)]
    async fn hangs(runtime: Runtime) {
        if std::env::var_os(HANG).is_none() {
            return;
        }
        let stuck = runtime.builder().name("the stuck one").spawn(std::future::pending::<()>());
        let _ = stuck.await;
    }

    #[apply(runtime_test)]
    async fn hangs_the_thread(_: Runtime) {
        if std::env::var_os(HANG).is_some() {
            loop {
                std::thread::park();
            }
        }
    }
}

#[test]
fn a_test_that_hangs_ends_its_process() {
    let hangs = |runtime: &'static str| (runtime, Hang::start(&format!("group::hangs::{runtime}")));
    let started: Vec<_> = runtimes().into_iter().map(hangs).collect();
    for (runtime, hang) in started {
        let (status, errors) = hang.end();
        assert_eq!(status, Some(124), "{errors}");
        let line = format!("weirs-watchdog: test group::hangs::{runtime} exceeded its limit of 1 s");
        assert!(errors.lines().any(|written| written == line), "{errors}");
        assert!(errors.contains("1 of its tasks are live"), "{errors}");
        assert!(errors.contains("the stuck one: waiting, spawned "), "{errors}");
        assert!(errors.contains("tests/watchdog.rs:"), "{errors}");
    }
}

#[test]
fn a_body_that_hangs_is_named_too() {
    let runtime = runtimes()[0];
    let (status, errors) = Hang::start(&format!("group::hangs_the_thread::{runtime}")).end();
    assert_eq!(status, Some(124), "{errors}");
    assert!(errors.contains("none of its tasks is live; its own body is stuck"), "{errors}");
}

fn runtimes() -> Vec<&'static str> {
    let mut runtimes = Vec::new();
    if cfg!(feature = "smol") {
        runtimes.extend(["smol", "smol_mt"]);
    }
    if cfg!(feature = "async-std") {
        runtimes.push("async_std");
    }
    if cfg!(feature = "tokio") {
        runtimes.extend(["tokio_ct", "tokio_mt"]);
    }
    runtimes
}

/// A process with a test that hangs, and a limit of a second.
struct Hang(Child);

impl Hang {
    fn start(test: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).env(HANG, "1").env("WEIRS_TEST_LIMIT", "1");
        Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Its status and what it wrote to standard error.
    fn end(self) -> (Option<i32>, String) {
        let output = self.0.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}
