//! What a hostile newcomer does: values at the ends of their range, sources that may not be polled again,
//! wakers that panic, destructors that come back, and a hundred thousand of everything.

mod common;

use std::future::Future;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use common::{Bomb, Woken, poll, some};
use futures::{FutureExt, SinkExt, Stream, StreamExt, stream};
use weirs_channels_utils::{
    BatchSink, Edges, Merge, Overflow, OverflowSink, ReceiveAny, Route, Share, SinkToAll, SinkToAny, Slow,
    StreamUtil, bounded, broadcast, channel, fan_out, forward, merge, merge_tuple, oneshot, priority,
    rendezvous, send_to_all, watch,
};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, runtime_test, sim_test};

/// Gives its items, then the end, and panics when it is polled after it.
struct Unfused(std::ops::Range<u32>, bool);

fn unfused(items: std::ops::Range<u32>) -> Unfused {
    Unfused(items, false)
}

impl Stream for Unfused {
    type Item = u32;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u32>> {
        assert!(!self.1, "polled after its end");
        let item = self.0.next();
        self.1 = item.is_none();
        Poll::Ready(item)
    }
}

#[apply(sim_test)]
async fn no_source_is_polled_after_its_end(runtime: Runtime) {
    let clock = runtime.clock();
    let second = Duration::from_secs(1);
    macro_rules! ends {
        ($($stream:expr),+ $(,)?) => {$({
            let mut stream = std::pin::pin!($stream);
            while stream.next().await.is_some() {}
            for _ in 0..3 {
                assert!(stream.next().await.is_none(), stringify!($stream));
            }
        })+};
    }
    let s = || unfused(0..5);
    let n = some(2);
    let [one, mut other] = s().tee::<2>(some(8));
    let hub = s().tee_hub(n);
    let lossy = hub.subscribe_with(Slow::DropOldest);
    let (yes, mut no) = s().divide(|n| n % 2 == 0, some(8));
    ends!(
        s().or_done(std::future::pending::<()>()),
        stream::iter([s(), s()]).bridge(),
        stream::iter([s(), s()]).bridge_unordered(n),
        one,
        lossy,
        yes,
        merge([s(), s()]),
        Merge::from_iter([s(), s()]).keyed(),
        merge_tuple((s(), s(), s())),
        s().conflate(|n| n, |sum, n| *sum += n),
        s().every_nth(n),
        s().take_last(n),
        s().chunks_or_timeout(n, second, clock).unwrap(),
        s().chunks_by_weight_or_timeout(n, second, |_| 0, clock).unwrap(),
        s().throttle(n, second, n, clock).unwrap(),
        s().debounce(second, Edges::Both, clock).unwrap(),
        s().debounce(second, Edges::Leading, clock).unwrap(),
        s().sample_every(second, clock).unwrap(),
        s().tumbling_windows(second, n, clock).unwrap(),
        s().sliding_windows(second, second, n, clock).unwrap(),
        s().session_windows(second, n, clock).unwrap(),
        s().windows_by_count(n, n),
        s().windows_by_count(some(1), some(7)),
        s().timeout_each(second, clock).unwrap(),
        s().idle_timeout(second, clock).unwrap(),
        s().heartbeat(second, || 9, clock).unwrap(),
        s().map_concurrent(n, async |n| n),
        s().map_concurrent_unordered(n, async |n| n),
        s().try_map_concurrent(n, async |n| Ok::<_, ()>(n)),
        s().map_by_key(|n| *n, n, n, async |n| n),
    );
    assert_eq!(other.by_ref().count().await, 5);
    assert_eq!(other.next().await, None);
    assert_eq!(no.by_ref().count().await, 2);
    assert_eq!(no.next().await, None);
}

