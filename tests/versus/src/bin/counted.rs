//! Counts what the ways of the rows `allocations` and `peak-bytes` allocate. A program of its own: a counting
//! allocator would slow down every other row.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use std::process::ExitCode;

use weirs_testing::{Allocations, CountingAllocator};
use weirs_versus::rows;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Items of the shorter run; the longer one has twice as many, and what it allocates more is for its items.
const ITEMS: u64 = 100_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (name, what) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    if let Some(batch) = rows::batch(&name) {
        print(&what, batch);
    } else if let Some((_, way)) = rows::ways().into_iter().find(|(known, _)| *known == name) {
        print(&what, |items| {
            rows::polls(items, way);
        });
    } else {
        eprintln!("error: no way is called `{name}`");
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}

/// How often each item makes it allocate; or the `peak` of the bytes that it has in use.
fn print(what: &str, run: impl Fn(u64)) {
    let count = |items| Allocations::measure(|| run(items)).1;
    count(ITEMS);
    let (short, long) = (count(ITEMS), count(2 * ITEMS));
    match what {
        "peak" => println!("{}", long.peak_bytes),
        _ => println!("{}", long.count.saturating_sub(short.count) as f64 / ITEMS as f64),
    }
}
