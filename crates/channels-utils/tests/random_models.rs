//! Operators over random items at random times, each beside a list that follows the rules of its docs.

mod common;
mod routing;

use std::time::Duration;

use common::some;
use futures::{Stream, StreamExt, stream};
use routing::at_random;
use weirs_channels_utils::{Edges, Missed, OrDoneEnd, Slow, StreamUtil, broadcast};
use weirs_runtime::{Clock, Runtime, ZeroPeriod};
use weirs_testing::{apply, sim_test, yields};

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Items and when they come: at odd times, some at once. Signals and limits are even.
fn random_items(clock: &Clock) -> Vec<(u64, u64)> {
    let mut at = 1;
    let later = |item| {
        at += 2 * clock.random_below(12);
        (at, item)
    };
    (0..clock.random_below(40)).map(later).collect()
}

/// The number of each pair at its time, in milliseconds from now.
fn timed(clock: &Clock, items: &[(u64, u64)]) -> impl Stream<Item = u64> + Unpin + use<> {
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
async fn batches_by_weight(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let items = random_items(clock);
    let weights: Vec<u64> = items.iter().map(|_| clock.random_below(6)).collect();
    let most = 1 + clock.random_below(8);
    let within = 2 * clock.random_below(20) + 1;
    let mut expected = Vec::new();
    let mut open: Option<(u64, Vec<u64>, u64)> = None;
    for &(at, item) in &items {
        let weight = weights[item as usize];
        expected.extend(open.take_if(|open| open.0 <= at).map(|(until, batch, _)| (until, batch)));
        expected.extend(open.take_if(|open| open.2 + weight > most).map(|(_, batch, _)| (at, batch)));
        let (_, batch, sum) = open.get_or_insert((at + within, Vec::new(), 0));
        batch.push(item);
        *sum += weight;
        expected.extend(open.take_if(|open| open.2 >= most).map(|(_, batch, _)| (at, batch)));
    }
    let end = items.last().map_or(0, |last| last.0);
    expected.extend(open.map(|(_, batch, _)| (end, batch)));
    let weigh = |item: &u64| weights[*item as usize] as usize;
    let batches =
        timed(clock, &items).chunks_by_weight_or_timeout(some(most as usize), ms(within), weigh, clock)?;
    assert_eq!(seen(clock, batches).await, expected);
    Ok(())
}

#[apply(sim_test)]
async fn both_edges_of_each_burst(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let items = random_items(clock);
    let quiet = 2 * clock.random_below(10) + 1;
    let mut expected = Vec::new();
    for (index, &(at, item)) in items.iter().enumerate() {
        let begins = index == 0 || at - items[index - 1].0 > quiet;
        let next = items.get(index + 1).map(|next| next.0);
        let ends = next.is_none_or(|next| next - at > quiet);
        if begins {
            expected.push((at, item));
        } else if ends {
            expected.push((if next.is_some() { at + quiet } else { at }, item));
        }
    }
    let edges = timed(clock, &items).debounce(ms(quiet), Edges::Both, clock)?;
    assert_eq!(seen(clock, edges).await, expected);
    Ok(())
}

#[apply(sim_test)]
async fn windows_that_slide(runtime: Runtime) -> Result<(), ZeroPeriod> {
    let clock = runtime.clock();
    let items = random_items(clock);
    let (length, step) = (1 + clock.random_below(40), 1 + clock.random_below(20));
    let (first, end) = (items.first().map_or(0, |item| item.0), items.last().map_or(0, |item| item.0));
    let mut expected = Vec::new();
    let mut until = first;
    while !items.is_empty() && until <= end {
        until += step;
        let inside = |item: &&(u64, u64)| item.0 < until && item.0 >= until.saturating_sub(length);
        let window: Vec<u64> = items.iter().filter(inside).map(|item| item.1).collect();
        if !window.is_empty() {
            // The last one goes with the end of the source.
            expected.push((until.min(end), window));
        }
    }
    let windows = timed(clock, &items).sliding_windows(ms(length), ms(step), some(100), clock)?;
    assert_eq!(seen(clock, windows.map(|window| window.items)).await, expected, "{length} {step}");
    Ok(())
}

#[apply(sim_test)]
async fn beats_fill_the_silence(runtime: Runtime) -> Result<(), ZeroPeriod> {
    const BEAT: u64 = 1_000;
    let clock = runtime.clock();
    let items = random_items(clock);
    let quiet = 1 + clock.random_below(12);
    let mut expected = Vec::new();
    let mut last = 0;
    for &(at, item) in &items {
        while last + quiet < at {
            last += quiet;
            expected.push((last, BEAT));
        }
        expected.push((at, item));
        last = at;
    }
    let beats = timed(clock, &items).heartbeat(ms(quiet), || BEAT, clock)?;
    assert_eq!(seen(clock, beats).await, expected);
    Ok(())
}

#[apply(sim_test)]
async fn items_until_a_signal(runtime: Runtime) {
    let clock = runtime.clock();
    let items = random_items(clock);
    let stop = 2 * clock.random_below(200);
    let mut until = timed(clock, &items).or_done(clock.sleep(ms(stop)));
    let got = seen(clock, until.by_ref()).await;
    let expected: Vec<_> = items.iter().copied().take_while(|item| item.0 < stop).collect();
    assert_eq!(got, expected);
    let all = items.last().is_none_or(|last| last.0 < stop) && stop > 0;
    assert_eq!(until.end(), Some(if all { OrDoneEnd::Ended } else { OrDoneEnd::Stopped }));
    // What was not given is in the source.
    let rest = if all { 0 } else { until.into_inner().count().await };
    assert_eq!(got.len() + rest, items.len());
}

#[apply(sim_test)]
async fn streams_of_streams(runtime: Runtime) {
    let clock = runtime.clock();
    let lists: Vec<Vec<(usize, u64)>> = (0..clock.random_below(8) as usize)
        .map(|who| (0..clock.random_below(6)).map(|number| (who, number)).collect())
        .collect();
    let streams = || at_random(lists.clone(), clock).map(|list| at_random(list, clock));
    let in_order: Vec<_> = streams().bridge().collect().await;
    assert_eq!(in_order, lists.concat());
    let most = 1 + clock.random_below(4) as usize;
    let mut several = streams().bridge_unordered(some(most));
    let mut got = vec![Vec::new(); lists.len()];
    while let Some((who, number)) = several.next().await {
        assert!(several.at_hand() <= most);
        got[who].push((who, number));
    }
    assert_eq!(got, lists);
}

#[apply(sim_test)]
async fn what_slow_receivers_miss_is_counted(runtime: Runtime) {
    const ITEMS: u64 = 60;
    let clock = runtime.clock();
    let (sender, first) = broadcast::channel(some(1 + clock.random_below(4) as usize));
    let policies = [Slow::Wait, Slow::DropOldest, Slow::DropNewest, Slow::Disconnect];
    let mut tasks = Vec::new();
    for slow in policies {
        let mut receiver = sender.subscribe_with(slow);
        let clock = clock.clone();
        tasks.push(runtime.spawn(async move {
            let mut next = 0;
            while let Some(item) = receiver.recv().await {
                match item {
                    Ok(item) => {
                        assert_eq!(item, next, "{slow:?}");
                        next += 1;
                    }
                    Err(Missed::Lagged(number)) => {
                        assert!(matches!(slow, Slow::DropOldest | Slow::DropNewest));
                        next += number;
                    }
                    Err(Missed::Disconnected) => {
                        assert_eq!(slow, Slow::Disconnect);
                        assert_eq!(receiver.recv().await, None);
                        return;
                    }
                }
                yields(clock.random_below(4) as usize).await;
            }
            assert_eq!(next, ITEMS, "{slow:?}");
        }));
    }
    drop(first);
    for item in 0..ITEMS {
        sender.send(item).await.unwrap();
        yields(clock.random_below(3) as usize).await;
    }
    drop(sender);
    for task in tasks {
        task.await.unwrap();
    }
}
