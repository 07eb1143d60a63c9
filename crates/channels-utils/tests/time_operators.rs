//! The operators that take a clock, exact to the nanosecond in the simulator.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use weirs_channels_utils::{Edges, StreamUtil, TimeWindow, bounded, ticker};
use weirs_runtime::{Clock, Elapsed, Runtime, ZeroPeriod, block_on};
use weirs_testing::{
    ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields,
};

fn n(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// The number of each pair at its time, in milliseconds from now.
fn timed<T: Clone>(clock: &Clock, items: &[(u64, T)]) -> impl Stream<Item = T> + Unpin + use<T> {
    let (clock, start) = (clock.clone(), clock.now());
    Box::pin(stream::iter(items.to_vec()).then(move |(at, item)| {
        let sleep = clock.sleep_until(start + ms(at));
        async move {
            sleep.await;
            item
        }
    }))
}

/// What comes, and after how many milliseconds.
async fn seen<S: Stream>(clock: &Clock, items: S) -> Vec<(u64, S::Item)> {
    let start = clock.now();
    items.map(|item| ((clock.now() - start).as_millis() as u64, item)).collect().await
}

#[apply(sim_test)]
async fn a_batch_goes_when_it_is_full_or_its_first_item_has_waited(
    runtime: Runtime,
) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let items = [(0, 'a'), (3, 'b'), (20, 'c'), (21, 'd'), (22, 'e'), (50, 'f')];
    let batches = timed(clock, &items).chunks_or_timeout(n(3), ms(10), clock)?;
    let expected = [(10, vec!['a', 'b']), (22, vec!['c', 'd', 'e']), (50, vec!['f'])];
    assert_eq!(seen(clock, batches).await, expected, "the end flushes at once");
    Ok(())
}

#[apply(sim_test)]
async fn a_batch_is_no_heavier_than_it_may_be(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let items = [(0, 2), (1, 2), (2, 3), (3, 9), (4, 1), (30, 5), (31, 1)];
    let batches = timed(clock, &items).chunks_by_weight_or_timeout(n(5), ms(10), |item| *item, clock)?;
    let expected = [(2, vec![2, 2]), (3, vec![3]), (3, vec![9]), (14, vec![1]), (30, vec![5]), (31, vec![1])];
    assert_eq!(seen(clock, batches).await, expected);
    Ok(())
}

#[test]
fn what_a_batch_holds_is_not_lost() -> Result<(), ZeroPeriod> {
    let source = stream::iter(1..4).chain(stream::pending());
    let mut batches = source.chunks_by_weight_or_timeout(n(5), ms(1_000), |item| *item, &Clock::default())?;
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(block_on(batches.next()), Some(vec![1, 2]));
    assert!(batches.poll_next_unpin(&mut cx).is_pending());
    assert_eq!(batches.into_remainder(), [3]);
    let source = stream::iter([4, 4]).chain(stream::pending());
    let mut batches = source.chunks_by_weight_or_timeout(n(5), ms(1_000), |item| *item, &Clock::default())?;
    assert_eq!(block_on(batches.next()), Some(vec![4]));
    assert_eq!(batches.into_remainder(), [4], "the one that was too heavy too");
    Ok(())
}

#[test]
fn a_source_that_never_pauses_costs_no_timer_and_no_look() -> Result<(), ZeroPeriod> {
    let time = ManualClock::new();
    let clock = time.clock();
    let before = time.times_read();
    let items = || stream::iter(0..1_000);
    assert_eq!(block_on(items().chunks_or_timeout(n(10), ms(5), clock)?.count()), 100);
    assert_eq!(block_on(items().timeout_each(ms(5), clock)?.count()), 1_000);
    assert_eq!(block_on(items().idle_timeout(ms(5), clock)?.count()), 1_000);
    assert_eq!(block_on(items().heartbeat(ms(5), || 0, clock)?.count()), 1_000);
    assert_eq!((time.timers_set(), time.times_read()), (0, before));
    Ok(())
}

