//! [`Permit`] and [`OwnedPermit`]: what is held of a semaphore.

use std::fmt;
use std::mem::forget;
use std::sync::Arc;

use super::Semaphore;

/// Permits of a semaphore. Dropped, they are given back.
///
/// # Examples
/// ```
/// use weirs_limiters::Semaphore;
///
/// let semaphore = Semaphore::new(10);
/// let mut all = semaphore.try_acquire(10).unwrap();
/// let three = all.split(3).unwrap();
/// assert_eq!((all.permits(), three.permits()), (7, 3));
/// drop(all);
/// assert_eq!(semaphore.available(), 7);
/// three.forget();
/// assert_eq!(semaphore.capacity(), 7);
/// ```
#[must_use = "permits are given back when they are dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    n: u64,
}

/// Permits that keep their semaphore. Dropped, they are given back.
#[must_use = "permits are given back when they are dropped"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    n: u64,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, n: u64) -> Self {
        Self { semaphore, n }
    }

    /// How many.
    pub fn permits(&self) -> u64 {
        self.n
    }

    /// Takes `n` of them into a permit of their own; none if there are not so many.
    pub fn split(&mut self, n: u64) -> Option<Self> {
        self.n = self.n.checked_sub(n)?;
        Some(Self { semaphore: self.semaphore, n })
    }

    /// Takes the other's permits as well.
    ///
    /// # Panics
    /// When they are of another semaphore; both are then given back as ever.
    #[track_caller]
    pub fn merge(&mut self, other: Self) {
        assert!(std::ptr::eq(self.semaphore, other.semaphore), "permits of two semaphores do not merge");
        self.n += other.n;
        forget(other);
    }

    /// Never gives them back: the capacity is less by them from now on.
    pub fn forget(self) {
        self.semaphore.forget(self.n);
        forget(self);
    }
}

impl OwnedPermit {
    #[inline]
    pub(super) fn new(semaphore: Arc<Semaphore>, n: u64) -> Self {
        Self { semaphore, n }
    }

    /// How many.
    pub fn permits(&self) -> u64 {
        self.n
    }

    /// The semaphore that they are of.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// Takes `n` of them into a permit of their own; none if there are not so many.
    pub fn split(&mut self, n: u64) -> Option<Self> {
        self.n = self.n.checked_sub(n)?;
        Some(Self { semaphore: Arc::clone(&self.semaphore), n })
    }

    /// Takes the other's permits as well.
    ///
    /// # Panics
    /// When they are of another semaphore; both are then given back as ever.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(Arc::ptr_eq(&self.semaphore, &other.semaphore), "permits of two semaphores do not merge");
        self.n += std::mem::take(&mut other.n);
    }

    /// Never gives them back: the capacity is less by them from now on.
    pub fn forget(mut self) {
        self.semaphore.forget(std::mem::take(&mut self.n));
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.give_back(self.n);
    }
}

impl Drop for OwnedPermit {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.give_back(self.n);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("permits", &self.n).finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("permits", &self.n).finish_non_exhaustive()
    }
}
