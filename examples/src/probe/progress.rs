//! What is told while it runs: a bar on a terminal, a line now and then otherwise.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use weirs_runtime::{Clock, Instant, Sleep};

use super::options::Options;
use super::report::Report;

/// Tells people what is wrong.
pub(super) fn complain(what: &str) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(io::stderr(), "probe: {what}");
}

/// Whether the environment has something to say.
fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether what is told there may have colours.
pub(super) fn colours(options: &Options, there: &impl IsTerminal) -> bool {
    let able = there.is_terminal() && set("TERM").is_some_and(|name| name != "dumb");
    able && !options.plain && set("NO_COLOR").is_none()
}

/// How far it is.
pub(super) struct Progress {
    way: Way,
    tick: Sleep,
    every: Duration,
    begun: Instant,
    clock: Clock,
    shown: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Silent,
    Lines,
    Bar { colours: bool },
}

impl Progress {
    pub(super) fn new(options: &Options, clock: &Clock, real: bool) -> Self {
        let bar = io::stderr().is_terminal() && set("TERM").is_some_and(|name| name != "dumb");
        let way = match (options.quiet || !real, bar && !options.plain) {
            (true, _) => Way::Silent,
            (false, true) => Way::Bar { colours: colours(options, &io::stderr()) },
            (false, false) => Way::Lines,
        };
        let every = match way {
            Way::Bar { .. } => Duration::from_millis(100),
            _ => Duration::from_secs(1),
        };
        let begun = clock.now();
        Self { way, tick: clock.sleep(every), every, begun, clock: clock.clone(), shown: false }
    }

    /// Tells how far it is, if it is time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, report: &Report, running: usize) {
        if self.way == Way::Silent {
            return;
        }
        while Pin::new(&mut self.tick).poll(cx).is_ready() {
            self.tick.reset_after(self.every);
            self.show(report, running);
        }
    }

    fn show(&mut self, report: &Report, running: usize) {
        let (done, ill) = report.done();
        let all = report.states.len();
        let seconds = self.clock.now().saturating_since(self.begun).as_secs_f64();
        let rate = done as f64 / seconds.max(0.001);
        let mut error = io::stderr().lock();
        // A bar that cannot be shown is no reason to stop.
        let _ = match self.way {
            Way::Silent => Ok(()),
            Way::Lines => {
                writeln!(
                    error,
                    "{done} of {all} checked, {ill} not well, {running} running, {rate:.0} a second"
                )
            }
            Way::Bar { colours } => {
                const WIDTH: usize = 20;
                let full = WIDTH * done / all.max(1);
                let (red, green, off) =
                    if colours { ("\x1b[31m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
                self.shown = true;
                // What is too long for the terminal is cut off: a second line would never be taken away.
                write!(
                    error,
                    "\r\x1b[K\x1b[?7l{green}{}{off}{} {done}/{all}  \
                     {red}{ill} not well{off}  {running} running  {rate:.0}/s\x1b[?7h",
                    "━".repeat(full),
                    "─".repeat(WIDTH - full),
                )
                .and_then(|()| error.flush())
            }
        };
    }

    /// Takes the bar away.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let mut error = io::stderr().lock();
            let _ = write!(error, "\r\x1b[K").and_then(|()| error.flush());
        }
    }
}
