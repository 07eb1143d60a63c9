//! The cases of OTP's `supervisor_SUITE`, each under its own name, on every runtime.
//!
//! What Erlang calls `shutdown` is `Exit::Shutdown`, `simple_one_for_one` is a `Pool`, `which_children`
//! and `count_children` are a snapshot, and a child that returns `ignore` ends with `Exit::Ignored`.
//!
//! | case | why there is no test of that name |
//! |---|---|
//! | `extra_return`, `simple_one_for_one_extra` | being ready carries no value: nothing extra to return |
//! | `already_started_outside_supervisor` | a child's future is made by its supervisor, never elsewhere |
//! | `format_log_*` | nothing is logged; an observer hears of everything, and errors have a `Display` |
//! | `code_change*` | code is not changed while it runs |
//! | `significant_upgrade_*` | the same; `stop_child`, `delete_child` and `start_child` replace a spec |
//!
//! Where we differ on purpose, the test says so.

mod lab;
mod suite;
