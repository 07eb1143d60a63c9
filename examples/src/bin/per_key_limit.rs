//! How may each user ask once a second, and five times at once, whoever else asks?
//!
//! A map of limiters behind a lock grows with every name that somebody makes up. Here the table has its size
//! from the start, and a user who is known is found without a lock.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::time::Duration;

use weirs_examples::story;
use weirs_limiters::{Keyed, Quota, Rate};

fn main() -> ExitCode {
    story::tell("sim", |runtime| async move {
        let clock = runtime.clock();
        let quota = Quota::new(Rate::per_second(1), 5).expect("a quota");
        let users = Keyed::<str>::builder(quota).max_keys(10_000).clock(clock.clone()).build();
        let allowed = |user, times| (0..times).filter(|_| users.try_acquire(user, 1).is_ok()).count();

        println!("anna asks 8 times: {} allowed", allowed("anna", 8));
        println!("bert asks 3 times: {} allowed", allowed("bert", 3));
        clock.sleep(Duration::from_millis(2500)).await;
        println!("2.5 s later, anna asks 8 times: {} allowed", allowed("anna", 8));
        let denied = users.try_acquire("anna", 1).expect_err("she has none left");
        println!("anna may come again in {:?}", denied.retry_after().expect("it is a matter of time"));
        // A hundred thousand names that were made up.
        let made_up =
            (0..100_000).filter(|name| users.try_acquire(&format!("user {name}"), 1).is_ok()).count();
        println!("100000 strangers: all let in: {}, and the table has not grown", made_up == 100_000);
    })
}
