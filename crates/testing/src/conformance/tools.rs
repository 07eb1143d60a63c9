//! What several checks need.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread::{self, ThreadId};

use weirs_runtime::{BlockingJob, LostPanic, PanicOrigin, Runtime, SpawnBlocking};

/// Tells whether something was dropped, and on which thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Dropped(Arc<Mutex<Option<ThreadId>>>);

impl Dropped {
    /// What is to be dropped.
    pub(super) fn on_drop(&self) -> OnDrop {
        OnDrop(self.clone())
    }

    pub(super) fn is_set(&self) -> bool {
        self.thread().is_some()
    }

    pub(super) fn thread(&self) -> Option<ThreadId> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct OnDrop(Dropped);

impl Drop for OnDrop {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current().id());
    }
}

/// Panics when it is dropped.
#[derive(Debug)]
pub(super) struct PanicsInDrop(pub(super) &'static str);

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        // Two panics at once would end the process, and tell nothing about the runtime.
        if !thread::panicking() {
            panic_quietly(self.0);
        }
    }
}

/// Panics without the process's panic hook, which would write to everybody's standard error.
pub(super) fn panic_quietly(message: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(message))
}

/// A flag to set in one place and look at in another.
#[derive(Clone, Debug, Default)]
pub(super) struct Flag(Arc<AtomicBool>);

impl Flag {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A place for one value, and for one who waits for it.
#[derive(Debug)]
pub(super) struct Slot<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

impl<T> Slot<T> {
    pub(super) fn put(&self, value: T) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.0 = Some(value);
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn try_take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.take()
    }

    pub(super) async fn take(&self) -> T {
        poll_fn(|cx| {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.1 = Some(cx.waker().clone());
            slot.0.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((None, None))))
    }
}

/// A lost panic, in words that last.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) name: Option<String>,
    pub(super) line: u32,
    pub(super) file: &'static str,
    pub(super) origin: PanicOrigin,
    pub(super) message: String,
}

/// The runtime with a hook that collects.
#[derive(Clone, Debug, Default)]
pub(super) struct LostPanics(Arc<Mutex<Vec<Lost>>>);

impl LostPanics {
    pub(super) fn of(runtime: &Runtime) -> (Runtime, Self) {
        let panics = Self::default();
        let all = panics.clone();
        let hook = move |lost: &LostPanic<'_>| {
            let lost = Lost {
                name: lost.name.map(str::to_owned),
                line: lost.location.line(),
                file: lost.location.file(),
                origin: lost.origin,
                message: lost.message.to_owned(),
            };
            all.0.lock().unwrap_or_else(PoisonError::into_inner).push(lost);
        };
        (runtime.with_panic_hook(hook), panics)
    }

    pub(super) fn all(&self) -> Vec<Lost> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the first is there, and gives all.
    pub(super) async fn first(&self, runtime: &Runtime) -> Vec<Lost> {
        until(runtime, || !self.all().is_empty()).await;
        self.all()
    }
}

/// Waits for something that nobody wakes us for.
pub(super) async fn until(runtime: &Runtime, mut condition: impl FnMut() -> bool) {
    while !condition() {
        runtime.clock().sleep(std::time::Duration::from_micros(200)).await;
    }
}

/// Keeps blocking jobs until it is told to run them, on the thread that says so.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Mutex<Vec<BlockingJob>>>);

impl Queue {
    pub(super) fn run_all(&self) {
        let jobs = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        jobs.into_iter().for_each(|job| job());
    }
}

impl SpawnBlocking for Queue {
    fn spawn_blocking(&self, job: BlockingJob) -> Result<(), futures_task::SpawnError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(job);
        Ok(())
    }
}
