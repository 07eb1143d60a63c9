//! A run: measures what is asked for, prints it, and judges it.

use std::process::ExitCode;
use std::time::Instant;

use weirs_versus::child::{self, Look};
use weirs_versus::instructions::{self, Kept};
use weirs_versus::json::{self, Outcome};
use weirs_versus::machine::{self, Machine, RUSTC};
use weirs_versus::measure::{Effort, Experiment, Missing};
use weirs_versus::report::Results;
use weirs_versus::row::{Measured, Row};
use weirs_versus::table::Table;
use weirs_versus::verdict::{Gap, Verdict};

use crate::options::Options;

/// How often a row that misses its goal is measured again before it is judged.
const SECOND_LOOKS: usize = 2;
/// The same in a quick run, which is to stay one.
const QUICK_SECOND_LOOKS: usize = 1;

/// Does what the options say.
pub(crate) fn run(mut options: Options) -> Result<ExitCode, String> {
    let kept = if options.instructions { Kept::read()? } else { Kept::default() };
    let experiments = options.experiments(&kept)?;
    let wanted =
        || experiments.iter().flat_map(|experiment| &experiment.rows).filter(|row| options.wants(row));
    let table = Table::new(wanted());
    if options.list {
        wanted().for_each(|row| table.print(&listed(row)));
        return Ok(ExitCode::SUCCESS);
    }
    if !machine::OPTIMISED {
        return Err("this is a debug build, whose numbers mean nothing: \
            `cargo run --release -p weirs-versus`"
            .to_owned());
    }
    let (machine, start) = (Machine::now(), Instant::now());
    let mut run = Run {
        options: &options,
        experiments: &experiments,
        table: &table,
        measured: Vec::new(),
        missing: Vec::new(),
        times: Vec::new(),
    };
    if options.instructions && !instructions::available() {
        run.miss_all(&Missing::Skipped("no valgrind here".to_owned()));
    } else {
        run.open(&machine, &kept);
        run.measure_all();
        if options.check {
            run.look_again();
        }
    }
    let Run { measured, missing, times, .. } = run;
    let seconds = start.elapsed().as_secs_f64();
    let verdict = judge(&options, &table, &measured, &missing);
    table.print(&times_told(measured.len(), seconds, &times));
    if options.bless {
        bless(&table, kept, &measured)?;
    }
    let load = machine::load();
    let outcome = Outcome { machine, load, quick: options.quick, seconds, rows: measured, missing, times };
    let mut text = Vec::new();
    json::write(&mut text, &outcome).map_err(|error| error.to_string())?;
    if let Some((path, mut file)) = options.json.take() {
        std::io::Write::write_all(&mut file, &text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    if let Some(place) = &options.report {
        let results = Results::read(&String::from_utf8_lossy(&text))?;
        table.print(&place.write(&results)?);
    }
    Ok(verdict)
}

struct Run<'r> {
    options: &'r Options,
    experiments: &'r [Experiment],
    table: &'r Table,
    measured: Vec<Measured>,
    missing: Vec<Gap>,
    /// How many seconds each experiment took.
    times: Vec<(String, f64)>,
}

impl Run<'_> {
    /// What the numbers are worth, and what they are.
    fn open(&self, machine: &Machine, kept: &Kept) {
        self.table.print(&format!("Measured {machine}."));
        if !self.options.instructions {
            self.table.print(
                "Costs are this machine's of today; a ratio is ours / peer from rounds that took turns, \
                 with the middle\nhalf of the rounds in brackets. Lower is better.\n",
            );
        } else if kept.holds() || kept.operations.is_empty() {
            self.table.print("A ratio is instructions now / instructions kept in instructions.json.\n");
        } else {
            let kept = &kept.rustc;
            self.table
                .print(&format!("The kept counts are those of {kept}, not of {RUSTC}: only reported.\n"));
        }
        self.table.head();
    }

    fn measure_all(&mut self) {
        for experiment in self.experiments {
            let start = Instant::now();
            match self.measure(experiment, self.options.look(false)) {
                Ok(measured) => {
                    measured.iter().for_each(|measured| self.table.row(measured));
                    self.measured.extend(measured);
                }
                Err(missing) => self.miss(experiment, &missing),
            }
            self.times.push((experiment.name().to_owned(), start.elapsed().as_secs_f64()));
        }
    }

    /// The rows of an experiment that are asked for.
    fn measure(&self, experiment: &Experiment, look: Look) -> Result<Vec<Measured>, Missing> {
        self.table.progress(&experiment.rows[0]);
        let samples = if self.options.instructions {
            experiment.measure(Effort::FULL)?
        } else {
            child::measure(experiment.name(), look)?
        };
        if samples.len() != experiment.rows.len() {
            let (rows, samples) = (experiment.rows.len(), samples.len());
            return Err(Missing::Failed(format!("it has {rows} rows and gave numbers for {samples}")));
        }
        let measured = experiment.rows.iter().cloned().zip(samples);
        let measured = measured.map(|(row, samples)| Measured::new(row, samples));
        Ok(measured.filter(|measured| self.options.wants(&measured.row)).collect())
    }

    /// Measures rows that missed their goals again, longer if it was quick, and keeps the best of all
    /// measurements: the machine may have been busy with something else. A row that hovers about its goal
    /// passes so more often than it should; one that has lost does not.
    fn look_again(&mut self) {
        let looks = if self.options.quick { QUICK_SECOND_LOOKS } else { SECOND_LOOKS };
        for _ in 0..looks {
            if !self.measured.iter().any(Measured::missed) {
                return;
            }
            self.table.print("\nOnce more, what missed its goal; the best measurement counts:");
            for experiment in self.experiments {
                let missed = |measured: &Measured| {
                    measured.missed() && experiment.rows.iter().any(|row| row.name == measured.row.name)
                };
                if !self.measured.iter().any(missed) {
                    continue;
                }
                let Ok(again) = self.measure(experiment, self.options.look(true)) else { continue };
                for again in again {
                    let first = self.measured.iter_mut().find(|first| first.row.name == again.row.name);
                    if let Some(first) = first.filter(|first| first.missed()) {
                        self.table.row(&again);
                        *first = first.clone().better(again);
                    }
                }
            }
        }
    }

    fn miss_all(&mut self, missing: &Missing) {
        for experiment in self.experiments {
            self.miss(experiment, missing);
        }
    }

    fn miss(&mut self, experiment: &Experiment, missing: &Missing) {
        let (verb, reason) = match missing {
            Missing::Skipped(reason) => ("skipped", reason),
            Missing::Failed(reason) => ("FAILED", reason),
        };
        let failed = matches!(missing, Missing::Failed(_));
        for row in experiment.rows.iter().filter(|row| self.options.wants(row)) {
            let gap = Gap::new(&row.name, reason, failed);
            self.table.missing(row, verb, &gap.reason);
            self.missing.push(gap);
        }
    }
}

