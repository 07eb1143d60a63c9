//! The report of a small made-up run: `small.json` has a row of every sort.

use super::Plot;
use super::losses::{UNKNOWN, lost};
use super::page::page;
use super::results::Results;
use crate::json::{self, Outcome};
use crate::machine::Machine;
use crate::row::{Measured, Row, Samples, Unit};
use crate::verdict::Gap;

const SMALL: &str = include_str!("small.json");

fn results() -> Results {
    Results::read(SMALL).expect("it is what a run writes")
}

fn plots() -> Vec<Plot> {
    page(&results(), "plots/").1
}

#[test]
fn what_a_run_wrote_is_read() {
    let results = results();
    let first = &results.rows[0];
    assert_eq!((&*first.name, first.peer_name.as_deref()), ("spawn/smol", Some("smol 2.0.2")));
    assert_eq!((first.goal, first.met(), first.unit), (Some(1.7), Some(true), Unit::Nanoseconds));
    assert_eq!((first.ours.low, first.ours.median, first.ours.high), (369.0, 410.0, 451.0));
    let late = results.rows.iter().find(|row| row.name == "timer/lateness/async-io").unwrap();
    assert_eq!(late.rounds[2], (70_000.0, Some(90_000.0)));
    assert!(results.quick && results.missing.iter().filter(|gap| gap.failed).count() == 1);
    let loads = "0.5 at the start, 1.5 at the end (threads that want to run)".to_owned();
    assert!(results.about.contains(&("load", loads)));
}

#[test]
fn what_is_written_now_is_read_back() {
    let pair = Row::new("spawn/smol", "smol 2.0.2").goal(1.7);
    let pair = Measured::new(pair, Samples::Pairs(vec![(4.0, 2.0), (3.0, 2.0), (5.0, 2.0)]));
    let alone = Measured::new(Row::alone("a").unit(Unit::StepsPerSecond), Samples::Alone(vec![6.5e6]));
    let outcome = Outcome {
        machine: Machine::now(),
        load: "1.0".to_owned(),
        quick: false,
        seconds: 125.0,
        rows: vec![pair, alone],
        missing: vec![Gap::new("b", "no Go here", false)],
        times: Vec::new(),
    };
    let mut text = Vec::new();
    json::write(&mut text, &outcome).unwrap();
    let read = Results::read(&String::from_utf8(text).unwrap()).unwrap();
    let [pair, alone] = &read.rows[..] else { panic!("{read:?}") };
    assert_eq!((pair.ours, pair.ratio), (outcome.rows[0].ours, outcome.rows[0].ratio));
    assert_eq!((pair.met(), pair.rounds[1]), (Some(false), (3.0, Some(2.0))));
    assert_eq!(
        (alone.unit, alone.ratio, &alone.rounds[..]),
        (Unit::StepsPerSecond, None, &[(6.5e6, None)][..])
    );
    assert_eq!(read.missing, outcome.missing);
    assert_eq!(read.machine, outcome.machine.to_string());
    assert!(read.about.contains(&("the run took", "2 min 5 s, the usual rounds".to_owned())));
}

#[test]
fn results_of_a_run_without_the_newer_fields_are_read() {
    let old = "{ \"format\": 1, \"machine\": \"m\", \"rows\": [{ \"name\": \"a\", \"ours\": 1, \"peer\": \
               null, \"peer_name\": null, \"unit\": \"ns\", \"ratio\": null, \"goal\": null, \"met\": \
               null, \"spread\": { \"ours\": [1, 1], \"peer\": null, \"ratio\": null } }], \"missing\": [] \
               }";
    let results = Results::read(old).unwrap();
    assert!(results.rows[0].rounds.is_empty() && results.about.is_empty());
    assert!(page(&results, "").0.contains("| machine | m |"));
}

#[test]
fn what_is_no_result_is_an_error() {
    assert!(Results::read("fast").unwrap_err().starts_with("this is no JSON"));
    assert_eq!(Results::read("{\"format\": 2}").unwrap_err(), "the format is 2, and not 1");
    let row = "{ \"format\": 1, \"rows\": [{ \"name\": \"a/b\", \"unit\": \"parsecs\" }] }";
    assert_eq!(Results::read(row).unwrap_err(), "this row is not understood: \"a/b\"");
}

#[test]
fn the_same_results_make_the_same_report() {
    assert_eq!(page(&results(), "plots/"), page(&results(), "plots/"));
}

#[test]
fn every_row_and_every_gap_is_in_the_page() {
    let (text, plots) = page(&results(), "plots/");
    for row in results().rows.iter().filter(|row| !row.name.ends_with("/cpu")) {
        let seed = row.name.starts_with("seeds/") && !row.name.ends_with("/more");
        assert!(seed || text.contains(&format!("| {} |", row.name)), "{}", row.name);
    }
    for gap in &results().missing {
        assert!(text.contains(&gap.name), "{}", gap.name);
    }
    for plot in &plots {
        assert!(text.contains(&format!("](plots/{})", plot.name)), "{}", plot.name);
    }
    assert!(text.contains("**failed**, it / broke at &lt;main>: actors/tell/x"));
    assert!(text.contains("skipped, no Go here: merge/8-channels/smol/go, tee/tee-2/smol/go"));
}

