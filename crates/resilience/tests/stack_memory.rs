//! That calls allocate nothing; alone in its program, because all allocations are counted.

mod policies;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use policies::{Beside, Repeat};
use weirs_resilience::{Attempt, Breaker, Budget, Policy, Retry, Stack};
use weirs_testing::{Allocations, CountingAllocator, ManualClock};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const LONG: Duration = Duration::from_secs(60);

/// A call that succeeds; it waits once if told so.
fn call<P: Policy<u64, (), State = S>, S>(stack: &Stack<P>, waits: bool) {
    let mut call = pin!(stack.call(|at: Attempt| async move {
        let mut waits = waits;
        std::future::poll_fn(|_| if std::mem::take(&mut waits) { Poll::Pending } else { Poll::Ready(()) })
            .await;
        Ok(u64::from(at.number()))
    }));
    let mut cx = Context::from_waker(Waker::noop());
    if waits {
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(call.as_mut().poll(&mut cx), Poll::Ready(Ok(1)));
}

/// Both forms and the four policies that most stacks have, ready at once and after a wait; and a call of
/// four policies is of a modest size.
#[test]
fn calls_allocate_nothing() {
    let time = ManualClock::new();
    let known =
        Stack::builder().clock(time.clock()).timeout(LONG).policy(Repeat(3, LONG)).policy(Beside(LONG));
    let known = known.counted().timeout(LONG).build().unwrap();
    let dynamic =
        Stack::dynamic().clock(time.clock()).timeout(LONG).policy(Repeat(3, LONG)).policy(Beside(LONG));
    let dynamic = dynamic.timeout(LONG).build().unwrap();
    let (breaker, budget) = (Breaker::consecutive(5).clock(time.clock()).build().unwrap(), Budget::default());
    let real = Stack::builder()
        .clock(time.clock())
        .timeout(LONG)
        .retry(Retry::exponential(LONG / 100).retries(3).budget(&budget))
        .breaker(&breaker)
        .timeout(LONG / 2)
        .build()
        .unwrap();
    let both = |waits| {
        for _ in 0..100 {
            call(&known, waits);
            call(&dynamic, waits);
            call(&real, waits);
        }
    };
    both(true);
    for waits in [false, true] {
        let ((), allocations) = Allocations::measure(|| both(waits));
        assert_eq!(allocations.count, 0, "{waits}: {allocations:?}");
    }
    let work = async |_: Attempt| Ok::<u64, ()>(1);
    assert!(size_of_val(&dynamic.call(work)) <= 192, "{}", size_of_val(&dynamic.call(work)));
    let four = Stack::builder().timeout(LONG).timeout(LONG).timeout(LONG).timeout(LONG).build().unwrap();
    assert!(size_of_val(&four.call(work)) <= 448, "{}", size_of_val(&four.call(work)));
}
