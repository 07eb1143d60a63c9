//! Is the fleet well, and if not, what is wrong with it?
//!
//! Checks thousands of HTTP endpoints with bounded concurrency, for all and for each host, a limit of rate,
//! retries with a budget, hedges, time limits, and a circuit breaker for each host. Ctrl-C still prints what
//! was found out; a second one ends it at once. With no arguments it starts a fleet of its own.
//! `--help` tells the rest; what it is made of is in `src/probe/`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(weirs_examples::probe::main(std::env::args_os().skip(1)))
}
