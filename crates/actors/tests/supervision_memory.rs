//! What a restart allocates, and what an idle child costs. One test, for the count is of the whole process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use weirs_actors::Exit;
use weirs_actors::supervise::{Incarnation, Pool, Spec, Supervisor};
use weirs_runtime::{Runtime, Tokio};
use weirs_testing::{CountingAllocator, Stretch};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MANY: u64 = 10_000;

#[test]
fn a_restart_allocates_nothing_and_an_idle_child_little() {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    tokio.block_on(async {
        restarts(&runtime).await;
        idle(&runtime).await;
    });
}

async fn restarts(runtime: &Runtime) {
    let (lives, crash) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let child = Spec::task("a", {
        let (lives, crash) = (Arc::clone(&lives), Arc::clone(&crash));
        move |life: Incarnation| {
            lives.fetch_add(1, Ordering::Relaxed);
            let crash = Arc::clone(&crash);
            async move {
                let stop = std::pin::pin!(life.cancelled());
                let crashes = std::pin::pin!(async {
                    while !crash.load(Ordering::Relaxed) {
                        tokio::task::yield_now().await;
                    }
                });
                futures::future::select(stop, crashes).await;
                Exit::Normal
            }
        }
    });
    // The window forgets at once, so that it does not grow.
    let supervisor = Supervisor::one_for_one().intensity(u32::MAX, Duration::from_nanos(1)).child(child);
    let tree = supervisor.start(runtime).await.unwrap();
    let round = async || {
        let until = lives.load(Ordering::Relaxed) + 1000;
        crash.store(true, Ordering::Relaxed);
        while lives.load(Ordering::Relaxed) < until {
            tokio::task::yield_now().await;
        }
        crash.store(false, Ordering::Relaxed);
        tokio::task::yield_now().await;
    };
    round().await;
    round().await;
    let stretch = Stretch::begin();
    round().await;
    let third = stretch.end();
    // Not one in a hundred restarts.
    assert!(third.count < 10, "{third:?}");
    drop(tree.shutdown().await);
}

async fn idle(runtime: &Runtime) {
    let idle = async |life: Incarnation| life.cancelled().await;
    let stretch = Stretch::begin();
    let supervisor = Supervisor::one_for_one().children((0..MANY).map(|number| Spec::task(number, idle)));
    let tree = supervisor.start(runtime).await.unwrap();
    let plain = stretch.end().leaked_bytes as u64 / MANY;
    drop(tree.shutdown().await);

    let (pool, spec) = Pool::once("pool", async |(), life: Incarnation| life.cancelled().await).build();
    let tree = Supervisor::one_for_one().child(spec).start(runtime).await.unwrap();
    let stretch = Stretch::begin();
    for _ in 0..MANY {
        pool.start_child(()).await.unwrap();
    }
    let pooled = stretch.end().leaked_bytes as u64 / MANY;
    drop(tree.shutdown().await);
    // With the lists' room for more: a third of what they hold.
    assert!(plain <= 1100 && pooled <= 1100, "{plain} under a supervisor, {pooled} in a pool");
}
