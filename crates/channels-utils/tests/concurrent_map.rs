//! Several futures at once: order, bounds, who is polled and when, errors, panics, cancellation.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::{Future, pending, poll_fn};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use weirs_channels_utils::{StreamUtil, bounded};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{InFlight, ManualClock, apply, runtime_test, sim_test, yields};

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
async fn results_come_in_the_order_of_the_items(_: Runtime) {
    let in_flight = InFlight::new();
    let work = |item: usize| {
        let guard = in_flight.enter();
        async move {
            yields(item * 7 % 5).await;
            drop(guard);
            item
        }
    };
    let results = Box::pin(halting(500, 2)).map_concurrent(n(8), work);
    assert!(results.collect::<Vec<_>>().await.into_iter().eq(0..500));
    assert_eq!((in_flight.entered(), in_flight.now()), (500, 0));
    assert!(in_flight.peak() <= 8);
}

#[apply(runtime_test)]
async fn results_come_as_they_are_ready(runtime: Runtime) {
    let (sender, receiver) = async_channel::bounded::<()>(1);
    let work = |item: usize| {
        let receiver = receiver.clone();
        async move {
            if item == 0 {
                receiver.recv().await.unwrap();
            }
            item
        }
    };
    let mut results = stream::iter(0..5).map_concurrent_unordered(n(2), work);
    let first: Vec<_> = results.by_ref().take(4).collect().await;
    assert_eq!(first, [1, 2, 3, 4]);
    let opened = runtime.spawn(async move { sender.send(()).await.unwrap() });
    assert_eq!(results.next().await, Some(0));
    assert_eq!(results.next().await, None);
    assert_eq!(results.next().await, None);
    opened.await.unwrap();
}

#[apply(runtime_test)]
async fn tasks_run_on_other_threads(runtime: Runtime) {
    let spawn = |item: u64| {
        let task = runtime.spawn(async move { item * item });
        async move { task.await.unwrap() }
    };
    let results = stream::iter(0..2_000).map_concurrent(n(50), spawn);
    assert!(results.collect::<Vec<_>>().await.into_iter().eq((0..2_000).map(|item| item * item)));
}

#[test]
fn the_window_is_full_before_a_result_is_given() {
    let started = Cell::new(0);
    let work = |item: usize| {
        started.set(started.get() + 1);
        async move { if item == 0 { item } else { pending().await } }
    };
    let mut results = stream::iter(0..100).map_concurrent(n(10), work);
    assert_eq!(block_on(results.next()), Some(0));
    assert_eq!(started.get(), 11, "the place of the first is taken again before the first is given");
}

#[test]
fn no_more_are_inside_than_was_said() {
    for (unread, inside) in [(None, 8), (Some(0), 4), (Some(3), 7)] {
        let started = Cell::new(0);
        let work = |item: usize| {
            started.set(started.get() + 1);
            async move {
                if item == 0 {
                    yields(1_000).await
                }
            }
        };
        let mut results = stream::iter(0..100).map_concurrent(n(4), work);
        if let Some(unread) = unread {
            results = results.unread(unread);
        }
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            assert!(results.poll_next_unpin(&mut cx).is_pending());
        }
        assert_eq!(started.get(), inside);
    }
}

#[test]
fn only_those_are_polled_that_were_woken() {
    let polls = &AtomicUsize::new(0);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..1_000).map(|_| async_channel::bounded::<()>(1)).unzip();
    let work = |receiver: async_channel::Receiver<()>| {
        let mut receive = Box::pin(async move { receiver.recv().await });
        let polls = &*polls;
        poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            receive.as_mut().poll(cx)
        })
    };
    let mut results = stream::iter(receivers).map_concurrent_unordered(n(1_000), work);
    block_on(async {
        while polls.load(Ordering::Relaxed) < 1_000 {
            assert!(futures_lite::future::poll_once(results.next()).await.is_none());
        }
        for sender in senders.iter().rev() {
            sender.try_send(()).unwrap();
            assert!(results.next().await.is_some());
        }
        assert!(results.next().await.is_none());
    });
    assert_eq!(polls.load(Ordering::Relaxed), 2_000);
}

#[test]
fn one_that_wakes_itself_for_ever_holds_nobody_up() {
    let work = |item: usize| async move {
        if item == 0 {
            yields(usize::MAX).await;
        }
        item
    };
    let results = stream::iter(0..10_000).map_concurrent_unordered(n(2), work);
    assert!(block_on(results.take(9_999).collect::<Vec<_>>()).into_iter().eq(1..10_000));
}

