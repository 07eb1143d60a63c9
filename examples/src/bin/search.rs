//! How do I ask several services and take the first three answers?
//!
//! In Go there is a goroutine for each service and one for each forward, and those that were not needed go on
//! until they can send. Here the merge is dropped after the third answer, and the search that is still
//! running with it.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::time::Duration;

use futures_lite::{StreamExt, stream};
use weirs_channels_utils::merge;
use weirs_runtime::{Clock, block_on};

const QUERY: &str = "Go concurrency patterns";

fn main() {
    let clock = Clock::default();
    let services = [("Web source 1", 5), ("Web source 2", 300), ("Images", 50), ("Videos", 3_600_000)];
    let searches = services
        .map(|(kind, latency)| stream::once_future(search(&clock, kind, Duration::from_millis(latency))));

    println!("results for '{QUERY}':");
    block_on(async {
        let mut results = merge(searches).take(3);
        while let Some(result) = results.next().await {
            println!("  -> {result}");
        }
    });
    println!("Three results are enough.");
}

async fn search(clock: &Clock, kind: &'static str, latency: Duration) -> String {
    let running = Running(kind);
    clock.sleep(latency).await;
    // It came to its end.
    std::mem::forget(running);
    format!("{kind}: a result after {latency:?}")
}

/// Tells when a search is dropped before its end.
struct Running(&'static str);

impl Drop for Running {
    fn drop(&mut self) {
        println!("{}: not needed any more", self.0);
    }
}
