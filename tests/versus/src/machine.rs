//! What the numbers were measured on.

use std::fs;
use std::num::NonZero;
use std::thread;

/// The compiler that built this program.
pub const RUSTC: &str = env!("VERSUS_RUSTC");

/// Whether this build is fit to be measured.
pub const OPTIMISED: bool = !cfg!(debug_assertions);

/// A line that says what the numbers are worth.
pub fn line() -> String {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let assertions = if OPTIMISED { "off" } else { "on" };
    format!(
        "on {cores} cores of {}, {}, load {} at the start; {RUSTC}, debug assertions {assertions}",
        processor(),
        system(),
        load(),
    )
}

fn processor() -> String {
    field_of("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned()
}

/// How many threads wanted to run in the last minute: more than a few, and the machine has other work.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

/// A line `name : value` of a file of the system.
fn field_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'))?.1;
    Some(value.trim().to_owned())
}
