//! Merge: nothing lost, fair with a stated bound, as much work as there are ready inputs.

mod routing;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use futures::{StreamExt, stream};
use routing::{Polls, at_random, panic_of, poll, size, yielding};
use weirs_channels_utils::{Merge, Merged2, Share, bounded, merge, merge_tuple};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields};

#[apply(runtime_test)]
async fn every_item_of_every_input(runtime: Runtime) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..70).map(|_| bounded(size(2))).unzip();
    for (number, sender) in senders.into_iter().enumerate() {
        runtime
            .spawn(async move {
                for n in 0..20 {
                    sender.send((number, n)).await.unwrap();
                }
            })
            .detach();
    }
    let mut seen = BTreeMap::<usize, Vec<u32>>::new();
    let mut merged = merge(receivers);
    while let Some((number, n)) = merged.next().await {
        seen.entry(number).or_default().push(n);
    }
    assert_eq!(seen.len(), 70);
    assert!(seen.values().all(|items| items.iter().copied().eq(0..20)));
}

#[test]
fn without_inputs_it_ends_and_with_more_it_goes_on() {
    let mut merged = Merge::new();
    assert_eq!(block_on(merged.next()), None);
    merged.push(stream::iter([1]));
    assert_eq!(block_on(merged.next()), Some(1));
    assert_eq!(block_on(merged.next()), None);
    assert!(merged.is_empty());
}

#[test]
fn one_input_and_thousands() {
    assert_eq!(block_on(merge([stream::iter(0..9)]).count()), 9);
    let many = (0..9_000).map(|n| stream::iter([n, n]));
    assert_eq!(block_on(merge(many).collect::<Vec<_>>()).len(), 18_000);
}

/// The items of others between two of one input, at most, while all are ready.
fn largest_gap(items: impl Iterator<Item = usize>, inputs: usize) -> usize {
    let (mut last, mut largest) = (vec![0; inputs], 0);
    for (at, input) in items.enumerate() {
        largest = largest.max(at - last[input]);
        last[input] = at + 1;
    }
    largest
}

#[test]
fn no_ready_input_waits_longer_than_the_bound() {
    for burst in [1, 3, 16] {
        for inputs in [2, 8, 70, 300] {
            let merged = merge((0..inputs).map(stream::repeat)).burst(NonZeroU32::new(burst).unwrap());
            let items = block_on(merged.take(inputs * 100).collect::<Vec<_>>());
            let gap = largest_gap(items.into_iter(), inputs);
            assert!(gap <= burst as usize * (inputs - 1), "{gap} with {inputs} inputs and bursts of {burst}");
        }
    }
}

#[apply(sim_test)]
async fn an_input_that_gets_ready_waits_no_longer_than_the_bound(runtime: Runtime) {
    // Seven that are always ready, and one that is ready now and then.
    let (sender, receiver) = bounded(size(1));
    let mut merged = Merge::new();
    for _ in 0..7 {
        merged.push(stream::repeat(0).boxed());
    }
    merged.push(receiver.boxed());
    for round in 1..50_u64 {
        for _ in 0..runtime.clock().random_below(200) {
            assert_eq!(merged.next().await, Some(0));
        }
        sender.try_send(round).unwrap();
        let mut waited = 0;
        while merged.next().await == Some(0) {
            waited += 1;
        }
        assert!(waited <= 64 + 16 * 7, "{waited}");
    }
}

#[test]
fn weights_share_and_nobody_starves() {
    let mut merged = Merge::new().burst(NonZeroU32::new(2).unwrap());
    for weight in 1..=4 {
        let share = Share::new().weight(NonZeroU32::new(weight).unwrap());
        merged.push_with(stream::repeat(weight as usize - 1), share);
    }
    let items = block_on(merged.take(2_000).collect::<Vec<_>>());
    let counts: Vec<_> = (0..4).map(|n| items.iter().filter(|item| **item == n).count()).collect();
    assert_eq!(counts, [200, 400, 600, 800]);
    assert!(largest_gap(items.into_iter(), 4) <= 2 * (2 + 3 + 4));
}

#[test]
fn priority_is_first_and_aging_bounds_the_wait() {
    for aging in [1, 5, 64] {
        let mut merged = Merge::new().aging(NonZeroU32::new(aging).unwrap());
        for level in 0..4 {
            merged.push_with(stream::repeat(usize::from(level)), Share::new().priority(level));
        }
        let items = block_on(merged.take(4_000).collect::<Vec<_>>());
        assert_eq!(items[0], 3);
        let gap = largest_gap(items.iter().copied(), 4);
        assert!(gap <= aging as usize + 4, "{gap} with aging {aging}");
        let first = items.iter().filter(|item| **item == 3).count();
        assert!(aging < 5 || first >= 4_000 * 2 / 5, "{first} with aging {aging}");
    }
}

#[test]
fn keys_remove_and_are_not_used_again() {
    let mut merged = Merge::new();
    let one = merged.push(stream::iter(vec![1, 2, 3]));
    let two = merged.push(stream::iter(vec![10]));
    assert!(merged.contains(one) && merged.len() == 2);
    let first = block_on(merged.next()).unwrap();
    let rest = block_on(merged.remove(one).unwrap().collect::<Vec<_>>());
    assert_eq!(rest.len(), if first == 1 { 2 } else { 3 });
    let three = merged.push(stream::iter(vec![20]));
    assert_ne!(one, three);
    assert!(merged.remove(one).is_none() && !merged.discard(one));
    assert!(merged.discard(three) && merged.get_mut(two).is_some());
}

