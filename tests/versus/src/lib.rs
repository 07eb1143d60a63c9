//! Side-by-side measurements of the weirs crates against named peers.
//!
//! # What these numbers are, and what they are not
//! A row is one operation, done our way and the peer's way, and the ratio of the two costs: below one we are
//! cheaper. Both ways run in one process and one build, in short rounds that take turns (A B, B A, A B, ...),
//! and the ratio is the median of the ratios of neighbouring rounds. So a machine that is slow, or shared, or
//! slower in the second half of the run, slows both sides alike; the costs themselves are those of one
//! machine on one day, and only the ratios are worth carrying to another. What stands behind a ratio is the
//! middle half of its rounds, printed beside it: where that is wide, believe the row less.
//!
//! Most operations here are the smallest there are: spawning a task that does nothing, setting a timer that
//! is thrown away. That is where overhead shows, not where programs spend their time. A ratio of 1.5 on a
//! task of 200 ns is lost in a task that does anything at all. Nothing here uses link-time optimisation or a
//! special allocator, since most users do not. The rows where we lose are in the table like the others.
//!
//! # How it is built
//! An [`Experiment`](measure::Experiment) yields one row or a few; the rows of a subject stand in one file
//! under `rows`; everything else is the runner and does not grow with them.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing is what this program is for")]
#![allow(clippy::disallowed_methods, reason = "it measures real time, on threads of its own")]

pub mod child;
pub mod claims;
pub mod go;
pub mod instructions;
pub mod json;
pub mod machine;
pub mod measure;
pub mod operations;
pub mod peers;
pub mod row;
pub mod rows;
pub mod statistics;
pub mod table;
