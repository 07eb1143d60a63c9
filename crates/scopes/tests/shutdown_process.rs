//! Shutdowns of real processes, by real signals, with real threads.
#![cfg(all(unix, feature = "signals"))]

#[path = "common/process.rs"]
mod process;

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use weirs_runtime::{Clock, Runtime, Smol, Tokio, block_on};
use weirs_scopes::{MainEnd, MemberEnd, Report, Shutdown, Signal, Signals, Stage};

use process::{Process, STORY, say};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_first_signal_drains() {
    let mut child = Process::start("drains");
    child.expect("ready");
    child.signal(Signal::Terminate);
    child.expect("draining: SIGTERM");
    child.expect("finished");
    child.expect("cleaned up");
    child.expect("code 0");
    assert!(child.end().success());
}

#[test]
fn the_second_signal_forces() {
    let mut child = Process::start("endless");
    child.expect("ready");
    child.signal(Signal::Terminate);
    child.expect("draining: SIGTERM");
    child.signal(Signal::Interrupt);
    child.expect("dropped");
    child.expect("code 2");
    assert!(child.end().success(), "it is the test's own process, and the test is over");
}

#[test]
fn the_third_signal_kills_even_one_whose_threads_are_stuck() {
    let mut child = Process::start("stuck");
    child.expect("ready");
    child.signal(Signal::Terminate);
    child.expect("draining: SIGTERM");
    child.expect("stuck");
    child.signal(Signal::Interrupt);
    child.signal(Signal::Terminate);
    // Which of two that come at once is counted last cannot be told.
    let by = child.end().signal();
    assert!(by == Some(Signal::Terminate.number()) || by == Some(Signal::Interrupt.number()), "{by:?}");
}

#[test]
fn after_the_run_a_signal_does_what_it_did_before() {
    let mut child = Process::start("over");
    child.expect("ready");
    child.signal(Signal::Terminate);
    child.expect("code 0");
    child.signal(Signal::Terminate);
    assert_eq!(child.end().signal(), Some(Signal::Terminate.number()));
}

/// What a child does; a test only in name.
#[test]
fn child() {
    let Ok(story) = std::env::var(STORY) else { return };
    let runtime = Runtime::from(Smol::global());
    let signals = Signals::interrupt_and_terminate().unwrap();
    let shutdown = Shutdown::builder().total(HOUR).signals(signals).build(&runtime).unwrap();
    match story.as_str() {
        "drains" => block_on(drains(&shutdown)),
        "endless" => block_on(endless(&shutdown)),
        "stuck" => block_on(stuck(&shutdown)),
        "over" => {
            block_on(over(&shutdown));
            let _ = std::io::stdin().read_line(&mut String::new());
        }
        other => panic!("no story is called {other}"),
    }
}

async fn drains(shutdown: &Shutdown) {
    let intake = shutdown.intake().clone();
    shutdown.spawn("worker", async move {
        let why = intake.cancelled().await;
        say(&format!("draining: {why}"));
        Clock::default().sleep(Duration::from_millis(20)).await;
        say("finished");
    });
    shutdown.defer("clean up", async { say("cleaned up") });
    say("ready");
    code(&shutdown.run(shutdown.intake().cancelled()).await);
}

async fn endless(shutdown: &Shutdown) {
    struct Dropped;
    impl Drop for Dropped {
        fn drop(&mut self) {
            say("dropped");
        }
    }
    let dropped = Dropped;
    shutdown.spawn("endless", async move {
        let _dropped = dropped;
        std::future::pending::<()>().await;
    });
    shutdown.defer("clean up", async { say("it must not come to this") });
    say("ready");
    let told = async {
        say(&format!("draining: {}", shutdown.intake().cancelled().await));
    };
    let report = shutdown.run(told).await;
    assert!(report.is_forced());
    assert_eq!(report.unfinished_cleanup()[0].name(), "clean up");
    code(&report);
}

async fn stuck(shutdown: &Shutdown) {
    say("ready");
    let told = async {
        say(&format!("draining: {}", shutdown.intake().cancelled().await));
        say("stuck");
        let _ = std::io::stdin().read_line(&mut String::new());
    };
    shutdown.run(told).await;
}

async fn over(shutdown: &Shutdown) {
    say("ready");
    code(&shutdown.run(shutdown.intake().cancelled()).await);
}

fn code(report: &Report) {
    say(&format!("code {}", report.exit_code()));
}

/// One that does not return from its poll is given up, on a runtime with other threads, and named.
#[test]
fn a_blocked_thread_is_named_and_not_waited_for() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    let (stuck, unstick) = std::sync::mpsc::channel::<()>();
    let total = Duration::from_millis(200);
    let shutdown = Shutdown::builder().total(total).build(&runtime).unwrap();
    let group = shutdown.group("work/deep");
    let (begun, has_begun) = async_channel::bounded(1);
    let line = line!() + 1;
    group.spawn("blocks", async move {
        begun.send(()).await.unwrap();
        let _ = unstick.recv();
    });
    group.spawn("idle", std::future::pending());
    let main = async { has_begun.recv().await.map(|()| shutdown.trigger("enough")) };
    let report = block_on(shutdown.run(main));
    assert!(report.total() < Duration::from_secs(30), "{report}");
    let work = report.group("work/deep").unwrap();
    assert_eq!(work.count(MemberEnd::StillRunning), 1, "{report}");
    assert_eq!(work.count(MemberEnd::Dropped), 1, "{report}");
    let running = work.named().iter().find(|member| member.end() == MemberEnd::StillRunning).unwrap();
    assert_eq!((running.name(), running.location().line()), ("blocks", line));
    assert!(running.age() >= total / 2, "{report}");
    assert!(matches!(report.main(), MainEnd::Finished));
    assert!(report.took(Stage::Drop) > Duration::ZERO);
    assert_eq!(report.exit_code(), 2);
    drop(stuck);
}
