//! The page: sections in their order.

use std::fmt::Write;

use super::families::{self, Family, Sort};
use super::losses::{self, row_beside};
use super::results::{Entry, Results};
use super::shelves::{SHELVES, Shelf, shelf_of};
use super::{Plot, bars, curves, exercise, figures, lanes, seeds};
use crate::row::Unit;

const HEAD: &str = "\
# Benchmarks

A row is one operation, done our way and the peer's way, and the ratio of the two costs: **below 1 we are
cheaper**. A goal is the ratio that shall not be exceeded.

## What these numbers are worth

They were measured on a small machine that others use as well, at the same time: the load stands below,
and with two cores a load above two means that everybody waits for a turn. Both ways run in one build,
in short rounds that take turns (A B, B A, A B, ...), and the ratio is the median of the ratios of
neighbouring rounds: so a slow machine slows both alike. What programs in Go do is timed in a process of
their own, which takes turns with ours. The costs are those of one machine on one day; only the ratios
are worth carrying to another. Beside a ratio stands the middle half of its rounds: where that is wide,
believe the row less.

Most operations here are the smallest there are: a task that does nothing, a timer that is thrown away.
That is where overhead shows, and not where programs spend their time. Nothing uses link-time
optimisation or a special allocator. Rows in which we lose are in the tables like the others, and once
more under [Where we lose](#where-we-lose).
";

/// The text, and the plots that it shows; `folder` is where they are from it.
pub(super) fn page(results: &Results, folder: &str) -> (String, Vec<Plot>) {
    let mut page =
        Page { results, folder, families: families::families(results), text: HEAD.into(), plots: Vec::new() };
    page.machine();
    page.summary();
    for shelf in &SHELVES {
        page.shelf(shelf);
    }
    page.seeds();
    page.exercise();
    page.scale();
    page.workers();
    page.rounds();
    page.memory();
    page.losses();
    page.missing();
    page.remade();
    let Page { text, plots, .. } = page;
    (format!("{}\n", text.trim_end()), plots)
}

struct Page<'r> {
    results: &'r Results,
    folder: &'r str,
    families: Vec<Family<'r>>,
    text: String,
    plots: Vec<Plot>,
}