#[apply(sim_test)]
async fn the_ends_of_the_range_are_values_as_others(runtime: Runtime) {
    let clock = runtime.clock();
    let (most, long) = (std::num::NonZeroUsize::MAX, Duration::MAX);
    let s = || stream::iter(0..100_u32);
    macro_rules! gives {
        ($($number:expr => $stream:expr),+ $(,)?) => {$(
            assert_eq!($stream.count().await, $number, stringify!($stream));
        )+};
    }
    let [tee] = s().tee::<1>(most);
    let (all, _none) = s().divide(|_| true, most);
    gives!(
        100 => tee,
        100 => all,
        100 => stream::iter([s()]).bridge_unordered(most),
        1 => s().every_nth(most),
        100 => s().take_last(most),
        1 => s().chunks_or_timeout(most, long, clock).unwrap(),
        100 => s().chunks_by_weight_or_timeout(most, long, |_| usize::MAX, clock).unwrap(),
        1 => s().chunks_by_weight_or_timeout(some(1), long, |_| 0, clock).unwrap(),
        100 => s().throttle(most, long, most, clock).unwrap(),
        100 => s().throttle(most, Duration::from_nanos(1), some(1), clock).unwrap(),
        2 => s().debounce(long, Edges::Both, clock).unwrap(),
        1 => s().sample_every(long, clock).unwrap(),
        1 => s().tumbling_windows(long, most, clock).unwrap(),
        1 => s().sliding_windows(long, long, most, clock).unwrap(),
        0 => s().sliding_windows(Duration::from_nanos(1), long, most, clock).unwrap(),
        1 => s().sliding_windows(long, Duration::from_nanos(1), most, clock).unwrap(),
        1 => s().session_windows(long, most, clock).unwrap(),
        1 => s().windows_by_count(most, most),
        1 => s().windows_by_count(most, some(1)),
        1 => s().windows_by_count(some(1), most),
        100 => s().timeout_each(long, clock).unwrap(),
        100 => s().idle_timeout(long, clock).unwrap(),
        100 => s().heartbeat(long, || 9, clock).unwrap(),
        100 => s().map_concurrent(most, async |n| n).unread(usize::MAX),
        100 => s().map_concurrent_unordered(most, async |n| n).unread(usize::MAX),
        100 => s().map_by_key(|n| *n, most, most, async |n| n).unread(usize::MAX),
        100 => merge([s()]).burst(NonZeroU32::MAX).aging(NonZeroU32::MAX),
    );
    let mut heavy = Merge::new().burst(NonZeroU32::MAX);
    heavy.push_with(s(), Share::new().weight(NonZeroU32::MAX).priority(u8::MAX));
    gives!(100 => heavy);
    let drive = s().map_concurrent(most, async |n| n).unread(usize::MAX).drive(|results| results.count());
    assert_eq!(drive.await, 100);
    s().run_concurrent(most, async |_| {}).await;

    let (sender, mut receiver) = bounded(most);
    sender.try_send(1).unwrap();
    assert!(sender.try_reserve(most).is_err_and(|error| error.is_full()));
    assert!(sender.reserve(most).now_or_never().is_none());
    drop(sender.try_reserve(some(usize::MAX - 1)).unwrap());
    let mut many = Vec::new();
    assert_eq!(receiver.recv_many(&mut many, usize::MAX).await, 1);
    drop(sender.try_reserve(most).unwrap());
    sender.try_send(2).unwrap();
    assert_eq!(receiver.batches(most).next().await, Some(2));
    for overflow in [Overflow::Sample(most), Overflow::SampleEvery(long), Overflow::Latest] {
        let (sender, mut receiver) = channel(most).overflow(overflow).clock(clock).build();
        sender.try_send(1).unwrap();
        assert_eq!(receiver.recv_many(&mut many, 0).await, 0);
        assert_eq!(receiver.recv().await, Some(1));
    }
    let (sender, receiver) = broadcast::builder(most).replay(usize::MAX).build();
    sender.send(1).await.unwrap();
    let late = sender.subscribe();
    assert_eq!(late.batches(most).next().await, Some(Ok(1)));
    assert_eq!(receiver.batches(most).next().await, Some(Ok(1)));
    let (sender, mut receiver) = priority::builder(some(2), most).per_level().aging(most).build();
    sender.send(1, 1).await.unwrap();
    assert_eq!(receiver.recv().await, Some(1));

    let (sender, mut receiver) = bounded(some(200));
    let mut sink = OverflowSink::drop_oldest(sender.clone().into_sink(), most);
    sink.send(1).await.unwrap();
    assert_eq!(receiver.recv().await, Some(1));
    let (sender, mut receiver) = bounded(some(200));
    let mut sink = BatchSink::new(sender.into_sink(), most);
    sink.send(1).await.unwrap();
    assert_eq!(receiver.recv().await, Some(vec![1]));
}

/// A stream that was told that nobody receives does not wait for a source that is silent for ever.
#[apply(runtime_test)]
async fn who_sends_for_nobody_ends_without_another_item(_runtime: Runtime) {
    let (sender, receiver) = bounded::<u32>(some(1));
    let mut forward = forward(stream::pending(), sender);
    assert!((&mut forward).now_or_never().is_none());
    drop(receiver);

    assert!((&mut forward).now_or_never().is_some(), "forward");

    let (sender, receiver) = bounded::<u32>(some(1));
    let mut fan_out = fan_out(stream::pending(), [sender], Route::round_robin());
    assert!((&mut fan_out).now_or_never().is_none());
    drop(receiver);
    assert!((&mut fan_out).now_or_never().is_some(), "fan_out");

    let (sender, receiver) = bounded::<u32>(some(1));
    let mut all = send_to_all(stream::pending(), [sender]);
    assert!((&mut all).now_or_never().is_none());
    drop(receiver);
    assert!((&mut all).now_or_never().is_some(), "send_to_all");
}

