//! The inline scope's cells and ready queue under every interleaving of waking, polling, joining, dropping
//! and spawning.
//!
//! Threads share a scope through wakers, handles and its own handle; whoever polls it is one.
#![cfg(loom)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Counter, Ordering};
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::atomic::AtomicUsize;
use loom::thread;
use weirs_scopes::{Child, Ended, Scope, scope};

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Counts, for the children to wait for, and their wakers.
#[derive(Default)]
struct World {
    seen: AtomicUsize,
    drops: Counter,
    wakers: std::sync::Mutex<Vec<Waker>>,
}

impl World {
    fn leave(&self, cx: &Context<'_>) {
        self.wakers.lock().unwrap().push(cx.waker().clone());
    }

    fn waker(&self) -> Waker {
        self.wakers.lock().unwrap().pop().unwrap()
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::Relaxed)
    }

    /// Waits until so many were counted, and leaves its waker as often at the first poll.
    fn until(self: &Arc<Self>, count: usize) -> impl Future<Output = Value> + Send + use<> {
        let (world, value, mut polled) = (Arc::clone(self), Value(Arc::clone(self)), false);
        let wait = poll_fn(move |cx| {
            if !std::mem::replace(&mut polled, true) {
                (0..count).for_each(|_| world.leave(cx));
            }
            if world.seen.load(Ordering::Acquire) >= count { Poll::Ready(()) } else { Poll::Pending }
        });
        async move {
            wait.await;
            value
        }
    }
}

/// Counts its drops, wherever it is: in a future or in a result.
struct Value(Arc<World>);

impl Drop for Value {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Ordering::Relaxed);
    }
}

/// A scope with a child that waits for so many counts, polled once; and the child's handle.
fn started(world: &Arc<World>, count: usize) -> (Running, Child<'static, Value>) {
    let (handle, inside) = slot();
    let child = world.until(count);
    let mut running: Running = Box::pin(scope(async move |s: Scope<'static>| {
        *inside.lock().unwrap() = Some(s.spawn(child));
    }));
    assert!(poll(&mut running).is_pending());
    let handle = handle.lock().unwrap().take().unwrap();
    (running, handle)
}

type Slot<T> = Arc<std::sync::Mutex<Option<T>>>;

fn slot<T>() -> (Slot<T>, Slot<T>) {
    let slot = Slot::default();
    (Arc::clone(&slot), slot)
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Wake beside wake beside poll, and no wake is lost: the model would stop for ever.
#[test]
fn two_wakes_and_a_poll() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let (running, handle) = started(&world, 2);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (world, waker) = (Arc::clone(&world), world.waker());
                thread::spawn(move || {
                    world.seen.fetch_add(1, loom::sync::atomic::Ordering::Release);
                    waker.wake();
                })
            })
            .collect();
        block_on(running);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop(handle);
        assert_eq!(world.drops(), 1);
    });
}

/// The future goes with the scope, on its thread; the last waker only frees the cell.
#[test]
fn a_wake_beside_the_drop_of_the_scope() {
    for by_reference in [false, true] {
        loom::model(move || {
            let world = Arc::new(World::default());
            let (running, handle) = started(&world, 1);
            drop(handle);
            let waker = world.waker();
            let waking = thread::spawn(move || {
                if by_reference {
                    waker.wake_by_ref();
                } else {
                    waker.clone().wake();
                }
            });
            drop(running);
            assert_eq!(world.drops(), 1, "before the drop returns");
            waking.join().unwrap();
            assert_eq!(world.drops(), 1);
        });
    }
}

/// Two wakers of two children, and a scope that is dropped: whoever finds the queue closed lets go.
#[test]
fn two_wakes_beside_the_drop_of_the_scope() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let (first, second) = (world.until(1), world.until(1));
        let mut running: Running = Box::pin(scope(async move |s: Scope<'static>| {
            s.spawn(first);
            s.spawn(second);
        }));
        assert!(poll(&mut running).is_pending());
        let waker = world.waker();
        let waking = thread::spawn(move || waker.wake());
        world.waker().wake();
        drop(running);
        waking.join().unwrap();
        assert_eq!(world.drops(), 2);
    });
}