impl Page<'_> {
    fn add(&mut self, text: &str) {
        self.text += text;
    }

    fn head(&mut self, title: &str, about: &str) {
        let about: Vec<String> = about.split("\n\n").map(wrapped).collect();
        let _ = write!(self.text, "\n## {title}\n\n{}\n\n", about.join("\n\n"));
    }

    fn plot(&mut self, name: &str, about: &str, svg: String) {
        let plot = Plot { name: format!("{name}.svg"), about: about.to_owned(), svg };
        let _ = write!(self.text, "![{}]({}{})\n\n", plot.about, self.folder, plot.name);
        self.plots.push(plot);
    }

    fn machine(&mut self) {
        let mut text = "\n| | |\n|---|---|\n".to_owned();
        for (name, fact) in &self.results.about {
            let _ = writeln!(text, "| {name} | {fact} |");
        }
        if self.results.about.is_empty() {
            let _ = writeln!(text, "| machine | {} |", self.results.machine);
        }
        let _ = writeln!(text, "| peers | {} |", peers(self.results).join(", "));
        self.add(&text);
    }

    fn summary(&mut self) {
        let about = "`cheaper` and `dearer` count the rows that have a peer; how flat a curve is has a goal, \
                     and no peer.";
        self.head("In short", about);
        let mut text =
            "| | rows | cheaper | dearer | goals | met | missed |\n|---|---|---|---|---|---|---|\n"
                .to_owned();
        let line = |title: &str, rows: &[&Entry]| {
            let count = |wanted: &dyn Fn(&Entry) -> bool| rows.iter().filter(|row| wanted(row)).count();
            let beside = |row: &Entry| row.ratio.is_some() && row.unit != Unit::Times;
            let dearer = |row: &Entry| beside(row) && row.ratio.is_some_and(|ratio| ratio.median > 1.0);
            format!(
                "| {title} | {} | {} | {} | {} | {} | {} |\n",
                rows.len(),
                count(&|row| beside(row) && !dearer(row)),
                count(&dearer),
                count(&|row| row.met().is_some()),
                count(&|row| row.met() == Some(true)),
                count(&|row| row.met() == Some(false)),
            )
        };
        let all: Vec<&Entry> = self.results.rows.iter().collect();
        for shelf in &SHELVES {
            let rows: Vec<&Entry> = all.iter().copied().filter(|row| shelf_of(&row.name) == shelf).collect();
            if !rows.is_empty() {
                text += &line(shelf.title, &rows);
            }
        }
        text += &line("**all**", &all);
        let missing = self.results.missing.len();
        if missing > 0 {
            let _ = write!(text, "\n{missing} more rows [gave no numbers](#what-was-not-measured).\n");
        }
        self.add(&text);
    }

    /// A section for a crate: its chart, and all of its rows.
    fn shelf(&mut self, shelf: &Shelf) {
        let results = self.results;
        let own = |row: &&Entry| shelf_of(&row.name) == shelf && !seeds::is_case(row);
        let rows: Vec<&Entry> = results.rows.iter().filter(own).collect();
        if rows.is_empty() {
            return;
        }
        self.head(shelf.title, shelf.about);
        let drawn = |row: &&&Entry| {
            let bytes = row.unit == Unit::Bytes;
            row.ratio.is_some()
                && row_beside(row).is_none()
                && !bytes
                && !families::in_a_family(row, &self.families)
        };
        let drawn: Vec<&Entry> = rows.iter().filter(drawn).copied().collect();
        if !drawn.is_empty() {
            let title = format!("{}: cost beside the peers", shelf.title);
            self.plot(shelf.file, &title, bars::chart(&title, &drawn));
        }
        let text =
            format!("<details><summary>All {} rows</summary>\n\n{}\n</details>\n", rows.len(), table(&rows));
        self.add(&text);
    }

    fn seeds(&mut self) {
        let Some(table) = seeds::table(self.results) else { return };
        self.head(
            "The tables that this began with",
            "The documents that this project began with have tables of what Go gains by a pool, a \
             pipeline, a fan-out and a batch. Here are their claims, the same programs in plain Go and in \
             plain tokio, and ours on three runtimes. A cost is that of one job; behind it stands how \
             many times less it is than in the first line of its table. Ratios are those on \
             smol, async-std and tokio; one that misses its goal is **bold**.",
        );
        self.add(&table);
    }

    fn exercise(&mut self) {
        let Some(table) = exercise::table(self.results) else { return };
        self.head(
            "One job in three shapes",
            "A thousand records are read, converted for 20 µs each, and written: as a pool, as a pipeline \
             and as a fan-out. `times faster` is over one record after another, on tokio; two processors \
             can do twice as much. Behind a stroke stands the same with tokio's own tasks and channels.",
        );
        self.add(&table);
    }

    fn scale(&mut self) {
        let wanted: Vec<_> =
            self.families.iter().filter(|family| family.sort() == Sort::Scale).cloned().collect();
        if wanted.is_empty() {
            return;
        }
        self.head(
            "Scale",
            "What one item costs as there are more of them. A curve is flat if no point costs more than \
             2.5 times one before it; where it is not, the cache is mostly why, and the peer's curve \
             shows it.",
        );
        for shelf in &SHELVES {
            let own: Vec<_> = wanted.iter().filter(|family| family.file() == shelf.file).collect();
            let panels: Vec<_> =
                own.iter().map(|family| families::scale(family, &self.results.rows)).collect();
            if !panels.is_empty() {
                let title = format!("{}: the cost of one item as there are more", shelf.title);
                let about = "both axes are scales of logarithms; lower is better, and flat is good";
                self.plot(&format!("scale-{}", shelf.file), &title, curves::chart(&title, about, &panels));
            }
        }
    }

    fn workers(&mut self) {
        let panels = families::workers(&self.families);
        if !panels.is_empty() {
            self.head(
                "How many workers",
                "How many jobs a pool does in a second, by its workers; higher is better.",
            );
            let title = "Jobs in a second, by the number of workers";
            let about = "both axes are scales of logarithms; higher is better; dashed: the peer";
            self.plot("workers", title, curves::chart(title, about, &panels));
        }
        let panels = families::lengths(&self.families);
        if !panels.is_empty() {
            self.head(
                "From which length on",
                "`crossover` is a pool of two workers beside a task for each job, of which a semaphore \
                 lets some run; `computing` is the pool beside rayon.",
            );
            let title = "Our cost over the peer's, by the length of a job";
            let about = "both axes are scales of logarithms; below 1 ours is cheaper";
            self.plot("lengths", title, curves::chart(title, about, &panels));
        }
    }

    fn rounds(&mut self) {
        let rows: Vec<&Entry> = self.results.rows.iter().filter(|row| lanes::wanted(row)).collect();
        if rows.is_empty() {
            return;
        }
        self.head(
            "How far rounds lie apart",
            "Rows that wait for something: each round is a dot. `timer/lateness` is by how much a sleep of \
             a moment ends too late, the median of each round.",
        );
        let title = "Every round of the rows that wait";
        let about = "a scale of logarithms, left is better; the thick line is the middle half of the rounds";
        self.plot("rounds", title, lanes::chart(title, about, &rows));
    }

    fn memory(&mut self) {
        let rows: Vec<&Entry> = self.results.rows.iter().filter(|row| row.unit == Unit::Bytes).collect();
        if rows.is_empty() {
            return;
        }
        let about = "Bytes for one idle task, actor, token, key or connection; `peak-bytes` is all that is \
                     in use at once.";
        self.head("Memory", about);
        let drawn: Vec<&Entry> = rows.iter().filter(|row| row.ratio.is_some()).copied().collect();
        if !drawn.is_empty() {
            let title = "Bytes beside the peers";
            self.plot("bytes", title, bars::chart(title, &drawn));
        }
        self.add(&table(&rows));
    }

    fn losses(&mut self) {
        self.head(
            "Where we lose",
            "Every row whose ratio is above 1 or whose goal is missed (**bold**), and why, as far as that \
             is known. `processor` is the ratio of processor time, where that of the wall stands first.",
        );
        self.add(&losses::section(self.results));
    }

    fn missing(&mut self) {
        let about = "Rows that gave no numbers in this run, and why.";
        self.head("What was not measured", if self.results.missing.is_empty() { "Nothing." } else { about });
        let mut text = String::new();
        for failed in [true, false] {
            let mut gaps: Vec<_> = self.results.missing.iter().filter(|gap| gap.failed == failed).collect();
            gaps.sort_by_key(|gap| &gap.reason);
            for group in gaps.chunk_by(|one, other| one.reason == other.reason) {
                let names: Vec<&str> = group.iter().map(|gap| &*gap.name).collect();
                let verb = if failed { "**failed**" } else { "skipped" };
                let _ = writeln!(text, "- {verb}, {}: {}", cleaned(&group[0].reason), names.join(", "));
            }
        }
        self.add(&text);
    }

    fn remade(&mut self) {
        let quick = if self.results.quick { " --quick" } else { "" };
        let text = format!(
            "Two cores, nothing else running, and some minutes:\n\n```sh\ncargo xtask versus \
             --setup-go\ncargo xtask versus{quick} --json versus.json --report \
             BENCHMARKS.md\n```\n\n`--from versus.json` instead makes the page again from what was \
             measured. `cargo xtask versus --check` fails where a goal is missed, and `--instructions` \
             counts instructions, which no load touches."
        );
        self.head("To make it again", &text);
    }
}

