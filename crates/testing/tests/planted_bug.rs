//! The bug that the crate page opens with: the simulator finds it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use weirs_runtime::Runtime;
use weirs_testing::sim::{Cause, Explore};

/// Forgets to pass the wake on when a waiter is dropped that was woken and not yet polled.
#[derive(Clone, Default)]
struct Semaphore(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    free: usize,
    waiting: VecDeque<(u64, Waker)>,
    last: u64,
}

impl Semaphore {
    fn release(&self) {
        let mut state = self.0.lock().unwrap();
        state.free += 1;
        if let Some((_, first)) = state.waiting.pop_front() {
            first.wake();
        }
    }

    fn acquire(&self) -> Acquire {
        Acquire { semaphore: self.clone(), number: None }
    }
}

struct Acquire {
    semaphore: Semaphore,
    number: Option<u64>,
}

impl Future for Acquire {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let semaphore = self.semaphore.clone();
        let mut state = semaphore.0.lock().unwrap();
        state.waiting.retain(|waiter| Some(waiter.0) != self.number);
        if state.free > 0 {
            state.free -= 1;
            return Poll::Ready(());
        }
        let number = self.number.unwrap_or(state.last + 1);
        state.last = state.last.max(number);
        self.number = Some(number);
        state.waiting.push_back((number, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let mut state = self.semaphore.0.lock().unwrap();
        state.waiting.retain(|waiter| Some(waiter.0) != self.number);
    }
}

async fn no_wake_is_lost(runtime: Runtime) {
    let ms = Duration::from_millis;
    let (semaphore, clock) = (Semaphore::default(), runtime.clock());
    let user = |after| {
        let (semaphore, clock) = (semaphore.clone(), clock.clone());
        async move {
            clock.sleep(after).await;
            semaphore.acquire().await;
            semaphore.release();
        }
    };
    let first = runtime.builder().name("first").spawn(user(ms(0)));
    let second = runtime.builder().name("second").spawn(user(ms(1)));
    let owner = runtime.builder().name("owner").spawn({
        let (semaphore, clock) = (semaphore.clone(), clock.clone());
        async move {
            clock.sleep(ms(10)).await;
            semaphore.release();
        }
    });
    clock.sleep(ms(10)).await;
    drop(first);
    owner.await.unwrap();
    second.await.unwrap();
}

#[test]
fn the_simulator_finds_it_and_says_what_the_crate_page_says() {
    let failure = Explore::new().seeds(0..100).find(no_wake_is_lost).expect("a lost wake");
    assert_eq!(*failure.cause(), Cause::Deadlock);
    let report = failure.to_string();
    assert!(report.contains("these tasks are stuck:"), "{report}");
    assert!(
        report.contains("#0 \"main\" spawned at ") && report.contains("#2 \"second\" spawned at "),
        "{report}"
    );
    assert!(report.contains("WEIRS_SEED=14 WEIRS_SCHEDULE=random "), "the page names another seed: {report}");
}
