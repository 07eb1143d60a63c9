//! What children of parallel scopes and groups leave behind. One test, for the count is of the whole process.

use weirs_runtime::{Runtime, Tokio};
use weirs_scopes::{Group, TaskScope, task_scope};
use weirs_testing::{CountingAllocator, Stretch};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MANY: usize = 10_000;

#[test]
fn finished_children_keep_nothing() {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    tokio.block_on(async {
        task_scope(&runtime, async |s| {
            let spawn = async || {
                for _ in 0..MANY {
                    s.spawn(async { [0_u8; 100] });
                }
                none_left(&s).await;
            };
            compare_rounds(spawn).await;
        })
        .await;

        let group = Group::new(&runtime);
        compare_rounds(async || {
            for _ in 0..MANY {
                group.spawn(async {});
            }
            while group.live() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(group.wait().await.unwrap().len(), 3 * MANY);

        // A child costs the memory of its task, and nothing beside that is its own.
        let plain = allocations(async || {
            for _ in 0..MANY {
                runtime.spawn(async {}).detach();
            }
            tokio::task::yield_now().await;
        })
        .await;
        let scoped = task_scope(&runtime, async |s| {
            allocations(async || {
                for _ in 0..MANY {
                    s.spawn(async {});
                }
                none_left(&s).await;
            })
            .await
        })
        .await;
        assert!(scoped <= plain + 200, "{scoped} allocations, {plain} without a scope");
    });
}

async fn none_left(s: &TaskScope) {
    while s.live() > 0 {
        tokio::task::yield_now().await;
    }
}

/// What is live after the third round is what was live after the second.
async fn compare_rounds(mut round: impl AsyncFnMut()) {
    round().await;
    round().await;
    let before = Stretch::begin();
    round().await;
    let after = before.end();
    assert!(after.leaked_bytes.abs() < 4096, "{after:?}");
}

async fn allocations(mut work: impl AsyncFnMut()) -> u64 {
    work().await;
    let stretch = Stretch::begin();
    work().await;
    stretch.end().count
}
