//! How the crates of the family wait: a queue of wakers inside a lock, and a state in a lock that serves
//! those who wait for it. Not for users: it changes without notice.

mod served;
mod waiters;

pub use served::{Serve, Served};
pub use waiters::{Look, Ticket, Turn, Waiters, Wakes, let_go, look, look_with, wake};
