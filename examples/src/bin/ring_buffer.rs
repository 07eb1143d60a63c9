//! How do I keep the newest items and never make the sender wait?
//!
//! A ring buffer is a channel whose policy is to let the oldest go. What had to go comes back to the sender,
//! and is counted.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;

use weirs_channels_utils::{Overflow, Sent, channel};
use weirs_runtime::block_on;

fn main() {
    let three = NonZeroUsize::new(3).expect("not zero");
    let (ring, mut reader) = channel(three).overflow(Overflow::DropOldest).build();
    block_on(async {
        for value in 1..=5 {
            match ring.send(value).await.expect("it is open") {
                Sent::Evicted(oldest) => println!("push {value}: {oldest} had to go"),
                _ => println!("push {value}"),
            }
        }
    });
    println!("in the ring: {:?}", reader.remaining().collect::<Vec<_>>());
    println!("lost: {}", ring.stats().dropped);
}
