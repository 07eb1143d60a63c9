//! [`GetCached`]: the future of [`Cache::get`].

use std::borrow::{Borrow, ToOwned};
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::Cache;
use super::seat::{Seat, Tally, Turns, unpack};
use crate::{Error, EventKind, Place};

pin_project! {
    /// The future of [`Cache::get`].
    #[must_use = "a call does nothing unless it is awaited"]
    pub struct GetCached<'c, K, Q: ?Sized, T, E, F, Fut> {
        cache: &'c Cache<K, T, E>,
        key: &'c Q,
        fetch: Option<F>,
        #[pin]
        running: Option<Fut>,
        // It comes after the work: whoever takes over must find that gone.
        seat: Seat<&'c Cache<K, T, E>>,
    }
}

impl<'c, K, Q: ?Sized, T, E, F, Fut> GetCached<'c, K, Q, T, E, F, Fut> {
    pub(super) fn new(cache: &'c Cache<K, T, E>, key: &'c Q, fetch: F) -> Self {
        Self { cache, key, fetch: Some(fetch), running: None, seat: Seat::default() }
    }
}

impl<K, Q, T, E, F, Fut> Future for GetCached<'_, K, Q, T, E, F, Fut>
where
    K: Borrow<Q>,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    T: Clone,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, Error<E>>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let cache = *this.cache;
        if !this.seat.is_taken() {
            if let Some(hit) = cache.enter(*this.key, this.seat) {
                Tally::count(&cache.tally.hits);
                return Poll::Ready(unpack(&cache.terms, &cache.tally, &hit).0);
            }
        }
        let (result, old) = match this.seat.poll(cx.waker()) {
            Turns::Wait => return Poll::Pending,
            Turns::End(settled) => settled,
            Turns::Lead => {
                if this.running.is_none() {
                    let fetch = this.fetch.take().expect("it is not polled after its end");
                    this.running.set(Some(fetch()));
                }
                let Some(running) = this.running.as_mut().as_pin_mut() else { unreachable!("it was begun") };
                let result = ready!(running.poll(cx));
                this.running.set(None);
                this.seat.finish(result)
            }
        };
        if let Some(age) = old {
            cache.around.tell(Place::ALONE, EventKind::ServedStale { age });
        }
        Poll::Ready(result)
    }
}

impl<K, Q: ?Sized, T, E, F, Fut> fmt::Debug for GetCached<'_, K, Q, T, E, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetCached").field("seat", &self.seat).finish_non_exhaustive()
    }
}
