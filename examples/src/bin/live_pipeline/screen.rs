//! [`Screen`]: the whole terminal, drawn ten times a second.

use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{execute, queue};

use crate::frame::{Style, frame};
use crate::look::{Look, Trend};
use crate::watch::Display;

static ENTERED: AtomicBool = AtomicBool::new(false);

/// The whole terminal, drawn ten times a second. Dropped, it gives the terminal back as it was.
pub(crate) struct Screen {
    runtime: String,
    size: (u16, u16),
}

impl Screen {
    pub(crate) fn enter(runtime: String) -> io::Result<Self> {
        // A panic is told where it can be read.
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            leave();
            hook(panic);
        }));
        ENTERED.store(true, Ordering::SeqCst);
        let screen = Self { runtime, size: (0, 0) };
        terminal::enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Once, whoever is the first. If the terminal is gone, there is nothing to give back.
fn leave() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), EndSynchronizedUpdate, ResetColor, LeaveAlternateScreen, Show);
        let _ = terminal::disable_raw_mode();
    }
}

impl Display for Screen {
    const EVERY: Duration = Duration::from_millis(100);

    fn show(&mut self, look: &Look, trend: &Trend) -> io::Result<()> {
        if !ENTERED.load(Ordering::SeqCst) {
            return Ok(());
        }
        let size = terminal::size()?;
        // All of it is one write, so that nobody sees half a frame.
        let mut out = Vec::new();
        queue!(out, BeginSynchronizedUpdate)?;
        if size != self.size {
            self.size = size;
            queue!(out, Clear(ClearType::All))?;
        }
        let lines = frame(&self.runtime, look, trend, size.0.into(), size.1.into());
        for (row, line) in (0..).zip(lines) {
            queue!(out, MoveTo(0, row))?;
            for (style, text) in line.0 {
                begin(&mut out, style)?;
                queue!(out, Print(text), SetAttribute(Attribute::Reset))?;
            }
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        let mut stdout = io::stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()
    }

    fn tell(&mut self, _: &str, look: &Look, trend: &Trend) -> io::Result<()> {
        self.show(look, trend)
    }
}

fn begin(out: &mut Vec<u8>, style: Style) -> io::Result<()> {
    match style {
        Style::Plain => Ok(()),
        Style::Faint => queue!(out, SetForegroundColor(Color::DarkGrey)),
        Style::Bold => queue!(out, SetAttribute(Attribute::Bold)),
        Style::Good => queue!(out, SetForegroundColor(Color::Green)),
        Style::Fair => queue!(out, SetForegroundColor(Color::Yellow)),
        Style::Bad => queue!(out, SetForegroundColor(Color::Red)),
    }
}
