//! The cancellation token, over tokio-util's.
//!
//! Trees are made and dropped outside the time that is taken, except where the row is about making or
//! dropping. Cancelling is counted for each token below the one that is cancelled: 100,000 children of one
//! parent (`flat`), 1,000 with 1,000 children each (`tree`), and 100,000 of which each has somebody waiting
//! (`waiting`). What costs processor time is counted in processor time, for the whole process.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weirs_scopes::{CancelToken, Reason};

use super::memory::resident_bytes;
use super::work::on_two_threads;
use crate::child;
use crate::measure::{Experiment, Missing, Pair, cpu_time, repeat, wall};
use crate::peers::peer;
use crate::row::{Row, Samples, Unit};

/// Tokens below the one that is cancelled.
const MANY: usize = 100_000;
/// Children of each in the two layers of a tree.
const TREE: usize = 1_000;

pub(super) fn experiments() -> Vec<Experiment> {
    let row =
        |name: &str, goal: f64| Row::new(format!("token/{name}/tokio-util"), peer("tokio-util")).goal(goal);
    let one_thread = [row("is-cancelled", 0.1)];
    let two_threads = [row("is-cancelled-two-threads", 0.2)];
    vec![
        Experiment::pair(one_thread, || {
            let (ours, peer) = (CancelToken::new().child(), CancellationToken::new().child_token());
            Pair::new(
                move |count| wall(count, || ask(count, || black_box(&ours).is_cancelled())),
                move |count| wall(count, || ask(count, || black_box(&peer).is_cancelled())),
            )
        }),
        Experiment::pair(two_threads, || {
            let (ours, peer) = (CancelToken::new().child(), CancellationToken::new().child_token());
            Pair::new(
                move |count| on_two_threads(count, || ask(count, || black_box(&ours).is_cancelled())),
                move |count| on_two_threads(count, || ask(count, || black_box(&peer).is_cancelled())),
            )
        }),
        Experiment::pair([row("create-child", 1.1), row("drop-child", 0.75)], || {
            let (ours, peer) = (CancelToken::new(), CancellationToken::new());
            Pair::new(
                move |count| create_and_drop(count, || ours.child()),
                move |count| create_and_drop(count, || peer.child_token()),
            )
        }),
        Experiment::pair([row("first-poll", 0.7)], || {
            let (ours, peer) = (CancelToken::new(), CancellationToken::new());
            Pair::new(
                move |count| first_polls(count, || ours.cancelled()),
                move |count| first_polls(count, || peer.cancelled()),
            )
        }),
        Experiment::pair([row("poll-of-run", 0.6)], || {
            let (ours, peer) = (CancelToken::new(), CancellationToken::new());
            Pair::new(
                move |count| polls(count, ours.run(pending_so_often(count))),
                move |count| polls(count, peer.run_until_cancelled(pending_so_often(count))),
            )
        }),
        Experiment::pair([row("cancel-flat", 0.3)], || {
            Pair::new(
                |rounds| cancel(rounds, || ours_flat(MANY), |tree| cancel_ours(&tree.0)),
                |rounds| cancel(rounds, || peers_flat(MANY), |tree| tree.0.cancel()),
            )
        }),
        Experiment::pair([Row { goal: None, ..row("cancel-flat-with-text", 0.0) }], || {
            Pair::new(
                |rounds| cancel(rounds, || ours_flat(MANY), |tree| assert!(tree.0.cancel("enough"))),
                |rounds| cancel(rounds, || peers_flat(MANY), |tree| tree.0.cancel()),
            )
        }),
        Experiment::pair([row("cancel-tree", 0.25)], || {
            Pair::new(
                |rounds| cancel_of(TREE * TREE, rounds, ours_tree, |tree| cancel_ours(&tree.0)),
                |rounds| cancel_of(TREE * TREE, rounds, peers_tree, |tree| tree.0.cancel()),
            )
        }),
        Experiment::pair([row("cancel-waiting", 0.95)], || {
            Pair::new(
                |rounds| {
                    cancel(
                        rounds,
                        || waiting(ours_flat(MANY), CancelToken::cancelled_owned),
                        |tree| cancel_ours(&tree.0),
                    )
                },
                |rounds| {
                    cancel(
                        rounds,
                        || waiting(peers_flat(MANY), CancellationToken::cancelled_owned),
                        |tree| tree.0.cancel(),
                    )
                },
            )
        }),
        bytes(row("child-bytes", 0.8).unit(Unit::Bytes)),
    ]
}

fn cancel_ours(token: &CancelToken) {
    assert!(token.cancel(Reason::Requested));
}

/// As in a loop that stops when it is cancelled.
fn ask(count: u64, is_cancelled: impl Fn() -> bool) {
    for _ in 0..count {
        if is_cancelled() {
            break;
        }
    }
}

