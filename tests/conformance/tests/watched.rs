//! The list of live tasks.

use std::future::pending;
use std::sync::{Arc, Mutex};

use weirs_conformance::{Held, HeldJobs, fail, until};
use weirs_runtime::{Ending, Idle, Runtime, Spawned, TaskId, TaskKind, TaskState, Verdict, Watch, block_on};
use weirs_testing::{apply, runtime_test, sim_test, yields};

#[apply(runtime_test)]
async fn lists_live_tasks_and_no_others(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    assert!(watched.is_empty());
    let named = runtime.builder().name("waits").spawn(pending::<()>());
    let line = line!() - 1;
    let nameless = runtime.spawn(pending::<()>());
    assert_eq!(watched.len(), 2);

    let tasks = watched.tasks();
    assert_eq!((tasks[0].name.as_deref(), tasks[1].name.as_deref()), (Some("waits"), None));
    assert_eq!((tasks[0].location.file(), tasks[0].location.line()), (file!(), line));
    assert_eq!(tasks[0].kind, TaskKind::Task);
    assert!(tasks[0].id < tasks[1].id);
    let shown = watched.to_string();
    assert_eq!(shown.lines().count(), 2);
    assert!(shown.contains(" waits: ") && shown.contains(" (no name): "), "{shown}");

    drop(nameless);
    let _ = named.cancel().await;
    until(runtime.clock(), || watched.is_empty()).await;
}

#[apply(runtime_test)]
async fn every_ending_leaves_the_list(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let runtime = runtime.with_panic_hook(|_| {}).with_blocking(HeldJobs::default());
    runtime.spawn(yields(2)).await.unwrap();
    assert!(runtime.spawn(async { fail("in the task") }).await.unwrap_err().is_panic());
    assert!(runtime.spawn(pending::<()>()).cancel().await.unwrap_err().is_cancelled());
    assert!(watched.is_empty(), "who awaits a task finds it gone from the list: {watched}");
    runtime.spawn(yields(2)).detach();
    runtime.spawn(async { fail("with nobody there") }).detach();
    drop(runtime.spawn_blocking(|| ()));
    until(runtime.clock(), || watched.is_empty()).await;
}

#[apply(runtime_test)]
async fn knows_the_parent(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let inner = runtime.clone();
    let parent = runtime.builder().name("parent").spawn(async move {
        let child = inner.builder().name("child").spawn(pending::<()>());
        child.await.unwrap();
    });
    until(runtime.clock(), || watched.len() == 2).await;
    let tasks = watched.tasks();
    let of = |name: &str| tasks.iter().find(|task| task.name.as_deref() == Some(name)).unwrap();
    assert_eq!(of("child").parent, Some(of("parent").id));
    assert_ne!(of("parent").parent, Some(of("child").id));
    drop(parent);
    until(runtime.clock(), || watched.is_empty()).await;
}

#[test]
fn state_and_polls_follow_the_task() {
    let held = Held::default();
    let (runtime, watched) = Runtime::new(held.clone()).watched();
    let look = watched.clone();
    let task = runtime.spawn(async move {
        assert_eq!(look.tasks()[0].state, TaskState::Running);
        yields(1).await;
        look.tasks()[0].polls
    });
    let only = || watched.tasks().remove(0);
    assert_eq!((only().state, only().polls), (TaskState::New, 0));
    held.run_once();
    assert_eq!((only().state, only().polls), (TaskState::Waiting, 1));
    held.run_once();
    assert_eq!(block_on(task).unwrap(), 2);
    assert!(watched.is_empty());
}

#[apply(runtime_test)]
async fn idle_waits_for_the_last(runtime: Runtime) {
    let (runtime, watched) = runtime.with_panic_hook(|_| {}).watched();
    watched.idle().await;
    runtime.spawn(yields(3)).detach();
    runtime.spawn(async { fail("with nobody there") }).detach();
    let inner = runtime.clone();
    runtime.spawn(async move { inner.spawn(yields(5)).detach() }).detach();
    watched.idle().await;
    assert!(watched.is_empty());
    // Whoever waits in a task of the list does not wait for itself.
    let look = watched.clone();
    let (itself, other) = (runtime.clone(), runtime.spawn(pending::<()>()));
    let task = itself.spawn(async move {
        look.idle().await;
        look.len()
    });
    yields(3).await;
    assert!(!task.is_finished());
    drop(other);
    assert_eq!(task.await.unwrap(), 1);
}

