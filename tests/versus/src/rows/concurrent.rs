//! Several futures at once over a stream, over `buffered` and `buffer_unordered` of futures.
//!
//! Sixteen at once, in one task. `ready`: the futures are ready at their first poll, so that all is overhead.
//! `yielding`: each has to wait once.

use futures::stream::{self, StreamExt};
use weirs_channels_utils::StreamUtil;
use weirs_runtime::block_on;

use super::channel::places;
use crate::measure::{Experiment, Pair, wall};
use crate::peers::peer_in;
use crate::row::Row;

const WIDTH: usize = 16;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |name: &str, way: &str| Row::new(format!("concurrent/{name}/{way}"), peer_in("futures", way));
    vec![
        Experiment::pair([row("ready", "buffered").goal(1.0)], || {
            Pair::new(
                |items| {
                    let all = stream::iter(0..items).map_concurrent(places(WIDTH), ready);
                    wall(items, || assert_eq!(block_on(all.count()) as u64, items))
                },
                |items| {
                    let all = stream::iter(0..items).map(ready).buffered(WIDTH);
                    wall(items, || assert_eq!(block_on(all.count()) as u64, items))
                },
            )
        }),
        Experiment::pair([row("ready", "buffer-unordered").goal(1.0)], || {
            Pair::new(
                |items| {
                    let all = stream::iter(0..items).map_concurrent_unordered(places(WIDTH), ready);
                    wall(items, || assert_eq!(block_on(all.count()) as u64, items))
                },
                |items| {
                    let all = stream::iter(0..items).map(ready).buffer_unordered(WIDTH);
                    wall(items, || assert_eq!(block_on(all.count()) as u64, items))
                },
            )
        }),
        Experiment::pair([row("yielding", "buffered").goal(1.0)], || {
            Pair::new(
                |items| {
                    let all = stream::iter(0..items).map_concurrent(places(WIDTH), yielding);
                    wall(items, || assert_eq!(block_on(all.count()) as u64, items))
                },
                |items| {
                    let all = stream::iter(0..items).map(yielding).buffered(WIDTH);
                    wall(items, || assert_eq!(block_on(all.count()) as u64, items))
                },
            )
        }),
        Experiment::pair([row("yielding", "buffer-unordered").goal(1.0)], || {
            Pair::new(
                |items| {
                    let all = stream::iter(0..items).map_concurrent_unordered(places(WIDTH), yielding);
                    wall(items, || assert_eq!(block_on(all.count()) as u64, items))
                },
                |items| {
                    let all = stream::iter(0..items).map(yielding).buffer_unordered(WIDTH);
                    wall(items, || assert_eq!(block_on(all.count()) as u64, items))
                },
            )
        }),
    ]
}

async fn ready(item: u64) -> u64 {
    item
}

async fn yielding(item: u64) -> u64 {
    futures_lite::future::yield_now().await;
    item
}
