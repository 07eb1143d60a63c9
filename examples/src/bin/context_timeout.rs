//! What do I write for `context.WithTimeout`?
//!
//! A token with a deadline is handed down, and each step may only shorten it. The slow step is dropped in the
//! middle when the time is over: there is no goroutine that goes on, blocked on a channel nobody reads.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::time::Duration;

use weirs_runtime::{Clock, block_on};
use weirs_scopes::{CancelToken, Cancelled, Reason};

fn main() {
    let clock = Clock::default();
    // ctx, cancel := context.WithTimeout(context.Background(), time.Hour); defer cancel()
    let request = CancelToken::new().child_after(Duration::from_secs(3600));
    let _guard = request.guard();

    let quick = block_on(handle(&request, &clock, Duration::from_millis(1)));
    println!("a quick database: {}", quick.expect("it has an hour"));

    // A step has less time than the whole; asking for more would not give it more.
    let step = request.child_after(Duration::from_millis(20));
    let longer = step.child_after(Duration::from_secs(24 * 3600));
    assert_eq!(longer.deadline(), step.deadline());

    let slow = block_on(handle(&longer, &clock, Duration::from_secs(600)));
    let why = slow.expect_err("it has twenty milliseconds").into_reason();
    println!("a slow database: {why}, and it was the deadline: {}", why == Reason::Deadline);
    println!("the request itself goes on: {}", request.check().is_ok());
}

/// What takes a `ctx` as its first argument in Go.
async fn handle(token: &CancelToken, clock: &Clock, takes: Duration) -> Result<&'static str, Cancelled> {
    let query = async {
        let _row = NotLeaked;
        clock.sleep(takes).await;
        "one row"
    };
    token.run(query).await
}

struct NotLeaked;

impl Drop for NotLeaked {
    fn drop(&mut self) {
        println!("the query is gone");
    }
}