#[apply(runtime_test)]
async fn idle_may_be_given_up_and_taken_up_again(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let task = runtime.spawn(pending::<()>());
    let (mut one, mut other) = (watched.idle(), watched.idle());
    let poll_once = async |idle: &mut Idle| futures_lite::future::poll_once(idle).await.is_some();
    assert!(!poll_once(&mut one).await && !poll_once(&mut other).await);
    drop(other);
    drop(task);
    one.await;
    let task = runtime.spawn(pending::<()>());
    let mut again = watched.idle();
    assert!(!poll_once(&mut again).await);
    let _ = task.cancel().await;
    assert!(poll_once(&mut again).await);
}

#[apply(sim_test)]
async fn age_is_in_the_runtimes_time(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let task = runtime.spawn(pending::<()>());
    let hour = std::time::Duration::from_secs(3600);
    runtime.clock().sleep(hour).await;
    assert_eq!(watched.tasks()[0].age, hour);
    drop(task);
}

#[test]
fn blocking_jobs_are_listed_as_such() {
    let jobs = HeldJobs::default();
    let (runtime, watched) = Runtime::new(Held::default()).with_blocking(jobs.clone()).watched();
    let task = runtime.builder().name("digs").spawn_blocking(|| 7);
    assert_eq!(watched.tasks()[0].kind, TaskKind::Blocking);
    jobs.run_all();
    assert!(watched.is_empty());
    assert_eq!(block_on(task).unwrap(), 7);
}

/// Writes down what it is told, and says what it was told to say.
#[derive(Default)]
struct Diary {
    told: Mutex<Vec<String>>,
    verdict: Mutex<Option<Verdict>>,
}

impl Diary {
    fn write(&self, line: impl Into<String>) {
        self.told.lock().unwrap().push(line.into());
    }
}

impl Watch for Diary {
    fn spawned(&self, task: &Spawned<'_>) {
        self.write(format!("spawned {}", task.name.unwrap_or("?")));
    }

    fn poll_begins(&self, _: TaskId) -> Verdict {
        self.write("begins");
        self.verdict.lock().unwrap().take().unwrap_or(Verdict::Poll)
    }

    fn poll_ends(&self, _: TaskId) {
        self.write("ends");
    }

    fn ended(&self, _: TaskId, ending: Ending) {
        self.write(format!("{ending:?}"));
    }
}

fn watched_by(diary: &Arc<Diary>) -> (Runtime, Held) {
    let held = Held::default();
    (Runtime::new(held.clone()).with_watch(Arc::clone(diary) as _), held)
}

#[test]
fn a_watch_is_told_in_order() {
    let diary = Arc::new(Diary::default());
    let (runtime, held) = watched_by(&diary);
    let task = runtime.builder().name("one").spawn(yields(1));
    held.run_once();
    held.run_once();
    assert_eq!(*diary.told.lock().unwrap(), ["spawned one", "begins", "ends", "begins", "ends", "Finished"]);
    block_on(task).unwrap();
}

#[test]
fn a_watch_may_cancel_a_task_or_let_it_panic() {
    let diary = Arc::new(Diary::default());
    let (runtime, held) = watched_by(&diary);
    let task = runtime.spawn(pending::<()>());
    *diary.verdict.lock().unwrap() = Some(Verdict::Cancel);
    held.run_once();
    assert!(block_on(task).unwrap_err().is_cancelled());

    let task = runtime.spawn(pending::<()>());
    *diary.verdict.lock().unwrap() = Some(Verdict::Panic(Box::new("injected")));
    held.run_once();
    assert_eq!(block_on(task).unwrap_err().to_string(), "the task panicked: injected");
}

#[test]
fn a_watch_that_panics_is_the_tasks_panic() {
    struct Bad;
    impl Watch for Bad {
        fn spawned(&self, _: &Spawned<'_>) {
            fail("in the watch");
        }
    }
    let runtime = Runtime::new(Held::default()).with_watch(Arc::new(Bad));
    assert!(block_on(runtime.spawn(async {})).unwrap_err().is_panic());
}
