//! One door to locks.

use std::sync::{Mutex, MutexGuard};

/// Locks, whether or not a holder panicked: what these locks guard is never left half-changed by user code,
/// because no user code runs while they are held.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
