//! How do I stop a pipeline in the middle?
//!
//! In Go each stage is a goroutine that has to hear of the cancel, or it waits for ever to send. Here nobody
//! reads the stream any more: that is the cancel. `made` shows that the generator stopped with the consumer.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use futures_lite::{StreamExt, stream};
use weirs_runtime::block_on;

fn main() {
    let mut made = 0;
    block_on(async {
        let numbers = stream::iter(1..=100).inspect(|_| made += 1);
        let mut squares = numbers.map(|number| number * number);
        while let Some(result) = squares.next().await {
            println!("{result}");
            if result > 10 {
                println!("Result exceeded 10, canceling pipeline.");
                break;
            }
        }
    });
    println!("Pipeline finished.");
    println!("numbers made: {made}");
}