#[test]
fn no_timer_is_set_while_nothing_waits() -> Result<(), ZeroPeriod> {
    let time = ManualClock::new();
    let clock = time.clock();
    let mut cx = Context::from_waker(Waker::noop());
    macro_rules! check {
        ($make:expr, $given:expr) => {
            let (sender, receiver) = bounded::<u32>(n(8));
            #[allow(clippy::redundant_closure_call, reason = "the macro is given a closure")]
            let mut items = pin!($make(receiver)?);
            assert!(items.as_mut().poll_next(&mut cx).is_pending());
            assert_eq!(time.timers(), 0, "nothing came");
            sender.try_send(1).unwrap();
            assert_eq!(items.as_mut().poll_next(&mut cx).is_ready(), $given);
            assert_eq!(time.timers(), usize::from(!$given), "something waits");
            for _ in 0..2 {
                time.advance(ms(10));
                let _ = items.as_mut().poll_next(&mut cx);
            }
            assert!(items.as_mut().poll_next(&mut cx).is_pending());
            assert_eq!(time.timers(), 0, "nothing is left");
        };
    }
    type Items = weirs_channels_utils::Receiver<u32>;
    check!(|items: Items| items.chunks_or_timeout(n(4), ms(10), clock), false);
    check!(|items: Items| items.debounce(ms(10), Edges::Trailing, clock), false);
    check!(|items: Items| items.sample_every(ms(10), clock), false);
    check!(|items: Items| items.tumbling_windows(ms(10), n(4), clock), false);
    check!(|items: Items| items.session_windows(ms(10), n(4), clock), false);
    check!(|items: Items| items.sliding_windows(ms(10), ms(10), n(4), clock), false);
    check!(|items: Items| items.throttle(n(1), ms(10), n(1), clock), true);
    Ok(())
}

#[apply(sim_test)]
async fn a_throttle_keeps_its_rate(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let paced = stream::iter(0..7).throttle(n(2), ms(20), n(3), clock)?;
    let expected = [(0, 0), (0, 1), (0, 2), (10, 3), (20, 4), (30, 5), (40, 6)];
    assert_eq!(seen(clock, paced).await, expected, "the end is seen at once");
    // After a quiet time there is a burst again, and no larger one.
    let items = [(0, 'a'), (1, 'b'), (100, 'c'), (100, 'd'), (100, 'e')];
    let paced = timed(clock, &items).throttle(n(1), ms(10), n(2), clock)?;
    assert_eq!(seen(clock, paced).await, [(0, 'a'), (1, 'b'), (100, 'c'), (100, 'd'), (110, 'e')]);
    // A third of a second is no round number; a million of them come out right.
    let start = clock.now();
    let mut paced = stream::iter(0..).throttle(n(3), Duration::from_secs(1), n(1), clock)?;
    for _ in 0..=300 {
        paced.next().await;
    }
    assert_eq!(clock.now() - start, Duration::from_secs(100));
    Ok(())
}

#[apply(sim_test)]
async fn a_late_consumer_gets_no_larger_burst(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let mut paced = stream::iter(0..).throttle(n(1), ms(10), n(1), clock)?;
    let start = clock.now();
    assert_eq!(paced.next().await, Some(0));
    clock.sleep(ms(5)).await;
    assert!(futures_lite::future::poll_once(paced.next()).await.is_none());
    clock.sleep(ms(20)).await;
    assert_eq!(paced.next().await, Some(1));
    assert_eq!(clock.now() - start, ms(25));
    assert_eq!(paced.next().await, Some(2));
    assert_eq!(clock.now() - start, ms(35));
    Ok(())
}

#[apply(sim_test)]
async fn a_burst_gives_its_edges(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let items = [(0, 'a'), (4, 'b'), (8, 'c'), (30, 'd'), (60, 'e'), (65, 'f')];
    let debounced = |edges| timed(clock, &items).debounce(ms(10), edges, clock);
    let trailing = [(18, 'c'), (40, 'd'), (65, 'f')];
    assert_eq!(seen(clock, debounced(Edges::Trailing)?).await, trailing, "the end gives the last now");
    let leading = [(0, 'a'), (30, 'd'), (60, 'e')];
    assert_eq!(seen(clock, debounced(Edges::Leading)?).await, leading);
    let both = [(0, 'a'), (18, 'c'), (30, 'd'), (60, 'e'), (65, 'f')];
    assert_eq!(seen(clock, debounced(Edges::Both)?).await, both);
    Ok(())
}

