//! What happens when a lock is held across an `await`?
//!
//! With the lock of the standard library it does not compile where a task may change its thread (see the
//! library's `pitfalls`). With an asynchronous lock it does, and may wait for itself in a circle: here the
//! cache is locked while somebody else is asked, who needs the cache for the answer. An ordinary test hangs;
//! the simulator says at once who is stuck, and where. The way out is to let the lock go first.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::sync::Arc;

use smol::lock::Mutex;
use weirs_runtime::Runtime;
use weirs_testing::sim::Explore;

type Cache = Arc<Mutex<u32>>;

fn main() {
    let explore = || {
        let again = "cargo run --package weirs-examples --bin lock_across_await";
        Explore::from_environment().seeds(0..10).replay_command(again)
    };
    match explore().find(|runtime| story(runtime, true)) {
        Some(failure) => println!("held across the await:\n{failure}\n"),
        None => println!("held across the await: nothing found"),
    }
    match explore().find(|runtime| story(runtime, false)) {
        Some(failure) => println!("let go before it:\n{failure}"),
        None => println!("let go before it: nothing found in 10 seeds"),
    }
}

async fn story(runtime: Runtime, held: bool) {
    let cache = Cache::default();
    let (ask, asked) = async_channel::bounded::<async_channel::Sender<u32>>(1);
    let pricing = runtime.builder().name("pricing").spawn({
        let cache = Arc::clone(&cache);
        async move {
            while let Ok(answer) = asked.recv().await {
                let known = *cache.lock().await;
                let _ = answer.send(known + 1).await;
            }
        }
    });
    let refresh = runtime.builder().name("refresh").spawn(async move {
        let mut guard = Some(cache.lock().await);
        if !held {
            guard = None;
        }
        let (answer, answered) = async_channel::bounded(1);
        ask.send(answer).await.unwrap();
        let price = answered.recv().await.unwrap(); // some_async_op().await
        match guard {
            Some(mut guard) => *guard = price,
            None => *cache.lock().await = price,
        }
    });
    refresh.await.unwrap();
    pricing.await.unwrap();
}