/// A waker that panics when it is cloned, woken or dropped, as it is told.
struct Fuse(&'static str);

impl Wake for Fuse {
    fn wake(self: Arc<Self>) {
        if self.0 == "wake" {
            resume_unwind(Box::new("woken"));
        }
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        if self.0 == "drop" && !std::thread::panicking() {
            resume_unwind(Box::new("dropped"));
        }
    }
}

#[test]
fn a_waker_that_panics_takes_no_wake_from_a_tee() {
    let (sender, receiver) = bounded(some(4));
    let [mut one, mut two, mut three] = receiver.tee(some(1));
    let woken = Woken::new();
    let bomb = Waker::from(Arc::new(Bomb));
    assert!(one.poll_next_unpin(&mut Context::from_waker(&bomb)).is_pending());
    assert!(poll(&mut two.next(), &woken).is_pending());
    assert!(poll(&mut three.next(), &woken).is_pending());
    let sent = catch_unwind(AssertUnwindSafe(|| sender.try_send(1).is_ok()));
    assert!(sent.is_ok_and(|sent| sent), "the sender's business is not a waker's");
    assert_eq!(woken.times(), 2);
    assert_eq!(poll(&mut two.next(), &woken), Poll::Ready(Some(1)));
    // Leaving makes room, and wakes the others; from a destructor nothing may escape.
    assert!(one.next().now_or_never().is_some());
    assert!(poll(&mut two.next(), &woken).is_pending());
    assert!(one.poll_next_unpin(&mut Context::from_waker(&bomb)).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(three))).is_ok());
    assert!(woken.times() >= 3);
}

#[test]
fn a_waker_that_panics_when_dropped_takes_nothing() {
    macro_rules! survives {
        ($($what:ident: $future:expr),+ $(,)?) => {$({
            let mut future = Box::pin($future);
            {
                let fuse = Arc::new(Fuse("drop"));
                let waker = Waker::from(fuse);
                let mut cx = Context::from_waker(&waker);
                let first = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx).is_pending()));
                assert!(first.is_ok_and(|pending| pending), stringify!($what));
                // The last that knows it is what waits.
                std::mem::drop(catch_unwind(AssertUnwindSafe(|| drop(waker))));
            }
            let woken = Woken::new();
            let waker = Waker::from(Arc::clone(&woken));
            let mut cx = Context::from_waker(&waker);
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx).is_pending()));
            assert!(polled.is_ok_and(|pending| pending), "{}", stringify!($what));
        })+};
    }
    let (full, receiver) = bounded(some(1));
    full.try_send(1).unwrap();
    let (_sender, mut empty) = bounded::<u32>(some(1));
    let (_sender2, empty2) = bounded::<u32>(some(1));
    let (broad, mut hears) = broadcast::channel(some(1));
    let (broad2, mut hears2) = broadcast::channel::<u32>(some(1));
    broad.try_send(1).unwrap();
    let (meets, mut met) = rendezvous::channel::<u32>();
    let (meets2, _met) = rendezvous::channel::<u32>();
    let (mut once, answer) = oneshot::channel::<u32>();
    let (mut once2, _answer) = oneshot::channel::<u32>();
    let (shows, mut sees) = watch::channel(1);
    let (urgent, mut first) = priority::channel::<u32>(some(2), some(1));
    let (urgent2, _first) = priority::channel::<u32>(some(2), some(1));
    urgent2.try_send(0, 1).unwrap();
    let [mut tee, _other] = stream::pending::<u32>().tee(some(1));
    let mut merged = merge([stream::pending::<u32>()]);
    let mut working = stream::iter([1]).map_concurrent(some(1), |_| std::future::pending::<()>());
    let (mut part, _part) = stream::pending::<u32>().divide(|_| true, some(1));
    let mut tuple = merge_tuple((stream::pending::<u32>(), stream::pending::<u32>()));
    let (_sender3, empty3) = bounded::<u32>(some(1));
    let mut any = ReceiveAny::new([empty2, empty3]);
    survives!(
        send: full.send(2),
        reserve: full.reserve(some(1)),
        closed: full.closed(),
        recv: empty.recv(),
        any: any.recv(),
        broadcast_send: broad.send(2),
        broadcast_recv: hears2.recv(),
        meet: meets2.send(1),
        meet_recv: met.recv(),
        once: answer,
        once_closed: once2.closed(),
        watch: sees.changed(),
        watch_closed: shows.closed(),
        priority: first.recv(),
        priority_send: urgent2.send(0, 2),
        tee: tee.next(),
        merge: merged.next(),
        part: part.next(),
        tuple: tuple.next(),
        working: working.next(),
    );
    drop((receiver, meets, broad2, urgent));
    let _ = (once.is_closed(), hears.try_recv());
    let _ = &mut once;
}

