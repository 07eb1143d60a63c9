//! `cargo xtask ci`: the gates that a change must pass, in order.

mod compiler;
mod gates;

use std::process::{ExitCode, Output};
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::error::Error;
use crate::screen::{Screen, Tone};
use crate::step::Step;
use crate::subcommand::Subcommand;
use crate::table::{Cell, Table};
use crate::test;
use crate::workspace::Workspace;

use gates::{GATES, Gate, Plan};

pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "ci",
    about: "run every gate that a change must pass, the tests last",
    help: HELP,
    run,
};

const HELP: &str = "\
Runs the gates that a change must pass, the cheap ones first and the tests last.

usage: cargo xtask ci [OPTIONS]

  --only GATE       only this gate (may be repeated)
  --keep-going      run the other gates too after one has failed
  --list            show the gates and their commands without running them

The last line is the test run's: `N passed, N failed`.
";

/// The gate that is not a list of commands: it runs in this process, after the others.
const TEST: &str = "test";

fn run(arguments: Arguments) -> Result<ExitCode, Error> {
    let options = Options::parse(arguments)?;
    let workspace = Workspace::read()?;
    let screen = Screen::new();
    if options.list {
        list(&options, &workspace);
        return Ok(ExitCode::SUCCESS);
    }

    let mut results = Vec::new();
    for gate in GATES.iter().filter(|gate| options.includes(gate.name)) {
        let result = pass(gate, &workspace, &screen)?;
        let failed = result.outcome == Outcome::Failed;
        results.push(result);
        if failed && !options.keep_going {
            break;
        }
    }
    let passed = results.iter().all(|result| result.outcome != Outcome::Failed);
    if !results.is_empty() {
        print!("\n{}", table(&results).render(&screen));
    }
    if options.includes(TEST) && (passed || options.keep_going) {
        println!("\n{}", screen.paint(TEST, Tone::Strong));
        let all = test::run(&workspace, &mut test::Options::new())?;
        return Ok(if passed && all { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Options {
    only: Vec<String>,
    keep_going: bool,
    list: bool,
}

impl Options {
    fn parse(mut arguments: Arguments) -> Result<Self, Error> {
        let mut options = Self::default();
        while let Some(option) = arguments.next()? {
            match option.as_str() {
                "only" => options.only.push(known(arguments.value()?)?),
                "keep-going" => options.keep_going = true,
                "list" => options.list = true,
                _ => return Err(arguments.unknown(&format!("--{option}"))),
            }
        }
        Ok(options)
    }

    fn includes(&self, gate: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == gate)
    }
}

fn known(name: String) -> Result<String, Error> {
    let names: Vec<&str> = GATES.iter().map(|gate| gate.name).chain([TEST]).collect();
    if names.contains(&name.as_str()) { Ok(name) } else { Err(Error::unknown("gate", &name, &names)) }
}

fn list(options: &Options, workspace: &Workspace) {
    for gate in GATES.iter().filter(|gate| options.includes(gate.name)) {
        println!("{}: {}", gate.name, gate.about);
        match (gate.plan)(workspace) {
            Plan::Run(steps) => steps.iter().for_each(|step| println!("    {step}")),
            Plan::Skip(reason) => println!("    skipped: {reason}"),
        }
    }
    if options.includes(TEST) {
        println!("{TEST}: every test passes on every runtime\n    cargo xtask test");
    }
}

/// What became of a gate.
struct GateResult {
    name: &'static str,
    outcome: Outcome,
    time: Duration,
}

#[derive(PartialEq)]
enum Outcome {
    Passed,
    Failed,
    Skipped(String),
}

/// Runs the commands of a gate. What they print is shown only if one fails: a gate that passes has nothing
/// to say.
fn pass(gate: &'static Gate, workspace: &Workspace, screen: &Screen) -> Result<GateResult, Error> {
    let start = Instant::now();
    let outcome = match (gate.plan)(workspace) {
        Plan::Skip(reason) => Outcome::Skipped(reason),
        Plan::Run(steps) => {
            let failure = steps.iter().enumerate().find_map(|(index, step)| {
                screen.progress(&format!("{} {}/{}: {step}", gate.name, index + 1, steps.len()));
                attempt(step, workspace).transpose()
            });
            screen.progress("");
            match failure.transpose()? {
                None => Outcome::Passed,
                Some(report) => {
                    screen.line(&report);
                    Outcome::Failed
                }
            }
        }
    };
    let time = start.elapsed();
    let text = match &outcome {
        Outcome::Skipped(reason) => reason,
        Outcome::Passed | Outcome::Failed => gate.about,
    };
    let seconds = time.as_secs_f64();
    let line = format!("{:<10}{:<8}{seconds:>7.1}s  {text}", gate.name, outcome.word());
    screen.line(&screen.paint(&line, outcome.tone()));
    if outcome == Outcome::Failed {
        screen.line(&format!("    to mend it: {}", gate.remedy));
    }
    Ok(GateResult { name: gate.name, outcome, time })
}

/// Runs one command; gives what it printed, under the command itself, if it failed.
fn attempt(step: &Step, workspace: &Workspace) -> Result<Option<String>, Error> {
    let output = step.command(&workspace.root).output();
    let Output { status, stdout, stderr } =
        output.map_err(|cause| Error::doing(format_args!("start `{step}`"), cause))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((!status.success()).then(|| format!("$ {step}\n{}{}", text(&stdout), text(&stderr))))
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "FAIL",
            Self::Skipped(_) => "skipped",
        }
    }

    fn tone(&self) -> Tone {
        match self {
            Self::Passed => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Skipped(_) => Tone::Faint,
        }
    }
}

fn table(results: &[GateResult]) -> Table {
    let mut table = Table::new(["gate", "outcome", "seconds"]);
    for GateResult { name, outcome, time } in results {
        let seconds = format!("{:.1}", time.as_secs_f64());
        table.row([Cell::plain(*name), Cell::new(outcome.word(), outcome.tone()), Cell::plain(seconds)]);
    }
    table
}
