//! [`Lines`]: a line of text each second.

use std::io::{self, Write};
use std::time::Duration;

use crate::look::{Look, Trend, told};
use crate::watch::Display;

const TITLES: &str = "         queued before               charged    order to charge  turned
sec load parse price charge  circuit   per s  done     p50     p95    away  dead";

/// A line of text each second.
#[derive(Default)]
pub(crate) struct Lines {
    printed: usize,
}

impl Display for Lines {
    const EVERY: Duration = Duration::from_secs(1);

    fn show(&mut self, look: &Look, trend: &Trend) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.printed == 0 {
            writeln!(out, "{TITLES}")?;
        }
        self.printed += 1;
        let [parse, price, charge] = look.stages.each_ref().map(|row| row.queued);
        writeln!(
            out,
            "{:3} {:4} {parse:5} {price:5} {charge:6}  {:<9} {:5.0} {:5} {:>7} {:>7} {:7} {:5}",
            look.running.as_secs(),
            look.load,
            look.circuit.to_string(),
            trend.rates()[2],
            look.stages[2].done,
            told(look.whole.p50),
            told(look.whole.p95),
            look.turned_away,
            look.dead,
        )
    }

    fn tell(&mut self, what: &str, _: &Look, _: &Trend) -> io::Result<()> {
        writeln!(io::stdout(), "-- {what}")
    }
}
