//! What went wrong elsewhere: each test is named by what broke.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use weirs_channels_utils::{Edges, StreamUtil, bounded};
use weirs_runtime::{Runtime, ZeroPeriod, block_on};
use weirs_testing::{ManualClock, apply, runtime_test, sim_test, yields};

fn n(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// A fair semaphore with one permit: who waits for it gets it in turn, whether he is polled or not. This is
/// what the stall of buffered streams is made of (futures-rs#2387).
struct Fair(async_channel::Sender<()>, async_channel::Receiver<()>);

impl Fair {
    fn new() -> Self {
        let (sender, receiver) = async_channel::bounded(1);
        sender.try_send(()).unwrap();
        Self(sender, receiver)
    }

    async fn with<T>(&self, work: impl Future<Output = T>) -> T {
        self.1.recv().await.unwrap();
        let output = work.await;
        self.0.try_send(()).unwrap();
        output
    }
}

#[apply(runtime_test)]
async fn a_buffered_stream_and_its_consumer_share_a_permit(_: Runtime) {
    let permit = &Fair::new();
    let fetch = |page: u32| permit.with(yields(2).map(move |()| page));
    let source = || stream::iter(0..20);

    let seen = AtomicUsize::new(0);
    let store = |_: u32| async {
        permit.with(yields(1)).await;
        seen.fetch_add(1, Ordering::Relaxed);
    };
    source().map_concurrent(n(3), fetch).for_each_with(store).await;
    source().map_concurrent_unordered(n(3), fetch).for_each_with(store).await;
    source().map_by_key(|page| page % 3, n(3), n(2), fetch).for_each_with(store).await;
    source().map_concurrent(n(3), fetch).drive(|pages| pages.for_each(store)).await;
    source().run_concurrent(n(3), |page| fetch(page).then(store)).await;
    assert_eq!(seen.into_inner(), 100);
}

/// The same as a plain stream: it stands still, as `buffered` does, and the docs say so.
#[test]
fn a_plain_stream_stands_still_while_its_consumer_waits() {
    let permit = &Fair::new();
    let fetch = |page: u32| permit.with(yields(2).map(move |()| page));
    let stored = Cell::new(0);
    let mut plain = Box::pin(async {
        let mut pages = stream::iter(0..20).map_concurrent(n(3), fetch);
        while let Some(_page) = pages.next().await {
            permit.with(yields(1)).await;
            stored.set(stored.get() + 1);
        }
    });
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        assert!(plain.as_mut().poll(&mut cx).is_pending());
    }
    assert!(stored.get() < 20, "a fetch has the permit, and nobody polls it");
}

/// `buffered(0)` hangs (futures-rs#2348): here zero cannot be said, and zero unread results are no hang.
#[apply(runtime_test)]
async fn a_window_of_nothing(_: Runtime) {
    let results = stream::iter(0..10).map_concurrent(n(1), async |item| item).unread(0);
    assert_eq!(results.count().await, 10);
    let results = stream::iter(0..10).map_concurrent(n(1), async |item| item).unread(0);
    assert_eq!(results.drive(|results| results.count()).await, 10);
}

/// Requests were not sent until their turn came to be read (futures-rs#2961, #2937).
#[test]
fn a_request_is_on_its_way_before_a_result_is_given() {
    let sent = Cell::new(0);
    let request = |item: usize| {
        let sent = &sent;
        async move {
            sent.set(sent.get() + 1);
            if item > 2 {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut results = stream::iter(0..).map_concurrent(n(5), request);
    assert_eq!(block_on(results.next()), Some(()));
    assert_eq!(sent.get(), 8, "three are done, and five on their way, though one was read");
}

/// Items of a batch were lost with the stream (tokio#7715).
#[test]
fn the_partial_batch_is_given_back() -> Result<(), ZeroPeriod> {
    let time = ManualClock::new();
    let (sender, receiver) = bounded(n(8));
    let mut batches = receiver.chunks_or_timeout(n(4), ms(10), time.clock())?;
    for item in 0..3 {
        sender.try_send(item).unwrap();
    }
    let mut cx = Context::from_waker(Waker::noop());
    assert!(batches.poll_next_unpin(&mut cx).is_pending());
    let (mut receiver, batch) = batches.into_parts();
    sender.try_send(3).unwrap();
    assert_eq!((batch, receiver.try_recv()), (vec![0, 1, 2], Ok(3)));
    assert_eq!(time.timers(), 0);
    Ok(())
}

/// A batch waited for its timer while all else had shut down (redpanda-connect#1001).
#[apply(sim_test)]
async fn a_batch_does_not_hold_up_the_end(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let (sender, receiver) = bounded(n(8));
    let batches = receiver.chunks_or_timeout(n(100), Duration::from_secs(3600), clock)?;
    let start = clock.now();
    let collected = runtime.spawn(batches.collect::<Vec<_>>());
    sender.send(1).await.unwrap();
    clock.sleep(ms(5)).await;
    drop(sender);
    assert_eq!(collected.await.unwrap(), [[1]]);
    assert_eq!(clock.now() - start, ms(5));
    Ok(())
}

/// Debounce with both edges gave a single event twice (dart tools#1769).
#[apply(sim_test)]
async fn a_single_event_is_given_once(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let (sender, receiver) = bounded(n(8));
    let mut events = receiver.debounce(ms(10), Edges::Both, clock)?;
    sender.send("click").await.unwrap();
    assert_eq!(events.next().await, Some("click"));
    assert!(clock.timeout(ms(100), events.next()).await.is_err());
    Ok(())
}

/// Many futures in one task are quadratic under tokio's budget (tokio#3493): each turn polled all in vain.
#[apply(runtime_test)]
async fn many_channels_in_one_task(_: Runtime) {
    const MANY: usize = 20_000;
    let polls = &AtomicUsize::new(0);
    let work = |item: usize| async move {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        sender.send(item).await.unwrap();
        let mut receive = std::pin::pin!(receiver.recv());
        std::future::poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            receive.as_mut().poll(cx)
        })
        .await;
    };
    stream::iter(0..MANY).run_concurrent(n(MANY), work).await;
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls < 3 * MANY, "{polls} polls for {MANY} futures");
}

/// A consumer that stops polling for a while finds what was finished, and the rest goes on.
#[apply(sim_test)]
async fn a_consumer_that_looks_now_and_then(runtime: Runtime) {
    let clock = runtime.clock();
    let results = stream::iter(0..50).map_concurrent_unordered(n(5), async |item: u64| {
        clock.sleep(ms(item % 7)).await;
        item
    });
    let mut results = results.fuse();
    let mut all = Vec::new();
    while all.len() < 50 {
        clock.sleep(ms(3)).await;
        while let Some(Some(item)) = results.next().now_or_never() {
            all.push(item);
        }
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..50));
}
