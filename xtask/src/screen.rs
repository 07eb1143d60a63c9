//! What the user looks at: a terminal with a progress line, or plain lines in a log.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

/// Longest progress line: a longer one would wrap and could not be wiped out.
const WIDTH: usize = 78;

/// Standard output, shared by the threads that report to it.
pub(crate) struct Screen {
    terminal: bool,
    paint: bool,
    progress: Mutex<String>,
}

/// How a word is coloured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Faint,
    Strong,
}

impl Screen {
    /// Colours and a progress line on a terminal; no colours where `NO_COLOR` is set
    /// (<https://no-color.org>).
    pub(crate) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { terminal, paint: terminal && !no_color, progress: Mutex::default() }
    }

    /// A log: neither colours nor a progress line.
    #[cfg(test)]
    pub(crate) fn log() -> Self {
        Self { terminal: false, paint: false, progress: Mutex::default() }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A line that stays.
    pub(crate) fn line(&self, line: &str) {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        self.wipe(&progress);
        println!("{line}");
        self.draw(&progress);
    }

    /// Replaces the progress line; an empty text removes it. A log has none.
    pub(crate) fn progress(&self, text: &str) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        self.wipe(&progress);
        *progress = text.chars().take(WIDTH).collect();
        self.draw(&progress);
    }

    /// The text in its colour, if this screen has colours.
    pub(crate) fn paint(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.paint { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn wipe(&self, progress: &str) {
        if self.terminal && !progress.is_empty() {
            print!("\r\x1b[2K");
        }
    }

    fn draw(&self, progress: &str) {
        if self.terminal && !progress.is_empty() {
            print!("{progress}");
        }
        // A closed pipe is no reason to stop: the exit status still tells the outcome.
        let _ = std::io::stdout().flush();
    }
}
