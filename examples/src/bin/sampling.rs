//! How do I process every tenth item only?
//!
//! By number on any stream, or in the channel itself, so that what is left out never takes a place in it.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;

use futures_lite::{StreamExt, stream};
use weirs_channels_utils::{Overflow, StreamUtil, channel};
use weirs_runtime::block_on;

fn main() {
    let ten = NonZeroUsize::new(10).expect("not zero");
    block_on(async {
        // Of ten items the last, as a counter in a loop would have it: nine go before the first.
        let samples = stream::iter(1..=35).skip(9).every_nth(ten);
        println!("of a stream: {:?}", samples.collect::<Vec<_>>().await);

        // The channel takes one of ten; the others come back to whoever sends.
        let (sender, receiver) = channel(ten).overflow(Overflow::Sample(ten)).build();
        let mut refused = 0;
        for item in 1..=35 {
            refused += usize::from(!sender.send(item).await.expect("it is open").is_queued());
        }
        drop(sender);
        println!("of a channel: {:?}, and {refused} came back", receiver.collect::<Vec<_>>().await);
    });
}
