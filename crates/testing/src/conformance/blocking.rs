//! Blocking jobs.

use weirs_runtime::{JoinError, Runtime};

use super::tools::{Flag, Queue, Slot, panic_quietly};

/// A blocking job gives its value. (Without a place for them it is [`JoinError::Unsupported`], and that is
/// fine.)
pub async fn a_blocking_job_gives_its_value(runtime: Runtime) {
    match runtime.spawn_blocking(|| 7).await {
        Ok(value) => assert_eq!(value, 7),
        Err(error) => assert!(matches!(error, JoinError::Unsupported), "{error}"),
    }
}

/// A panic in a blocking job is an error to the joiner, and the pool works on.
pub async fn a_blocking_panic_is_an_error(runtime: Runtime) {
    match runtime.spawn_blocking(|| panic_quietly("in the job")).await {
        Err(JoinError::Panic(payload)) => assert_eq!(payload.message(), "in the job"),
        Err(error) => assert!(matches!(error, JoinError::Unsupported), "{error}"),
    }
    a_blocking_job_gives_its_value(runtime).await;
}

/// A runtime without a place for blocking jobs says so.
pub async fn a_blocking_job_without_a_place_is_unsupported(runtime: Runtime) {
    let has_run = Flag::default();
    let runs = has_run.clone();
    let runtime = Runtime::with_parts(runtime.clone(), runtime.clock().clone());
    let task = runtime.spawn_blocking(move || runs.set());
    assert!(matches!(task.await, Err(JoinError::Unsupported)));
    assert!(!has_run.is_set());
}

/// A blocking job that is cancelled, or let go, before it has begun never runs.
pub async fn a_blocking_job_cancelled_in_the_queue_never_runs(runtime: Runtime) {
    let queue = Queue::default();
    let runtime = runtime.with_blocking(queue.clone());
    let has_run = Flag::default();
    let (one, other) = (has_run.clone(), has_run.clone());
    let cancelled = runtime.spawn_blocking(move || one.set());
    let dropped = runtime.spawn_blocking(move || other.set());
    let kept = runtime.spawn_blocking(|| 7);
    drop(dropped);
    assert!(cancelled.cancel().await.unwrap_err().is_cancelled());
    queue.run_all();
    assert!(!has_run.is_set());
    assert_eq!(kept.await.unwrap(), 7);
}

/// A blocking job that is cancelled while it runs ends as it does: its value is given.
pub async fn a_running_blocking_job_ends_as_it_does(runtime: Runtime) {
    let queue = Queue::default();
    let runtime = runtime.with_blocking(queue.clone());
    let own = Slot::<weirs_runtime::AbortHandle>::default();
    let handle = own.clone();
    let task = runtime.spawn_blocking(move || {
        handle.try_take().expect("it was put there before the job was begun").abort();
        7
    });
    own.put(task.abort_handle());
    queue.run_all();
    assert_eq!(task.cancel().await.unwrap(), 7);
}
