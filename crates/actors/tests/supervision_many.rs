//! A hundred thousand children. What grew with their number would not end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use weirs_actors::Exit;
use weirs_actors::supervise::{Incarnation, Pool, Spec, Supervisor};
use weirs_runtime::{Runtime, Tokio};

const MANY: u64 = 100_000;

fn on_tokio(test: impl AsyncFnOnce(Runtime)) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    tokio.block_on(test(runtime));
}

/// Fails once for each time it is told to.
async fn child(life: Incarnation, ended: Arc<AtomicUsize>) -> Exit {
    life.cancelled().await;
    ended.fetch_add(1, Ordering::Relaxed);
    Exit::Normal
}

#[test]
fn a_supervisor_of_many() {
    on_tokio(async |runtime| {
        let ended = Arc::new(AtomicUsize::new(0));
        let spec = |number: u64| {
            let ended = Arc::clone(&ended);
            Spec::task(number, move |life| child(life, Arc::clone(&ended)))
        };
        let tree = Supervisor::one_for_one()
            .intensity(u32::MAX, Duration::MAX)
            .children((0..MANY).map(spec))
            .start(&runtime)
            .await
            .unwrap();
        assert_eq!(tree.snapshot().count() as u64, MANY + 1);
        // A hundred thousand operations on one child among many.
        for number in (0..MANY).step_by(4) {
            tree.stop_child(number).await.unwrap();
            tree.restart_child(number).await.unwrap();
            tree.stop_child(number).await.unwrap();
            tree.delete_child(number).await.unwrap();
        }
        assert_eq!(ended.load(Ordering::Relaxed) as u64, MANY / 2);
        let report = tree.shutdown().await;
        assert!(report.is_clean());
        assert_eq!(report.stopped as u64, MANY - MANY / 4);
    });
}

#[test]
fn a_pool_of_many() {
    on_tokio(async |runtime| {
        let crashes = Arc::new(AtomicUsize::new(0));
        let serve = {
            let crashes = Arc::clone(&crashes);
            move |(), life: Incarnation| {
                let crashes = Arc::clone(&crashes);
                async move {
                    if life.number() == 1 && life.id().number().is_some_and(|number| number % 4 == 0) {
                        futures_lite::future::yield_now().await;
                        crashes.fetch_add(1, Ordering::Relaxed);
                        return Err("once");
                    }
                    life.cancelled().await;
                    Ok(())
                }
            }
        };
        let (pool, spec) = Pool::tasks("pool", serve).intensity(u32::MAX, Duration::MAX).build();
        let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
        for _ in 0..MANY {
            pool.start_child(()).await.unwrap();
        }
        for number in (1..=MANY).step_by(2) {
            pool.stop_child(number).await.unwrap();
        }
        assert_eq!(pool.len() as u64, MANY / 2);
        assert_eq!(crashes.load(Ordering::Relaxed) as u64, MANY / 4);
        let report = tree.shutdown().await;
        assert!(report.is_clean());
        assert_eq!(report.stopped as u64, MANY / 2 + 1);
    });
}
