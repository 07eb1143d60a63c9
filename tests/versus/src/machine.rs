//! [`Machine`]: what the numbers were measured on.

use std::fmt;
use std::fs;
use std::num::NonZero;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// The compiler that built this program.
pub const RUSTC: &str = env!("VERSUS_RUSTC");

/// Whether this build is fit to be measured.
pub const OPTIMISED: bool = !cfg!(debug_assertions);

/// The machine at the beginning of a run. Its `Display` says what the numbers are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// How many threads run at once.
    pub cores: usize,
    /// What the processor calls itself.
    pub processor: String,
    /// The system and its release.
    pub system: String,
    /// How many threads wanted to run in the minute before.
    pub load: String,
    /// Of the sources: the commit, and whether they differ from it.
    pub commit: String,
    /// The day, as `2026-11-21`.
    pub date: String,
}

impl Machine {
    /// This one, now.
    pub fn now() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self { cores, processor: processor(), system: system(), load: load(), commit: commit(), date: date() }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, system, load, .. } = self;
        let assertions = if OPTIMISED { "off" } else { "on" };
        write!(
            formatter,
            "on {cores} cores of {processor}, {system}, load {load} at the start; \
             {RUSTC}, debug assertions {assertions}"
        )
    }
}

/// How many threads wanted to run in the last minute: more than a few, and the machine has other work.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

fn processor() -> String {
    field_of("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned()
}

/// `9bf0ca8`, or `9bf0ca8 with changes`. Asked now, or each commit would build all anew.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-C", env!("CARGO_MANIFEST_DIR")]).args(arguments).stdin(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=10", "HEAD"]).filter(|commit| !commit.is_empty()) else {
        return "unknown".to_owned();
    };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|said| !said.is_empty());
    if changed { format!("{commit} with changes") } else { commit }
}

fn date() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    day(since.as_secs() / 86_400)
}

/// The day so many days after the first of 1970, by the calendar of Gregory.
fn day(days: u64) -> String {
    // Years that begin in March: the day that a leap year has more is then the last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

/// A line `name : value` of a file of the system.
fn field_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'))?.1;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        let told = [0, 59, 11_016, 11_017, 19_782, 20_088, 20_778].map(day);
        let known = [
            "1970-01-01",
            "1970-03-01",
            "2000-02-29",
            "2000-03-01",
            "2024-02-29",
            "2024-12-31",
            "2026-11-21",
        ];
        assert_eq!(told, known);
    }

    #[test]
    fn it_names_no_folder() {
        let machine = Machine::now();
        assert!(machine.cores >= 1);
        for text in [machine.processor, machine.system, machine.load, machine.commit] {
            assert!(!text.contains('/') && !text.is_empty(), "{text}");
        }
    }
}
