//! [`Hub`]: who was woken since the last turn, and whom to tell of it.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, lock};
use weirs_runtime::waiting::{let_go, wake};

/// So many things are done in one turn before the others of the executor get theirs.
///
/// Under tokio it must stay well below the 128 waits after which nothing in a task is ready any more: beyond
/// that each poll is in vain, comes again, and makes the whole quadratic.
pub(super) const BUDGET: usize = 64;

const SOURCE: usize = usize::MAX;
const CONSUMER: usize = usize::MAX - 1;

/// Collects the wakes of children, source and consumer, so that only those are polled that were woken.
pub struct Hub {
    woken: Arc<Woken>,
    /// The children to be polled, in the order of their wakes.
    ready: VecDeque<usize>,
    /// Kept for its memory.
    batch: Vec<usize>,
    pub(super) source: Caller,
    pub(super) consumer: Caller,
    /// There may be something to do: the turn was long, or none has been since somebody was woken.
    pub(super) go_on: bool,
}

impl Hub {
    pub(super) fn new() -> Self {
        let woken = Arc::new(Woken::default());
        Self {
            ready: VecDeque::new(),
            batch: Vec::new(),
            source: Caller { ready: true, ..Caller::new(&woken, SOURCE) },
            consumer: Caller::new(&woken, CONSUMER),
            woken,
            go_on: false,
        }
    }

    /// Begins a turn: whoever was woken until now is to be polled in it, or in the next if this gets too
    /// long.
    pub(super) fn begin(&mut self) {
        if !self.woken.some.load(Ordering::Acquire) {
            return;
        }
        self.woken.swap(&mut self.batch);
        // Until a turn has seen to them.
        self.go_on = true;
        for index in self.batch.drain(..) {
            match index {
                SOURCE => self.source.ready = true,
                CONSUMER => self.consumer.ready = true,
                child => self.ready.push_back(child),
            }
        }
    }

    /// The next child to poll.
    pub(super) fn next(&mut self) -> Option<usize> {
        self.ready.pop_front()
    }

    /// A caller for the child in this place.
    pub(super) fn caller(&self, index: usize) -> Caller {
        Caller::new(&self.woken, index)
    }

    /// The child in this place is new: it is polled in this turn.
    pub(super) fn start(&mut self, index: usize) {
        self.ready.push_back(index);
    }

    /// Before the task waits: it is woken with the next child, or at once if there is something to do.
    pub(super) fn rest(&mut self, task: &Waker) {
        let more = mem::take(&mut self.go_on) || self.consumer.ready || !self.ready.is_empty();
        if more || !self.woken.wait(task) {
            task.wake_by_ref();
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.woken.close();
    }
}

/// One of those who are polled: it has a waker of its own.
pub(super) struct Caller {
    signal: Arc<Signal>,
    waker: Waker,
    /// It was woken and not polled since. Children stand in the hub's list instead.
    pub(super) ready: bool,
}

impl Caller {
    fn new(woken: &Arc<Woken>, index: usize) -> Self {
        // Everybody is polled once before the first wake.
        let signal = Arc::new(Signal { woken: Arc::clone(woken), index, queued: AtomicBool::new(true) });
        let waker = Waker::from(Arc::clone(&signal));
        Self { signal, waker, ready: false }
    }

    /// The waker to poll with. From now on it can be woken again.
    pub(super) fn waker(&self) -> &Waker {
        // A read and a write in one: the poll that follows sees what was done before any wake that found the
        // flag set, and so queued nothing.
        self.signal.queued.swap(false, Ordering::AcqRel);
        &self.waker
    }
}

struct Signal {
    woken: Arc<Woken>,
    index: usize,
    /// Whether it stands in a list already: it stands there once.
    queued: AtomicBool,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.woken.add(self.index);
        }
    }
}

/// Those who were woken since the last turn began. No foreign code runs under the lock.
#[derive(Default)]
struct Woken {
    queue: Mutex<Queue>,
    /// Whether there may be any: it spares the lock.
    some: AtomicBool,
}

#[derive(Default)]
struct Queue {
    indices: Vec<usize>,
    task: Option<Waker>,
    closed: bool,
}

impl Woken {
    fn add(&self, index: usize) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        queue.indices.push(index);
        self.some.store(true, Ordering::Release);
        let task = queue.task.take();
        drop(queue);
        task.into_iter().for_each(wake);
    }

    /// Exchanges what is there for an empty list.
    fn swap(&self, empty: &mut Vec<usize>) {
        let mut queue = self.lock();
        self.some.store(false, Ordering::Relaxed);
        mem::swap(&mut queue.indices, empty);
    }

    /// Has `task` woken with the next one. False if one was woken already, and nothing is arranged.
    fn wait(&self, task: &Waker) -> bool {
        let queue = self.lock();
        if !queue.indices.is_empty() {
            return false;
        }
        let known = queue.task.as_ref().is_some_and(|known| known.will_wake(task));
        drop(queue);
        if known {
            return true;
        }
        // Cloning and dropping a waker is foreign code.
        let task = task.clone();
        let mut queue = self.lock();
        let last = queue.task.replace(task);
        let missed = !queue.indices.is_empty();
        drop(queue);
        let_go(last);
        !missed
    }

    fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let task = queue.task.take();
        drop(queue);
        let_go(task);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}
