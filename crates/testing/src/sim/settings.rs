//! What a run is told besides its body: the settings that [`Sim`](super::Sim) and
//! [`Explore`](super::Explore) share.

use std::time::Duration;

use super::faults::Faults;
use super::schedule::Schedule;

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) seed: u64,
    pub(super) schedule: Schedule,
    pub(super) faults: Faults,
    pub(super) step_limit: u64,
    pub(super) time_limit: Duration,
    pub(super) allow_leaks: bool,
    pub(super) test: TestName,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            schedule: Schedule::default(),
            faults: Faults::new(),
            step_limit: 1_000_000,
            time_limit: Duration::from_secs(365 * 86_400),
            allow_leaks: false,
            test: TestName::default(),
        }
    }
}

/// The test that a run belongs to, as far as it is known: for the line to paste.
#[derive(Clone, Debug, Default)]
pub(super) struct TestName {
    pub(super) package: Option<String>,
    pub(super) name: Option<String>,
    /// The whole command, where it is no test.
    pub(super) command: Option<String>,
}

impl TestName {
    /// The words of the command that runs this one test.
    ///
    /// What was not given is taken from where libtest and cargo leave it: the thread's name, and the
    /// environment.
    pub(super) fn command(&self) -> String {
        if let Some(command) = &self.command {
            return command.clone();
        }
        let package = self.package.clone().or_else(|| std::env::var("CARGO_PKG_NAME").ok());
        let thread = || std::thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        let mut command = "cargo test".to_owned();
        if let Some(package) = package {
            command.push_str(&format!(" -p {package}"));
        }
        if let Some(name) = self.name.clone().or_else(thread) {
            command.push_str(&format!(" {name}"));
        }
        command
    }
}
