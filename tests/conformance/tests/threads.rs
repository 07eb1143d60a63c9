//! Tasks and threads: what happens while a task is being polled elsewhere.

use std::sync::mpsc;
use std::thread;

use weirs_conformance::Dropped;
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, runtime_test_blocking, yields};

#[apply(runtime_test_blocking)]
fn a_running_task_is_dropped_at_the_end_of_its_poll(runtime: Runtime) {
    let dropped = Dropped::default();
    let guard = dropped.on_drop();
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let task = runtime.spawn(async move {
        let _guard = guard;
        begun.send(thread::current().id()).unwrap();
        // Holds its thread up, as no task should, so that it is surely running.
        may_go.recv().unwrap();
        std::future::pending::<()>().await;
    });
    let thread = has_begun.recv().unwrap();
    let cancelled = task.cancel();
    assert!(!dropped.is_set());
    go.send(()).unwrap();
    assert!(block_on(cancelled).unwrap_err().is_cancelled());
    assert_eq!(dropped.thread(), Some(thread));
}

#[apply(runtime_test_blocking)]
fn a_task_that_finishes_while_it_is_cancelled_gives_its_value(runtime: Runtime) {
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let task = runtime.spawn(async move {
        begun.send(()).unwrap();
        may_go.recv().unwrap();
        7
    });
    has_begun.recv().unwrap();
    let cancelled = task.cancel();
    go.send(()).unwrap();
    assert_eq!(block_on(cancelled).unwrap(), 7);
}

#[apply(runtime_test_blocking)]
fn a_running_blocking_job_is_waited_for(runtime: Runtime) {
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let task = runtime.spawn_blocking(move || {
        begun.send(()).unwrap();
        may_go.recv().unwrap();
        7
    });
    has_begun.recv().unwrap();
    let cancelled = task.cancel();
    go.send(()).unwrap();
    assert_eq!(block_on(cancelled).unwrap(), 7);
}

#[apply(runtime_test_blocking)]
fn a_blocking_job_that_runs_outlives_its_handle(runtime: Runtime) {
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let (done, is_done) = mpsc::channel();
    let task = runtime.spawn_blocking(move || {
        begun.send(()).unwrap();
        may_go.recv().unwrap();
        done.send(()).unwrap();
    });
    has_begun.recv().unwrap();
    drop(task);
    go.send(()).unwrap();
    is_done.recv().unwrap();
}

#[apply(runtime_test_blocking)]
fn a_handle_goes_to_any_thread(runtime: Runtime) {
    let task = runtime.spawn(async {
        yields(3).await;
        7
    });
    let joiner = thread::Builder::new().spawn(move || block_on(task).unwrap()).unwrap();
    assert_eq!(joiner.join().unwrap(), 7);

    let dropped = Dropped::default();
    let task = runtime.spawn(dropped.endless());
    let canceller = thread::Builder::new().spawn(move || block_on(task.cancel())).unwrap();
    assert!(canceller.join().unwrap().unwrap_err().is_cancelled());
    assert!(dropped.is_set());
}

#[apply(runtime_test_blocking)]
fn cancelling_races_with_finishing(runtime: Runtime) {
    let (mut finished, mut cancelled) = (0, 0);
    for round in 0..2_000_usize {
        let dropped = Dropped::default();
        let guard = dropped.on_drop();
        let task = runtime.spawn(async move {
            let _guard = guard;
            yields(round % 4).await;
            round
        });
        for _ in 0..round % 64 {
            std::hint::spin_loop();
        }
        match block_on(task.cancel()) {
            Ok(value) => {
                assert_eq!(value, round);
                finished += 1;
            }
            Err(error) => {
                assert!(error.is_cancelled());
                cancelled += 1;
            }
        }
        assert!(dropped.is_set());
    }
    assert_eq!(finished + cancelled, 2_000);
}

#[apply(runtime_test_blocking)]
fn many_cancellers_of_one_task(runtime: Runtime) {
    for _ in 0..200 {
        let dropped = Dropped::default();
        let task = runtime.spawn(dropped.endless());
        let handles = [task.abort_handle(), task.abort_handle(), task.abort_handle()];
        thread::scope(|scope| {
            for handle in &handles {
                thread::Builder::new().spawn_scoped(scope, || handle.abort()).unwrap();
            }
            assert!(block_on(task).unwrap_err().is_cancelled());
        });
        assert!(dropped.is_set());
    }
}