#[test]
fn the_keyed_form_tells_whose_and_who_ended() {
    let mut merged = Merge::new();
    let (one, two) = (merged.push(stream::iter(vec![1])), merged.push(stream::iter(vec![])));
    let mut events = block_on(merged.keyed().collect::<Vec<_>>());
    events.sort();
    assert_eq!(events, [(one, None), (one, Some(1)), (two, None)]);
}

#[apply(runtime_test)]
async fn an_input_that_is_pushed_is_polled(runtime: Runtime) {
    let (sender, receiver) = bounded(size(1));
    let mut merged = merge([receiver]);
    assert!(poll(&mut merged).is_pending());
    let (later, receiver) = bounded(size(1));
    merged.push(receiver);
    let task = runtime.spawn(async move { merged.next().await });
    later.send("pushed").await.unwrap();
    assert_eq!(task.await.unwrap(), Some("pushed"));
    drop(sender);
}

#[test]
fn a_panic_ends_the_input_and_no_other() {
    let bad = stream::poll_fn(|_| panic!("bad")).boxed();
    let mut merged = merge([stream::iter([1, 2]).boxed(), bad, stream::iter([3]).boxed()]);
    let mut items = Vec::new();
    let mut panics = 0;
    loop {
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| block_on(merged.next())));
        match polled {
            Ok(Some(item)) => items.push(item),
            Ok(None) => break,
            Err(_) => panics += 1,
        }
    }
    items.sort();
    assert_eq!((panics, items), (1, vec![1, 2, 3]));
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_it_loses_nothing(_runtime: Runtime) {
    let (sender, receiver) = bounded(size(2));
    let merged = futures::lock::Mutex::new(merge([receiver.boxed(), yielding([0]).boxed()]));
    let taken = std::sync::atomic::AtomicU32::new(0);
    let make = || async {
        let mut merged = merged.lock().await;
        yields(1).await;
        let _ = sender.try_send(1);
        while merged.next().await != Some(1) {}
        taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    cancel_at_every_poll(make, async |_| {}).await;
    cancel_at_every_wake(make, async |_| {}).await;
    let sent = sender.stats().sent;
    let left = sender.stats().len as u64;
    assert_eq!(u64::from(taken.into_inner()) + left, sent);
}

#[test]
fn idle_inputs_are_not_polled() {
    let polls = Polls::default();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..1_000).map(|_| bounded(size(1))).unzip();
    let mut merged = merge(receivers.into_iter().map(|receiver| polls.of(receiver)));
    assert!(poll_many(&mut merged).is_pending());
    let before = polls.now();
    for n in 0..500 {
        senders[7].try_send(n).unwrap();
        assert_eq!(block_on(merged.next()), Some(n));
    }
    assert!(polls.now() - before <= 1_000, "{}", polls.now() - before);
}

/// A thousand polls in vain take some turns.
fn poll_many<S: futures::Stream + Unpin>(stream: &mut S) -> std::task::Poll<Option<S::Item>> {
    (0..20).map(|_| poll(stream)).last().unwrap()
}

#[apply(sim_test)]
async fn random_inputs_come_and_go(runtime: Runtime) {
    let clock = runtime.clock();
    let mut merged = Merge::new().burst(NonZeroU32::new(1 + clock.random_below(4) as u32).unwrap());
    let mut expected = BTreeMap::new();
    let mut got = BTreeMap::<usize, Vec<u64>>::new();
    let mut keys = BTreeMap::new();
    for number in 0..20_usize {
        let items = clock.random_below(30);
        let share = Share::new().priority(clock.random_below(3) as u8);
        let input = at_random((0..items).map(move |n| (number, n)).collect::<Vec<_>>(), clock);
        keys.insert(number, merged.push_with(input, share));
        expected.insert(number, items);
        for _ in 0..clock.random_below(40) {
            let Some((number, n)) = merged.next().await else { break };
            got.entry(number).or_default().push(n);
        }
        if clock.random_below(3) == 0 {
            let victim = clock.random_below(number as u64 + 1) as usize;
            if let Some(input) = merged.remove(keys[&victim]) {
                got.entry(victim).or_default().extend(input.map(|(_, n)| n).collect::<Vec<_>>().await);
            }
        }
    }
    while let Some((number, n)) = merged.next().await {
        got.entry(number).or_default().push(n);
    }
    for (number, items) in expected {
        assert_eq!(got.remove(&number).unwrap_or_default(), (0..items).collect::<Vec<_>>(), "of {number}");
    }
}

#[apply(runtime_test)]
async fn a_tuple_takes_turns(_runtime: Runtime) {
    let merged = merge_tuple((stream::iter(0..50), stream::repeat("x").take(50)));
    let items = merged.collect::<Vec<_>>().await;
    for pair in items.chunks(2) {
        assert!(matches!(pair, [Merged2::First(_), Merged2::Second("x")]));
    }
    let eight = merge_tuple((
        yielding(0..2),
        yielding(0..2),
        yielding(0..2),
        yielding(0..2),
        yielding(0..2),
        yielding(0..2),
        yielding(0..2),
        yielding(0..2),
    ));
    assert_eq!(eight.map(weirs_channels_utils::Merged8::into_inner).collect::<Vec<_>>().await.len(), 16);
}

#[test]
fn a_panic_ends_one_of_a_tuple() {
    let mut merged = merge_tuple((stream::poll_fn::<u8, _>(|_| panic!("bad")), stream::iter([1])));
    assert_eq!(panic_of(&mut merged), "bad");
    assert_eq!(block_on(merged.next()), Some(Merged2::Second(1)));
    assert_eq!(block_on(merged.next()), None);
}
