//! [`Results`]: a run, as its JSON tells it.

use serde_json::Value;

use crate::row::Unit;
use crate::statistics::Spread;
use crate::verdict::Gap;

/// What an earlier run wrote.
#[derive(Clone, Debug)]
pub struct Results {
    /// A line about the machine.
    pub machine: String,
    /// Facts about the run, by their names: only those that are known.
    pub about: Vec<(&'static str, String)>,
    /// Whether there were few rounds.
    pub quick: bool,
    /// What was measured, in the order of the table.
    pub rows: Vec<Entry>,
    /// What was not.
    pub missing: Vec<Gap>,
}

/// A row with its numbers.
#[derive(Clone, Debug)]
pub struct Entry {
    /// A path: the subject first, the peer last.
    pub name: String,
    /// With its version.
    pub peer_name: Option<String>,
    /// What the numbers count.
    pub unit: Unit,
    /// Our cost.
    pub ours: Spread,
    /// The peer's.
    pub peer: Option<Spread>,
    /// Ours over the peer's.
    pub ratio: Option<Spread>,
    /// What the ratio shall not exceed.
    pub goal: Option<f64>,
    /// Each round, ours and the peer's; empty where they were not kept.
    pub rounds: Vec<(f64, Option<f64>)>,
}

impl Results {
    /// Reads what `--json` wrote.
    ///
    /// # Errors
    /// When it is something else; the message says where.
    pub fn read(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("this is no JSON: {error}"))?;
        if value["format"] != 1 {
            return Err(format!("the format is {}, and not 1", value["format"]));
        }
        let rows = value["rows"].as_array().ok_or("there are no `rows`")?;
        let rows = rows
            .iter()
            .map(|row| entry(row).ok_or_else(|| format!("this row is not understood: {}", row["name"])));
        let missing = value["missing"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|gap| Gap::new(&text_of(&gap["name"]), &text_of(&gap["reason"]), gap["failed"] == true));
        let about = &value["about"];
        Ok(Self {
            machine: text_of(&value["machine"]),
            about: facts(about),
            quick: about["quick"] == true,
            rows: rows.collect::<Result<_, _>>()?,
            missing: missing.collect(),
        })
    }
}

impl Entry {
    /// Whether the goal is met; none without a goal or a ratio.
    pub fn met(&self) -> Option<bool> {
        Some(self.ratio?.median <= self.goal?)
    }

    /// The parts of the name.
    pub fn parts(&self) -> Vec<&str> {
        self.name.split('/').collect()
    }
}

fn facts(about: &Value) -> Vec<(&'static str, String)> {
    let text = |name: &str| about[name].as_str().map(str::to_owned);
    let load = about["load"].as_array().map(|load| {
        let ends: Vec<&str> = load.iter().filter_map(Value::as_str).collect();
        format!("{} (threads that want to run)", ends.join(" at the start, ") + " at the end")
    });
    let took = about["seconds"].as_f64().map(|seconds| {
        let rounds = if about["quick"] == true { "few rounds (`--quick`)" } else { "the usual rounds" };
        format!("{} min {} s, {rounds}", seconds as u64 / 60, seconds as u64 % 60)
    });
    let processor = text("processor").map(|name| match about["cores"].as_u64() {
        Some(cores) => format!("{cores} cores of {name}"),
        None => name,
    });
    let all = [
        ("day", text("date")),
        ("commit", text("commit")),
        ("compiler", text("compiler")),
        ("processor", processor),
        ("system", text("system")),
        ("load", load),
        ("the run took", took),
    ];
    all.into_iter().filter_map(|(name, fact)| Some((name, fact?))).collect()
}

fn entry(row: &Value) -> Option<Entry> {
    let spread = |name: &str| {
        let around = &row["spread"][name];
        let median = row[name].as_f64()?;
        let (low, high) = (around[0].as_f64().unwrap_or(median), around[1].as_f64().unwrap_or(median));
        Some(Spread { low, median, high })
    };
    let round = |round: &Value| match round.as_array() {
        Some(pair) => Some((pair.first()?.as_f64()?, pair.get(1)?.as_f64())),
        None => Some((round.as_f64()?, None)),
    };
    let rounds = row["rounds"].as_array().into_iter().flatten().filter_map(round).collect();
    Some(Entry {
        name: row["name"].as_str()?.to_owned(),
        peer_name: row["peer_name"].as_str().map(str::to_owned),
        unit: Unit::named(row["unit"].as_str()?)?,
        ours: spread("ours")?,
        peer: spread("peer"),
        ratio: spread("ratio"),
        goal: row["goal"].as_f64(),
        rounds,
    })
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
