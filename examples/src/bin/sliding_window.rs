//! How are there never more than five requests in any ten seconds, wherever these begin?
//!
//! A fixed window lets ten through around its edge; the log of times does not, and says when to come again.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::time::Duration;

use weirs_examples::story;
use weirs_limiters::{FixedWindow, SlidingLog};
use weirs_runtime::Clock;

const WINDOW: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    story::tell("sim", |runtime| async move {
        let clock = runtime.clock();
        let fixed = FixedWindow::builder(5, WINDOW).clock(clock.clone()).fixed().expect("a window");
        let log = SlidingLog::builder(5, WINDOW).clock(clock.clone()).sliding_log().expect("a window");
        let fixed = allowed(clock, || fixed.try_acquire(1).is_ok()).await;
        let sliding = allowed(clock, || log.try_acquire(1).is_ok()).await;
        println!("second   7  8  9 10 11 12 13 14 15 16 17 18 19 20");
        println!("fixed  {}", row(&fixed));
        println!("log    {}", row(&sliding));
    })
}

/// What is allowed in each second from the seventh on, when two ask in each.
async fn allowed(clock: &Clock, ask: impl Fn() -> bool) -> Vec<usize> {
    clock.sleep(Duration::from_secs(7)).await;
    let mut seconds = Vec::new();
    for _ in 7..=20 {
        seconds.push((0..2).filter(|_| ask()).count());
        clock.sleep(Duration::from_secs(1)).await;
    }
    seconds
}

fn row(seconds: &[usize]) -> String {
    seconds.iter().map(|allowed| format!("{allowed:3}")).collect()
}
