//! How do three workers compete for the numbers of one channel, and how do their results become one stream?
//!
//! A receiver can be cloned, and each item goes to one of the clones; `merge` makes one stream of many, which
//! ends when all have ended. A worker that is not read stops: it is a stream, and no task.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::time::Duration;

use futures_lite::{Stream, StreamExt, future, stream};
use weirs_channels_utils::merge;
use weirs_examples::story;
use weirs_runtime::Clock;

fn main() -> ExitCode {
    story::tell("smol", |runtime| async move {
        let (numbers, input) = async_channel::bounded(3);
        let produce = async {
            for number in 1..=10 {
                numbers.send(number).await.expect("workers read");
            }
            numbers.close();
        };
        let workers = (0..3).map(|id| square_worker(id, input.clone(), runtime.clock()));
        let collect = merge(workers).fold(0, |sum, square| {
            println!("Main received squared value: {square}");
            sum + square
        });
        let ((), sum) = future::zip(produce, collect).await;
        println!("All numbers processed.");
        assert_eq!(sum, 385);
    })
}

fn square_worker(
    id: u32,
    input: async_channel::Receiver<u32>,
    clock: &Clock,
) -> impl Stream<Item = u32> + Unpin + use<> {
    let clock = clock.clone();
    let squares = stream::unfold(input, move |input| {
        let slow = clock.sleep(Duration::from_millis(10));
        async move {
            let Ok(number) = input.recv().await else {
                println!("Worker {id} finished, input channel closed");
                return None;
            };
            slow.await;
            println!("Worker {id} processed {number} -> {}", number * number);
            Some((number * number, input))
        }
    });
    Box::pin(squares)
}
