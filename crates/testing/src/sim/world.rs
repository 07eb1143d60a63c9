//! The world that the tasks of a run live in: spawner, clock, chance and watch, as [`weirs_runtime`] wants
//! them.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::Thread;
use std::time::Duration;

use futures_task::{FutureObj, LocalFutureObj, LocalSpawn, Spawn, SpawnError};
use weirs_runtime::{
    BlockingJob, Clock, Ending, Entropy, Instant, LocalRuntime, LostPanic, PanicOrigin, Runtime,
    SpawnBlocking, Spawned, TaskId, TimerDriver, TimerKey, Verdict, Watch,
};

use super::failure::Cause;
use super::faults::{Faults, Strike};
use super::settings::Settings;
use super::state::{Job, State, Work};
use super::tasks::Tasks;
use super::trace::Trace;

/// What the tasks of a run share. The lock is never held while foreign code runs: polls, and what wakers do
/// when they are cloned, woken and dropped.
#[derive(Debug)]
pub(super) struct World {
    state: Mutex<State>,
    /// Whether the faults have a word in each poll.
    strikes: bool,
    /// The thread of the run: by the address of a thread-local, which is the quickest way to tell.
    home: usize,
    thread: Thread,
    /// What went wrong besides the body; the first thing counts.
    trouble: Mutex<Option<Cause>>,
    troubled: AtomicBool,
    /// How many other threads are about to record what they did.
    recording: AtomicUsize,
}

