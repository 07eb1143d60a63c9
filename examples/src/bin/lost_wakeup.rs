//! What bug does the simulator find that no ordinary test does?
//!
//! A semaphore of thirty lines, with the oldest bug of its kind: a waiter that was woken and is cancelled
//! before it runs takes its wake-up with it, and the next in line sleeps for ever beside a free permit. On a
//! real runtime the cancelling has to fall into the few nanoseconds between the two; the simulator looks for
//! it.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use weirs_runtime::{Runtime, Tokio};
use weirs_testing::sim::Explore;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tries = 200;
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    let hung = (0..tries).filter(|_| tokio.block_on(hangs(&runtime))).count();
    println!("An ordinary test, {tries} times on tokio with two threads: it hung {hung} times.\n");

    println!("The same in the simulator, at most 100 seeds:\n");
    let explore = Explore::from_environment()
        .seeds(0..100)
        .replay_command("cargo run --package weirs-examples --bin lost_wakeup");
    match explore.find(two_waiters_one_permit) {
        Some(failure) => println!("{failure}"),
        None => println!("nothing found"),
    }
    Ok(())
}

/// The bug needs three things at once: a permit given back, a waiter cancelled, another waiting behind it.
async fn two_waiters_one_permit(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let ms = Duration::from_millis;
    let semaphore = Semaphore::default();

    let first = runtime.builder().name("first waiter").spawn({
        let semaphore = semaphore.clone();
        async move {
            semaphore.acquire().await;
            semaphore.release();
        }
    });
    let canceller = runtime.builder().name("canceller").spawn({
        let clock = clock.clone();
        async move {
            clock.sleep(ms(10)).await;
            let _ = first.cancel().await;
        }
    });
    let second = runtime.builder().name("second waiter").spawn({
        let (semaphore, clock) = (semaphore.clone(), clock.clone());
        async move {
            clock.sleep(ms(1)).await;
            semaphore.acquire().await;
            semaphore.release();
        }
    });
    let holder = runtime.builder().name("holder").spawn(async move {
        clock.sleep(ms(10)).await;
        semaphore.release();
    });

    for task in [canceller, second, holder] {
        task.await.expect("no task fails");
    }
}

async fn hangs(runtime: &Runtime) -> bool {
    let limit = Duration::from_millis(500);
    runtime.clock().timeout(limit, two_waiters_one_permit(runtime.clone())).await.is_err()
}

/// A semaphore with a bug. Its first permit is held by whoever made it.
#[derive(Clone, Default)]
struct Semaphore(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    free: usize,
    waiting: VecDeque<(u64, Waker)>,
    tickets: u64,
}

impl Semaphore {
    fn acquire(&self) -> Acquire {
        Acquire { semaphore: self.clone(), ticket: None }
    }

    fn release(&self) {
        let mut state = self.0.lock().unwrap();
        state.free += 1;
        let next = state.waiting.pop_front();
        drop(state);
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }
}

struct Acquire {
    semaphore: Semaphore,
    ticket: Option<u64>,
}

impl Future for Acquire {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let semaphore = self.semaphore.clone();
        let mut state = semaphore.0.lock().unwrap();
        let ticket = *self.ticket.get_or_insert_with(|| {
            state.tickets += 1;
            state.tickets
        });
        state.waiting.retain(|(waiting, _)| *waiting != ticket);
        if state.free > 0 {
            state.free -= 1;
            return Poll::Ready(());
        }
        state.waiting.push_back((ticket, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        // The bug: if this waiter was woken but has not run, nobody else will be.
        let ticket = self.ticket;
        self.semaphore.0.lock().unwrap().waiting.retain(|(waiting, _)| Some(*waiting) != ticket);
    }
}
