//! Several futures at once: panics, and dropping them at any point.

use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::{FutureExt, Stream, StreamExt, stream};
use weirs_channels_utils::StreamUtil;
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, yields};

fn n(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

/// Items that come with a pause now and then.
fn halting(items: usize, pauses: usize) -> impl Stream<Item = usize> {
    stream::iter(0..items).then(move |item| async move {
        yields(if item % 3 == 0 { pauses } else { 0 }).await;
        item
    })
}

#[apply(runtime_test)]
async fn they_may_be_dropped_at_any_point(_: Runtime) {
    let in_flight = InFlight::new();
    let work = |item: usize| {
        let guard = in_flight.enter();
        async move {
            yields(item % 4).await;
            drop(guard);
            item
        }
    };
    let fallible = |item: usize| {
        let work = work(item);
        async move { if work.await == 70 { Err(()) } else { Ok(()) } }
    };
    let source = || Box::pin(halting(80, 1));
    let check = async |_: usize| assert_eq!(in_flight.now(), 0);
    macro_rules! check {
        ($make:expr) => {
            cancel_at_every_poll($make, |k| check(k)).await;
            cancel_at_every_wake($make, |k| check(k)).await;
        };
    }
    check!(|| source().map_concurrent(n(5), work).count());
    check!(|| source().map_concurrent_unordered(n(5), work).count());
    check!(|| source().map_by_key(|item| item % 3, n(2), n(2), work).count());
    check!(|| source().run_concurrent(n(5), |item| work(item).map(drop)));
    check!(|| source().try_run_concurrent(n(5), fallible));
    check!(|| source().map_concurrent(n(5), work).for_each_with(|item| yields(item % 3)));
    check!(|| source().map_concurrent(n(5), work).drive(|results| results.for_each(|item| yields(item % 3))));
}

/// Between two polls of the stream's consumer nothing is lost: what is finished stays.
#[apply(runtime_test)]
async fn waiting_for_a_result_may_be_given_up(_: Runtime) {
    let mut results = Box::pin(halting(300, 2)).map_concurrent(n(4), async |item| {
        yields(item % 5).await;
        item
    });
    let mut all = Vec::new();
    loop {
        match futures_lite::future::poll_once(results.next()).await {
            Some(Some(item)) => all.push(item),
            Some(None) => break,
            None => yields(1).await,
        }
    }
    assert!(all.into_iter().eq(0..300));
}

#[test]
fn a_panic_loses_only_what_panicked() {
    let work = |item: usize| {
        assert_ne!(item, 3, "in the function");
        async move {
            yields(item % 3).await;
            assert_ne!(item, 7, "in the future");
            item
        }
    };
    fn collect<S: Stream<Item = usize> + Unpin>(mut results: S) -> (Vec<usize>, usize) {
        let (mut all, mut panics) = (Vec::new(), 0);
        loop {
            match catch_unwind(AssertUnwindSafe(|| block_on(results.next()))) {
                Ok(Some(item)) => all.push(item),
                Ok(None) => return (all, panics),
                Err(_) => panics += 1,
            }
        }
    }
    let expected = [0, 1, 2, 4, 5, 6, 8, 9];
    assert_eq!(collect(stream::iter(0..10).map_concurrent(n(3), work)), (expected.to_vec(), 2));
    let (mut all, panics) = collect(stream::iter(0..10).map_concurrent_unordered(n(3), work));
    all.sort_unstable();
    assert_eq!((all, panics), (expected.to_vec(), 2));
    let (mut all, panics) = collect(stream::iter(0..10).map_by_key(|item| item % 2, n(2), n(2), work));
    all.sort_unstable();
    assert_eq!((all, panics), (expected.to_vec(), 2));
    let source = stream::iter(0..10).inspect(|item| assert_ne!(*item, 4, "in the source"));
    assert_eq!(collect(source.map_concurrent(n(3), async |item| item)).0, [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    let keys = |item: &usize| {
        assert_ne!(*item, 5, "in the key");
        item % 2
    };
    let results = stream::iter(0..10).map_by_key(keys, n(2), n(2), async |item| item);
    assert_eq!(collect(results).0.len(), 9);
}

#[test]
fn a_panic_in_a_body_loses_only_that_body() {
    let seen = Mutex::new(Vec::new());
    let squares = stream::iter(0..10).map_concurrent(n(3), async |item| item);
    let mut all = Box::pin(squares.for_each_with(async |item| {
        yields(1).await;
        assert_ne!(item, 4);
        seen.lock().unwrap().push(item);
    }));
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(&mut all))).is_err());
    block_on(&mut all);
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
}

/// A future whose destructor panics, and that tells when it is dropped.
struct Bomb<'a>(&'a AtomicUsize, bool);

impl Future for Bomb<'_> {
    type Output = Result<(), ()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        if self.1 { Poll::Ready(Err(())) } else { Poll::Pending }
    }
}

impl Drop for Bomb<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("in a destructor");
    }
}

#[test]
fn panics_of_destructors_wait_until_all_are_dropped() {
    let dropped = AtomicUsize::new(0);
    let all = stream::iter(0..5).try_run_concurrent(n(8), |item| Bomb(&dropped, item == 2));
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(all))).is_err());
    assert_eq!(dropped.swap(0, Ordering::Relaxed), 5);

    let mut all = Box::pin(stream::iter(0..5).map_concurrent(n(8), |_| Bomb(&dropped, false)));
    assert!(futures_lite::future::block_on(futures_lite::future::poll_once(all.next())).is_none());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(all))).is_err());
    assert_eq!(dropped.load(Ordering::Relaxed), 5);
}
