//! How do two consumers each get every item?
//!
//! In Go a goroutine sends each item twice. Here there is none: whichever consumer needs the next item takes
//! it from the source, for both. Neither gets more than the bound ahead of the other.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;

use futures_lite::{Stream, StreamExt, future, stream};
use weirs_channels_utils::StreamUtil;
use weirs_runtime::block_on;

fn main() {
    let input = stream::iter(1..=10);
    let [for_logger, for_processor] = input.tee(NonZeroUsize::new(4).expect("not zero"));
    let (logged, sum) = block_on(future::zip(log(for_logger), process(for_processor)));
    println!("logged: {}", logged.join(" "));
    println!("sum: {sum}");
}

async fn log(numbers: impl Stream<Item = u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect().await
}

async fn process(numbers: impl Stream<Item = u32>) -> u32 {
    numbers.fold(0, |sum, number| sum + number).await
}
