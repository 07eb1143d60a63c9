//! Threads that drive an executor for as long as a test takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

/// Threads that are told to stop, and joined, when this is dropped.
#[derive(Debug)]
pub(super) struct Workers {
    stop: Arc<Mutex<Signal>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts this many threads; each has to return soon after the future that it is given is ready.
    pub(super) fn start(count: usize, drive: impl Fn(Stopped) + Clone + Send + 'static) -> Self {
        let mut workers = Self { stop: Arc::default(), threads: Vec::with_capacity(count) };
        for _ in 0..count {
            let stopped = Stopped(Arc::clone(&workers.stop));
            let drive = drive.clone();
            let thread = thread::Builder::new().name("weirs-worker".to_owned()).spawn(move || drive(stopped));
            workers.threads.push(thread.expect("the system gives a thread to a test"));
        }
        workers
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let wakers = {
            let mut signal = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
            signal.given = true;
            std::mem::take(&mut signal.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
        let mut panicked = false;
        for thread in self.threads.drain(..) {
            panicked |= thread.join().is_err();
        }
        // What panics in a task must not reach the executor's thread.
        assert!(!panicked || thread::panicking(), "a thread of the executor panicked");
    }
}

/// Is ready when the workers are to stop.
#[derive(Debug)]
pub(super) struct Stopped(Arc<Mutex<Signal>>);

#[derive(Debug, Default)]
struct Signal {
    given: bool,
    wakers: Vec<Waker>,
}

impl Future for Stopped {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut signal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if signal.given {
            return Poll::Ready(());
        }
        signal.wakers.push(waker);
        Poll::Pending
    }
}
