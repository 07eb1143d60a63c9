//! [`AcquireKey`]: waiting for the cells of a key.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Name, Shared};
use crate::{Denied, Grant, Waiting};

/// The future of [`Keyed::acquire`](super::Keyed::acquire) and its sibling. Polled again after its end it
/// asks anew.
#[must_use = "it does nothing unless it is awaited"]
pub struct AcquireKey<'a, K: ?Sized> {
    shared: &'a Shared<K>,
    key: &'a K,
    name: Name,
    waiting: Waiting,
}

impl<'a, K: Hash + ?Sized + 'static> AcquireKey<'a, K> {
    pub(super) fn new(shared: &'a Shared<K>, key: &'a K, waiting: Waiting) -> Self {
        Self { shared, key, name: shared.name(key), waiting }
    }
}

impl<K: ?Sized> Future for AcquireKey<'_, K> {
    type Output = Result<Grant, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.shared.poll(Some(this.key), this.name, &mut this.waiting, cx)
    }
}

impl<K: ?Sized> Drop for AcquireKey<'_, K> {
    fn drop(&mut self) {
        self.shared.cancel(self.name, &mut self.waiting);
    }
}

impl<K: ?Sized> fmt::Debug for AcquireKey<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireKey").field("n", &self.waiting.cost()).finish_non_exhaustive()
    }
}
