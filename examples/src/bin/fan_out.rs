//! How do I work on a thousand borrowed items, eight at a time, until one fails?
//!
//! The children of a scope borrow the items and write into borrowed slots. `spawn_when_free` waits for room
//! before a child exists, so there are never more than eight; the first error drops them and ends the loop.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use weirs_runtime::{Clock, block_on};
use weirs_scopes::{Scope, ScopeError};

fn main() {
    let items: Vec<String> = (0..1_000).map(|number| format!("item {number}")).collect();
    let limit = NonZeroUsize::new(8).expect("not zero");

    let (result, lengths, most) = block_on(fan_out(&items, limit, |_| false));
    println!("all: {result:?}, {} characters, at most {most} at once", lengths.iter().sum::<usize>());

    let (result, lengths, _) = block_on(fan_out(&items, limit, |item| item == "item 500"));
    let done = lengths.iter().filter(|length| **length > 0).count();
    let error = result.expect_err("item 500 fails");
    println!("one fails: {error}; done before it: {}", (493..=507).contains(&done));
}

async fn fan_out(
    items: &[String],
    limit: NonZeroUsize,
    fails: fn(&str) -> bool,
) -> (Result<(), ScopeError<String>>, Vec<usize>, usize) {
    let clock = Clock::default();
    let mut lengths = vec![0; items.len()];
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let result = Scope::builder()
        .limit(limit)
        .try_run(async |s| {
            for (item, length) in items.iter().zip(&mut lengths) {
                let (clock, inside, most) = (&clock, &inside, &most);
                let work = async move {
                    most.fetch_max(inside.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    clock.sleep(Duration::from_micros(100)).await;
                    inside.fetch_sub(1, Ordering::Relaxed);
                    if fails(item) {
                        return Err(format!("{item} cannot be read"));
                    }
                    *length = item.len();
                    Ok(())
                };
                // It is refused when the scope was cancelled meanwhile.
                if s.spawn_when_free(work).await.is_err() {
                    break;
                }
            }
            Ok(())
        })
        .await;
    (result, lengths, most.into_inner())
}
