//! The simulator finds planted bugs, says whose they are, and the line that it prints shows them again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future::yield_now;
use weirs_runtime::Runtime;
use weirs_testing::sim::{Cause, Explore, Failure, Schedule, Sim};

const MS: Duration = Duration::from_millis(1);

/// A semaphore that loses a wake when a waiter is dropped after it was woken and before it was polled.
#[derive(Clone, Default)]
struct Leaky(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    free: usize,
    waiting: VecDeque<(u64, Waker)>,
    last: u64,
}

struct Acquire(Leaky, Option<u64>);

impl Leaky {
    fn acquire(&self) -> Acquire {
        Acquire(self.clone(), None)
    }

    fn release(&self) {
        let mut state = self.0.lock().unwrap();
        state.free += 1;
        if let Some((_, first)) = state.waiting.pop_front() {
            first.wake();
        }
    }
}

impl Acquire {
    fn leave(&self, state: &mut State) {
        state.waiting.retain(|(number, _)| Some(*number) != self.1);
    }
}

impl Future for Acquire {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let semaphore = self.0.clone();
        let mut state = semaphore.0.lock().unwrap();
        self.leave(&mut state);
        if state.free > 0 {
            state.free -= 1;
            return Poll::Ready(());
        }
        state.last += 1;
        self.1 = Some(state.last);
        let waiter = (state.last, cx.waker().clone());
        state.waiting.push_back(waiter);
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        self.leave(&mut self.0.0.lock().unwrap());
    }
}

async fn lost_wake(runtime: Runtime) {
    let semaphore = Leaky::default();
    let user = |after: u32| {
        let (semaphore, clock) = (semaphore.clone(), runtime.clock().clone());
        async move {
            clock.sleep(after * MS).await;
            semaphore.acquire().await;
            semaphore.release();
        }
    };
    let first = runtime.builder().name("first").spawn(user(0));
    let second = runtime.builder().name("second").spawn(user(1));
    let (giver, clock) = (semaphore.clone(), runtime.clock().clone());
    let owner = runtime.builder().name("owner").spawn(async move {
        clock.sleep(10 * MS).await;
        giver.release();
    });
    runtime.clock().sleep(10 * MS).await;
    drop(first);
    owner.await.unwrap();
    second.await.unwrap();
}

fn assert_replays(failure: &Failure, body: impl Fn(Runtime) -> Pin<Box<dyn Future<Output = ()>>>) {
    let again = Sim::new(failure.seed()).schedule(failure.schedule()).run(body).unwrap_err();
    assert_eq!(again.cause(), failure.cause());
    assert_eq!((again.steps(), again.elapsed()), (failure.steps(), failure.elapsed()));
    assert_eq!(again.trace_hash(), failure.trace_hash());
}

#[test]
fn a_lost_wake() {
    for schedules in [vec![], vec![Schedule::Random], vec![Schedule::Pct { depth: 3 }]] {
        let failure = Explore::new().seeds(0..100).schedules(schedules).find(lost_wake).expect("the bug");
        assert_eq!(*failure.cause(), Cause::Deadlock);
        let stuck: Vec<_> = failure.tasks().iter().filter_map(|task| task.name.as_deref()).collect();
        assert_eq!(stuck, ["main", "second"], "{failure}");
        assert_eq!(failure.elapsed(), 10 * MS);
        assert_replays(&failure, |runtime| Box::pin(lost_wake(runtime)));
    }
}

#[test]
fn the_report_says_all() {
    let failure = Explore::new().seeds(0..100).find(lost_wake).expect("the bug");
    let report = failure.to_string();
    let seed = failure.seed();
    let schedule = failure.schedule();
    // Cargo says which package it is; a test binary that is run by hand does not know.
    let package =
        std::env::var("CARGO_PKG_NAME").map_or_else(|_| String::new(), |name| format!(" -p {name}"));
    let line = format!("WEIRS_SEED={seed} WEIRS_SCHEDULE={schedule} cargo test{package} the_report_says_all");
    for part in [
        "deadlock",
        &format!("seed {seed}, schedule {schedule}, faults: none"),
        "10ms of virtual time",
        "\"second\" spawned at crates/testing/tests/sim_finds.rs:",
        "10ms ago: waiting",
        "\"first\" cancelled",
        &line,
    ] {
        assert!(report.contains(part), "no {part:?} in:\n{report}");
    }
    assert_eq!(format!("{failure:?}"), report);
}

