//! How do I read a channel of channels as one?
//!
//! Three batches of ten numbers, each a channel of its own. The bridge reads one to its end, then asks for
//! the next; `bridge_unordered(n)` would read up to `n` of them at a time.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;

use futures_lite::{StreamExt, future};
use weirs_channels_utils::{Sender, StreamUtil, bounded, feed};
use weirs_runtime::block_on;

fn main() {
    let (batches, of_batches) = bounded(NonZeroUsize::MIN);
    let produce = async move {
        for number in 0..3 {
            let (sender, batch) = bounded(NonZeroUsize::new(10).expect("not zero"));
            fill(sender, number * 10, 10).await;
            if batches.send(batch).await.is_err() {
                break;
            }
        }
    };
    let consume = async {
        let mut numbers = of_batches.bridge();
        while let Some(number) = numbers.next().await {
            println!("{number}");
        }
    };
    block_on(future::zip(produce, consume));
}

async fn fill(sender: Sender<u32>, from: u32, count: u32) {
    feed(&sender, from..from + count).await.expect("it has room for all");
}
