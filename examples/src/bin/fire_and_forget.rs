//! Who finishes the work that nobody awaits, and what was lost?
//!
//! A task that was detached ends with the program, and nobody knows how far it had come. Spawned through a
//! tracker it is as free, but at the end it has some time, and what needed more is named.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use weirs_runtime::{Clock, Runtime, Smol, block_on};
use weirs_scopes::Tracker;

fn main() {
    let runtime = Runtime::from(Smol::global());
    println!("detached: {} of 3 entries are written when the program ends", block_on(leaking(&runtime)));
    block_on(tracked(&runtime));
}

/// The leak: the tasks go on somewhere, and are cut off at any point.
async fn leaking(runtime: &Runtime) -> u32 {
    let written = Arc::new(AtomicU32::new(0));
    for _ in 0..3 {
        runtime.spawn(write_entry(runtime.clock().clone(), Arc::clone(&written))).detach();
    }
    // The program would end here.
    written.load(Ordering::Relaxed)
}

async fn tracked(runtime: &Runtime) {
    let tracker = Tracker::new(runtime);
    let written = Arc::new(AtomicU32::new(0));
    for number in 1..=3 {
        let entry = write_entry(runtime.clock().clone(), Arc::clone(&written));
        tracker.spawn(format!("entry {number}"), entry);
    }
    tracker.spawn("upload the metrics", {
        let clock = runtime.clock().clone();
        async move { clock.sleep(Duration::from_secs(3600)).await }
    });

    let left = tracker.no_leaks(Duration::from_secs(1)).await;
    println!("tracked: {} of 3 entries are written", written.load(Ordering::Relaxed));
    if let Err(leaks) = left {
        print!("{leaks}");
    }
}

async fn write_entry(clock: Clock, written: Arc<AtomicU32>) {
    clock.sleep(Duration::from_millis(20)).await;
    written.fetch_add(1, Ordering::Relaxed);
}
