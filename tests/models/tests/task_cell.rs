//! The task cell under every interleaving of its executor, its owner and a canceller.
//!
//! loom runs each model once for every order that the memory model allows. It also checks that nobody
//! touches the future, the result or a waker without owning it, because the cell's parts are loom's cells.
#![cfg(loom)]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_task::{FutureObj, Spawn, SpawnError};
use loom::thread;
use weirs_runtime::{JoinError, Runtime, Task};

/// An executor polls a task to its end, while its owner waits for it.
#[test]
fn the_joiner_is_woken() {
    loom::model(|| {
        let (runtime, executor) = one_task_executor();
        let mut task = runtime.spawn(async { 7 });
        let executor = thread::spawn(move || executor.poll());

        let woken = Arc::new(Woken::default());
        let first = poll(&mut task, &woken);
        executor.join().unwrap();
        match first {
            Poll::Ready(result) => assert_eq!(result.unwrap(), 7),
            Poll::Pending => {
                assert_eq!(woken.times(), 1, "it waited, so it has to be woken");
                assert_eq!(ready(poll(&mut task, &woken)).unwrap(), 7);
            }
        }
    });
}

/// The joiner comes back with another waker while the task ends.
#[test]
fn the_last_waker_is_the_one_that_counts() {
    loom::model(|| {
        let (runtime, executor) = one_task_executor();
        let mut task = runtime.spawn(async { 7 });
        let executor = thread::spawn(move || executor.poll());

        let (old, new) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let pending = poll(&mut task, &old).is_pending() && poll(&mut task, &new).is_pending();
        executor.join().unwrap();
        if pending {
            assert_eq!(new.times(), 1);
            assert_eq!(ready(poll(&mut task, &new)).unwrap(), 7);
        }
    });
}

/// The owner cancels while the executor polls a task that waits.
#[test]
fn a_cancelled_task_is_dropped_once_and_its_joiner_hears() {
    loom::model(|| {
        let (runtime, executor) = one_task_executor();
        let drops = Arc::new(AtomicUsize::new(0));
        let mut task = runtime.spawn(WaitForEver(CountDrop(Arc::clone(&drops))));
        let executor = thread::spawn(move || executor.polled_once());

        task.abort();
        let woken = Arc::new(Woken::default());
        let first = poll(&mut task, &woken);
        let _executor = executor.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1, "dropped by one of the two");
        let result = match first {
            Poll::Ready(result) => result,
            Poll::Pending => {
                assert_eq!(woken.times(), 1);
                ready(poll(&mut task, &woken))
            }
        };
        assert!(matches!(result, Err(JoinError::Cancelled)));
    });
}

/// Two threads cancel a task that nobody polls.
#[test]
fn two_cancellers_drop_it_once() {
    loom::model(|| {
        let (runtime, executor) = one_task_executor();
        let drops = Arc::new(AtomicUsize::new(0));
        let mut task = runtime.spawn(WaitForEver(CountDrop(Arc::clone(&drops))));
        let handle = task.abort_handle();
        let other = thread::spawn(move || handle.abort());
        task.abort();
        other.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert!(matches!(ready(poll(&mut task, &Arc::default())), Err(JoinError::Cancelled)));
        drop(executor);
    });
}

/// The executor is dropped while the owner cancels.
#[test]
fn lost_or_cancelled_but_never_both() {
    loom::model(|| {
        let (runtime, executor) = one_task_executor();
        let drops = Arc::new(AtomicUsize::new(0));
        let mut task = runtime.spawn(WaitForEver(CountDrop(Arc::clone(&drops))));
        let executor = thread::spawn(move || drop(executor));
        task.abort();
        executor.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        let result = ready(poll(&mut task, &Arc::default()));
        assert!(matches!(result, Err(JoinError::Cancelled | JoinError::Lost)), "{result:?}");
    });
}

/// The handle is detached or dropped while the task finishes: its output is dropped once, by either.
#[test]
fn an_output_that_nobody_takes_is_dropped_once() {
    for detach in [true, false] {
        loom::model(move || {
            let (runtime, executor) = one_task_executor();
            let drops = Arc::new(AtomicUsize::new(0));
            let output = CountDrop(Arc::clone(&drops));
            let task = runtime.spawn(async move { output });
            let executor = thread::spawn(move || executor.poll());
            if detach {
                task.detach();
            } else {
                drop(task);
            }
            executor.join().unwrap();
            assert_eq!(drops.load(Ordering::Relaxed), 1);
        });
    }
}

/// The owner waits, then lets go, while the task finishes.
#[test]
fn a_joiner_that_lets_go_leaves_nothing_behind() {
    loom::model(|| {
        let (runtime, executor) = one_task_executor();
        let mut task = runtime.spawn(async {});
        let executor = thread::spawn(move || executor.poll());
        let woken = Arc::new(Woken::default());
        let _ = poll(&mut task, &woken);
        drop(task);
        executor.join().unwrap();
        assert_eq!(Arc::strong_count(&woken), 1, "no waker is kept");
    });
}

/// A task that waits, is woken and polled again, while its owner cancels.
#[test]
fn a_task_that_runs_on_sees_the_cancelling() {
    loom::model(|| {
        let (runtime, executor) = one_task_executor();
        let drops = Arc::new(AtomicUsize::new(0));
        let mut task = runtime.spawn(WaitForEver(CountDrop(Arc::clone(&drops))));
        let executor = thread::spawn(move || executor.polled_once().polled_once());
        task.abort();
        let _executor = executor.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert!(matches!(ready(poll(&mut task, &Arc::default())), Err(JoinError::Cancelled)));
    });
}

/// An executor for one task, polled by hand.
struct OneTask(Arc<Mutex<Option<FutureObj<'static, ()>>>>);

fn one_task_executor() -> (Runtime, OneTask) {
    let slot = Arc::new(Mutex::new(None));
    (Runtime::new(OneTask(Arc::clone(&slot))), OneTask(slot))
}

impl Spawn for OneTask {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        *self.0.lock().unwrap() = Some(future);
        Ok(())
    }
}

impl OneTask {
    fn poll(&self) {
        let Some(mut future) = self.0.lock().unwrap().take() else {
            return;
        };
        if Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            *self.0.lock().unwrap() = Some(future);
        }
    }

    /// Gives the executor back, for one that is dropped loses its task.
    fn polled_once(self) -> Self {
        self.poll();
        self
    }
}

impl Drop for OneTask {
    fn drop(&mut self) {
        // Taken out first: a task's destructor may spawn.
        let future = self.0.lock().unwrap().take();
        drop(future);
    }
}

struct WaitForEver(#[allow(dead_code, reason = "it is there to be dropped")] CountDrop);

impl Future for WaitForEver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll<T>(task: &mut Task<T>, woken: &Arc<Woken>) -> Poll<Result<T, JoinError>> {
    let waker = Waker::from(Arc::clone(woken));
    Pin::new(task).poll(&mut Context::from_waker(&waker))
}

fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it should be over"),
    }
}
