//! Inline scopes, over other sets in one task.
//!
//! `scope/spawn-join` is 100,000 children spawned and then joined by their handles, in time for each;
//! `FuturesUnordered` has no handles, and gives the outputs of its boxed futures as they come. In `ready` a
//! child is ready at its first poll, in `yields` at its second. Each side does it once before it is measured,
//! so that neither puts the other's heap in order. `scope/wake` wakes one of so many parked children, at
//! random, and polls the set; its growth from ten children to 100,000 is mostly that of the caches, and the
//! peer's stands beside it. `scope/growth` spawns empty tasks on tokio and awaits their handles, each in a
//! child of a scope: the cost for one of 100,000 as a multiple of that for one of 1,000. `scope/cancel` drops
//! parked children with their scope, and as a peer shuts a `JoinSet` of parked tasks down. All is counted in
//! processor time.

use std::future::{Future, pending};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use futures_lite::future::{block_on, yield_now};
use tokio::task::JoinSet;
use weirs_scopes::scope;

use super::hosts::{Host, TokioCurrentThread};
use crate::measure::{Experiment, Pair, cpu, cpu_time};
use crate::peers::{peer, peer_in};
use crate::row::Row;

const SOME: usize = 1_000;
const MANY: usize = 100_000;

type Boxed = Pin<Box<dyn Future<Output = usize> + Send>>;

pub(super) fn experiments() -> Vec<Experiment> {
    let unordered = || peer_in("futures", "FuturesUnordered<Box>");
    let itself = |way| peer_in("weirs-scopes", way);
    vec![
        join(Row::new("scope/spawn-join/ready/futures", unordered()).goal(0.8), false, unordered_join),
        join(Row::new("scope/spawn-join/yields/futures", unordered()).goal(0.8), true, unordered_join),
        join(Row::new("scope/spawn-join/ready/moro-local", peer("moro-local")).goal(0.35), false, local_join),
        join(Row::new("scope/spawn-join/yields/moro-local", peer("moro-local")).goal(0.35), true, local_join),
        join(Row::new("scope/spawn-join/ready/moro", peer("moro")).goal(0.2), false, moro_join),
        join(Row::new("scope/spawn-join/yields/moro", peer("moro")).goal(0.2), true, moro_join),
        wake(Row::new("scope/wake/10/futures", unordered()), 10),
        wake(Row::new("scope/wake/100000/futures", unordered()).goal(1.1), MANY),
        Experiment::pair([Row::new("scope/wake/growth", itself("10")).goal(2.5)], || {
            Pair::new(our_wakes(MANY), our_wakes(10))
        }),
        Experiment::pair([Row::new("scope/wake/growth/futures", peer_in("futures", "10"))], || {
            Pair::new(unordered_wakes(MANY), unordered_wakes(10))
        }),
        Experiment::long_pair([Row::new("scope/growth/tokio-handles", itself("1,000")).goal(1.5)], || {
            Pair::new(|_| [spawn_and_join(MANY, MANY)], |_| [spawn_and_join(SOME, MANY)])
        }),
        Experiment::long_pair(
            [Row::new("scope/cancel/tokio", peer_in("tokio", "JoinSet")).goal(0.6)],
            || Pair::new(|_| [our_cancel()], |_| [join_set_shutdown()]),
        ),
    ]
}

fn join(row: Row, yields: bool, peer: fn(bool)) -> Experiment {
    Experiment::pair([row], move || {
        Pair::new(rounds_of(move || our_join(yields)), rounds_of(move || peer(yields)))
    })
}

/// Once without being measured: whoever comes first would put the other's heap in order.
fn rounds_of(mut join: impl FnMut()) -> impl FnMut(u64) -> [f64; 1] {
    move |rounds| {
        join();
        cpu(rounds * MANY as u64, || (0..rounds).for_each(|_| join()))
    }
}

async fn child(yields: bool, number: usize) -> usize {
    if yields {
        yield_now().await;
    }
    number
}

fn our_join(yields: bool) {
    let sum = block_on(scope(async |s| {
        let children: Vec<_> = (0..MANY).map(|number| s.spawn(child(yields, number))).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await.expect("a child ends well");
        }
        sum
    }));
    black_box(sum);
}

fn unordered_join(yields: bool) {
    let sum = block_on(async {
        let boxed = |number| Box::pin(child(yields, number)) as Boxed;
        let mut children: FuturesUnordered<Boxed> = (0..MANY).map(boxed).collect();
        let mut sum = 0;
        while let Some(number) = children.next().await {
            sum += number;
        }
        sum
    });
    black_box(sum);
}