/// Batches, so that dropping them is not in the order of making them in reverse, nor next to it.
fn create_and_drop<T>(count: u64, mut make: impl FnMut() -> T) -> [f64; 2] {
    const BATCH: u64 = 1_000;
    let batches = count.div_ceil(BATCH);
    let mut children = Vec::with_capacity(BATCH as usize);
    let (mut making, mut dropping) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..batches {
        let start = cpu_time();
        children.extend((0..BATCH).map(|_| make()));
        let made = cpu_time();
        children.drain(..).for_each(drop);
        making += made - start;
        dropping += cpu_time() - made;
    }
    [making, dropping].map(|time| time.as_nanos() as f64 / (batches * BATCH) as f64)
}

/// Makes a future that has to wait, polls it once and drops it, so many times.
fn first_polls<F: Future>(count: u64, mut make: impl FnMut() -> F) -> [f64; 1] {
    let waker = Waker::from(Arc::new(Woken(AtomicUsize::new(0))));
    let mut cx = Context::from_waker(&waker);
    wall(count, || repeat(count, || assert!(std::pin::pin!(make()).poll(&mut cx).is_pending())))
}

fn pending_so_often(count: u64) -> impl Future<Output = u64> {
    let mut polls = 0;
    poll_fn(move |_| {
        polls += 1;
        if polls > count { Poll::Ready(polls) } else { Poll::Pending }
    })
}

fn polls<F: Future>(count: u64, future: F) -> [f64; 1] {
    let waker = Waker::from(Arc::new(Woken(AtomicUsize::new(0))));
    let mut cx = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    wall(count, || while future.as_mut().poll(&mut cx).is_pending() {})
}

/// The processor time of cancelling a tree, for each of its tokens.
fn cancel<T>(rounds: u64, make: impl Fn() -> T, cancel: impl Fn(&T)) -> [f64; 1] {
    cancel_of(MANY, rounds, make, cancel)
}

fn cancel_of<T>(tokens: usize, rounds: u64, make: impl Fn() -> T, cancel: impl Fn(&T)) -> [f64; 1] {
    let mut taken = Duration::ZERO;
    for _ in 0..rounds {
        let tree = make();
        let start = cpu_time();
        cancel(&tree);
        taken += cpu_time() - start;
        drop(tree);
    }
    [taken.as_nanos() as f64 / rounds as f64 / tokens as f64]
}

fn ours_flat(children: usize) -> (CancelToken, Vec<CancelToken>) {
    let parent = CancelToken::new();
    let children = (0..children).map(|_| parent.child()).collect();
    (parent, children)
}

fn peers_flat(children: usize) -> (CancellationToken, Vec<CancellationToken>) {
    let parent = CancellationToken::new();
    let children = (0..children).map(|_| parent.child_token()).collect();
    (parent, children)
}

fn ours_tree() -> (CancelToken, Vec<(CancelToken, Vec<CancelToken>)>) {
    let (parent, children) = ours_flat(TREE);
    let below = |child: CancelToken| {
        let children = (0..TREE).map(|_| child.child()).collect();
        (child, children)
    };
    (parent, children.into_iter().map(below).collect())
}

fn peers_tree() -> (CancellationToken, Vec<(CancellationToken, Vec<CancellationToken>)>) {
    let (parent, children) = peers_flat(TREE);
    let below = |child: CancellationToken| {
        let children = (0..TREE).map(|_| child.child_token()).collect();
        (child, children)
    };
    (parent, children.into_iter().map(below).collect())
}

/// Somebody waits for each of the children.
fn waiting<T, F: Future>((parent, children): (T, Vec<T>), wait: impl Fn(T) -> F) -> (T, Vec<Pin<Box<F>>>) {
    let waker = Waker::from(Arc::new(Woken(AtomicUsize::new(0))));
    let mut cx = Context::from_waker(&waker);
    let start = |child| {
        let mut waiting = Box::pin(wait(child));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        waiting
    };
    (parent, children.into_iter().map(start).collect())
}

/// A waker that counts.
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn bytes(row: Row) -> Experiment {
    Experiment::new([row], move |effort| {
        if !cfg!(target_os = "linux") {
            return Err(Missing::Skipped("only Linux tells a process's resident memory".to_owned()));
        }
        let bytes =
            |side: &str| child::resident(&format!("token/{side}"), MANY as u64).map_err(Missing::Failed);
        let rounds = 0..effort.long_rounds.min(3);
        let pairs: Result<_, _> = rounds.map(|_| Ok((bytes("ours")?, bytes("peer")?))).collect();
        Ok(vec![Samples::Pairs(pairs?)])
    })
}

/// Bytes for each of so many children, measured in this process.
pub(super) fn resident_ours(children: u64) -> Result<f64, String> {
    let parent = CancelToken::new();
    resident_children(children, || parent.child())
}

/// The peer's.
pub(super) fn resident_peers(children: u64) -> Result<f64, String> {
    let parent = CancellationToken::new();
    resident_children(children, || parent.child_token())
}

fn resident_children<T>(count: u64, make: impl Fn() -> T) -> Result<f64, String> {
    // The places in which the children are kept are not part of it: they are there before.
    let mut children: Vec<Option<T>> = (0..count).map(|_| None).collect();
    let before = resident_bytes()?;
    children.iter_mut().for_each(|place| *place = Some(make()));
    let after = resident_bytes()?;
    black_box(&children);
    Ok((after - before) / count as f64)
}
