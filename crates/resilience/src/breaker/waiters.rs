//! [`Waiters`]: those who want to know when the circuit changes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use super::sync::{AtomicUsize, Mutex, Ordering, lock};

/// A place for each. Wakers are user code: cloned, woken and dropped outside the lock.
#[derive(Default)]
pub(super) struct Waiters {
    waiting: AtomicUsize,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Waiters {
    /// Wakes this one at the next change. To be called before one looks at the circuit.
    pub(super) fn register(&self, key: &mut Option<usize>, waker: &Waker) {
        let mut waker = Some(waker.clone());
        let mut places = lock(&self.places);
        let key = *key.get_or_insert_with(|| {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            places.free.pop().unwrap_or_else(|| {
                places.wakers.push(None);
                places.wakers.len() - 1
            })
        });
        std::mem::swap(&mut places.wakers[key], &mut waker);
        drop(places);
        drop(waker);
    }

    pub(super) fn leave(&self, key: &mut Option<usize>) {
        let Some(key) = key.take() else { return };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let mut places = lock(&self.places);
        let gone = places.wakers[key].take();
        places.free.push(key);
        drop(places);
        drop(gone);
    }

    /// Wakes all. To be called after the circuit changed.
    #[inline]
    pub(super) fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.wake_all();
        }
    }

    #[cold]
    fn wake_all(&self) {
        let wakers: Vec<_> = lock(&self.places).wakers.iter_mut().filter_map(Option::take).collect();
        for waker in wakers {
            // A waker that panics keeps nobody else from being woken, and is no panic of the call.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}