/// Its clone panics when the number is used up.
#[derive(Debug)]
struct CloneBomb(Arc<std::sync::atomic::AtomicUsize>);

impl CloneBomb {
    fn after(clones: usize) -> Self {
        Self(Arc::new(std::sync::atomic::AtomicUsize::new(clones)))
    }
}

impl Clone for CloneBomb {
    fn clone(&self) -> Self {
        let left = self.0.load(std::sync::atomic::Ordering::Relaxed);
        if left == 0 {
            resume_unwind(Box::new("cloned"));
        }
        self.0.store(left - 1, std::sync::atomic::Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

#[test]
fn a_clone_that_panics_takes_no_sink_along() {
    let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| bounded(some(4))).unzip();
    let mut all = SinkToAll::new(senders.into_iter().map(|sender| sender.into_sink()));
    let sent = catch_unwind(AssertUnwindSafe(|| all.send(CloneBomb::after(1)).now_or_never()));
    assert!(sent.is_err());
    assert_eq!(all.len(), 3);
    all.send(CloneBomb::after(9)).now_or_never().unwrap().unwrap();
    let got = receivers.iter_mut().map(|receiver| receiver.remaining().count());
    assert_eq!(got.collect::<Vec<_>>(), [2, 1, 1]);
}

#[test]
fn a_sink_that_was_ready_stays_the_one() {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| bounded(some(1))).unzip();
    senders[0].try_send(0).unwrap();
    let mut any = SinkToAny::new(senders.iter().map(|sender| sender.clone().into_sink()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(any.poll_ready_unpin(&mut cx).is_ready());
    let _ = receivers[0].clone().remaining().count();
    // Now the first has room, too. Asked again it does not keep room in both.
    assert!(any.poll_ready_unpin(&mut cx).is_ready());
    any.start_send_unpin(1).unwrap();
    assert_eq!(receivers.iter().map(|receiver| receiver.len()).collect::<Vec<_>>(), [0, 1]);
    assert!(any.poll_ready_unpin(&mut cx).is_ready());
    any.start_send_unpin(2).unwrap();
    assert_eq!(receivers.iter().map(|receiver| receiver.len()).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn an_input_in_the_place_of_one_that_panicked_is_polled() {
    let mut merge = Merge::new();
    let bad: stream::BoxStream<'static, u32> = stream::poll_fn(|_| resume_unwind(Box::new("polled"))).boxed();
    let key = merge.push(bad);
    assert!(catch_unwind(AssertUnwindSafe(|| merge.next().now_or_never())).is_err());
    merge.discard(key);
    merge.push(stream::iter([1, 2]).boxed());
    assert_eq!(block_on(merge.collect::<Vec<_>>()), [1, 2]);
}

/// A waker whose clone panics.
fn panics_when_cloned() -> Waker {
    use std::task::{RawWaker, RawWakerVTable};
    const TABLE: RawWakerVTable =
        RawWakerVTable::new(|_| resume_unwind(Box::new("cloned")), |_| {}, |_| {}, |_| {});
    // SAFETY: nothing is behind the pointer, and no function of the table looks at it.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) }
}

#[test]
fn a_waker_that_panics_when_cloned_leaves_all_as_it_was() {
    let bad = panics_when_cloned();
    let mut cx = Context::from_waker(&bad);
    let woken = Woken::new();
    let (sender, receiver) = bounded(some(2));
    let mut batches = receiver.batches(some(2));
    sender.try_send(1).unwrap();
    assert_eq!(batches.next().now_or_never(), Some(Some(1)));
    assert!(catch_unwind(AssertUnwindSafe(|| batches.poll_next_unpin(&mut cx).is_ready())).is_err());
    assert!(poll(&mut batches.next(), &woken).is_pending());
    sender.try_send(2).unwrap();
    sender.try_send(3).unwrap();
    assert_eq!(woken.times(), 1);
    assert!(catch_unwind(AssertUnwindSafe(|| sender.send(4).poll_unpin(&mut cx).is_ready())).is_err());
    assert_eq!(sender.stats().senders_waiting, 0);
    drop(batches);

    let [mut one, mut two] = stream::pending::<u32>().tee(some(1));
    assert!(catch_unwind(AssertUnwindSafe(|| one.poll_next_unpin(&mut cx).is_ready())).is_err());
    assert!(poll(&mut two.next(), &woken).is_pending());
    let (sender, receiver) = bounded(some(2));
    let mut merged = merge([receiver]);
    assert!(catch_unwind(AssertUnwindSafe(|| merged.poll_next_unpin(&mut cx).is_ready())).is_err());
    assert!(poll(&mut merged.next(), &woken).is_pending());
    sender.try_send(2).unwrap();
    assert_eq!(woken.times(), 2);
    assert_eq!(merged.next().now_or_never(), Some(Some(2)));
    let (sender, receiver) = bounded(some(2));
    let mut running = receiver.map_concurrent(some(2), async |n| n);
    assert!(catch_unwind(AssertUnwindSafe(|| running.poll_next_unpin(&mut cx).is_ready())).is_err());
    assert!(poll(&mut running.next(), &woken).is_pending());
    sender.try_send(2).unwrap();
    assert_eq!(woken.times(), 3);
    assert_eq!(running.next().now_or_never(), Some(Some(2)));
}

/// When it is dropped it does what it was made with.
struct AtDrop(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for AtDrop {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|work| work());
    }
}

#[test]
fn destructors_and_on_drop_may_come_back_to_the_channel() {
    let (sender, receiver) = bounded(some(4));
    let other = receiver.clone();
    let again = sender.clone();
    let work = move || {
        drop(other);
        assert!(again.try_send(AtDrop(None)).is_err());
        assert!(again.is_closed() && again.stats().len == 0);
    };
    sender.try_send(AtDrop(Some(Box::new(work)))).ok().unwrap();
    // The item has the last but one receiver: it is never received by another.
    let mut receiver = receiver;
    let item = receiver.try_recv().unwrap();
    drop(receiver);
    drop(item);
    assert!(sender.is_closed());

    // What `on_drop` sends is dropped by the policy, and seen in turn.
    let hub = Arc::new(std::sync::Mutex::new(None::<weirs_channels_utils::Sender<u32>>));
    let mine = Arc::clone(&hub);
    let seen = move |item: &u32| {
        let sender = mine.lock().unwrap().clone();
        if let (Some(sender), 1..) = (sender, *item) {
            sender.try_send(item - 1).unwrap();
        }
    };
    let (sender, mut receiver) = channel(some(1)).overflow(Overflow::DropOldest).on_drop(seen).build();
    *hub.lock().unwrap() = Some(sender.clone());
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    assert!(receiver.remaining().count() <= 1);
    *hub.lock().unwrap() = None;

    // A broadcast receiver, a watch, a tee's consumer, a merge's input within an item.
    let (sender, receiver) = broadcast::channel(some(2));
    let inner = sender.subscribe();
    let item = Arc::new(AtDrop(Some(Box::new(move || drop(inner)))));
    sender.try_send(item).unwrap();
    drop(receiver);
    assert!(sender.receivers() <= 1);
    let (values, watching) = watch::channel(AtDrop(None));
    let again = values.clone();
    values.send(AtDrop(Some(Box::new(move || drop(again.send(AtDrop(None)))))));
    drop(values.send(AtDrop(None)));
    assert_eq!(watching.seen(), Some(0));
}

/// A source that polls another consumer of its own tee finds nothing, and does no harm.
#[test]
fn a_source_that_polls_its_own_tee_finds_it_busy() {
    type Own = Arc<std::sync::Mutex<Option<weirs_channels_utils::Tee<stream::BoxStream<'static, u32>>>>>;
    let own = Own::default();
    let inner = Arc::clone(&own);
    let mut number = 0;
    let source = stream::poll_fn(move |cx| {
        let mut inner = inner.lock().unwrap();
        if let Some(consumer) = &mut *inner {
            let _ = consumer.poll_next_unpin(cx);
        }
        number += 1;
        Poll::Ready((number < 10).then_some(number))
    });
    let [mut one, two] = source.boxed().tee(some(64));
    *own.lock().unwrap() = Some(two);
    assert_eq!(block_on(one.by_ref().collect::<Vec<_>>()).len(), 9);
    drop(own.lock().unwrap().take());
}
