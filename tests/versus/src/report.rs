//! The report: a page in Markdown and its plots, made of results that were written as JSON.
//!
//! [`Results`] are read, [`Place::write`] writes the page. The same results give the same files, to the byte.
//! `page.rs` puts the sections together, each from a file of its own; plots are SVG, drawn by hand in
//! `svg.rs`, `bars.rs`, `curves.rs` and `lanes.rs`, and look well on a light page and on a dark one. What the
//! program `probe` draws shares its looks with them and no code: an example is read by itself.

mod axis;
mod bars;
mod curves;
mod exercise;
mod families;
mod figures;
mod lanes;
mod losses;
mod page;
mod place;
mod reasons;
mod results;
mod seeds;
mod shelves;
mod svg;
#[cfg(test)]
mod tests;

pub use place::Place;
pub use results::{Entry, Results};

/// A file of the report: its name and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plot {
    /// `spawn.svg`.
    name: String,
    /// What it shows, for who cannot see it.
    about: String,
    svg: String,
}
