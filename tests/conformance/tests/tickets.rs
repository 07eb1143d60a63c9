//! Tickets: dropped when a task is over, and not before.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use weirs_runtime::{JoinError, Prepared, Runtime, Ticketed};
use weirs_testing::{apply, runtime_test, yields};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn says(&self, name: &'static str) -> Says {
        Says(name, self.clone())
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

/// Says its name when it is dropped.
struct Says(&'static str, Log);

impl Drop for Says {
    fn drop(&mut self) {
        self.1.0.lock().unwrap().push(self.0);
    }
}

struct Work {
    ready: bool,
    log: Log,
    _future: Says,
}

impl Work {
    fn new(ready: bool) -> (Self, Log) {
        let log = Log::default();
        (Self { ready, log: log.clone(), _future: log.says("future") }, log)
    }
}

impl Future for Work {
    type Output = Says;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Says> {
        if self.ready { Poll::Ready(self.log.says("value")) } else { Poll::Pending }
    }
}

impl Ticketed for Work {
    type Ticket = Says;

    fn ticket(self: Pin<&mut Self>) -> Says {
        self.log.says("ticket")
    }
}

fn prepare(runtime: &Runtime, work: Work) -> Prepared<Work> {
    runtime.builder().prepare(Location::caller(), work)
}

#[apply(runtime_test)]
async fn a_ticket_goes_after_the_future_and_before_the_value_is_given(runtime: Runtime) {
    let (work, log) = Work::new(true);
    let value = prepare(&runtime, work).spawn(&runtime).await;
    // A joiner that finds the task done by itself may be a moment early.
    while log.all().len() < 2 {
        yields(1).await;
    }
    assert_eq!(log.all(), ["future", "ticket"]);
    drop(value);
}

#[apply(runtime_test)]
async fn a_ticket_goes_after_the_value_of_a_detached_task(runtime: Runtime) {
    let (work, log) = Work::new(true);
    prepare(&runtime, work).spawn(&runtime).detach();
    while log.all().len() < 3 {
        yields(1).await;
    }
    let log = log.all();
    // A handle that goes just when the task ends drops the value itself.
    assert!(log[0] == "future" && log.contains(&"value") && log.contains(&"ticket"), "{log:?}");
}

#[apply(runtime_test)]
async fn a_ticket_goes_with_a_cancelled_task(runtime: Runtime) {
    let (work, log) = Work::new(false);
    let task = prepare(&runtime, work).spawn(&runtime);
    assert!(matches!(task.cancel().await, Err(JoinError::Cancelled)));
    while log.all().len() < 2 {
        yields(1).await;
    }
    assert_eq!(log.all(), ["future", "ticket"]);
}

#[apply(runtime_test)]
async fn a_task_may_be_cancelled_before_it_is_spawned(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let (work, log) = Work::new(true);
    let mut prepared = prepare(&runtime, work);
    assert!(prepared.future_mut().is_some());
    let abort = prepared.abort_handle();
    assert!(prepared.future_mut().is_none());
    assert!(abort.location().unwrap().file().ends_with("tickets.rs"));
    abort.abort();
    assert_eq!(log.all(), ["future", "ticket"]);
    assert!(matches!(prepared.spawn(&runtime).await, Err(JoinError::Cancelled)));
    assert!(watched.is_empty());
}

#[apply(runtime_test)]
async fn a_task_that_is_not_spawned_gives_its_future_back(runtime: Runtime) {
    let (work, log) = Work::new(true);
    let back = prepare(&runtime, work).into_future().unwrap();
    assert!(log.all().is_empty());
    drop(back);
    assert_eq!(log.all(), ["future"]);
    let (work, log) = Work::new(true);
    drop(prepare(&runtime, work));
    assert_eq!(log.all(), ["future"]);
}