#[test]
fn every_loss_has_a_line_and_a_word() {
    let text = page(&results(), "").0;
    let section = text.split("## Where we lose").nth(1).unwrap().split("\n## ").next().unwrap();
    for row in results().rows.iter().filter(|row| lost(row) && !row.name.ends_with("/cpu")) {
        let line = section.lines().find(|line| line.starts_with(&format!("| {} |", row.name)));
        let line = line.unwrap_or_else(|| panic!("{} is left out", row.name));
        let word = line.trim_end_matches(" |").rsplit("| ").next().unwrap();
        assert!(word.len() > 3, "{line}");
    }
    let line = |name: &str| section.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap();
    assert!(line("dance/waltz").contains(UNKNOWN));
    assert!(line("spawn/smol").contains("processor 1.67"));
    assert!(line("channel/mpmc-128/async-std/async-channel").contains("reaches the goal"));
    assert!(line("crossover/1ms/tokio-mt/semaphore").contains("level: "));
    assert!(!section.contains("| spawn/tokio-mt |") && !section.contains("flatness"));
}

#[test]
fn claims_stand_beside_what_is_measured() {
    let text = page(&results(), "").0;
    let line = text.lines().find(|line| line.starts_with("| pool/10 |")).unwrap();
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    assert_eq!(cells[2], "10x, 100 ms");
    assert_eq!(cells[3], "116 µs (10x)");
    assert_eq!(cells[4], "190 µs");
    assert_eq!(&cells[5..8], ["110 µs (10x)"; 3]);
    assert_eq!((cells[8], cells[9]), ("0.95, 0.95, 0.95", "**1.05**"));
}

#[test]
fn the_exercise_has_a_line_for_each_shape() {
    let text = page(&results(), "").0;
    assert!(text.contains("| pool | 10.0 µs | 2.00 | 0.91 | 2.1 / 3 | 9,000 B / 8,000 B |"), "{text}");
    assert!(!text.contains("| fan-out |"));
}

#[test]
fn there_is_a_plot_for_everything() {
    let names: Vec<String> = plots().into_iter().map(|plot| plot.name).collect();
    let known = [
        "runtime.svg",
        "scopes.svg",
        "channels-utils.svg",
        "pipelines.svg",
        "programs.svg",
        "others.svg",
        "scale-runtime.svg",
        "workers.svg",
        "lengths.svg",
        "rounds.svg",
        "bytes.svg",
    ];
    assert_eq!(names, known);
}

#[test]
fn plots_are_small_and_their_elements_are_closed() {
    for Plot { name, svg, .. } in plots() {
        assert!(svg.len() < 100_000, "{name} has {} bytes", svg.len());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{name}");
        for element in ["text", "style", "title", "svg"] {
            let (opened, closed) = (format!("<{element}"), format!("</{element}>"));
            let opened = svg.matches(&opened).count() - svg.matches(&format!("{opened}:")).count();
            assert_eq!(opened, svg.matches(&closed).count(), "{name}: {element}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    }
}

#[test]
fn words_are_inside_and_apart() {
    for Plot { name, svg, .. } in plots() {
        let width = number(&svg, "width").unwrap();
        let height = number(&svg, "height").unwrap();
        let words: Vec<Word> = svg.lines().filter_map(Word::of).collect();
        assert!(words.len() > 5, "{name}");
        for word in &words {
            let inside = word.left >= 0.0 && word.right <= width && word.y > 8.0 && word.y < height - 2.0;
            assert!(inside, "{name}: {word:?}");
        }
        for (at, one) in words.iter().enumerate() {
            for other in &words[at + 1..] {
                let apart =
                    (one.y - other.y).abs() > 9.0 || one.right <= other.left || other.right <= one.left;
                assert!(apart, "{name}: {one:?} and {other:?}");
            }
        }
    }
}

/// A word that does not stand upright.
#[derive(Debug)]
struct Word {
    left: f64,
    right: f64,
    y: f64,
    #[expect(dead_code, reason = "it is printed when a word is out of place")]
    text: String,
}

impl Word {
    /// As wide as its letters are on the average.
    fn of(line: &str) -> Option<Self> {
        if !line.starts_with("<text") || line.contains("rotate") {
            return None;
        }
        let text = line.split_once('>')?.1.split("</").next()?.to_owned();
        let size =
            if line.contains("monospace") { 6.7 } else { number(line, "font-size").unwrap_or(12.0) * 0.52 };
        let (x, width) = (number(line, "x")?, text.chars().count() as f64 * size);
        let left = match line {
            line if line.contains("\"end\"") => x - width,
            line if line.contains("\"middle\"") => x - width / 2.0,
            _ => x,
        };
        Some(Self { left, right: left + width, y: number(line, "y")?, text })
    }
}

/// The number of an attribute.
fn number(text: &str, attribute: &str) -> Option<f64> {
    text.split_once(&format!(" {attribute}=\""))?.1.split('"').next()?.parse().ok()
}