#[apply(sim_test)]
async fn a_single_event_is_given_once(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    for edges in [Edges::Leading, Edges::Trailing, Edges::Both] {
        for silence in [stream::iter([]).left_stream(), timed(clock, &[(100, 'z')]).skip(1).right_stream()] {
            let one = timed(clock, &[(0, 'a')]).chain(silence).debounce(ms(10), edges, clock)?;
            assert_eq!(one.collect::<String>().await, "a");
        }
    }
    Ok(())
}

#[apply(sim_test)]
async fn an_item_after_the_quiet_begins_another_burst(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let mut items = timed(clock, &[(0, 'a'), (10, 'b'), (50, 'c')]).debounce(ms(10), Edges::Both, clock)?;
    let start = clock.now();
    assert_eq!(items.next().await, Some('a'));
    // Nobody looks, and the quiet is over: the next is not the end of a burst, but the beginning of one.
    clock.sleep(ms(30)).await;
    assert_eq!(items.next().await, Some('b'));
    assert_eq!(clock.now() - start, ms(30));
    assert_eq!(items.next().await, Some('c'));
    assert_eq!(items.next().await, None);
    Ok(())
}

#[apply(sim_test)]
async fn a_sample_is_the_last_of_its_period(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let items = [(5, 'a'), (9, 'b'), (15, 'c'), (44, 'd'), (46, 'e'), (47, 'f')];
    let samples = timed(clock, &items).sample_every(ms(10), clock)?;
    // Periods are counted from the first item, and what comes between two is of the later.
    assert_eq!(seen(clock, samples).await, [(15, 'b'), (25, 'c'), (45, 'd'), (47, 'f')]);
    Ok(())
}

fn shape<T: Copy>(windows: &[(u64, TimeWindow<T>)]) -> Vec<(u64, Vec<T>, u64, bool)> {
    let length = |window: &TimeWindow<T>| (window.until - window.from).as_millis() as u64;
    windows.iter().map(|(at, window)| (*at, window.items.clone(), length(window), window.is_full)).collect()
}

#[apply(sim_test)]
async fn windows_tumble(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let items = [(0, 'a'), (9, 'b'), (10, 'c'), (11, 'd'), (12, 'e'), (13, 'f'), (45, 'g'), (46, 'h')];
    let windows = timed(clock, &items).tumbling_windows(ms(10), n(3), clock)?;
    let expected = [
        (10, vec!['a', 'b'], 10, false),
        (12, vec!['c', 'd', 'e'], 10, true),
        (20, vec!['f'], 10, false),
        (46, vec!['g', 'h'], 10, false),
    ];
    assert_eq!(shape(&seen(clock, windows).await), expected);
    Ok(())
}

#[apply(sim_test)]
async fn windows_slide(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    clock.sleep(ms(100)).await;
    let items = [(0, 'a'), (7, 'b'), (12, 'c'), (40, 'd'), (41, 'e'), (42, 'f'), (43, 'g')];
    let windows = timed(clock, &items).sliding_windows(ms(20), ms(10), n(3), clock)?;
    let expected = [
        (10, vec!['a', 'b'], 20, false),
        (20, vec!['a', 'b', 'c'], 20, false),
        (30, vec!['c'], 20, false),
        (43, vec!['e', 'f', 'g'], 20, true),
    ];
    assert_eq!(shape(&seen(clock, windows).await), expected);
    Ok(())
}

#[apply(sim_test)]
async fn a_session_ends_with_a_gap(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let items = [(0, 'a'), (9, 'b'), (18, 'c'), (28, 'd'), (60, 'e'), (61, 'f'), (62, 'g'), (63, 'h')];
    let windows = timed(clock, &items).session_windows(ms(10), n(3), clock)?;
    let expected = [
        (18, vec!['a', 'b', 'c'], 18, true),
        (38, vec!['d'], 10, false),
        (62, vec!['e', 'f', 'g'], 2, true),
        (63, vec!['h'], 0, false),
    ];
    assert_eq!(shape(&seen(clock, windows).await), expected);
    Ok(())
}