/// Tells [`child`] that it is one.
const CHILD: &str = "WEIRS_TESTING_CHILD";

/// What the test below runs as a process of its own. By itself it does nothing, for it would fail.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_some() {
        Explore::new().seeds(0..100).run(lost_wake);
    }
}

#[test]
fn the_printed_line_replays() {
    let run = |variables: &[(String, String)]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env(CHILD, "1").envs(variables.iter().cloned());
        command.env("CARGO_PKG_NAME", "weirs-testing").env_remove("WEIRS_SEEDS").env_remove("WEIRS_DEEP");
        let output = command.output().unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        text[text.find("deadlock").expect("a report")..].to_owned()
    };
    let first = run(&[]);
    let line =
        first.lines().find_map(|line| line.trim().strip_prefix("WEIRS_SEED=")).expect("a line to paste");
    let line = format!("WEIRS_SEED={line}");
    assert!(line.ends_with("cargo test -p weirs-testing child"), "{line}");
    let variables: Vec<_> = line.split(' ').filter_map(|word| word.split_once('=')).collect();
    assert_eq!(variables.len(), 2);
    let variables: Vec<_> = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    assert_eq!(run(&variables), first);
}

#[test]
fn a_deadlock_of_two_locks_names_both() {
    async fn take_both(first: Receiver<()>, second: Receiver<()>) {
        let _first = first.recv().await;
        yield_now().await;
        let _second = second.recv().await;
    }
    fn lock() -> (Sender<()>, Receiver<()>) {
        let (sender, receiver) = async_channel::bounded(1);
        sender.try_send(()).unwrap();
        (sender, receiver)
    }
    let failure = Explore::new().seeds(0..100).find(|runtime| async move {
        let ((_a, a), (_b, b)) = (lock(), lock());
        let left = runtime.builder().name("left").spawn(take_both(a.clone(), b.clone()));
        let right = runtime.builder().name("right").spawn(take_both(b, a));
        left.await.unwrap();
        right.await.unwrap();
    });
    let failure = failure.expect("the bug");
    assert_eq!(*failure.cause(), Cause::Deadlock);
    let report = failure.to_string();
    assert!(report.contains("\"left\" spawned at") && report.contains("\"right\" spawned at"), "{report}");
}

#[test]
fn a_leak_is_named() {
    let failure = Sim::new(0).run(|runtime| async move {
        let clock = runtime.clock().clone();
        let endless = async move {
            loop {
                clock.sleep(MS).await;
            }
        };
        runtime.builder().name("ticker").spawn(endless).detach();
        runtime.spawn(async { yield_now().await }).detach(); // ends by itself
        runtime.clock().sleep(3 * MS).await;
    });
    let failure = failure.unwrap_err();
    assert_eq!(*failure.cause(), Cause::Leak);
    assert_eq!(failure.tasks().len(), 1);
    assert_eq!(failure.tasks()[0].name.as_deref(), Some("ticker"));
    assert_eq!(failure.tasks()[0].age, 3 * MS);
    assert!(
        failure.to_string().contains("\"ticker\" spawned at crates/testing/tests/sim_finds.rs:"),
        "{failure}"
    );
}

#[test]
fn a_task_that_spins_on_after_the_body_is_a_leak() {
    let failure = Sim::new(0).run(|runtime| async move {
        let spin = async {
            loop {
                yield_now().await;
            }
        };
        runtime.builder().name("spinner").spawn(spin).detach();
    });
    let failure = failure.unwrap_err();
    assert_eq!(*failure.cause(), Cause::Leak);
    assert_eq!(failure.tasks()[0].name.as_deref(), Some("spinner"));
}

