//! Runs the batches, several at once, and gives every test a verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::libtest::{Transcript, Verdict};
use super::options::Options;
use super::plan::{Batch, Capture, PROCESS, Test};
use super::process::{self, Ended};
use crate::error::Error;

/// The status with which the watchdog of weirs-testing ends a process.
const WATCHDOG: i32 = 124;

/// A test and what became of it.
#[derive(Debug)]
pub(crate) struct Finished<'w> {
    pub(crate) test: Test<'w>,
    pub(crate) verdict: Verdict,
    /// Its share of its process's time: since the verdict before it.
    pub(crate) time: Duration,
    /// What it printed, if it failed.
    pub(crate) output: String,
}

/// Runs all batches, `options.jobs` at once; `report` hears of each one that is done.
pub(crate) fn run<'w>(
    batches: &[Batch<'w>],
    options: &Options,
    report: impl Fn(&Batch<'w>, &[Finished<'w>]) + Sync,
) -> Result<Vec<Finished<'w>>, Error> {
    // The longest first, so that no long one is left alone at the end. The documentation builds: it is the
    // longest.
    let mut queue: Vec<&Batch<'w>> = batches.iter().collect();
    queue.sort_by_key(|batch| if batch.is_divisible() { batch.tests.len() } else { usize::MAX });
    let queue = Mutex::new(queue);
    let finished = Mutex::new(Vec::new());
    let trouble = Mutex::new(None);
    let work = || {
        loop {
            // A statement of its own: the queue is free again while the batch runs.
            let Some(batch) = lock(&queue).pop() else { return };
            match settle(batch, &batch.tests.iter().collect::<Vec<_>>(), options) {
                Ok(tests) => {
                    report(batch, &tests);
                    lock(&finished).extend(tests);
                }
                Err(error) => {
                    lock(&queue).clear();
                    *lock(&trouble) = Some(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(work);
        }
    });
    if let Some(error) = lock(&trouble).take() {
        return Err(error);
    }
    let mut finished = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    finished.sort_by(|one, other| key(&one.test).cmp(&key(&other.test)));
    Ok(finished)
}

fn key<'t>(test: &'t Test<'_>) -> impl Ord + use<'t> {
    (&test.package.folder, test.column, &test.target, &test.name)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs tests of a batch until each has a verdict. A process that dies in the middle takes the guilty test
/// with it and is followed by another one for the rest; where nobody can be blamed, each of the rest runs
/// alone.
fn settle<'w>(batch: &Batch<'w>, tests: &[&Test<'w>], options: &Options) -> Result<Vec<Finished<'w>>, Error> {
    let attempt = attempt(batch, tests, Capture::On, options)?;
    let mut finished = Vec::new();
    let mut rest = Vec::new();
    for &test in tests {
        match attempt.verdicts.get(&test.name) {
            Some(&(verdict, time)) => {
                let output = match verdict {
                    Verdict::Failed => output(batch, test, &attempt, options)?,
                    Verdict::Passed | Verdict::Skipped => String::new(),
                };
                finished.push(Finished { test: test.clone(), verdict, time, output });
            }
            None => rest.push(test),
        }
    }
    if rest.is_empty() {
        if !attempt.has_ended_well() {
            let process = Test { name: PROCESS.to_owned(), ..tests[0].clone() };
            finished.push(failure(&process, attempt.tail, attempt.obituary(options)));
        }
        return Ok(finished);
    }

    let guilty = guilty(batch, &rest, &attempt);
    let (guilty, innocent): (Vec<&Test<'w>>, Vec<&Test<'w>>) =
        rest.into_iter().partition(|test| guilty.contains(test.name.as_str()));
    let share = attempt.tail / u32::try_from(guilty.len().max(1)).unwrap_or(u32::MAX);
    for &test in &guilty {
        finished.push(failure(test, share, last_words(batch, test, &attempt, options)?));
    }
    if guilty.is_empty() {
        for test in innocent {
            finished.extend(settle(batch, &[test], options)?);
        }
    } else if !innocent.is_empty() {
        finished.extend(settle(batch, &innocent, options)?);
    }
    Ok(finished)
}

/// The tests without a verdict that ended the process, or none where that cannot be told.
fn guilty<'t>(batch: &Batch<'_>, rest: &[&'t Test<'_>], attempt: &Attempt) -> BTreeSet<&'t str> {
    let names: BTreeSet<&str> = rest.iter().map(|test| test.name.as_str()).collect();
    let blamed: BTreeSet<&str> = match attempt.ended.status {
        Some(_) if attempt.was_ended_by_watchdog() => {
            let lines = attempt.ended.errors.lines();
            lines.filter_map(overrun).filter_map(|said| named(said, &names)).collect()
        }
        Some(_) => BTreeSet::new(),
        None => names.iter().copied().filter(|name| attempt.transcript.slow().contains(*name)).collect(),
    };
    if blamed.is_empty() && (rest.len() == 1 || !batch.is_divisible()) { names } else { blamed }
}

/// One process, from its start to its end.
struct Attempt {
    ended: Ended,
    transcript: Transcript,
    verdicts: BTreeMap<String, (Verdict, Duration)>,
    /// From the last verdict to the end.
    tail: Duration,
}

impl Attempt {
    /// A failed test explains a failing process; nothing else does.
    fn has_ended_well(&self) -> bool {
        let success = self.ended.status.is_some_and(|status| status.success());
        success || self.verdicts.values().any(|(verdict, _)| *verdict == Verdict::Failed)
    }

    fn was_ended_by_watchdog(&self) -> bool {
        self.ended.status.is_some_and(|status| status.code() == Some(WATCHDOG))
    }

    /// How the process ended, and what it said last.
    fn obituary(&self, options: &Options) -> String {
        let death = match self.ended.status {
            Some(status) => format!("the process ended with {status}"),
            None => format!("the process was stopped: no verdict for {} s", options.limit().as_secs()),
        };
        format!("{death}\n{}", self.ended.errors)
    }
}

fn attempt(
    batch: &Batch<'_>,
    tests: &[&Test<'_>],
    capture: Capture,
    options: &Options,
) -> Result<Attempt, Error> {
    let mut transcript = Transcript::new(tests.iter().map(|test| test.name.as_str()));
    let mut verdicts = BTreeMap::new();
    let mut last = Instant::now();
    let ended = process::run(batch.command(tests, capture, options), options.limit(), |line| {
        let Some((name, verdict)) = transcript.line(line) else {
            return false;
        };
        let now = Instant::now();
        verdicts.insert(name, (verdict, now - last));
        last = now;
        true
    })?;
    Ok(Attempt { ended, transcript, verdicts, tail: last.elapsed() })
}

/// What a failed test printed. If the process died before libtest could tell, the test is run once more,
/// alone: its verdict stands, only the explanation is missing.
fn output(batch: &Batch<'_>, test: &Test<'_>, seen: &Attempt, options: &Options) -> Result<String, Error> {
    if let Some(output) = seen.transcript.outputs().get(&test.name) {
        return Ok(output.clone());
    }
    if !batch.is_divisible() || seen.transcript.has_summary() {
        return Ok(seen.ended.errors.clone());
    }
    let again = attempt(batch, &[test], Capture::On, options)?;
    Ok(match again.transcript.outputs().get(&test.name) {
        Some(output) => output.clone(),
        None => "It failed beside other tests, and not when it was run once more alone.".to_owned(),
    })
}

/// What a test said that ended its process. libtest had captured it, so the test is run once more without;
/// but not one that hangs: that would hang again.
fn last_words(
    batch: &Batch<'_>,
    test: &Test<'_>,
    seen: &Attempt,
    options: &Options,
) -> Result<String, Error> {
    let hangs = seen.ended.status.is_none() || seen.was_ended_by_watchdog();
    if hangs || !batch.is_divisible() {
        return Ok(seen.obituary(options));
    }
    let again = attempt(batch, &[test], Capture::Off, options)?;
    let died_again = !again.verdicts.contains_key(&test.name);
    Ok(if died_again { again.obituary(options) } else { seen.obituary(options) })
}

/// The test in the watchdog's line.
fn overrun(line: &str) -> Option<&str> {
    let (_, said) = line.split_once("weirs-watchdog: test ")?;
    said.split_once(" exceeded its limit").map(|(name, _)| name)
}

/// The test that is meant: by its whole name, or by the end of it if that is one test's only.
fn named<'n>(said: &str, names: &BTreeSet<&'n str>) -> Option<&'n str> {
    if let Some(name) = names.get(said) {
        return Some(name);
    }
    let mut fitting = names.iter().filter(|name| name.ends_with(&format!("::{said}")));
    fitting.next().filter(|_| fitting.next().is_none()).copied()
}

fn failure<'w>(test: &Test<'w>, time: Duration, output: String) -> Finished<'w> {
    Finished { test: test.clone(), verdict: Verdict::Failed, time, output: output.trim_end().to_owned() }
}

#[cfg(test)]
mod tests;
