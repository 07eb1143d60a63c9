//! What a tracker lists, waits for, and names.

use std::future::{pending, ready};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use weirs_runtime::{Runtime, TaskState};
use weirs_scopes::{CancelToken, LiveKind, LocalScope, Scope, Tracker, local_scope};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test, yields};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(30);

fn names(tracker: &Tracker) -> Vec<String> {
    tracker.tasks().iter().map(|task| task.name().unwrap_or("-").to_owned()).collect()
}

#[apply(runtime_test)]
async fn tasks_are_listed_by_name_and_place_until_they_end(runtime: Runtime) {
    let tracker = Tracker::new(&runtime);
    assert!(tracker.is_empty());
    tracker.no_leaks(Duration::ZERO).await.unwrap();
    let inner = tracker.runtime().clone();
    let stop = CancelToken::new();
    let (line, told) = (line!() + 1, stop.clone());
    tracker.spawn("outer", async move {
        let task = inner.builder().name("inner").spawn(async move { told.cancelled().await });
        task.await.unwrap();
    });
    // Not through the tracker, so not on the list.
    let elsewhere = runtime.builder().name("elsewhere").spawn(pending::<()>());
    while tracker.tasks().len() < 2 {
        yields(1).await;
    }
    let tasks = tracker.tasks();
    assert_eq!(names(&tracker), ["outer", "inner"]);
    assert_eq!((tasks[0].location().file(), tasks[0].location().line()), (file!(), line));
    assert_eq!(tasks[0].kind(), LiveKind::Task);
    let leaks = tracker.no_leaks(Duration::ZERO).await.unwrap_err();
    assert_eq!(leaks.tasks().len(), 2);
    stop.cancel("enough");
    tracker.assert_no_leaks(LONG).await;
    assert!(tracker.is_empty());
    drop(elsewhere);
}

#[apply(runtime_test)]
async fn trackers_do_not_see_each_others_tasks(runtime: Runtime) {
    let (one, other) = (Tracker::new(&runtime), Tracker::new(&runtime));
    let task = one.runtime().spawn(pending::<()>());
    other.assert_no_leaks(Duration::ZERO).await;
    drop(task);
    one.assert_no_leaks(LONG).await;
}

#[apply(runtime_test)]
async fn the_task_that_asks_does_not_count(runtime: Runtime) {
    let tracker = Tracker::new(&runtime);
    let asks = tracker.clone();
    let task = tracker.runtime().spawn(async move {
        asks.spawn("short", yields(3));
        asks.wait_idle().await;
        asks.no_leaks(Duration::ZERO).await.map_err(|leaks| leaks.to_string())
    });
    task.await.unwrap().unwrap();
}

#[apply(runtime_test)]
async fn every_ending_ends_the_waiting(runtime: Runtime) {
    let runtime = runtime.with_panic_hook(|_| {});
    let tracker = Tracker::new(&runtime);
    tracker.spawn("finishes", yields(3));
    tracker.spawn("panics", async {
        yields(2).await;
        std::panic::panic_any("as asked");
    });
    let cancelled = tracker.runtime().spawn(pending::<()>());
    tracker.runtime().spawn(async move { drop(cancelled) }).detach();
    tracker.wait_idle().await;
    assert!(tracker.is_empty());
}

#[apply(runtime_test)]
async fn blocking_jobs_are_listed(runtime: Runtime) {
    let tracker = Tracker::new(&runtime);
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let builder = tracker.runtime().builder();
    let job = builder.name("digs").spawn_blocking(move || while gone.try_recv().is_ok() {});
    // In the simulator it is over as soon as it is begun.
    for task in tracker.tasks() {
        assert_eq!((task.name(), task.kind()), (Some("digs"), LiveKind::Blocking));
    }
    drop(go);
    let _ = job.await;
    tracker.assert_no_leaks(LONG).await;
}

#[apply(runtime_test)]
async fn scopes_and_their_children_are_listed(runtime: Runtime) {
    let tracker = Tracker::new(&runtime);
    let borrowed = String::from("borrowed");
    let builder = Scope::builder().named("requests").tracked(&tracker);
    let scope = builder.run(async |s| {
        let line = line!() + 1;
        let first = s.spawn_named("first", async { borrowed.len() });
        s.spawn_service("service", pending::<()>());
        let second = s.spawn(pending::<()>());
        let tasks = tracker.tasks();
        assert_eq!(names(&tracker), ["requests", "first", "service", "-"]);
        let kinds: Vec<LiveKind> = tasks.iter().map(|task| task.kind()).collect();
        assert_eq!(kinds, [LiveKind::Scope, LiveKind::Child, LiveKind::Service, LiveKind::Child]);
        assert_eq!((tasks[1].location().file(), tasks[1].location().line()), (file!(), line));
        assert_eq!(first.await, Ok(8));
        assert_eq!(names(&tracker), ["requests", "service", "-"]);
        second.cancel();
        s.defer(async { assert_eq!(names(&tracker), ["requests", "-"]) });
    });
    assert!(tracker.is_empty(), "it is lazy");
    scope.await.unwrap();
    assert!(tracker.is_empty());
}