#[apply(runtime_test)]
async fn for_each_waits_for_all(_: Runtime) {
    let sum = AtomicUsize::new(0);
    let in_flight = InFlight::new();
    let work = async |item: usize| {
        let _guard = in_flight.enter();
        yields(item % 3).await;
        sum.fetch_add(item, Ordering::Relaxed);
    };
    halting(1_000, 1).run_concurrent(n(7), work).await;
    assert_eq!(sum.into_inner(), 499_500);
    assert!(in_flight.peak() <= 7);
    stream::empty::<usize>().run_concurrent(n(7), work_of_none).await;
}

async fn work_of_none(_: usize) {
    unreachable!("there is no item");
}

#[apply(runtime_test)]
async fn the_first_error_drops_the_others_before_it_is_given(_: Runtime) {
    let in_flight = InFlight::new();
    let source = in_flight.enter();
    let items = stream::iter(0..).inspect(move |_| assert!(source_is_alive(&source)));
    let work = |item: usize| {
        let guard = in_flight.enter();
        async move {
            yields(item % 4).await;
            if item == 20 {
                return Err(item);
            }
            if item > 20 {
                pending::<()>().await;
            }
            drop(guard);
            Ok(())
        }
    };
    let result = items.try_run_concurrent(n(8), work).await;
    assert_eq!(result, Err(20));
    assert_eq!(in_flight.now(), 0, "nobody runs, and the source is gone");
    assert_eq!(stream::iter(0..20).try_run_concurrent(n(8), |_| async { Ok::<_, ()>(()) }).await, Ok(()));
}

fn source_is_alive<T>(_: &T) -> bool {
    true
}

#[apply(runtime_test)]
async fn what_is_finished_before_the_error_comes_first(_: Runtime) {
    let in_flight = InFlight::new();
    let work = |item: usize| {
        let guard = in_flight.enter();
        async move {
            let _guard = guard;
            match item {
                2 => pending().await,
                4 => {
                    yields(5).await;
                    Err(item)
                }
                _ => Ok(item),
            }
        }
    };
    let mut results = pin!(stream::iter(0..).try_map_concurrent(n(3), work).unread(100));
    assert_eq!(results.next().await, Some(Ok(0)));
    assert_eq!(results.next().await, Some(Ok(1)));
    // Two never ends, and four fails.
    assert_eq!(results.next().await, Some(Err(4)));
    assert_eq!(in_flight.now(), 0);
    assert_eq!(results.next().await, None);

    let results = stream::iter(0..).try_map_concurrent_unordered(n(2), work);
    let all: Vec<_> = results.collect().await;
    assert_eq!((all[..3].to_vec(), all.last()), (vec![Ok(0), Ok(1), Ok(3)], Some(&Err(4))));
}

#[apply(runtime_test)]
async fn a_body_runs_together_with_the_futures(_: Runtime) {
    let steps = Mutex::new(Vec::new());
    let (open, opened) = async_channel::bounded::<()>(1);
    let fetch = |item: usize| {
        let (steps, open) = (&steps, open.clone());
        async move {
            yields(2).await;
            steps.lock().unwrap().push(format!("fetched {item}"));
            if item == 1 {
                open.send(()).await.unwrap();
            }
            item
        }
    };
    // The body of the first waits for the fetch of the second.
    let body = |item: usize| {
        let (steps, opened) = (&steps, opened.clone());
        async move {
            if item == 0 {
                opened.recv().await.unwrap();
            }
            steps.lock().unwrap().push(format!("stored {item}"));
        }
    };
    // Its place is free when the first result is taken.
    let expected = ["fetched 0", "fetched 1", "stored 0", "stored 1"];
    stream::iter(0..2).map_concurrent(n(1), fetch).unread(0).for_each_with(body).await;
    assert_eq!(std::mem::take(&mut *steps.lock().unwrap()), expected);
    let pages = stream::iter(0..2).map_concurrent_unordered(n(1), fetch).unread(0);
    pages.drive(|pages| pages.for_each(body)).await;
    assert_eq!(*steps.lock().unwrap(), expected);
}

#[apply(runtime_test)]
async fn all_bodies_run_and_in_order(_: Runtime) {
    let seen = Mutex::new(Vec::new());
    let squares = Box::pin(halting(1_000, 1)).map_concurrent(n(6), async |item| {
        yields(item % 4).await;
        item
    });
    let body = async |item| {
        yields(item % 3).await;
        seen.lock().unwrap().push(item);
    };
    squares.for_each_with(body).await;
    assert!(seen.into_inner().unwrap().into_iter().eq(0..1_000));
}

#[apply(runtime_test)]
async fn the_first_error_of_a_body_drops_the_futures_first(_: Runtime) {
    let in_flight = InFlight::new();
    let work = |item: usize| {
        let guard = in_flight.enter();
        async move {
            if item > 3 {
                pending::<()>().await;
            }
            drop(guard);
            item
        }
    };
    let bodies = stream::iter(0..).map_concurrent(n(4), work).try_for_each_with(async |item| {
        yields(2).await;
        if item == 3 { Err(item) } else { Ok(()) }
    });
    assert_eq!(pin!(bodies).await, Err(3));
    assert_eq!(in_flight.now(), 0);
}

