//! [`Real`]: the process's real clock, and the one thread that its timers live on.
//!
//! The thread is named `weirs-clock`. It starts with the first timer, wakes at the very nanosecond of the
//! next one as far as the system lets it, and parks for ever when nothing is due. Only a timer that is
//! earlier than all others disturbs it. It does not keep the process alive.
//!
//! Neither the thread nor its timers survive a `fork`: a child process may `exec`, but not go on to sleep.
#![allow(clippy::disallowed_methods, reason = "this is where real time comes from")]

#[cfg_attr(target_os = "linux", path = "real/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "real/portable.rs")]
mod time;

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::task::Waker;
use std::thread::{self, Thread};
use std::time::Duration;

use super::wheel::{NEVER, Timers};
use crate::instant::ClockId;
use crate::sync::{Mutex, lock};
use crate::{Instant, TimerDriver, TimerKey};

pub(crate) use time::from_std;
use time::nanos_now;

/// Real time, counted from some moment that is the same for the whole process.
///
/// When the system refuses to start the thread, sleeps end all the same, at a price: each is woken at once
/// and as often as it is polled, until its time has come or the thread could be started.
pub(crate) struct Real;

impl TimerDriver for Real {
    #[inline]
    fn now(&self) -> Instant {
        Instant::from_nanos(nanos_now()).of_clock(ClockId::REAL)
    }

    #[inline]
    fn insert(&self, at: Instant, waker: &Waker) -> Option<TimerKey> {
        let number = count_insert();
        DRIVER.insert(number, at.as_nanos(), waker)
    }

    fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        DRIVER.timers.refresh(key, waker)
    }

    fn remove(&self, key: TimerKey) {
        DRIVER.timers.remove(key);
    }
}

/// About the current time: never ahead of it.
#[inline]
pub(crate) fn coarse_now() -> Instant {
    Instant::from_nanos(time::coarse_nanos_now()).of_clock(ClockId::REAL)
}

/// Whether `at` has come.
///
/// Most sleeps are polled long before their time. Where a coarse clock tells that much, the exact one, which
/// costs four times as much, is not asked. A coarse clock that lags by more than the margin, as one may
/// whose processor was taken away, makes a sleep register that could have ended: the thread then ends it at
/// once.
#[inline]
pub(crate) fn has_come(at: Instant) -> bool {
    !time::is_surely_before(at.as_nanos()) && nanos_now() >= at.as_nanos()
}

/// How many timers of the real clock this thread has inserted so far.
///
/// The simulator compares it before and after a step to find out code that sleeps in real time.
pub(crate) fn inserted_by_this_thread() -> u64 {
    LOCAL.get().inserted
}

static DRIVER: LazyLock<Driver> = LazyLock::new(|| Driver::new(shards_for_this_machine(), spawn_thread));

/// The timers, and the thread that fires them.
struct Driver {
    timers: Timers,
    thread: OnceLock<Thread>,
    starting: Mutex<()>,
    spawn: fn(&'static Self) -> io::Result<Thread>,
}

impl Driver {
    fn new(shards: usize, spawn: fn(&'static Self) -> io::Result<Thread>) -> Self {
        Self { timers: Timers::new(shards), thread: OnceLock::new(), starting: Mutex::new(()), spawn }
    }

    /// `number` is any number of the calling thread: those of one thread share a shard.
    fn insert(&'static self, number: usize, at: u64, waker: &Waker) -> Option<TimerKey> {
        // A timer is registered only when the thread that fires it runs; so none can be forgotten.
        let Some(thread) = self.thread.get().or_else(|| self.start()) else {
            waker.wake_by_ref();
            return Some(Timers::dead_key());
        };
        let inserted = self.timers.insert(number % self.timers.shards(), at, waker)?;
        if inserted.lowered_alarm {
            thread.unpark();
        }
        Some(inserted.key)
    }

    #[cold]
    fn start(&'static self) -> Option<&'static Thread> {
        let _starting = lock(&self.starting);
        if self.thread.get().is_none() {
            let thread = (self.spawn)(self).ok()?;
            self.thread.get_or_init(|| thread);
        }
        self.thread.get()
    }

    fn run(&self) {
        #[cfg(target_os = "linux")]
        ask_for_exact_timeouts();
        let mut batch = Vec::new();
        let mut rest_until = 0;
        loop {
            let (now, alarm) = (nanos_now(), self.timers.alarm());
            let due = alarm.max(rest_until);
            if due <= now {
                self.timers.fire(now, &mut batch);
                if self.timers.alarm() > now {
                    rest_until = now + REST;
                }
            } else if alarm == NEVER {
                thread::park();
            } else {
                thread::park_timeout(Duration::from_nanos(due - now));
            }
        }
    }
}

/// How long the thread rests after it has fired, in nanoseconds, so that a crowd of timers is fired in
/// strokes. Timers that lie further apart than this are not touched by it. Without it, 200,000 sleeps within
/// a second cost a third more processor time.
const REST: u64 = 50_000;

fn spawn_thread(driver: &'static Driver) -> io::Result<Thread> {
    let thread = thread::Builder::new().name("weirs-clock".into()).spawn(|| driver.run())?;
    Ok(thread.thread().clone())
}

/// Asks Linux to end this thread's timeouts on time. By default it takes the liberty of 50 microseconds,
/// which is twice what waking a thread costs; where `/proc` is not to be had, it stays with that.
#[cfg(target_os = "linux")]
fn ask_for_exact_timeouts() {
    // The link reads `<process>/task/<thread>`, but the setting is found only under the thread's own number.
    let Ok(link) = std::fs::read_link("/proc/thread-self") else { return };
    let Some(number) = link.file_name() else { return };
    let setting = std::path::Path::new("/proc").join(number).join("timerslack_ns");
    let _ = std::fs::write(setting, "1");
}

/// One shard for each core: with one for two, two threads that do nothing but start and drop timers took five
/// times as long. Each costs the clock's thread a look at every turn.
fn shards_for_this_machine() -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    cores.min(Timers::MAX_SHARDS)
}

/// What the clock knows of a thread.
#[derive(Clone, Copy)]
struct Local {
    /// Zero until the first insert, then one of its own.
    number: usize,
    inserted: u64,
}

thread_local! {
    static LOCAL: Cell<Local> = const { Cell::new(Local { number: 0, inserted: 0 }) };
}

/// Counts an insert for this thread, and gives the thread's number.
fn count_insert() -> usize {
    static NUMBERS: AtomicUsize = AtomicUsize::new(1);
    let mut local = LOCAL.get();
    if local.number == 0 {
        local.number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    }
    local.inserted += 1;
    LOCAL.set(local);
    local.number
}