#[test]
fn windows_by_count_tumble_slide_and_leave_gaps() {
    let windows = |size, step| {
        let windows = stream::iter(0..8).windows_by_count(n(size), n(step));
        block_on(windows.collect::<Vec<_>>())
    };
    assert_eq!(windows(3, 3), [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
    assert_eq!(windows(4, 2), [vec![0, 1, 2, 3], vec![2, 3, 4, 5], vec![4, 5, 6, 7]]);
    assert_eq!(windows(3, 2), [vec![0, 1, 2], vec![2, 3, 4], vec![4, 5, 6], vec![6, 7]]);
    assert_eq!(windows(2, 3), [vec![0, 1], vec![3, 4], vec![6, 7]]);
    assert_eq!(windows(9, 1), [vec![0, 1, 2, 3, 4, 5, 6, 7]]);
}

#[apply(sim_test)]
async fn a_limit_for_each_item(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let items = [(0, 'a'), (9, 'b'), (19, 'c'), (45, 'd')];
    let limited = timed(clock, &items).timeout_each(ms(10), clock)?;
    let late = Err(Elapsed);
    let expected = [(0, Ok('a')), (9, Ok('b')), (19, Ok('c')), (29, late), (39, late), (45, Ok('d'))];
    assert_eq!(seen(clock, limited).await, expected, "one that is there at the limit counts");
    let limited = timed(clock, &items).idle_timeout(ms(10), clock)?;
    assert_eq!(seen(clock, limited).await, expected[..4], "the first is the last");
    Ok(())
}

#[apply(sim_test)]
async fn a_heartbeat_fills_the_silence(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let beats = timed(clock, &[(5, 'a'), (12, 'b'), (40, 'c')]).heartbeat(ms(10), || '.', clock)?;
    assert_eq!(seen(clock, beats).await, [(5, 'a'), (12, 'b'), (22, '.'), (32, '.'), (40, 'c')]);
    Ok(())
}

#[apply(sim_test)]
async fn a_ticker_ticks(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let ticks = seen(clock, ticker(clock, ms(10))?.take(3)).await;
    assert_eq!(ticks.iter().map(|tick| tick.0).collect::<Vec<_>>(), [10, 20, 30]);
    Ok(())
}

#[test]
fn a_time_of_zero_is_refused() {
    let (clock, zero) = (&Clock::default(), Duration::ZERO);
    let items = stream::empty::<u32>;
    assert!(items().chunks_or_timeout(n(1), zero, clock).is_err());
    assert!(items().chunks_by_weight_or_timeout(n(1), zero, |_| 1, clock).is_err());
    assert!(items().throttle(n(1), zero, n(1), clock).is_err());
    assert!(items().debounce(zero, Edges::Both, clock).is_err());
    assert!(items().sample_every(zero, clock).is_err());
    assert!(items().tumbling_windows(zero, n(1), clock).is_err());
    assert!(items().sliding_windows(zero, ms(1), n(1), clock).is_err());
    assert!(items().sliding_windows(ms(1), zero, n(1), clock).is_err());
    assert!(items().session_windows(zero, n(1), clock).is_err());
    assert!(items().timeout_each(zero, clock).is_err());
    assert!(items().idle_timeout(zero, clock).is_err());
    assert!(items().heartbeat(zero, || 0, clock).is_err());
    assert!(ticker(clock, zero).is_err());
}

#[test]
fn times_beyond_the_end_of_time_never_come() -> Result<(), ZeroPeriod> {
    let clock = &Clock::default();
    let items = || stream::iter([1, 2]);
    assert_eq!(block_on(items().chunks_or_timeout(n(3), Duration::MAX, clock)?.count()), 1);
    assert_eq!(block_on(items().throttle(n(1), Duration::MAX, n(2), clock)?.count()), 2);
    assert_eq!(block_on(items().debounce(Duration::MAX, Edges::Both, clock)?.count()), 2);
    assert_eq!(block_on(items().sample_every(Duration::MAX, clock)?.count()), 1);
    assert_eq!(block_on(items().tumbling_windows(Duration::MAX, n(9), clock)?.count()), 1);
    assert_eq!(block_on(items().sliding_windows(Duration::MAX, Duration::MAX, n(9), clock)?.count()), 1);
    assert_eq!(block_on(items().session_windows(Duration::MAX, n(9), clock)?.count()), 1);
    Ok(())
}

/// Waiting for the next may be given up after each poll: the stream goes on as if nobody had.
#[apply(runtime_test)]
async fn waiting_may_be_given_up(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let source = || {
        Box::pin(stream::iter(0..40_u32).then(|item| async move {
            yields(item as usize % 3).await;
            item
        }))
    };
    async fn all<S: Stream<Item: IntoIterator<Item = u32>>>(items: S) {
        let mut items = pin!(items);
        let mut all = Vec::new();
        loop {
            match futures_lite::future::poll_once(items.next()).await {
                Some(Some(item)) => all.extend(item),
                Some(None) => break,
                None => yields(1).await,
            }
        }
        assert!(all.into_iter().eq(0..40));
    }
    let hour = Duration::from_secs(3600);
    all(source().chunks_or_timeout(n(7), hour, clock)?).await;
    all(source().chunks_by_weight_or_timeout(n(70), hour, |item| *item as usize, clock)?).await;
    all(source().throttle(n(1), hour, n(40), clock)?.map(Some)).await;
    all(source().tumbling_windows(hour, n(7), clock)?.map(|window| window.items)).await;
    all(source().session_windows(hour, n(7), clock)?.map(|window| window.items)).await;
    all(source().timeout_each(hour, clock)?).await;
    all(source().idle_timeout(hour, clock)?).await;
    all(source().windows_by_count(n(7), n(7))).await;
    Ok(())
}

#[apply(sim_test)]
async fn dropped_at_any_point_they_leave_no_timer(runtime: Runtime) {
    let clock = runtime.clock();
    let items: Vec<_> = (0..12).map(|item| (item * 7, item)).collect();
    macro_rules! check {
        ($make:expr) => {
            cancel_at_every_poll(|| $make.unwrap().count(), async |_| {}).await;
            cancel_at_every_wake(|| $make.unwrap().count(), async |_| {}).await;
        };
    }
    check!(timed(clock, &items).chunks_or_timeout(n(3), ms(10), clock));
    check!(timed(clock, &items).throttle(n(1), ms(10), n(2), clock));
    check!(timed(clock, &items).debounce(ms(10), Edges::Both, clock));
    check!(timed(clock, &items).sample_every(ms(10), clock));
    check!(timed(clock, &items).tumbling_windows(ms(10), n(3), clock));
    check!(timed(clock, &items).sliding_windows(ms(20), ms(10), n(3), clock));
    check!(timed(clock, &items).session_windows(ms(5), n(3), clock));
    check!(timed(clock, &items).timeout_each(ms(3), clock));
    check!(timed(clock, &items).heartbeat(ms(3), || 0, clock));
}

/// Random items at random times: what comes out is what the rules say of the list of items.
#[apply(sim_test)]
async fn random_items_are_like_a_list(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    for _ in 0..4 {
        let number = clock.random_below(40);
        let mut at = 0;
        let mut items = Vec::new();
        for item in 0..number {
            // Odd times for items, even ones for limits: no two things happen at once.
            at += 2 * clock.random_below(12);
            items.push((at + 1, item));
        }
        let end = items.last().map_or(0, |last| last.0);
        let most = 1 + clock.random_below(5) as usize;
        let limit = 2 * (1 + clock.random_below(10));

        // A batch: up to so many, within so long of the first.
        let mut expected: Vec<(u64, Vec<u64>)> = Vec::new();
        let mut open: Option<(u64, Vec<u64>)> = None;
        let within = limit + 1;
        for &(at, item) in &items {
            if let Some((until, batch)) = open.take_if(|(until, _)| *until <= at) {
                expected.push((until, batch));
            }
            let (_, batch) = open.get_or_insert((at + within, Vec::new()));
            batch.push(item);
            if batch.len() == most {
                expected.extend(open.take().map(|(_, batch)| (at, batch)));
            }
        }
        expected.extend(open.map(|(_, batch)| (end, batch)));
        let batches = timed(clock, &items).chunks_or_timeout(n(most), ms(within), clock)?;
        assert_eq!(seen(clock, batches).await, expected);

        // A session: no gap within, a gap between.
        let gap = limit + 1;
        let sessions = seen(clock, timed(clock, &items).session_windows(ms(gap), n(100), clock)?).await;
        let mut expected: Vec<Vec<u64>> = Vec::new();
        for (index, &(at, item)) in items.iter().enumerate() {
            if index == 0 || at - items[index - 1].0 >= gap {
                expected.push(Vec::new());
            }
            expected.last_mut().unwrap().push(item);
        }
        assert!(sessions.iter().map(|session| &session.1.items).eq(&expected));
        // Debounce gives the edges of the same bursts.
        let last = expected.iter().map(|session| *session.last().unwrap());
        let debounced = timed(clock, &items).debounce(ms(gap), Edges::Trailing, clock)?;
        assert!(debounced.collect::<Vec<_>>().await.into_iter().eq(last));
        let first = expected.iter().map(|session| session[0]);
        let debounced = timed(clock, &items).debounce(ms(gap), Edges::Leading, clock)?;
        assert!(debounced.collect::<Vec<_>>().await.into_iter().eq(first));

        // Tumbling windows and samples: by period, counted from the first item.
        let period = |at: u64| (at - items[0].0) / limit;
        let mut expected: Vec<Vec<u64>> = Vec::new();
        for (index, &(at, item)) in items.iter().enumerate() {
            if index == 0 || period(at) != period(items[index - 1].0) {
                expected.push(Vec::new());
            }
            expected.last_mut().unwrap().push(item);
        }
        let windows = timed(clock, &items).tumbling_windows(ms(limit), n(100), clock)?;
        assert!(windows.map(|window| window.items).collect::<Vec<_>>().await == expected);
        let samples = timed(clock, &items).sample_every(ms(limit), clock)?;
        let last = expected.iter().map(|window| *window.last().unwrap());
        assert!(samples.collect::<Vec<_>>().await.into_iter().eq(last));

        // A throttle: all of them, and never more than the rate and the burst allow.
        let paced = timed(clock, &items).throttle(n(1), ms(limit), n(most), clock)?;
        let paced = seen(clock, paced).await;
        assert!(paced.iter().map(|item| item.1).eq(0..number));
        for (index, early) in paced.iter().enumerate() {
            for (further, late) in paced[index..].iter().enumerate() {
                let allowed = most as u64 + (late.0 - early.0) / limit;
                assert!((further as u64) < allowed, "{further} more within {}", late.0 - early.0);
            }
        }
        assert!(paced.iter().zip(&items).all(|(given, came)| given.0 >= came.0));
    }
    Ok(())
}

#[test]
fn a_panic_of_the_user_loses_no_other_item() -> Result<(), ZeroPeriod> {
    let clock = &Clock::default();
    let weigh = |item: &u32| {
        assert_ne!(*item, 3);
        1
    };
    let mut batches = stream::iter(0..6).chunks_by_weight_or_timeout(n(2), ms(1_000), weigh, clock)?;
    let mut all = Vec::new();
    let panics = Cell::new(0);
    loop {
        match catch_unwind(AssertUnwindSafe(|| block_on(batches.next()))) {
            Ok(Some(batch)) => all.extend(batch),
            Ok(None) => break,
            Err(_) => panics.set(panics.get() + 1),
        }
    }
    assert_eq!((all, panics.get()), (vec![0, 1, 2, 4, 5], 1));

    let silent = stream::pending::<u32>();
    let mut calls = 0;
    let make = || {
        calls += 1;
        assert_ne!(calls, 1);
        calls
    };
    let mut beats = silent.heartbeat(ms(1), make, clock)?;
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(beats.next()))).is_err());
    assert_eq!(block_on(beats.next()), Some(2));

    // A clone that panics once.
    #[derive(Debug)]
    struct Fragile<'a>(u32, &'a Cell<bool>);
    impl Clone for Fragile<'_> {
        fn clone(&self) -> Self {
            assert!(self.0 != 2 || self.1.replace(true), "a clone");
            Self(self.0, self.1)
        }
    }
    let panicked = Cell::new(false);
    let items = stream::iter(0..4).map(|item| Fragile(item, &panicked));
    let mut windows = items.windows_by_count(n(2), n(2));
    let mut all = Vec::new();
    while let Some(window) =
        catch_unwind(AssertUnwindSafe(|| block_on(windows.next()))).unwrap_or(Some(vec![]))
    {
        all.extend(window.into_iter().map(|item| item.0));
    }
    assert_eq!(all, [0, 1, 2, 3]);
    Ok(())
}
