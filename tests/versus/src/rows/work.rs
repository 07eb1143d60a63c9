//! What goes through the policies of both sides: work that does next to nothing, and is inlined on neither.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Barrier;
use std::task::{Context, Poll};
use std::thread;

use weirs_runtime::block_on;

use crate::measure::wall;

/// Gives the number that it got.
#[derive(Clone, Copy, Debug)]
pub struct Work(pub u64);

impl Future for Work {
    type Output = Result<u64, Trouble>;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(if self.0 == u64::MAX { Err(Trouble) } else { Ok(self.0) })
    }
}

/// How work fails that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble;

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("trouble")
    }
}

impl std::error::Error for Trouble {}

/// So many of these futures, one after another in one task.
#[inline]
pub async fn in_a_row<F: Future>(count: u64, mut call: impl FnMut(u64) -> F) {
    for number in 0..count {
        black_box(call(black_box(number)).await);
    }
}

/// The wall time of each of them, less that of the work alone.
pub(super) fn one_by_one<F: Future>(count: u64, call: impl FnMut(u64) -> F) -> [f64; 1] {
    beyond_the_work(count, || block_on(in_a_row(count, call)))
}

/// The wall time of each of so many calls, less that of their work alone.
pub(super) fn beyond_the_work(count: u64, calls: impl FnOnce()) -> [f64; 1] {
    let [calls] = wall(count, calls);
    let [bare] = wall(count, || block_on(in_a_row(count, Work)));
    [(calls - bare).max(0.1)]
}

/// The wall time of one of two threads that do the same at once.
pub(super) fn on_two_threads(count: u64, work: impl Fn() + Sync) -> [f64; 1] {
    let start = Barrier::new(2);
    thread::scope(|scope| {
        let timed = || {
            start.wait();
            wall(count, &work)[0]
        };
        let other = scope.spawn(timed);
        [(timed() + other.join().expect("it does not panic")) / 2.0]
    })
}
