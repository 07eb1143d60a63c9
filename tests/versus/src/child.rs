//! This program run by itself: one experiment, or one operation, in a process of its own.
//!
//! Every experiment has a fresh process: whatever ran before it would have left threads, timers and a heap
//! in disorder, and `--only` would give other numbers than the whole run. Both sides of a pair share the
//! process.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::measure::{Alone, Effort, Experiment, Missing};
use crate::row::Samples;
use crate::{operations, rows};

/// How long an experiment is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Few rounds.
    Quick,
    /// Few rounds, but more than before.
    QuickAgain,
    /// All of them.
    Full,
}

impl Look {
    /// What it is in rounds.
    pub fn effort(self) -> Effort {
        match self {
            Self::Quick => Effort::QUICK,
            Self::QuickAgain => Effort::QUICK_AGAIN,
            Self::Full => Effort::FULL,
        }
    }

    /// What a child is told of it.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Quick => &["--quick"],
            Self::QuickAgain => &["--quick", "--again"],
            Self::Full => &[],
        }
    }
}

/// What a child is asked to do, and how often. Not in the help: only this program calls itself so.
#[derive(Clone, Debug)]
pub enum Task {
    /// The experiment of this name, for its samples; prints them.
    Experiment(String, Look),
    /// One side of it, so many operations, for a profiler: ours or not, and which point of a curve.
    Side(String, bool, usize),
    /// An operation of [`operations`], for its instructions to be counted.
    Operation(String),
    /// Idle tasks, for their memory to be looked at; prints the bytes of each.
    Resident(String),
}

impl Task {
    /// Does it.
    ///
    /// # Errors
    /// When nothing has this name, or the system does not tell.
    pub fn run(&self, times: u64) -> Result<(), String> {
        match self {
            Self::Experiment(name, look) => println!("{}", written(&find(name)?.measure(look.effort()))),
            Self::Side(name, ours, point) => {
                let alone = Some(Alone { ours: *ours, point: *point, operations: times });
                println!("{}", written(&find(name)?.measure(Effort { alone, ..Effort::QUICK })));
            }
            Self::Operation(name) => {
                let operation = operations::find(name).ok_or(format!("no operation is called `{name}`"))?;
                (operation.run)(times);
            }
            Self::Resident(name) => println!("{}", rows::resident(name, times)?),
        }
        Ok(())
    }
}

fn find(name: &str) -> Result<Experiment, String> {
    let mut experiments = rows::experiments().into_iter();
    let experiment = experiments.find(|experiment| experiment.name() == name);
    experiment.ok_or(format!("no experiment is called `{name}`"))
}

/// What an experiment gives in a fresh process.
///
/// # Errors
/// [`Missing`] says why there are no numbers.
pub fn measure(experiment: &str, look: Look) -> Result<Vec<Samples>, Missing> {
    let failed = |error: String| Missing::Failed(error);
    let mut command = this_program().map_err(failed)?;
    command.args(["--experiment", experiment]).args(look.words());
    let printed = output_of(command).map_err(failed)?.0;
    read(&printed).unwrap_or_else(|| Err(Missing::Failed(format!("the child said `{printed}`"))))
}

/// `[{"pairs": [[1.0, 2.0]]}, {"alone": [3.0]}]`, or `{"skipped": "..."}`, or `{"failed": "..."}`.
fn written(samples: &Result<Vec<Samples>, Missing>) -> Value {
    match samples {
        Ok(rows) => rows
            .iter()
            .map(|row| match row {
                Samples::Pairs(pairs) => json!({ "pairs": pairs }),
                Samples::Alone(ours) => json!({ "alone": ours }),
            })
            .collect(),
        Err(Missing::Skipped(reason)) => json!({ "skipped": reason }),
        Err(Missing::Failed(reason)) => json!({ "failed": reason }),
    }
}

/// What [`written`] wrote.
fn read(printed: &str) -> Option<Result<Vec<Samples>, Missing>> {
    let value: Value = serde_json::from_str(printed).ok()?;
    if let Some(reason) = value["skipped"].as_str() {
        return Some(Err(Missing::Skipped(reason.to_owned())));
    }
    if let Some(reason) = value["failed"].as_str() {
        return Some(Err(Missing::Failed(reason.to_owned())));
    }
    let row = |row: &Value| match row["pairs"].as_array() {
        Some(pairs) => {
            let pairs = pairs.iter().map(|pair| Some((pair[0].as_f64()?, pair[1].as_f64()?)));
            Some(Samples::Pairs(pairs.collect::<Option<_>>()?))
        }
        None => {
            Some(Samples::Alone(row["alone"].as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?))
        }
    };
    value.as_array()?.iter().map(row).collect::<Option<_>>().map(Ok)
}

