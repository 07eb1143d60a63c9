//! What the ends of many children come to: all values, the first success, a quorum, and policies of your own.
//!
//! A *joiner* is told how each child of a scope ended, says when that is enough, and makes the result.
//! [`ScopeBuilder::gather`](crate::ScopeBuilder::gather) runs a scope with one. The values go to the joiner,
//! so nobody has to keep the children's handles.
//!
//! | to get | use | when it stops early |
//! |---|---|---|
//! | all values, in the order of spawning | [`all`] | at the first error |
//! | every outcome, in the order of spawning | [`all_settled`] | never |
//! | the outputs of children that cannot fail | [`outputs`] | never |
//! | the first success | [`any_ok`] | at the first success |
//! | the first output, good or bad | [`race`] | at the first output |
//! | `n` successes | [`first_n`] | at the `n`th success, or when it cannot come any more |
//! | `n` successes of `of` children | [`quorum`] | the same, and that is known sooner |
//! | whatever a condition asks for | [`until`] | when it holds |
//! | no values | [`discard`], [`discard_all`] | at the first error; never |
//! | what is there at the deadline | [`until_deadline`] around another | as the other |
//! | something else | your own [`Joiner`] | as it says |
//!
//! # Examples
//! The fastest of several mirrors; the others are cancelled:
//! ```
//! use weirs_runtime::block_on;
//! use weirs_scopes::{Scope, joiners};
//!
//! # async fn fetch(mirror: &str) -> Result<usize, String> {
//! #     if mirror == "a" { Err("down".into()) } else { Ok(mirror.len()) }
//! # }
//! let mirrors = ["a", "bb", "ccc"];
//! let fastest = block_on(Scope::builder().gather(joiners::any_ok(), async |s| {
//!     for mirror in &mirrors {
//!         s.spawn(fetch(mirror));
//!     }
//! }));
//! assert_eq!(fastest.unwrap(), 2);
//! ```

mod all;
mod any_ok;
mod discard;
mod first_n;
mod gather;
mod joiner;
mod partial;
mod race;
mod settled;
mod until;

pub use all::{All, all};
pub use any_ok::{AnyOk, NoSuccess, any_ok};
pub use discard::{Discard, DiscardAll, discard, discard_all};
pub use first_n::{FirstN, ImpossibleQuorum, TooFew, first_n, quorum};
pub use gather::Gather;
pub use joiner::{Cause, Flow, Joiner, OnCancel, Outcome};
pub use partial::{Partial, UntilDeadline, until_deadline};
pub use race::{NoOutput, Race, race};
pub use settled::{AllSettled, Outputs, all_settled, outputs};
pub use until::{Until, until};
