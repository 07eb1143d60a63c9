//! How do I run this on a game engine's task pool?
//!
//! Bevy's pool cancels a task whose handle is dropped, so the adapter detaches it: our own handle decides.
//! That is the whole adapter.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::sync::Arc;
use std::time::Duration;

use bevy_tasks::{TaskPool, TaskPoolBuilder};
use futures_task::{FutureObj, Spawn, SpawnError};
use weirs_runtime::{JoinError, Runtime, block_on};

struct BevyPool(Arc<TaskPool>);

impl Spawn for BevyPool {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.0.spawn(future).detach();
        Ok(())
    }
}

fn main() -> Result<(), JoinError> {
    let pool = Arc::new(TaskPoolBuilder::new().num_threads(2).build());
    let runtime = Runtime::new(BevyPool(Arc::clone(&pool)));
    println!("{}", block_on(load_with_a_limit(&runtime))?);
    Ok(())
}

/// What a game lacks in its task pool: a limit on how long an asset may take.
async fn load_with_a_limit(runtime: &Runtime) -> Result<String, JoinError> {
    let clock = runtime.clock().clone();
    let asset = runtime.builder().name("load the asset").spawn({
        let clock = clock.clone();
        async move {
            clock.sleep(Duration::from_secs(3600)).await;
            "the asset"
        }
    });
    match clock.timeout(Duration::from_millis(10), asset).await {
        Ok(loaded) => Ok(format!("loaded {}", loaded?)),
        // The task went with its handle: nothing goes on loading in the background.
        Err(elapsed) => Ok(format!("a grey box: {elapsed}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_asset_becomes_a_grey_box() {
        let pool = Arc::new(TaskPoolBuilder::new().num_threads(2).build());
        let runtime = Runtime::new(BevyPool(pool));
        let shown = block_on(load_with_a_limit(&runtime)).unwrap();
        assert_eq!(shown, "a grey box: the time limit has passed");
    }
}