#[test]
fn a_handle_is_awaited_as_the_child_ends() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let (running, mut handle) = started(&world, 1);
        let other = Arc::clone(&world);
        let joining = thread::spawn(move || {
            // Once with another waker, which must not be kept.
            let early = poll(&mut handle);
            let result = match early {
                Poll::Ready(result) => result,
                Poll::Pending => block_on(handle),
            };
            let value = result.ok().expect("it ended well");
            assert_eq!(other.drops(), 0);
            drop(value);
        });
        world.seen.store(1, loom::sync::atomic::Ordering::Release);
        world.waker().wake();
        block_on(running);
        joining.join().unwrap();
        assert_eq!(world.drops(), 1);
    });
}

#[test]
fn a_handle_is_dropped_as_the_child_ends() {
    for waits in [false, true] {
        loom::model(move || {
            let world = Arc::new(World::default());
            let (running, mut handle) = started(&world, 1);
            if waits {
                assert!(poll(&mut handle).is_pending());
            }
            let dropping = thread::spawn(move || drop(handle));
            world.seen.store(1, loom::sync::atomic::Ordering::Release);
            world.waker().wake();
            block_on(running);
            dropping.join().unwrap();
            assert_eq!(world.drops(), 1);
        });
    }
}

#[test]
fn a_child_is_cancelled_as_it_is_woken() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let (running, handle) = started(&world, 1);
        let cancelling = thread::spawn(move || {
            handle.cancel();
            handle
        });
        world.seen.store(1, loom::sync::atomic::Ordering::Release);
        world.waker().wake();
        block_on(running);
        let mut handle = cancelling.join().unwrap();
        match poll(&mut handle) {
            Poll::Ready(Ok(value)) => drop(value),
            Poll::Ready(Err(why)) => assert_eq!(why, Ended::Cancelled),
            Poll::Pending => unreachable!("the scope is over"),
        }
        assert_eq!(world.drops(), 1);
    });
}

/// A child that comes from another thread runs before the scope is over, or is refused.
#[test]
fn a_spawn_on_another_thread_beside_the_polls() {
    for children in [1, 2] {
        loom::model(move || {
            let world = Arc::new(World::default());
            let (handle, inside) = slot();
            let running: Running = Box::pin(scope(async move |s: Scope<'static>| {
                *inside.lock().unwrap() = Some(s.clone());
                s.spawn(std::future::ready(()));
            }));
            let other = Arc::clone(&world);
            let spawning = thread::spawn(move || {
                loop {
                    let scope = handle.lock().unwrap().take();
                    let Some(scope) = scope else {
                        thread::yield_now();
                        continue;
                    };
                    let spawn = |_| scope.spawn(other.until(0));
                    return (0..children).map(spawn).collect::<Vec<_>>();
                }
            });
            block_on(running);
            let mut ran = 0;
            for mut child in spawning.join().unwrap() {
                match poll(&mut child) {
                    Poll::Ready(Ok(_)) => ran += 1,
                    Poll::Ready(Err(why)) => assert!(matches!(why, Ended::Refused(_))),
                    Poll::Pending => panic!("taken, and not run"),
                }
            }
            assert!(ran <= children);
            assert_eq!(world.drops(), children);
        });
    }
}

/// The same while the scope waits for another child: it has to be told of the new one.
#[test]
fn a_spawn_on_another_thread_wakes_the_scope() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let (handle, inside) = slot();
        let waits = world.until(1);
        let mut running: Running = Box::pin(scope(async move |s: Scope<'static>| {
            s.spawn(waits);
            *inside.lock().unwrap() = Some(s);
        }));
        assert!(poll(&mut running).is_pending());
        let scope = handle.lock().unwrap().take().unwrap();
        let (other, waker) = (Arc::clone(&world), world.waker());
        let spawning = thread::spawn(move || {
            drop(scope.spawn(async move {
                other.seen.store(1, loom::sync::atomic::Ordering::Release);
                waker.wake();
            }));
        });
        block_on(running);
        spawning.join().unwrap();
        assert_eq!(world.drops(), 1);
    });
}

#[test]
fn a_spawn_on_another_thread_beside_the_drop_of_the_scope() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let (handle, inside) = slot();
        let waits = world.until(1);
        let mut running: Running = Box::pin(scope(async move |s: Scope<'static>| {
            s.spawn(waits);
            *inside.lock().unwrap() = Some(s);
        }));
        assert!(poll(&mut running).is_pending());
        let scope = handle.lock().unwrap().take().unwrap();
        let other = Arc::clone(&world);
        let spawning = thread::spawn(move || {
            drop(scope.spawn(other.until(0)));
        });
        drop(running);
        spawning.join().unwrap();
        drop(world.waker());
        assert_eq!(world.drops(), 2);
    });
}
