//! An hour in which twice as much comes in as goes out: what has no bound grows without one.

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::some;
use weirs_channels_utils::{ChannelStats, Overflow, Sent, channel};
use weirs_runtime::Clock;
use weirs_testing::sim::Explore;

const HOUR: u64 = 3_600;
const IN: u64 = 10_000;
const OUT: u64 = 5_000;

/// The steps are of a second, and a thing stands for fifty items.
const THING: u64 = 50;

fn hour(overflow: Option<Overflow>, rate: u64) -> (ChannelStats, u64) {
    let result = Arc::new(std::sync::Mutex::new((ChannelStats::default(), 0)));
    let outside = Arc::clone(&result);
    Explore::new().seeds(0..2).step_limit(u64::MAX).run(move |runtime| {
        let result = Arc::clone(&result);
        async move {
            // Without a bound nothing is stored here: it is counted.
            let in_flight = Arc::new(AtomicU64::new(0));
            let (sender, mut receiver) = channel(some(1_000)).overflow(overflow.unwrap_or_default()).build();
            let clock: Clock = runtime.clock().clone();
            let end = clock.now() + Duration::from_secs(HOUR);
            let counted = Arc::clone(&in_flight);
            let consumer = runtime.spawn({
                let clock = clock.clone();
                async move {
                    let mut taken = Vec::new();
                    while clock.now() < end {
                        clock.sleep(Duration::from_secs(1)).await;
                        if overflow.is_none() {
                            counted.fetch_sub(OUT, Ordering::Relaxed);
                            continue;
                        }
                        taken.clear();
                        taken.extend(receiver.remaining().take((OUT / THING) as usize));
                    }
                }
            });
            let mut refused = 0;
            let mut things = VecDeque::new();
            while clock.now() < end {
                if overflow.is_none() {
                    in_flight.fetch_add(rate, Ordering::Relaxed);
                } else if overflow == Some(Overflow::Block) {
                    things.extend(0..rate / THING);
                    // The rest of what would come in the meantime waits where it comes from.
                    clock.timeout(Duration::from_secs(1), sender.send_all(&mut things)).await.ok();
                    refused += things.drain(..).count() as u64;
                } else {
                    let sent = (0..rate / THING).map(|thing| sender.try_send(thing));
                    refused += sent.filter(|sent| !matches!(sent, Ok(Sent::Queued))).count() as u64;
                }
                clock.sleep_until(clock.now() + Duration::from_secs(1)).await;
            }
            let mut stats = sender.stats();
            consumer.await.unwrap();
            if overflow.is_none() {
                stats.high_water = usize::try_from(in_flight.load(Ordering::Relaxed)).unwrap();
            }
            *result.lock().unwrap() = (stats, refused);
        }
    });
    *outside.lock().unwrap()
}

#[test]
fn without_a_bound_eighteen_million_are_in_flight() {
    let (stats, _) = hour(None, IN);
    assert_eq!(stats.high_water as u64, HOUR * (IN - OUT));
}

#[test]
fn with_a_bound_senders_wait_or_items_are_shed() {
    for overflow in [Overflow::Block, Overflow::DropOldest, Overflow::DropNewest, Overflow::Error] {
        let (stats, refused) = hour(Some(overflow), IN);
        assert!(stats.high_water <= 1_000, "{overflow:?}: {stats}");
        assert!(refused > 0, "{overflow:?}: what did not fit is known");
    }
}

#[test]
fn at_the_rate_of_the_consumer_nothing_is_refused() {
    let (stats, refused) = hour(Some(Overflow::DropNewest), OUT);
    assert_eq!((stats.dropped, refused), (0, 0));
    assert!(stats.high_water as u64 <= 2 * OUT / THING, "{stats}");
}
