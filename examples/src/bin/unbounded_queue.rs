//! What becomes of a queue whose producer is quicker than its consumer?
//!
//! It grows until the memory is full: the first one has all ten thousand messages at a time. A bounded one
//! has four, because its sender waits; that is all there is to back-pressure.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;
use std::process::ExitCode;

use futures_lite::future::{yield_now, zip};
use weirs_channels_utils::bounded;
use weirs_examples::story;

const MESSAGES: usize = 10_000;

fn main() -> ExitCode {
    story::tell("smol", |_| async {
        let (sender, receiver) = async_channel::unbounded();
        let produce = async {
            for _ in 0..MESSAGES {
                sender.send(vec![0_u8; 100]).await.expect("it is read");
            }
            sender.close();
        };
        let consume = async {
            let (mut read, mut most) = (0, 0);
            while receiver.recv().await.is_ok() {
                read += 1;
                most = most.max(receiver.len());
                yield_now().await;
            }
            (read, most)
        };
        let ((), (read, most)) = zip(produce, consume).await;
        println!("unbounded: {read} read, {} of them had to be kept at a time", most + 1);

        let (sender, mut receiver) = bounded(NonZeroUsize::new(4).expect("not zero"));
        let produce = async move {
            for _ in 0..MESSAGES {
                sender.send(vec![0_u8; 100]).await.expect("it is read");
            }
        };
        let consume = async {
            let (mut read, mut most) = (0, 0);
            loop {
                most = most.max(receiver.len());
                if receiver.recv().await.is_none() {
                    break (read, most);
                }
                read += 1;
                yield_now().await;
            }
        };
        let ((), (read, most)) = zip(produce, consume).await;
        println!("bounded: {read} read, never more than 4 were kept: {}", most <= 4);
    })
}
