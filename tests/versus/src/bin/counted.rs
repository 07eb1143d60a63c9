//! Counts what the ways of the rows `allocations` allocate. A program of its own: a counting allocator would
//! slow down every other row.

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
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some((_, way)) = rows::ways().into_iter().find(|(known, _)| *known == name) else {
        eprintln!("error: no way is called `{name}`");
        return ExitCode::from(2);
    };
    let count = |items| {
        let (_, taken) = Allocations::measure(|| rows::polls(items, way));
        taken.count as f64
    };
    count(ITEMS);
    let (short, long) = (count(ITEMS), count(2 * ITEMS));
    println!("{}", (long - short).max(0.0) / ITEMS as f64);
    ExitCode::SUCCESS
}