/// The last lines, and the exit status.
fn judge(options: &Options, table: &Table, measured: &[Measured], missing: &[Gap]) -> ExitCode {
    let verdict = Verdict::of(measured, missing);
    table.print("");
    verdict.lines().iter().for_each(|line| table.print(line));
    let fell =
        |measured: &&Measured| measured.ratio.is_some_and(|ratio| ratio.median * instructions::ALLOWED < 1.0);
    let counts = options.instructions && !options.bless;
    if counts && measured.iter().any(|measured| fell(&measured)) {
        table.print("some counts fell: `--bless` keeps them, or what rises again later goes unseen");
    }
    if counts && !verdict.missed.is_empty() {
        table.print("if that is the price of something better: `cargo xtask versus --instructions --bless`");
    }
    // An instruction count is not noisy, and needs no `--check` to be believed.
    let held = (options.check || options.instructions) && !options.bless;
    if verdict.passes(held) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How long it all took, and what took longest.
fn times_told(rows: usize, seconds: f64, times: &[(String, f64)]) -> String {
    let mut longest: Vec<_> = times.iter().filter(|(_, seconds)| *seconds >= 1.0).collect();
    longest.sort_by(|one, other| other.1.total_cmp(&one.1));
    let longest: Vec<String> =
        longest.iter().take(5).map(|(name, seconds)| format!("{name} {seconds:.0} s")).collect();
    let (minutes, rest) = (seconds as u64 / 60, seconds as u64 % 60);
    let longest =
        if longest.is_empty() { String::new() } else { format!("; longest: {}", longest.join(", ")) };
    format!("{rows} rows in {minutes} min {rest} s{longest}")
}

/// Keeps the counts that were made; those of operations that were not asked for stay, if they still hold.
fn bless(table: &Table, kept: Kept, measured: &[Measured]) -> Result<(), String> {
    if measured.is_empty() {
        return Ok(());
    }
    let mut operations = if kept.holds() { kept.operations } else { Default::default() };
    operations.extend(measured.iter().filter_map(|measured| {
        let name = measured.row.name.strip_prefix("instructions/")?;
        Some((name.to_owned(), measured.ours.median))
    }));
    let path = Kept { rustc: RUSTC.to_owned(), operations }.write()?;
    table.print(&format!("kept in {}", path.display()));
    Ok(())
}

/// A row of `--list`.
fn listed(row: &Row) -> String {
    let peer = row.peer.as_ref().map(|peer| format!("  against {peer}")).unwrap_or_default();
    let goal = row.goal.map(|goal| format!("  goal {goal}")).unwrap_or_default();
    format!("{}  [{}]{peer}{goal}", row.name, row.unit.name())
}
