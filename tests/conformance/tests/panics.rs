//! Panics that no joiner hears of: what the hook is told, beyond what the conformance kit asks.

use std::sync::{Arc, Mutex};

use weirs_conformance::{Held, fail, until};
use weirs_runtime::{LostPanic, PanicOrigin, Runtime};
use weirs_testing::{apply, runtime_test};

type Told = Arc<Mutex<Vec<(PanicOrigin, String)>>>;

fn hooked(runtime: &Runtime) -> (Runtime, Told) {
    let told = Told::default();
    let all = Arc::clone(&told);
    let hook = move |lost: &LostPanic<'_>| all.lock().unwrap().push((lost.origin, lost.message.to_owned()));
    (runtime.with_panic_hook(hook), told)
}

struct PanicsInDrop(&'static str);

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        fail(self.0);
    }
}

#[apply(runtime_test)]
async fn a_destructor_that_panics_in_a_dropped_task(runtime: Runtime) {
    let (runtime, told) = hooked(&runtime);
    let bad = PanicsInDrop("in the destructor");
    drop(runtime.spawn(async move {
        let _bad = bad;
        std::future::pending::<()>().await;
    }));
    until(runtime.clock(), || !told.lock().unwrap().is_empty()).await;
    assert_eq!(*told.lock().unwrap(), [(PanicOrigin::Drop, "in the destructor".to_owned())]);
}

#[apply(runtime_test)]
async fn a_panic_and_its_echo_are_both_told(runtime: Runtime) {
    /// Panics when it is polled, and again when it is dropped.
    struct Twice(#[expect(dead_code, reason = "it is there to be dropped")] PanicsInDrop);
    impl Future for Twice {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
            fail("the first");
            std::task::Poll::Pending
        }
    }
    let (runtime, told) = hooked(&runtime);
    let task = runtime.spawn(Twice(PanicsInDrop("the echo")));
    let error = task.await.unwrap_err();
    assert_eq!(error.to_string(), "the task panicked: the first");
    assert_eq!(*told.lock().unwrap(), [(PanicOrigin::Drop, "the echo".to_owned())]);
}

#[apply(runtime_test)]
async fn a_real_panic_keeps_its_formatted_message(runtime: Runtime) {
    let Err(error) = runtime.spawn(async { panic!("number {}", 7) }).await;
    assert_eq!(error.to_string(), "the task panicked: number 7");
}

#[test]
fn each_clone_has_the_hook_that_it_was_given() {
    let held = Held::default();
    let plain = Runtime::new(held.clone());
    let (one, told_one) = hooked(&plain);
    let (other, told_other) = hooked(&one);
    one.spawn(async { fail("one") }).detach();
    other.spawn(async { fail("other") }).detach();
    held.run_once();
    assert_eq!(*told_one.lock().unwrap(), [(PanicOrigin::Task, "one".to_owned())]);
    assert_eq!(*told_other.lock().unwrap(), [(PanicOrigin::Task, "other".to_owned())]);
}

#[test]
fn without_a_hook_a_line_goes_to_standard_error() {
    // In a process of its own, whose standard error we read.
    const CHILD: &str = "WEIRS_CONFORMANCE_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let held = Held::default();
        let runtime = Runtime::new(held.clone());
        runtime.builder().name("the lonely one").spawn(async { fail("with nobody there") }).detach();
        held.run_once();
        return;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "without_a_hook_a_line_goes_to_standard_error", "--nocapture"]);
    let output = command.env(CHILD, "1").output().unwrap();
    assert!(output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    let line = errors.lines().find(|line| line.starts_with("task \"the lonely one\" spawned at "));
    let line = line.unwrap_or_else(|| panic!("there is no such line:\n{errors}"));
    assert!(line.contains("panics.rs:"), "{line}");
    assert!(line.ends_with("panicked, and nobody awaits it: with nobody there"), "{line}");
}