impl World {
    pub(super) fn new(settings: &Settings) -> Arc<Self> {
        let state = State::new(settings);
        Arc::new(Self {
            strikes: state.has_strikes(),
            state: Mutex::new(state),
            home: here(),
            thread: std::thread::current(),
            trouble: Mutex::new(None),
            troubled: AtomicBool::new(false),
            recording: AtomicUsize::new(0),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Takes the evidence out, when the run is over.
    pub(super) fn take_evidence(&self) -> (Tasks, Trace) {
        let mut state = self.lock();
        (std::mem::take(&mut state.tasks), std::mem::replace(&mut state.trace, Trace::closed()))
    }

    /// What went wrong besides the body.
    pub(super) fn trouble(&self) -> Option<Cause> {
        // Pairs with the store in `set_trouble`; a look without it would do too, a step later.
        if self.troubled.load(Ordering::Acquire) { lock(&self.trouble).clone() } else { None }
    }

    /// The run fails with this at the end of the step.
    fn set_trouble(&self, cause: Cause) {
        lock(&self.trouble).get_or_insert(cause);
        self.troubled.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Whether this is the thread of the run. If not, the run will fail with what the thread did.
    pub(super) fn is_home(&self, what: &'static str) -> bool {
        if here() == self.home {
            return true;
        }
        // Whatever the other thread is up to, and be it at its very end: it must not panic here.
        self.recording.fetch_add(1, Ordering::AcqRel);
        let recorded = catch_unwind(AssertUnwindSafe(|| self.record_foreign(what)));
        self.recording.fetch_sub(1, Ordering::AcqRel);
        drop_quietly(recorded);
        false
    }

    /// Parks, in real time, until another thread interferes, but no longer than this; and longer only while
    /// one is about to say so, for a backtrace takes its time.
    pub(super) fn await_foreign(&self, grace: Duration) {
        if !grace.is_zero() && self.trouble().is_none() {
            std::thread::park_timeout(grace);
        }
        for _ in 0..1000 {
            if self.recording.load(Ordering::Acquire) == 0 {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    #[cold]
    fn record_foreign(&self, what: &'static str) {
        if self.troubled.load(Ordering::Acquire) || self.lock().is_closed() {
            return;
        }
        let thread = std::thread::current().name().unwrap_or("(no name)").to_owned();
        let backtrace = Backtrace::force_capture().to_string();
        self.set_trouble(Cause::ForeignThread { thread, what, backtrace });
    }

    fn lost_panic(&self, lost: &LostPanic<'_>) {
        // What a fault put in is no failure; what comes of it may be.
        if lost.origin == PanicOrigin::Task && lost.message == Faults::PANIC_MESSAGE {
            return;
        }
        self.set_trouble(Cause::LostPanic { message: lost.to_string() });
    }

    /// Reports a panic that struck outside of any task.
    pub(super) fn stray_panic(&self, what: &str, payload: Box<dyn Any + Send>) {
        let payload = weirs_runtime::PanicPayload::new(payload);
        self.set_trouble(Cause::LostPanic { message: format!("{what} panicked: {}", payload.message()) });
        drop_quietly(payload);
    }
}

/// The world's end that runtimes and clocks hold.
#[derive(Clone, Debug)]
struct Hand(Arc<World>);

/// The runtime of this world.
pub(super) fn runtime(world: &Arc<World>) -> Runtime {
    let hand = Hand(Arc::clone(world));
    let told = hand.clone();
    Runtime::with_parts(hand.clone(), clock(&hand))
        .with_blocking(hand.clone())
        .with_watch(Arc::new(hand))
        .with_panic_hook(move |lost| told.0.lost_panic(lost))
}

/// The local runtime of this world; what it spawns goes to `inbox`.
pub(super) fn local_runtime(world: &Arc<World>, inbox: &Inbox) -> LocalRuntime {
    let hand = Hand(Arc::clone(world));
    let told = hand.clone();
    LocalRuntime::with_parts(LocalHand { world: hand.clone(), inbox: Rc::clone(inbox) }, clock(&hand))
        .with_watch(Arc::new(hand))
        .with_panic_hook(move |lost| told.0.lost_panic(lost))
}

fn clock(hand: &Hand) -> Clock {
    Clock::new(hand.clone()).with_entropy(hand.clone())
}

impl Spawn for Hand {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.admit(Work::Future(future))
    }
}

impl SpawnBlocking for Hand {
    fn spawn_blocking(&self, job: BlockingJob) -> Result<(), SpawnError> {
        self.admit(Work::Job(Job(job)))
    }
}

impl Hand {
    /// Takes the announced task in, or drops it where no lock is held.
    fn admit(&self, work: Work) -> Result<(), SpawnError> {
        if self.0.is_home("spawned a task") {
            let mut state = self.0.lock();
            if let Some(task) = state.admit() {
                state.incoming.push((task, work));
                return Ok(());
            }
        }
        Err(SpawnError::shutdown())
    }
}

/// Local futures on their way to the executor. They cannot lie behind the lock, which any thread may take.
pub(super) type Inbox = Rc<RefCell<Vec<(u32, LocalFutureObj<'static, ()>)>>>;

struct LocalHand {
    world: Hand,
    inbox: Inbox,
}

impl LocalSpawn for LocalHand {
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        let task = self.world.0.lock().admit().ok_or_else(SpawnError::shutdown)?;
        self.inbox.borrow_mut().push((task, future));
        Ok(())
    }
}

impl TimerDriver for Hand {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.lock().now)
    }

    fn insert(&self, at: Instant, waker: &Waker) -> Option<TimerKey> {
        self.0.is_home("set a timer of the simulation");
        let waker = waker.clone();
        let mut state = self.0.lock();
        if at.as_nanos() <= state.now {
            drop(state);
            return None;
        }
        let (late, tie, order) = state.new_timer();
        let at = at.as_nanos().saturating_add(late);
        match state.timers() {
            Some(timers) => Some(timers.insert(at, tie, order, waker)),
            // The run is over, and so is its time: this timer never fires.
            None => {
                drop(state);
                Some(TimerKey::new(NonZeroU64::MAX))
            }
        }
    }

    fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        {
            let mut state = self.0.lock();
            let Some(timers) = state.timers() else { return true };
            match timers.get_mut(key) {
                Some(kept) if kept.will_wake(waker) => return true,
                Some(_) => {}
                None => return false,
            }
        }
        let mut waker = waker.clone();
        let mut state = self.0.lock();
        let kept = state.timers().and_then(|timers| timers.get_mut(key));
        let found = kept.map(|kept| std::mem::swap(kept, &mut waker)).is_some();
        drop(state);
        found
    }

    fn remove(&self, key: TimerKey) {
        let removed = self.0.lock().timers().and_then(|timers| timers.remove(key));
        drop(removed);
    }
}

impl Entropy for Hand {
    fn next_u64(&self) -> u64 {
        self.0.is_home("drew a random number of the simulation");
        self.0.lock().chance()
    }
}

impl Watch for Hand {
    fn spawned(&self, task: &Spawned<'_>) {
        if self.0.is_home("spawned a task") {
            self.0.lock().announce(task);
        }
    }

    fn poll_begins(&self, id: TaskId) -> Verdict {
        self.0.is_home("polled a task");
        if !self.0.strikes {
            return Verdict::Poll;
        }
        match self.0.lock().strike(id) {
            None => Verdict::Poll,
            Some(Strike::Cancel) => Verdict::Cancel,
            Some(Strike::Panic) => Verdict::Panic(Box::new(Faults::PANIC_MESSAGE)),
        }
    }

    fn ended(&self, id: TaskId, ending: Ending) {
        self.0.is_home("ended a task");
        self.0.lock().end(id, ending);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No foreign code runs under a lock, so whoever panicked elsewhere left nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that no other living thread has.
fn here() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark) as usize)
}

/// Drops a value; should its destructor panic, then that panic too, and there it ends.
pub(super) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        std::mem::forget(payload);
    }
}