/// Bytes for each of so many idle tasks, in a fresh process.
pub(crate) fn resident(name: &str, tasks: u64) -> Result<f64, String> {
    let mut command = this_program()?;
    command.args(["--resident", name, "--times", &tasks.to_string()]);
    let printed = output_of(command)?.0;
    printed.trim().parse().map_err(|_| format!("the child said `{printed}`"))
}

/// A fresh process that connects to this port of this machine, once for each byte of its input, and has the
/// connections until the input ends.
pub(crate) fn clients(port: u16) -> Result<Child, String> {
    let mut command = this_program()?;
    command.args(["--resident", &format!("clients/{port}")]).stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().map_err(|error| error.to_string())
}

/// What the program counts whose allocator does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    /// Allocations for each item in the long run.
    Allocations,
    /// The most bytes that are in use at one time.
    PeakBytes,
}

/// What a way of doing something allocates for each item in the long run.
pub(crate) fn allocations(way: &str) -> Result<f64, Missing> {
    counted(way, Count::Allocations)
}

/// What a way of doing something allocates, in a fresh process of the program whose allocator counts. That
/// one is built beside this one.
pub(crate) fn counted(way: &str, count: Count) -> Result<f64, Missing> {
    let failed = |error: String| Missing::Failed(error);
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let counted = program.with_file_name(format!("counted{}", std::env::consts::EXE_SUFFIX));
    if !counted.exists() {
        return Err(Missing::Skipped("the program that counts is not built: `--bins` builds it".to_owned()));
    }
    let mut command = Command::new(counted);
    command.arg(way).args(matches!(count, Count::PeakBytes).then_some("peak"));
    let printed = output_of(command).map_err(failed)?.0;
    printed.trim().parse().map_err(|_| failed(format!("the child said `{printed}`")))
}

/// The instructions that this program takes to do an operation so many times, its start included.
pub(crate) fn instructions(operation: &str, times: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.args(["--operation", operation, "--times", &times.to_string()]);
    // One thread, or which of them runs what would differ from run to run.
    command.env("ASYNC_STD_THREAD_COUNT", "1").env("SMOL_THREADS", "1");
    let said = output_of(command)?.1;
    collected(&said).ok_or_else(|| format!("valgrind said: {said}"))
}

/// Whether there is a valgrind, and which.
pub(crate) fn valgrind() -> Option<String> {
    let mut command = Command::new("valgrind");
    command.arg("--version");
    Some(output_of(command).ok()?.0.trim().to_owned())
}

fn this_program() -> Result<Command, String> {
    std::env::current_exe().map(Command::new).map_err(|error| error.to_string())
}

/// What a command that went well wrote to standard output and standard error.
fn output_of(mut command: Command) -> Result<(String, String), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if output.status.success() { Ok((out, err)) } else { Err(format!("{}: {}", output.status, err.trim())) }
}

/// The number in callgrind's line `==123== Collected : 456`.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrind_says_how_much_it_collected() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(collected(said), Some(123_456));
        assert_eq!(collected("valgrind: no such file"), None);
    }

    #[test]
    fn samples_survive_the_way_to_the_parent() {
        let rows = vec![Samples::Pairs(vec![(1.5, 2.0), (3.0, 4.25)]), Samples::Alone(vec![0.1])];
        for samples in [Ok(rows), Err(Missing::Skipped("a".into())), Err(Missing::Failed("b".into()))] {
            assert_eq!(read(&written(&samples).to_string()), Some(samples));
        }
        assert_eq!(read("thread panicked"), None);
        assert_eq!(read("{}"), None);
    }

    #[test]
    fn an_unknown_task_is_an_error() {
        assert!(Task::Operation("dance".into()).run(1).is_err());
        assert!(Task::Resident("dance".into()).run(1).is_err());
        assert!(Task::Experiment("dance".into(), Look::Quick).run(1).is_err());
    }
}
