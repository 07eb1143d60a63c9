//! The thread that takes the signals and hands them to whoever listens.

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use signal_hook::iterator::{Handle, Signals as Source};

use super::Signal;

/// Who listens. Wakers are woken and dropped after the lock was let go.
static HUB: Mutex<Hub> = Mutex::new(Hub { handle: None, listeners: Vec::new() });

struct Hub {
    /// Adds signals to what the thread waits for; none before it was started.
    handle: Option<Handle>,
    listeners: Vec<Arc<Listener>>,
}

/// Someone who listens.
pub(super) struct Listener {
    signals: Vec<Signal>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What has come and was not taken: each signal once, with its number, in the order of their coming.
    pending: Vec<(Signal, u32)>,
    waker: Option<Waker>,
    /// How many have come, since the count began.
    seen: u32,
    /// The one of so many signals that ends the process.
    deadly: Option<u32>,
}

/// Registers a listener, after the thread was started and the handlers installed.
pub(super) fn listen(signals: Vec<Signal>) -> io::Result<Arc<Listener>> {
    let mut hub = lock(&HUB);
    let handle = match &mut hub.handle {
        Some(handle) => handle,
        none => none.insert(start()?),
    };
    let listener = Arc::new(Listener { signals, state: Mutex::default() });
    for signal in &listener.signals {
        // A signal that is there already is added once. Nobody removes one: the handler that the system
        // knows stays for good, so somebody has to be there who does what the default was.
        handle.add_signal(signal.number())?;
    }
    hub.listeners.push(Arc::clone(&listener));
    Ok(listener)
}

/// Forgets a listener.
pub(super) fn leave(listener: &Arc<Listener>) {
    let mut hub = lock(&HUB);
    hub.listeners.retain(|other| !Arc::ptr_eq(other, listener));
    drop(hub);
    let waker = lock(&listener.state).waker.take();
    drop(waker);
}

impl Listener {
    pub(super) fn signals(&self) -> &[Signal] {
        &self.signals
    }

    pub(super) fn take(&self) -> Option<Signal> {
        lock(&self.state).take()
    }

    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Signal> {
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        let (poll, last) = match state.take() {
            Some(signal) => (Poll::Ready(signal), Some(waker)),
            None => (Poll::Pending, state.waker.replace(waker)),
        };
        drop(state);
        drop(last);
        poll
    }

    /// Counts anew, beginning with what has come and was not taken.
    pub(super) fn count_from_here(&self) {
        let mut state = lock(&self.state);
        state.seen = state.pending.iter().fold(0, |sum, entry| entry.1.saturating_add(sum));
    }

    /// The signal with this number ends the process, and those that come after it if it could not.
    pub(super) fn dies_at(&self, number: u32) {
        lock(&self.state).deadly = Some(number);
    }

    /// Notes a signal. Gives whom to wake, and whether the process has to end.
    fn note(&self, signal: Signal) -> (Option<Waker>, bool) {
        let mut state = lock(&self.state);
        state.seen = state.seen.saturating_add(1);
        match state.pending.iter_mut().find(|entry| entry.0 == signal) {
            Some(entry) => entry.1 = entry.1.saturating_add(1),
            None => state.pending.push((signal, 1)),
        }
        let deadly = state.deadly.is_some_and(|deadly| state.seen >= deadly);
        (state.waker.take(), deadly)
    }
}

impl State {
    fn take(&mut self) -> Option<Signal> {
        let (signal, number) = self.pending.first_mut()?;
        let signal = *signal;
        *number -= 1;
        if *number == 0 {
            self.pending.remove(0);
        } else {
            // The others had come before it came again, as far as can be told.
            self.pending.rotate_left(1);
        }
        Some(signal)
    }
}

/// Starts the thread.
fn start() -> io::Result<Handle> {
    const NONE: [i32; 0] = [];
    let mut source = Source::new(NONE)?;
    let handle = source.handle();
    thread::Builder::new().name("weirs-signals".into()).spawn(move || {
        for number in source.forever() {
            if let Some(signal) = Signal::from_number(number) {
                hand_out(signal);
            }
        }
    })?;
    Ok(handle)
}

/// Tells all who listen for the signal. With nobody there, or one for whom this was the last, the default
/// happens.
fn hand_out(signal: Signal) {
    let hub = lock(&HUB);
    let (mut heard, mut deadly, mut wakers) = (false, false, Vec::new());
    for listener in hub.listeners.iter().filter(|listener| listener.signals.contains(&signal)) {
        let (waker, ends) = listener.note(signal);
        heard = true;
        deadly |= ends;
        wakers.extend(waker);
    }
    drop(hub);
    if deadly || !heard {
        // It returns only for a signal that is ignored by default, or if the system refuses: then there is
        // nobody to tell.
        let _ = signal.default_action();
    }
    for waker in wakers {
        // One executor's panic is not to keep the signal from the others, nor end this thread.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            mem::forget(payload);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_is_counted_and_keeps_its_order() {
        use Signal::{Hangup, Interrupt};

        let listener = Listener { signals: vec![Interrupt, Hangup], state: Mutex::default() };
        for signal in [Interrupt, Hangup, Interrupt, Interrupt] {
            let (waker, deadly) = listener.note(signal);
            assert!(waker.is_none() && !deadly);
        }
        let taken: Vec<Signal> = std::iter::from_fn(|| listener.take()).collect();
        assert_eq!(taken, [Interrupt, Hangup, Interrupt, Interrupt]);
    }

    #[test]
    fn the_third_is_deadly_whether_the_others_were_taken_or_not() {
        let listener = Listener { signals: vec![Signal::Interrupt], state: Mutex::default() };
        // One that was taken before does not count, one that was not does.
        assert!(!listener.note(Signal::Interrupt).1 && listener.take().is_some());
        assert!(!listener.note(Signal::Interrupt).1);
        listener.count_from_here();
        listener.dies_at(3);
        let deadly = [(); 3].map(|()| listener.note(Signal::Interrupt).1);
        assert_eq!(deadly, [false, true, true]);
    }
}