#[apply(runtime_test)]
async fn a_dropped_or_failed_scope_leaves_the_list(runtime: Runtime) {
    let tracker = Tracker::new(&runtime);
    let endless = Scope::builder().tracked(&tracker).run(async |s| {
        s.spawn(pending::<()>());
        pending::<()>().await;
    });
    let mut endless = Box::pin(endless);
    assert!((&mut endless).now_or_never().is_none());
    assert_eq!(tracker.tasks().len(), 2);
    drop(endless);
    assert!(tracker.is_empty());

    let panics = Scope::builder().tracked(&tracker).run(async |s| {
        s.spawn(async { std::panic::panic_any("as asked") });
        pending::<()>().await;
    });
    AssertUnwindSafe(panics).catch_unwind().await.unwrap_err();
    assert!(tracker.is_empty());

    let fails = Scope::builder().tracked(&tracker).try_run(async |s| {
        s.spawn(ready(Err::<(), _>(1)));
        pending::<Result<(), u32>>().await
    });
    fails.await.unwrap_err();
    assert!(tracker.is_empty());
}

#[apply(runtime_test)]
async fn what_is_over_is_not_kept(runtime: Runtime) {
    let tracker = Tracker::new(&runtime);
    let scope = Scope::builder().tracked(&tracker).run(async |s| {
        for number in 0..1000 {
            s.spawn_named(number.to_string(), yields(1));
            if number % 7 == 0 {
                yields(2).await;
                let live = tracker.tasks().len();
                assert!(live <= 9, "{live}");
            }
        }
    });
    scope.await.unwrap();
}

#[apply(runtime_test)]
async fn the_end_of_a_scope_ends_the_waiting(runtime: Runtime) {
    let tracker = Tracker::new(&runtime);
    let local = local_scope(async |s| {
        let scope = Scope::builder().tracked(&tracker).run_local(async |inner: LocalScope<'_>| {
            inner.spawn(yields(5));
        });
        s.spawn(async move { scope.await.unwrap() });
        yields(2).await;
        tracker.wait_idle().await;
        assert!(tracker.is_empty());
    });
    local.await;
}

#[apply(sim_test)]
async fn the_waiting_ends_when_the_last_ends_and_not_later(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let tracker = Tracker::new(&runtime);
    for seconds in 1..=3_u32 {
        let clock = clock.clone();
        tracker.spawn(format!("sleeps {seconds}"), async move { clock.sleep(seconds * SECOND).await });
    }
    let begun = clock.now();
    let leaks = tracker.no_leaks(2 * SECOND + SECOND / 2).await.unwrap_err();
    assert_eq!(clock.now() - begun, 2 * SECOND + SECOND / 2);
    let [left] = leaks.tasks() else { panic!("{leaks}") };
    assert_eq!(left.name(), Some("sleeps 3"));
    assert_eq!(left.age(), 2 * SECOND + SECOND / 2);
    assert_eq!((left.state(), left.polls()), (Some(TaskState::Waiting), Some(1)));
    tracker.assert_no_leaks(LONG).await;
    assert_eq!(clock.now() - begun, 3 * SECOND);
}

#[apply(sim_test)]
async fn the_panic_names_the_leaks_and_the_asker(runtime: Runtime) {
    let tracker = Tracker::new(&runtime);
    let forgotten = tracker.runtime().builder().name("forgotten").spawn(pending::<()>());
    let line = line!() + 1;
    let asked = tracker.assert_no_leaks(SECOND);
    let payload = AssertUnwindSafe(asked).catch_unwind().await.unwrap_err();
    let text = payload.downcast::<String>().unwrap();
    assert!(text.starts_with("1 still alive after 1s:\n"), "{text}");
    assert!(text.contains("forgotten "), "{text}");
    assert!(text.contains(&format!("asked at {}:{line}:", file!())), "{text}");
    assert_eq!(text.matches(file!()).count(), 2, "{text}");
    drop(forgotten);
}

#[apply(runtime_test)]
async fn giving_up_the_waiting_leaves_nothing(runtime: Runtime) {
    let tracker = Tracker::new(&runtime);
    cancel_at_every_poll(
        || {
            let tracker = tracker.clone();
            async move {
                let stop = CancelToken::new();
                let told = stop.clone();
                tracker.spawn("until told", async move { told.cancelled().await });
                let _guard = stop.guard();
                let mut idle = tracker.wait_idle();
                assert!(futures_lite::future::poll_once(&mut idle).await.is_none());
                yields(2).await;
                stop.cancel("enough");
                idle.await;
            }
        },
        async |_| tracker.wait_idle().await,
    )
    .await;
}