#[test]
fn a_long_list_of_leaks_is_cut_short() {
    let failure = Sim::new(0).run(|runtime| async move {
        for _ in 0..100 {
            runtime.spawn(std::future::pending::<()>()).detach();
        }
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.tasks().len(), 30);
    assert!(failure.to_string().contains("and 70 more"), "{failure}");
}

#[test]
fn a_failure_goes_where_errors_go() {
    fn goes<T: std::error::Error + Clone + Send + Sync + 'static>() {}
    goes::<Failure>();
}

#[test]
fn a_leak_may_be_allowed() {
    let body = |runtime: Runtime| async move { runtime.spawn(std::future::pending::<()>()).detach() };
    assert_eq!(*Sim::new(0).run(body).unwrap_err().cause(), Cause::Leak);
    Sim::new(0).allow_leaks().run(body).unwrap();
}

#[test]
fn a_lost_update() {
    let body = |runtime: Runtime| async move {
        let count = Arc::new(AtomicU32::new(0));
        let add = |count: Arc<AtomicU32>| async move {
            let before = count.load(Ordering::SeqCst);
            yield_now().await;
            count.store(before + 1, Ordering::SeqCst);
        };
        let tasks = [(); 3].map(|()| runtime.spawn(add(Arc::clone(&count))));
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(count.load(Ordering::SeqCst), 3);
    };
    let failure = Explore::new().seeds(0..100).find(body).expect("the bug");
    assert!(matches!(failure.cause(), Cause::Panic { message } if message.contains("left: ")), "{failure}");
}

#[test]
fn a_panic_that_nobody_awaits() {
    let failure = Sim::new(0).run(|runtime| async move {
        runtime.builder().name("careless").spawn(async { panic!("told to nobody") }).detach();
        runtime.clock().sleep(MS).await;
    });
    let report = failure.unwrap_err().to_string();
    assert!(report.contains("careless") && report.contains("told to nobody"), "{report}");
    assert!(report.contains("tests/sim_finds.rs"), "{report}");
}

#[test]
fn a_panic_of_the_body_itself() {
    let failure =
        Sim::new(0).run(|_| async { panic!("in the body") }).map(|run: weirs_testing::sim::Run<()>| run);
    assert_eq!(*failure.unwrap_err().cause(), Cause::Panic { message: "in the body".to_owned() });

    let failure = Sim::new(0).run(|_| -> std::future::Ready<()> { panic!("before the body") });
    assert_eq!(*failure.unwrap_err().cause(), Cause::Panic { message: "before the body".to_owned() });
}

#[test]
#[should_panic(expected = "WEIRS_SEED=")]
fn explore_panics_with_the_report() {
    Explore::new().seeds(0..100).run(lost_wake);
}

#[test]
fn a_live_lock_of_tasks_that_spin() {
    let failure = Sim::new(0).step_limit(10_000).run(|runtime| async move {
        let spin = async {
            loop {
                yield_now().await;
            }
        };
        runtime.builder().name("idle").spawn(std::future::pending::<()>()).detach();
        runtime.builder().name("spinner").spawn(spin).await.unwrap();
    });
    let failure = failure.unwrap_err();
    assert_eq!(*failure.cause(), Cause::StepLimit(10_000));
    assert_eq!(failure.tasks()[0].name.as_deref(), Some("spinner"), "{failure}");
    assert!(failure.tasks()[0].polls > 9_900);
    assert_eq!(failure.tasks().len(), 3);
}

#[test]
fn a_live_lock_in_time() {
    let failure = Sim::new(0).time_limit(Duration::from_secs(3600)).run(|runtime| async move {
        loop {
            runtime.clock().sleep(Duration::from_secs(60)).await;
        }
    });
    let failure = failure.map(|run: weirs_testing::sim::Run<()>| run).unwrap_err();
    assert_eq!(*failure.cause(), Cause::TimeLimit(Duration::from_secs(3600)));
    assert_eq!(failure.elapsed(), Duration::from_secs(3600));
}

#[test]
fn a_spinning_task_starves_nobody_for_ever() {
    for schedule in [Schedule::Fifo, Schedule::Random, Schedule::Pct { depth: 3 }] {
        for seed in 0..50 {
            let run = Sim::new(seed).schedule(schedule).step_limit(10_000).run(|runtime| async move {
                let done = Arc::new(AtomicU32::new(0));
                let spinners = [(); 3].map(|()| {
                    let done = Arc::clone(&done);
                    runtime.spawn(async move {
                        while done.load(Ordering::SeqCst) == 0 {
                            yield_now().await;
                        }
                    })
                });
                runtime.spawn(async move { done.store(1, Ordering::SeqCst) }).await.unwrap();
                for spinner in spinners {
                    spinner.await.unwrap();
                }
            });
            run.unwrap();
        }
    }
}
