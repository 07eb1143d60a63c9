//! One door to locks and atomics. What the models in `tests/models` look at has a door of its own, to loom's
//! under `--cfg loom`: so they check the very code that ships.

use std::sync::{Mutex, MutexGuard};

/// Locks, whether or not a holder panicked: what these locks guard is never left half-changed by user code,
/// because no user code runs while they are held.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The door for queues and answers.
pub(crate) mod modelled {
    #[cfg(loom)]
    pub(crate) use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    };
    #[cfg(not(loom))]
    pub(crate) use std::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    };

    /// As the other.
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
