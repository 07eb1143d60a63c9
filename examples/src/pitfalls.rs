//! A lock that is held across an `await`, which the compiler refuses.
//!
//! The guard of a `std::sync::Mutex` cannot go to another thread, so neither can a future that has one while
//! it waits; and the runtimes of this project, like most, may poll a task on any thread. This is the error,
//! and not a program that hangs in the night:
//!
//! ```compile_fail,E0277
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//! use weirs_runtime::{Runtime, Smol, block_on};
//!
//! # async fn some_async_op() {}
//! let runtime = Runtime::from(Smol::global());
//! let state = Arc::new(Mutex::new(HashMap::new()));
//! block_on(runtime.spawn(async move {
//!     let mut guard = state.lock().unwrap();
//!     some_async_op().await; // the lock is held
//!     guard.insert("key", "value");
//! }))
//! .unwrap();
//! ```
//!
//! First wait, then lock:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//! use weirs_runtime::{Runtime, Smol, block_on};
//!
//! # async fn some_async_op() {}
//! let runtime = Runtime::from(Smol::global());
//! let state = Arc::new(Mutex::new(HashMap::new()));
//! block_on(runtime.spawn(async move {
//!     some_async_op().await;
//!     state.lock().unwrap().insert("key", "value");
//! }))
//! .unwrap();
//! ```
//!
//! A lock that is made to be held across an `await` compiles, and can wait for itself in a circle; the
//! simulator then names who waits for what. The program `lock_across_await` shows it; `lost_panic`,
//! `unbounded_queue` and `rendezvous_leak` are the other pitfalls.