fn local_join(yields: bool) {
    let sum = block_on(moro_local::async_scope!(|s| {
        let children: Vec<_> = (0..MANY).map(|number| s.spawn(child(yields, number))).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await;
        }
        sum
    }));
    black_box(sum);
}

fn moro_join(yields: bool) {
    let sum = block_on(moro::async_scope!(|s| {
        let children: Vec<_> = (0..MANY).map(|number| s.spawn(child(yields, number))).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await;
        }
        sum
    }));
    black_box(sum);
}

/// Tasks on tokio whose handles are awaited by children: the processor time for each.
fn spawn_and_join(tasks: usize, total: usize) -> f64 {
    let rounds = total / tasks;
    let run = || {
        TokioCurrentThread::new().run(async move {
            let start = cpu_time();
            for _ in 0..rounds {
                scope(async |s| {
                    for _ in 0..tasks {
                        let task = tokio::spawn(async {});
                        s.spawn(async { task.await.expect("an empty task ends well") });
                    }
                })
                .await;
            }
            (cpu_time() - start).as_nanos() as f64 / (rounds * tasks) as f64
        })
    };
    crate::statistics::median((0..3).map(|_| run()))
}

/// Parked children that are dropped with their scope: the processor time for each.
fn our_cancel() -> f64 {
    let cancel = || {
        let mut parked = Box::pin(scope(async |s| {
            (0..MANY).for_each(|_| drop(s.spawn(pending::<()>())));
        }));
        let mut cx = Context::from_waker(Waker::noop());
        (0..MANY / 16).for_each(|_| assert!(parked.as_mut().poll(&mut cx).is_pending()));
        let start = cpu_time();
        drop(parked);
        each(cpu_time() - start)
    };
    crate::statistics::median((0..3).map(|_| cancel()))
}

fn join_set_shutdown() -> f64 {
    let shutdown = || {
        TokioCurrentThread::new().run(async {
            let mut set = JoinSet::new();
            (0..MANY).for_each(|_| drop(set.spawn(pending::<()>())));
            tokio::task::yield_now().await;
            while tokio::runtime::Handle::current().metrics().global_queue_depth() > 0 {
                tokio::task::yield_now().await;
            }
            let start = cpu_time();
            set.shutdown().await;
            each(cpu_time() - start)
        })
    };
    crate::statistics::median((0..3).map(|_| shutdown()))
}

fn each(time: Duration) -> f64 {
    time.as_nanos() as f64 / MANY as f64
}

fn wake(row: Row, parked: usize) -> Experiment {
    Experiment::pair([row], move || Pair::new(our_wakes(parked), unordered_wakes(parked)))
}

fn our_wakes(parked: usize) -> impl FnMut(u64) -> [f64; 1] + 'static {
    let wakers = Wakers::new(parked);
    let children: Vec<_> = (0..parked).map(|number| Parked(wakers.clone(), number)).collect();
    let set = scope(async |s| children.into_iter().for_each(|child| drop(s.spawn(child))));
    wake_one_by_one(Box::pin(set), wakers)
}

fn unordered_wakes(parked: usize) -> impl FnMut(u64) -> [f64; 1] + 'static {
    let wakers = Wakers::new(parked);
    let boxed = |number| Box::pin(Parked(wakers.clone(), number)) as Boxed;
    let mut set: FuturesUnordered<Boxed> = (0..parked).map(boxed).collect();
    wake_one_by_one(Box::pin(async move { while set.next().await.is_some() {} }), wakers)
}

fn wake_one_by_one(
    mut set: Pin<Box<impl Future<Output = ()> + 'static>>,
    wakers: Wakers,
) -> impl FnMut(u64) -> [f64; 1] + 'static {
    let mut cx = Context::from_waker(Waker::noop());
    let count = wakers.0.lock().expect("nobody panics").len();
    // A set polls so many of its children, and then has others polled.
    for _ in 0..count / 16 + 2 {
        assert!(set.as_mut().poll(&mut cx).is_pending());
    }
    let mut number = 1_usize;
    move |wakes| {
        cpu(wakes, || {
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..wakes {
                number =
                    number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let waker = wakers.0.lock().expect("nobody panics")[(number >> 33) % count].clone();
                waker.expect("it was polled").wake();
                assert!(set.as_mut().poll(&mut cx).is_pending());
            }
        })
    }
}

#[derive(Clone)]
struct Wakers(Arc<Mutex<Vec<Option<Waker>>>>);

impl Wakers {
    fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![None; count])))
    }
}

/// Leaves its waker, and waits for ever.
struct Parked(Wakers, usize);

impl Future for Parked {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let mut wakers = self.0.0.lock().expect("nobody panics");
        match &mut wakers[self.1] {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            place => *place = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