/// A paragraph in lines; what has lines of its own keeps them.
fn wrapped(text: &str) -> String {
    if text.contains('\n') {
        return text.to_owned();
    }
    let (mut wrapped, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > 110 {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped += word;
        column += length;
    }
    wrapped
}

/// Names and versions of those that are built in, or run beside us.
fn peers(results: &Results) -> Vec<&str> {
    let mut peers: Vec<&str> = results
        .rows
        .iter()
        .filter_map(|row| row.peer_name.as_deref()?.split(',').next())
        .filter(|peer| {
            let version = peer.split_once(' ').map_or("", |(_, version)| version);
            version.starts_with(|first: char| first.is_ascii_digit()) && !peer.starts_with("weirs-")
        })
        .collect();
    peers.sort_unstable();
    peers.dedup();
    peers
}

/// Rows with their numbers; the processor's ratio stands beside that of the wall.
fn table(rows: &[&Entry]) -> String {
    let mut text =
        "| | ours | peer's | peer | ratio | beside | goal |\n|---|---|---|---|---|---|---|\n".to_owned();
    let name_of = |row: &Entry| rows.iter().any(|other| row_beside(row) == Some(&*other.name));
    for row in rows.iter().filter(|row| !name_of(row)) {
        let beside = rows.iter().filter(|other| row_beside(other) == Some(&*row.name)).filter_map(|other| {
            let what = if other.name.ends_with("/cpu") { "processor" } else { "wall" };
            Some(format!("{what} {}", figures::short(other.ratio?.median)))
        });
        let beside: Vec<String> = beside.collect();
        let goal = match (row.goal.map(figures::goal), row.met()) {
            (Some(goal), Some(true)) => format!("{goal}, met"),
            (Some(goal), Some(false)) => format!("**{goal}, missed**"),
            (goal, _) => goal.unwrap_or_default(),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {goal} |",
            row.name,
            figures::cost(row.ours.median, row.unit),
            row.peer.map(|peer| figures::cost(peer.median, row.unit)).unwrap_or_default(),
            row.peer_name.as_deref().map(cleaned).unwrap_or_default(),
            row.ratio.map(figures::ratio).unwrap_or_default(),
            beside.join(", "),
        );
    }
    text
}

/// A word of others, so that it breaks no table and no page: one line, without what Markdown would read.
fn cleaned(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").replace('|', "/").replace('<', "&lt;")
}
