//! The tables of the documents that this project began with: their claims beside what is measured.

use std::fmt::Write;

use super::figures;
use super::results::{Entry, Results};
use crate::claims::CLAIMS;

/// The runtimes of ours, as rows call them.
const HOSTS: [&str; 3] = ["smol", "async-std", "tokio"];

/// What is to be said of a claim: the beginning of the names, and the word.
const WORDS: [(&str, &str); 9] = [
    (
        "seeds/pool/",
        "jobs that wait: as many times faster as there are workers, but for how late a clock wakes",
    ),
    ("seeds/pipeline/serial", "a loop"),
    (
        "seeds/pipeline/stages",
        "not physical: handing an integer over costs more than squaring it, in any language; a pipeline of \
         ours without buffers is one task, and so nearly the loop",
    ),
    ("seeds/pipeline-20us/", "two processors: two times at the most"),
    (
        "seeds/fan-out/",
        "jobs that wait; Go, when it has nothing else to do, waits for whole milliseconds, and tokio for one \
         more: 100 µs take ten times as long there",
    ),
    ("seeds/fan-out-cpu/", "not physical beyond two times: two processors"),
    ("seeds/batch/free", "pictures that wait for 10 ms"),
    ("seeds/batch/limited", "the limit decides, and not the workers"),
    ("seeds/batch", ""),
];

/// One line: `seeds/pool/10`.
struct Case<'r> {
    name: &'r str,
    /// `go` or `tokio` by host.
    rows: Vec<(&'r str, &'r str, &'r Entry)>,
}

/// Whether a row has its place in the table.
pub(super) fn is_case(entry: &Entry) -> bool {
    entry.name.starts_with("seeds/") && entry.parts().len() == 5
}

/// The table; nothing where no such row was measured.
pub(super) fn table(results: &Results) -> Option<String> {
    let cases = cases(results);
    if cases.is_empty() {
        return None;
    }
    let mut text =
        "| | claim | Go here | tokio here | ours: smol | ours: async-std | ours: tokio | ours / Go | \
                    ours / tokio |\n|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for case in &cases {
        let claim = CLAIMS.iter().find(|(name, _)| *name == case.name).map_or("", |(_, claim)| claim);
        let first = cases.iter().find(|first| first.table() == case.table()).unwrap_or(case);
        let cell = |cost: Option<f64>, base: Option<f64>| cost.map_or(String::new(), |cost| told(cost, base));
        let _ = write!(
            text,
            "| {} | {claim} | {} | {} |",
            case.name.trim_start_matches("seeds/"),
            cell(case.peer("go"), first.peer("go")),
            cell(case.peer("tokio"), first.peer("tokio")),
        );
        for host in HOSTS {
            let _ = write!(text, " {} |", cell(case.ours(host), first.ours(host)));
        }
        let _ = writeln!(text, " {} | {} |", case.ratios("go"), case.ratios("tokio"));
    }
    text += "\nOf the claims:\n\n";
    for (prefix, word) in WORDS {
        if !word.is_empty() && cases.iter().any(|case| case.name.starts_with(prefix)) {
            let name = prefix.trim_start_matches("seeds/").trim_end_matches('/');
            let _ = writeln!(text, "- {name}: {word}.");
        }
    }
    Some(text)
}

impl Case<'_> {
    /// `seeds/pool`, and of a batch its half, `seeds/batch/free`.
    fn table(&self) -> &str {
        match self.name.strip_prefix("seeds/batch/").and_then(|case| case.rsplit_once('-')) {
            Some((half, _)) => &self.name[.."seeds/batch/".len() + half.len()],
            None => self.name.rsplit_once('/').map_or(self.name, |(table, _)| table),
        }
    }

    fn ours(&self, host: &str) -> Option<f64> {
        let rows = || self.rows.iter().filter(|(known, _, _)| *known == host);
        let row = rows().find(|(_, peer, _)| *peer == "go").or_else(|| rows().next())?;
        Some(row.2.ours.median)
    }

    /// What a peer took beside the last of ours.
    fn peer(&self, peer: &str) -> Option<f64> {
        let mut rows = self.rows.iter().filter(|(_, known, _)| *known == peer);
        rows.next_back()?.2.peer.map(|peer| peer.median)
    }

    /// On each runtime, in their order; one that misses its goal is marked.
    fn ratios(&self, peer: &str) -> String {
        let of = |host: &str| {
            let row = self.rows.iter().find(|(known, other, _)| *known == host && *other == peer)?.2;
            let ratio = figures::short(row.ratio?.median);
            Some(if row.met() == Some(false) { format!("**{ratio}**") } else { ratio })
        };
        let ratios: Vec<String> = HOSTS.into_iter().filter_map(of).collect();
        ratios.join(", ")
    }
}

/// A cost and how many times less than the first of its table: `110 µs (9.1x)`.
fn told(cost: f64, base: Option<f64>) -> String {
    let figure = figures::cost(cost, crate::row::Unit::Nanoseconds);
    match base {
        Some(base) if base != cost => {
            let times = base / cost;
            let times = match times {
                times if times < 1.0 => figures::short(times),
                times if times < 10.0 => format!("{times:.1}"),
                times => format!("{times:.0}"),
            };
            format!("{figure} ({times}x)")
        }
        _ => figure,
    }
}

fn cases(results: &Results) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for entry in results.rows.iter().filter(|entry| is_case(entry)) {
        let parts = entry.parts();
        let [_, _, _, host, peer] = parts[..] else { continue };
        let name = &entry.name[..entry.name.len() - host.len() - peer.len() - 2];
        match cases.iter_mut().find(|case| case.name == name) {
            Some(case) => case.rows.push((host, peer, entry)),
            None => cases.push(Case { name, rows: vec![(host, peer, entry)] }),
        }
    }
    cases
}
