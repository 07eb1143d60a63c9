//! [`Verdict`]: what a run says of the goals, and with which exit status.

use crate::row::Measured;

/// A row that gave no numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The row's name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// It went wrong; else it could not be measured here, which is all right.
    pub failed: bool,
}

impl Gap {
    /// Of a panic only the message is kept, in one line, and not its backtrace. Folders of the machine are
    /// nobody's business: of a path that begins at the root the end is kept.
    pub fn new(name: &str, reason: &str, failed: bool) -> Self {
        let lines = reason.lines().map(str::trim);
        let message =
            lines.take_while(|line| *line != "stack backtrace:" && !line.starts_with("note: run with"));
        // The number of a thread differs from process to process: the same reason shall read the same.
        let is_number = |word: &&str| {
            let inner = word.strip_prefix('(').and_then(|word| word.strip_suffix(')'));
            inner.is_some_and(|inner| inner.chars().all(|letter| letter.is_ascii_digit()))
        };
        let words = message.flat_map(str::split_whitespace).filter(|word| !is_number(word));
        let words: Vec<String> = words.map(without_folders).collect();
        let reason: String = words.join(" ").chars().take(LONGEST).collect();
        Self { name: name.to_owned(), reason, failed }
    }
}

/// `/a/b/cache:` becomes `.../cache:`.
fn without_folders(word: &str) -> String {
    let Some((before, path)) = word.split_once('/') else { return word.to_owned() };
    if before.chars().any(|letter| letter.is_alphanumeric() || letter == '.') {
        return word.to_owned();
    }
    let end = path.rsplit('/').next().unwrap_or_default();
    format!("{before}.../{end}")
}

/// A reason has no more letters.
const LONGEST: usize = 240;

/// What came of the rows of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// So many goals were held against a number.
    pub goals: usize,
    /// Whose goal is missed.
    pub missed: Vec<String>,
    /// Who has a goal and numbers, but no ratio that could be held against it.
    pub unjudged: Vec<String>,
    /// Who failed to run.
    pub failed: Vec<String>,
    /// Who could not be measured here.
    pub skipped: Vec<String>,
}

impl Verdict {
    /// Of these rows, measured or not.
    pub fn of(measured: &[Measured], gaps: &[Gap]) -> Self {
        let names = |wanted: &dyn Fn(&Measured) -> bool| -> Vec<String> {
            measured.iter().filter(|row| wanted(row)).map(|measured| measured.row.name.clone()).collect()
        };
        let gaps = |failed: bool| -> Vec<String> {
            gaps.iter().filter(|gap| gap.failed == failed).map(|gap| gap.name.clone()).collect()
        };
        Self {
            goals: measured.iter().filter(|measured| measured.met().is_some()).count(),
            missed: names(&Measured::missed),
            unjudged: names(&|measured| measured.row.goal.is_some() && measured.ratio.is_none()),
            failed: gaps(true),
            skipped: gaps(false),
        }
    }

    /// Whether the run went well. A row that failed to run is never well; goals count where they are `held`.
    pub fn passes(&self, held: bool) -> bool {
        self.failed.is_empty() && (!held || self.missed.is_empty() && self.unjudged.is_empty())
    }

    /// What is said of it at the end.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.goals > 0 {
            lines.push(format!("{} of {} goals met", self.goals - self.missed.len(), self.goals));
        }
        let lists = [
            ("missed", &self.missed),
            ("with a goal, and nothing to hold against it", &self.unjudged),
            ("failed to run", &self.failed),
            ("skipped", &self.skipped),
        ];
        let told = lists.into_iter().filter(|(_, names)| !names.is_empty());
        lines.extend(told.map(|(what, names)| format!("{what}: {}", names.join(", "))));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Row, Samples};

    fn row(name: &str, goal: Option<f64>, ratio: f64) -> Measured {
        let row = Row { goal, ..Row::new(name, "peer 1.0") };
        Measured::new(row, Samples::Pairs(vec![(ratio, 1.0)]))
    }

    fn gap(name: &str, failed: bool) -> Gap {
        Gap::new(name, "why not", failed)
    }

    #[test]
    fn of_a_panic_the_message_is_kept() {
        let said = "exit status: 101: thread 'main' (77) panicked at rows/a.rs:1:2:\nleft: 1\n  right: 2\n\
                    stack backtrace:\n 0: somewhere";
        let kept = "exit status: 101: thread 'main' panicked at rows/a.rs:1:2: left: 1 right: 2";
        assert_eq!(Gap::new("a", said, true).reason, kept);
        assert_eq!(Gap::new("a", &"long ".repeat(100), true).reason.len(), LONGEST);
    }

    #[test]
    fn of_a_folder_the_end_is_kept() {
        let said = ["cannot make", concat!("/", "home/me/cache: no"), "(./go/x)", "or", "`/a/b`"].join(" ");
        assert_eq!(Gap::new("a", &said, true).reason, "cannot make .../cache: no (./go/x) or `.../b`");
    }

    #[test]
    fn goals_that_are_met_pass() {
        let verdict = Verdict::of(&[row("a", Some(1.0), 1.0), row("b", None, 9.0)], &[gap("c", false)]);
        assert!(verdict.passes(true) && verdict.passes(false));
        assert_eq!(verdict.lines(), ["1 of 1 goals met", "skipped: c"]);
    }

    #[test]
    fn a_missed_goal_fails_a_check_and_is_named() {
        let verdict = Verdict::of(&[row("a", Some(1.0), 1.01), row("b", Some(1.0), 0.5)], &[]);
        assert!(!verdict.passes(true) && verdict.passes(false));
        assert_eq!(verdict.lines(), ["1 of 2 goals met", "missed: a"]);
    }

    #[test]
    fn a_row_that_failed_to_run_fails_always() {
        let verdict = Verdict::of(&[row("a", Some(1.0), 0.5)], &[gap("b", true), gap("c", false)]);
        assert!(!verdict.passes(true) && !verdict.passes(false));
        assert_eq!(verdict.lines(), ["1 of 1 goals met", "failed to run: b", "skipped: c"]);
    }

    #[test]
    fn a_goal_without_a_ratio_is_not_met() {
        let alone = Measured::new(Row::alone("a").goal(1.0), Samples::Alone(vec![0.5]));
        let verdict = Verdict::of(&[alone], &[]);
        assert!(!verdict.passes(true) && verdict.passes(false));
        assert_eq!(verdict.lines(), ["with a goal, and nothing to hold against it: a"]);
    }

    #[test]
    fn what_is_no_number_meets_no_goal() {
        assert!(!Verdict::of(&[row("a", Some(1.0), f64::NAN)], &[]).passes(true));
    }

    #[test]
    fn nothing_measured_is_nothing_missed() {
        let verdict = Verdict::of(&[], &[]);
        assert!(verdict.passes(true));
        assert!(verdict.lines().is_empty());
    }
}
