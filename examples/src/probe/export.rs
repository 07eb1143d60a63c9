//! Where the results go besides the terminal. Files are opened before the work begins.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::options::Options;
use super::plot;
use super::report::{Class, Report, State, percentile};

/// Prints to standard output. A reader that has gone away is no error.
pub(super) fn say(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// The files that were asked for.
pub(super) struct Outputs {
    json: Option<File>,
    csv: Option<File>,
    plot: Option<File>,
}

impl Outputs {
    pub(super) fn open(options: &Options) -> Result<Self, String> {
        let open = |path: &Option<std::path::PathBuf>| path.as_deref().map(create).transpose();
        Ok(Self { json: open(&options.json)?, csv: open(&options.csv)?, plot: open(&options.plot)? })
    }

    pub(super) fn write(&mut self, report: &Report) -> io::Result<()> {
        if let Some(file) = &mut self.json {
            serde_json::to_writer_pretty(BufWriter::new(&mut *file), &to_json(report))?;
            file.write_all(b"\n")?;
        }
        if let Some(file) = &mut self.csv {
            let mut file = BufWriter::new(file);
            writeln!(file, "url,outcome,why,attempts,begun_ms,took_ms")?;
            for (endpoint, state) in report.targets.endpoints.iter().zip(&report.states) {
                let url = quoted(&report.targets.url(endpoint));
                write!(file, "{url},{},{}", state.class().name(), quoted(&state.why()))?;
                match state {
                    State::Done(outcome) => writeln!(
                        file,
                        ",{},{:.3},{:.3}",
                        outcome.attempts,
                        outcome.begun.as_secs_f64() * 1000.0,
                        outcome.took.as_secs_f64() * 1000.0
                    )?,
                    _ => writeln!(file, ",,,")?,
                }
            }
            file.flush()?;
        }
        if let Some(file) = &mut self.plot {
            file.write_all(plot::svg(report).as_bytes())?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn to_json(report: &Report) -> Value {
    let outcomes = Class::ALL.map(|class| {
        let times = report.times(class);
        let number = report.states.iter().filter(|state| state.class() == class).count();
        let at = |percent| percentile(&times, percent).map(|time| time.as_secs_f64() * 1000.0);
        json!({ "outcome": class.name(), "endpoints": number, "p50_ms": at(50), "p95_ms": at(95), "p99_ms": at(99) })
    });
    let endpoints: Vec<_> = report
        .targets
        .endpoints
        .iter()
        .zip(&report.states)
        .map(|(endpoint, state)| {
            let mut value = json!({
                "url": report.targets.url(endpoint),
                "outcome": state.class().name(),
                "why": state.why(),
            });
            if let State::Done(outcome) = state {
                value["attempts"] = outcome.attempts.into();
                value["begun_ms"] = (outcome.begun.as_secs_f64() * 1000.0).into();
                value["took_ms"] = (outcome.took.as_secs_f64() * 1000.0).into();
            }
            value
        })
        .collect();
    let openings: Vec<_> = report
        .openings
        .iter()
        .map(|(at, host)| json!({ "at_ms": at.as_secs_f64() * 1000.0, "host": host }))
        .collect();
    json!({
        "elapsed_ms": report.elapsed.as_secs_f64() * 1000.0,
        "interrupted": report.was_interrupted,
        "outcomes": outcomes,
        "circuits_opened": openings,
        "endpoints": endpoints,
    })
}
