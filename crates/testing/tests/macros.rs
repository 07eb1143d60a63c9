//! What `runtime_test!` and its siblings make of a function.

use std::collections::BTreeSet;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use weirs_runtime::{JoinError, LocalRuntime, Runtime, block_on};
use weirs_testing::{apply, runtime_test, runtime_test_blocking, runtime_test_local, sim_test};

runtime_test! {
    /// Attributes that are documentation stay with the function.
    async fn several_in_one(runtime: Runtime) {
        assert_eq!(runtime.spawn(async { 1 }).await.unwrap(), 1);
    }

    async fn may_return_a_result(runtime: Runtime) -> Result<(), JoinError> {
        let clock = runtime.clock().clone();
        runtime.spawn(async move { clock.sleep(Duration::from_millis(1)).await }).await
    }

    #[should_panic(expected = "the test returned an error")]
    async fn an_error_fails(_: Runtime) -> Result<(), &'static str> {
        Err("as it should")
    }

    #[cfg(any())]
    async fn is_left_out(runtime: NoSuchType) {
        no_such_function(runtime);
    }

    #[cfg_attr(all(), should_panic)]
    async fn attributes_may_depend(_: Runtime) {
        std::panic::resume_unwind(Box::new("as it should"));
    }

    #[expect(unused_variables, reason = "it is what is tested")]
    async fn lints_go_to_the_function(runtime: Runtime) {
        let unused = 1;
    }
}

#[apply(runtime_test)]
async fn as_an_attribute(runtime: Runtime) {
    assert_eq!(runtime.spawn(async { 1 }).await.unwrap(), 1);
}

#[apply(runtime_test)]
#[should_panic(expected = "this is what it panics with")]
async fn may_be_meant_to_panic(_: Runtime) {
    panic!("this is what it panics with");
}

#[apply(sim_test)]
async fn in_the_simulator(runtime: Runtime) {
    let start = runtime.clock().now();
    runtime.clock().sleep(Duration::from_secs(86_400)).await;
    assert_eq!(runtime.clock().now() - start, Duration::from_secs(86_400));
}

#[apply(runtime_test_local)]
async fn on_one_thread(runtime: LocalRuntime) {
    let shared = Rc::new(7);
    let task = runtime.spawn({
        let shared = Rc::clone(&shared);
        let clock = runtime.clock().clone();
        async move {
            clock.sleep(Duration::from_millis(1)).await;
            *shared
        }
    });
    assert_eq!(task.await.unwrap(), 7);
}

#[apply(runtime_test_blocking)]
fn blocking(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let task = runtime.spawn(async move { clock.sleep(Duration::from_millis(1)).await });
    block_on(task).unwrap();
    assert_eq!(block_on(runtime.spawn_blocking(|| 3)).unwrap(), 3);
}

mod inner {
    use super::*;

    #[apply(runtime_test)]
    async fn in_a_module(_: Runtime) {}
}

#[test]
fn every_runtime_has_its_tests() {
    let everywhere = ["smol", "smol_mt", "async_std", "tokio_ct", "tokio_mt", "tokio_paused", "sim"];
    for name in [
        "several_in_one",
        "may_return_a_result",
        "an_error_fails",
        "attributes_may_depend",
        "lints_go_to_the_function",
        "as_an_attribute",
        "may_be_meant_to_panic",
        "inner::in_a_module",
    ] {
        assert_eq!(listed(name), enabled(&everywhere), "{name}");
    }
    assert_eq!(listed("is_left_out"), enabled(&[]));
    assert_eq!(listed("in_the_simulator"), enabled(&["sim"]));
    let local = ["smol", "async_std", "tokio_ct", "tokio_paused", "sim"];
    assert_eq!(listed("on_one_thread"), enabled(&local));
    let blocking = ["smol", "smol_mt", "async_std", "tokio_ct", "tokio_mt"];
    assert_eq!(listed("blocking"), enabled(&blocking));
}

/// Those whose features are on.
fn enabled(runtimes: &[&str]) -> BTreeSet<String> {
    let is_enabled = |runtime: &&&str| match **runtime {
        "smol" | "smol_mt" => cfg!(feature = "smol"),
        "async_std" => cfg!(feature = "async-std"),
        "tokio_ct" | "tokio_mt" | "tokio_paused" => cfg!(feature = "tokio"),
        "sim" => true,
        other => panic!("no such runtime: {other}"),
    };
    runtimes.iter().filter(is_enabled).map(|runtime| (*runtime).to_owned()).collect()
}

/// The tests that this program really has of this name.
fn listed(name: &str) -> BTreeSet<String> {
    let output = Command::new(std::env::current_exe().unwrap()).args(["--list", "--format=terse"]).output();
    let listing = String::from_utf8(output.unwrap().stdout).unwrap();
    let tests = listing.lines().filter_map(|line| line.strip_suffix(": test"));
    tests.filter_map(|test| Some(test.strip_prefix(name)?.strip_prefix("::")?.to_owned())).collect()
}
