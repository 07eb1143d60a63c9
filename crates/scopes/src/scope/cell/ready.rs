//! [`Ready`]: which children want to be polled, in the order in which they were woken.
//!
//! A stack of headers that whoever polls takes as a whole, and turns round: so a wake is one exchange, and
//! nobody waits for anybody. Its links are in the headers; who may touch them when is told in
//! [`cell`](super). Children that are new wait in a list of their scope's, see [`List`](super::List).

use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;
use std::task::Waker;

use crate::scope::header::Header;
use crate::sync::{AtomicPtr, AtomicUsize, Mutex, Ordering, lock};

/// Whoever polls has left its waker.
const PARKED: *mut Header = ptr::without_provenance_mut(1);
/// Nobody will ever poll again.
const CLOSED: *mut Header = ptr::without_provenance_mut(2);

/// The woken, and whoever polls them.
pub(crate) struct Ready {
    /// Null, [`PARKED`], [`CLOSED`], or the header that was pushed last.
    top: AtomicPtr<Header>,
    /// Who is woken by the first push after a parking. Whoever exchanges `PARKED` for a header takes it and
    /// wakes it; if the waker of a later parking has come in between, that one is woken for nothing.
    parked: Mutex<Option<Waker>>,
    /// How many children were spawned: whoever is woken comes after all of them.
    pub(in crate::scope) spawned: AtomicU64,
    /// How many [`ReadyRef`]s there are, or may be made.
    count: AtomicUsize,
}

/// A count of a [`Ready`].
pub(crate) struct ReadyRef(NonNull<Ready>);

// SAFETY: what it leads to may be shared.
unsafe impl Send for ReadyRef {}
// SAFETY: the same.
unsafe impl Sync for ReadyRef {}

impl ReadyRef {
    pub(crate) fn new() -> Self {
        let ready = Ready {
            top: AtomicPtr::new(ptr::null_mut()),
            parked: Mutex::new(None),
            spawned: AtomicU64::new(0),
            count: AtomicUsize::new(1),
        };
        Self(NonNull::from(Box::leak(Box::new(ready))))
    }
}

impl Clone for ReadyRef {
    fn clone(&self) -> Self {
        self.count.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl Deref for ReadyRef {
    type Target = Ready;

    #[inline]
    fn deref(&self) -> &Ready {
        // SAFETY: it is counted.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for ReadyRef {
    fn drop(&mut self) {
        give_up(self.0, 1);
    }
}

/// Gives up so many counts that the caller has.
fn give_up(ready: NonNull<Ready>, counts: usize) {
    // SAFETY: by the caller's word.
    if unsafe { ready.as_ref() }.count.fetch_sub(counts, Ordering::AcqRel) == counts {
        // SAFETY: nobody else has it; it came from a box.
        drop(unsafe { Box::from_raw(ready.as_ptr()) });
    }
}

/// Counts in store, so that a child costs no exchange of them.
pub(crate) struct Store {
    ready: ReadyRef,
    spare: usize,
}

/// So many counts are taken at a time.
const STOCK: usize = 64;

impl Store {
    pub(crate) fn new(ready: ReadyRef) -> Self {
        Self { ready, spare: 0 }
    }

    #[inline]
    pub(crate) fn take(&mut self) -> ReadyRef {
        if self.spare == 0 {
            self.ready.count.fetch_add(STOCK, Ordering::Relaxed);
            self.spare = STOCK;
        }
        self.spare -= 1;
        ReadyRef(self.ready.0)
    }

    /// Takes back one that is of the same queue.
    #[inline]
    pub(crate) fn put(&mut self, ready: ReadyRef) {
        if ready.0 == self.ready.0 {
            self.spare += 1;
            std::mem::forget(ready);
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.spare > 0 {
            give_up(self.ready.0, self.spare);
        }
    }
}

/// What came of a push.
pub(crate) enum Pushed {
    /// The next look at the queue will find it.
    Queued,
    /// The same, and this one is to be woken for it.
    First(Waker),
    /// Nobody will look.
    Closed,
}

impl Pushed {
    /// Wakes whoever is to be.
    #[inline]
    pub(crate) fn wake(self) {
        if let Self::First(waker) = self {
            waker.wake();
        }
    }
}

impl Ready {
    /// Puts a header on top; `link` is told which one comes below it.
    #[inline]
    pub(super) fn push(&self, header: *mut Header, link: impl Fn(*const Header)) -> Pushed {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            if top == CLOSED {
                return Pushed::Closed;
            }
            link(if top == PARKED { ptr::null() } else { top });
            // The release pairs with `take`, which sees the link.
            match self.top.compare_exchange_weak(top, header, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => top = now,
            }
        }
        if top != PARKED {
            return Pushed::Queued;
        }
        match lock(&self.parked).take() {
            Some(waker) => Pushed::First(waker),
            None => Pushed::Queued,
        }
    }

    /// Takes all headers, the last pushed on top; null when there are none.
    #[inline]
    pub(super) fn take(&self) -> *const Header {
        let top = self.top.load(Ordering::Relaxed);
        if top.is_null() || top == PARKED || top == CLOSED {
            return ptr::null();
        }
        // From now on it is neither null nor parked before this very place takes it.
        self.top.swap(ptr::null_mut(), Ordering::AcqRel)
    }

    /// Takes all headers for the last time, and the waker that was left.
    pub(super) fn close(&self) -> (*const Header, Option<Waker>) {
        let top = self.top.swap(CLOSED, Ordering::AcqRel);
        let parked = lock(&self.parked).take();
        (if top == PARKED || top == CLOSED { ptr::null() } else { top }, parked)
    }

    /// Leaves the waker to be woken by the next push; `false` when there is something to look at already.
    pub(super) fn park(&self, waker: &Waker) -> bool {
        let same = |parked: &Option<Waker>| parked.as_ref().is_some_and(|parked| parked.will_wake(waker));
        let stays = same(&lock(&self.parked));
        if !stays {
            // Both are user code, and run outside the lock.
            let waker = waker.clone();
            let before = lock(&self.parked).replace(waker);
            drop(before);
        }
        let parked = self.top.compare_exchange(ptr::null_mut(), PARKED, Ordering::AcqRel, Ordering::Relaxed);
        match parked {
            Ok(_) => true,
            Err(now) => now == PARKED,
        }
    }
}