#[apply(runtime_test)]
async fn a_consumer_may_end_early(_: Runtime) {
    let in_flight = InFlight::new();
    let work = |item: usize| {
        let guard = in_flight.enter();
        async move {
            yields(item % 5).await;
            drop(guard);
            item
        }
    };
    let consumer = async |mut results: weirs_channels_utils::Results<usize>| {
        let mut sum = 0;
        while let Some(item) = results.recv().await {
            yields(item % 3).await;
            sum += item;
            if item == 200 {
                break;
            }
        }
        sum
    };
    let mut drive = Box::pin(stream::iter(0..).map_concurrent(n(5), work).drive(consumer));
    assert_eq!((&mut drive).await, 200 * 201 / 2);
    assert_eq!(in_flight.now(), 0, "what runs is dropped before the output is given");
}

#[apply(runtime_test)]
async fn a_consumer_gets_all_and_the_end(_: Runtime) {
    let results = Box::pin(halting(1_000, 2)).map_concurrent_unordered(n(5), async |item| {
        yields(item % 2).await;
        item
    });
    let mut all: Vec<_> = results.drive(|results| results.collect()).await;
    all.sort_unstable();
    assert!(all.into_iter().eq(0..1_000));
}

#[test]
fn a_consumer_that_drops_the_results_is_waited_for() {
    let started = Cell::new(0);
    let work = |_: usize| {
        started.set(started.get() + 1);
        async {}
    };
    let output = block_on(stream::iter(0..).map_concurrent(n(4), work).drive(|results| async move {
        drop(results);
        yields(100).await;
        7
    }));
    assert_eq!((output, started.get()), (7, 8), "there was no more room");
}

#[apply(runtime_test)]
async fn the_items_of_a_key_run_one_after_another(_: Runtime) {
    let running = Mutex::new(HashMap::<usize, usize>::new());
    let most_keys = AtomicUsize::new(0);
    let work = async |(key, item): (usize, usize)| {
        {
            let mut running = running.lock().unwrap();
            *running.entry(key).or_default() += 1;
            assert_eq!(running[&key], 1, "key {key}");
            most_keys.fetch_max(running.len(), Ordering::Relaxed);
        }
        yields((key + item) % 4).await;
        running.lock().unwrap().remove(&key);
        (key, item)
    };
    let items = Box::pin(halting(2_000, 1)).map(|item| (item * item % 17, item));
    let results: Vec<_> = items.map_by_key(|item| item.0, n(4), n(3), work).collect().await;
    assert_eq!(results.len(), 2_000);
    for key in 0..17 {
        let of_key = results.iter().filter(|item| item.0 == key).map(|item| item.1);
        assert!(of_key.eq((0..2_000).filter(|item| item * item % 17 == key)));
    }
    assert!(most_keys.into_inner() <= 4);
}

#[apply(runtime_test)]
async fn a_hot_key_holds_up_only_itself_until_it_has_too_many(_: Runtime) {
    let taken = AtomicUsize::new(0);
    let gate = async_channel::bounded::<()>(1);
    // Two of the hot key, then others, then two more of the hot key: it may hold three.
    let keys = ["hot", "hot", "a", "b", "hot", "c", "a", "hot", "d", "e"];
    let source = stream::iter(keys.into_iter().enumerate()).inspect(|_| {
        taken.fetch_add(1, Ordering::Relaxed);
    });
    let work = |(number, key): (usize, &'static str)| {
        let gate = gate.1.clone();
        async move {
            if key == "hot" {
                gate.recv().await.unwrap();
            }
            number
        }
    };
    let mut results = source.map_by_key(|item| item.1, n(3), n(3), work);
    let mut others: Vec<_> = results.by_ref().take(4).collect().await;
    others.sort_unstable();
    assert_eq!(others, [2, 3, 5, 6]);
    assert!(futures_lite::future::poll_once(results.next()).await.is_none());
    assert_eq!(taken.load(Ordering::Relaxed), 8, "the fourth of the hot key is in hand");
    let mut rest = Vec::new();
    while rest.len() < 6 {
        let _ = gate.0.try_send(());
        rest.push(results.next().await.unwrap());
    }
    let hot: Vec<_> = rest.iter().copied().filter(|number| keys[*number] == "hot").collect();
    assert_eq!(hot, [0, 1, 4, 7]);
    assert_eq!(results.next().await, None);
}

