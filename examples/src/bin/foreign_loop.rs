//! How do I run this on an executor that nobody wrote an adapter for?
//!
//! Whatever implements `futures_task::Spawn` or `LocalSpawn` is a runtime at once; here `futures`' thread
//! pool and its single-threaded pool. A loop that has its own one-shot timer lends it to a hosted clock.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::rc::Rc;
use std::time::Duration;

use futures::executor::{LocalPool, ThreadPool};
use futures::task::LocalSpawnExt;
use weirs_runtime::{Clock, LocalRuntime, Runtime, block_on};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("thread pool: {}", on_a_thread_pool()?);
    println!("single thread, timer of its own: {}", on_a_loop_with_a_timer_of_its_own()?);
    Ok(())
}

/// Nothing to write: the pool is a `Spawn`.
fn on_a_thread_pool() -> Result<u64, Box<dyn std::error::Error>> {
    let runtime = Runtime::new(ThreadPool::new()?);
    let squares: Vec<_> = (1..=10_u64).map(|n| runtime.spawn(async move { n * n })).collect();
    block_on(async {
        let mut sum = 0;
        for square in squares {
            sum += square.await?;
        }
        Ok(sum)
    })
}

/// A loop on one thread, and a clock that lives on the loop's own timer: no thread of ours is started.
fn on_a_loop_with_a_timer_of_its_own() -> Result<String, Box<dyn std::error::Error>> {
    let mut pool = LocalPool::new();
    // The foreign timer: all that is asked of it is the time and a sleep.
    let foreign = Clock::default();
    let (start, timer) = (foreign.now(), foreign.clone());
    let (clock, drive) = Clock::hosted(move || foreign.now() - start, move |span| timer.sleep(span));
    pool.spawner().spawn_local(drive)?;

    let runtime = LocalRuntime::with_parts(pool.spawner(), clock.clone());
    let shared = Rc::new("not Send, and need not be");
    let task = runtime.spawn({
        let shared = Rc::clone(&shared);
        async move {
            clock.sleep(Duration::from_millis(5)).await;
            shared.to_string()
        }
    });
    Ok(pool.run_until(task)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pools_give_their_answers() {
        assert_eq!(on_a_thread_pool().unwrap(), 385);
        assert_eq!(on_a_loop_with_a_timer_of_its_own().unwrap(), "not Send, and need not be");
    }
}
