//! How do I put something into a queue only if there is room?
//!
//! `select` with a `default` in Go. Here the refused item comes back, with the reason: full may pass, closed
//! will not.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;

use weirs_channels_utils::{SendError, Sender, bounded};

fn main() {
    let (queue, mut reader) = bounded(NonZeroUsize::new(2).expect("not zero"));
    for job in ["one", "two", "three"] {
        try_enqueue(&queue, job);
    }
    println!("done: {:?}", reader.try_recv());
    try_enqueue(&queue, "three again");
    drop(reader);
    try_enqueue(&queue, "four");
}

fn try_enqueue(queue: &Sender<&str>, job: &'static str) {
    match queue.try_send(job) {
        Ok(_) => println!("{job}: queued"),
        Err(SendError::Full(job)) => println!("{job}: no room"),
        Err(SendError::Closed(job)) => println!("{job}: nobody reads"),
    }
}