/// The futures and the consumer are what they say, over random sources and random waits.
#[apply(sim_test)]
async fn random_windows_are_like_a_list(runtime: Runtime) {
    let clock = runtime.clock();
    for _ in 0..6 {
        let number = clock.random_below(60) as usize;
        let (most, unread) = (1 + clock.random_below(6) as usize, clock.random_below(6) as usize);
        let wait = async |item: usize| {
            match clock.random_below(3) {
                0 => {}
                1 => yields(clock.random_below(4) as usize).await,
                _ => clock.sleep(Duration::from_millis(clock.random_below(5))).await,
            }
            item
        };
        let inside = Cell::new(0_usize);
        let peak = Cell::new(0);
        let running = InFlight::new();
        let work = |item: usize| {
            inside.set(inside.get() + 1);
            peak.set(peak.get().max(inside.get()));
            let guard = running.enter();
            async move {
                let _guard = guard;
                wait(item).await
            }
        };
        let source = || Box::pin(stream::iter(0..number).then(wait));
        let take = async |item: usize| {
            inside.set(inside.get() - 1);
            wait(item).await
        };
        let ordered: Vec<_> = match clock.random_below(3) {
            0 => source().map_concurrent(n(most), work).unread(unread).then(take).collect().await,
            1 => {
                let results = source().map_concurrent(n(most), work).unread(unread);
                results.drive(|results| results.then(take).collect()).await
            }
            _ => {
                let seen = Mutex::new(Vec::new());
                let results = source().map_concurrent(n(most), work).unread(unread);
                results
                    .for_each_with(async |item| {
                        let item = take(item).await;
                        seen.lock().unwrap().push(item);
                    })
                    .await;
                seen.into_inner().unwrap()
            }
        };
        assert!(ordered.into_iter().eq(0..number));
        // The result in the consumer's hand makes room before the consumer counts it.
        assert!(peak.get() <= most + unread + 1, "{} of {most} + {unread}", peak.get());
        assert!(running.peak() <= most);

        let mut unordered: Vec<_> =
            source().map_concurrent_unordered(n(most), work).unread(unread).then(take).collect().await;
        unordered.sort_unstable();
        assert!(unordered.into_iter().eq(0..number));

        let keys = 1 + clock.random_below(5) as usize;
        let results = source().map_by_key(|item| item % keys, n(most), n(1 + unread), work);
        let by_key: Vec<_> = results.then(take).collect().await;
        assert_eq!(by_key.len(), number);
        for key in 0..keys {
            let of_key = by_key.iter().filter(|item| **item % keys == key);
            assert!(of_key.copied().eq((0..number).filter(|item| item % keys == key)));
        }
    }
}

/// While the consumer sleeps, the futures of the plain stream stand still, and those of the others do not.
#[apply(sim_test)]
async fn who_polls_the_futures(runtime: Runtime) {
    let clock = runtime.clock();
    let ms = Duration::from_millis;
    let fetch = async |item: u32| {
        let start = clock.now();
        clock.sleep(ms(5)).await;
        clock.sleep(ms(5)).await;
        (item, clock.now() - start)
    };
    let store = async |(item, took): (u32, Duration)| {
        clock.sleep(ms(20)).await;
        (item, took)
    };
    let plain: Vec<_> = stream::iter(0..4).map_concurrent(n(2), fetch).then(store).collect().await;
    assert_eq!(plain.iter().map(|one| one.1).max(), Some(ms(40)), "a fetch stands still for a store");
    let start = clock.now();
    let results = stream::iter(0..4).map_concurrent(n(2), fetch);
    let driven: Vec<_> = results.drive(|results| results.then(store).collect()).await;
    assert_eq!(driven, [(0, ms(10)), (1, ms(10)), (2, ms(10)), (3, ms(10))]);
    assert_eq!(clock.now() - start, ms(10 + 4 * 20), "fetching is beside storing");
}

#[test]
fn nothing_is_read_from_the_source_before_there_is_room() {
    let time = ManualClock::new();
    let taken = Cell::new(0);
    let source = stream::iter(0..100).inspect(|_| taken.set(taken.get() + 1));
    let sleep = |_| time.clock().sleep(Duration::from_secs(1));
    let mut results = source.map_concurrent_unordered(n(3), sleep).unread(0);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(results.poll_next_unpin(&mut cx).is_pending());
    assert_eq!((taken.get(), time.timers()), (3, 3));
    drop(results);
    assert_eq!(time.timers(), 0);
}

#[apply(runtime_test)]
async fn they_end_with_a_channel(runtime: Runtime) {
    let (sender, receiver) = bounded(n(4));
    let sending = runtime.spawn(async move {
        for item in 0..500 {
            sender.send(item).await.unwrap();
        }
    });
    let doubled: Vec<_> = receiver.map_concurrent(n(4), async |item: u32| item * 2).collect().await;
    assert!(doubled.into_iter().eq((0..500).map(|item| item * 2)));
    sending.await.unwrap();
}
