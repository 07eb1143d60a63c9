//! Where the results go besides the terminal. Files are opened before the work begins.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// Opens them, so that what cannot be written is known before the work begins.
    pub(super) fn open(options: &Options) -> Result<Self, String> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(create).transpose();
        Ok(Self { json: open(&options.json)?, csv: open(&options.csv)?, plot: open(&options.plot)? })
    }

    pub(super) fn write(&mut self, report: &Report) -> io::Result<()> {
        if let Some(file) = &mut self.json {
            let mut file = BufWriter::new(file);
            serde_json::to_writer_pretty(&mut file, &to_json(report))?;
            file.write_all(b"\n")?;
            file.flush()?;
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
                        millis(outcome.begun()),
                        millis(outcome.took())
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

/// In milliseconds, down to the microsecond.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

fn to_json(report: &Report) -> Value {
    let outcomes = Class::ALL.map(|class| {
        let times = report.times(class);
        let number = report.states.iter().filter(|state| state.class() == class).count();
        let at = |percent| percentile(&times, percent).map(millis);
        json!({
            "outcome": class.name(),
            "endpoints": number,
            "p50_ms": at(50),
            "p95_ms": at(95),
            "p99_ms": at(99),
        })
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
                value["begun_ms"] = millis(outcome.begun()).into();
                value["took_ms"] = millis(outcome.took()).into();
            }
            value
        })
        .collect();
    let openings: Vec<_> =
        report.openings.iter().map(|(at, host)| json!({ "at_ms": millis(*at), "host": host })).collect();
    json!({
        "elapsed_ms": millis(report.elapsed),
        "interrupted": report.was_interrupted,
        "outcomes": outcomes,
        "circuits_opened": openings,
        "endpoints": endpoints,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_a_comma_or_a_quote_is_quoted() {
        assert_eq!(quoted("http://a/b"), "http://a/b");
        assert_eq!(quoted("http://a/b,c"), "\"http://a/b,c\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_is_one_field_and_comes_back(text in "[a,\"\r\n ]{0,12}") {
            let field = quoted(&text);
            let back = match field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(inner) if field.len() > 1 => {
                    prop_assert!(!inner.replace("\"\"", "").contains('"'));
                    inner.replace("\"\"", "\"")
                }
                _ => {
                    prop_assert!(!field.contains([',', '"', '\r', '\n']));
                    field
                }
            };
            prop_assert_eq!(back, text);
        }
    }
}
