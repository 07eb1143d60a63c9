//! How do I read a channel until somebody says stop?
//!
//! In Go each read is a `select` with `ctx.Done()`, or a goroutine that forwards until then. Here it is an
//! adapter around the stream. It says why it has ended, and gives the source back with all that is left.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;

use futures_lite::StreamExt;
use weirs_channels_utils::{Receiver, StreamUtil, bounded, feed};
use weirs_runtime::block_on;
use weirs_scopes::CancelToken;

fn main() {
    let (sender, data) = bounded(NonZeroUsize::new(10).expect("not zero"));
    let token = CancelToken::new();
    block_on(async {
        feed(&sender, 1..=5).await.expect("it is read");
        let mut rest = process(data, &token).await;
        println!("left in the channel: {}", rest.remaining().count());
    });
}

async fn process(data: Receiver<u32>, token: &CancelToken) -> Receiver<u32> {
    let mut values = data.or_done(token.cancelled());
    while let Some(value) = values.next().await {
        println!("{value}");
        if value == 3 {
            token.cancel("three is enough");
        }
    }
    let end = values.end().expect("it has ended");
    let why = token.reason().map(|reason| reason.to_string());
    println!("{end:?}: {}", why.unwrap_or_default());
    values.into_inner()
}
