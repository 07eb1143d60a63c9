//! How often the future of a parallel scope is polled and woken, with a hundred thousand children: counted,
//! for time says little.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use futures::executor::ThreadPool;
use futures::task::AtomicWaker;
use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{TaskScope, task_scope};
use weirs_testing::yields;

const CHILDREN: usize = 100_000;

#[derive(Default)]
struct Wakes {
    count: AtomicUsize,
    to: AtomicWaker,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.to.wake();
    }
}

/// How often it was polled, and woken.
async fn counted(future: impl Future) -> (usize, usize) {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut future = Box::pin(future);
    let mut polls = 0;
    poll_fn(|cx| {
        wakes.to.register(cx.waker());
        polls += 1;
        future.as_mut().poll(&mut Context::from_waker(&waker)).map(drop)
    })
    .await;
    (polls, wakes.count.load(Ordering::Relaxed))
}

fn spawn_all(s: &TaskScope) -> Vec<weirs_scopes::TaskChild<usize>> {
    let child = |number| async move {
        yields(number % 3).await;
        number
    };
    (0..CHILDREN).map(|number| s.spawn(child(number))).collect()
}

fn counts<F: Future>(scope: impl FnOnce(Runtime) -> F) -> (usize, usize) {
    let pool = ThreadPool::builder().pool_size(2).create().unwrap();
    block_on(counted(scope(Runtime::new(pool))))
}

#[test]
fn a_scope_that_waits_for_its_children_is_woken_by_the_last() {
    let (polls, wakes) = counts(|runtime| async move {
        task_scope(&runtime, async |s| drop(spawn_all(&s))).await;
    });
    assert!(polls <= 2 && wakes <= 1, "{polls} polls, {wakes} wakes");
}

#[test]
fn a_body_that_joins_its_children_is_woken_once_by_each() {
    let (polls, wakes) = counts(|runtime| async move {
        task_scope(&runtime, async |s| {
            for (number, child) in spawn_all(&s).into_iter().enumerate() {
                assert_eq!(child.await, Ok(number));
            }
        })
        .await;
    });
    assert!(polls <= CHILDREN + 2 && wakes <= CHILDREN + 1, "{polls} polls, {wakes} wakes");
}

/// Also the last spawned first, which most of the others precede.
#[test]
fn a_body_that_joins_backwards_is_woken_seldom() {
    let (polls, wakes) = counts(|runtime| async move {
        task_scope(&runtime, async |s| {
            for child in spawn_all(&s).into_iter().rev() {
                child.await.unwrap();
            }
        })
        .await;
    });
    assert!(polls <= CHILDREN + 2 && wakes <= CHILDREN + 1, "{polls} polls, {wakes} wakes");
}

#[test]
fn a_stream_is_woken_at_most_once_by_each_child() {
    let (polls, wakes) = counts(|runtime| async move {
        task_scope(&runtime, async |s| {
            let places = 64.try_into().unwrap();
            let mut stream = s.stream(places, (0..CHILDREN).map(|number| yields(number % 3)));
            let mut read = 0;
            while let Some(result) = stream.join_next().await {
                result.unwrap();
                read += 1;
            }
            assert_eq!(read, CHILDREN);
        })
        .await;
    });
    assert!(polls <= CHILDREN + 2 && wakes <= CHILDREN + 1, "{polls} polls, {wakes} wakes");
}
