//! A batch job as a pool, as a pipeline and as a fan-out: read records, convert them, write the results.
//!
//! It is the exercise at the end of the last of the documents that this project began with. A list has 1,000
//! records; each becomes a string, 20 microseconds of computing and another string, and goes into a buffer.
//! The cost is that of one record. `pool` has four workers; `pipeline` has two stages that do half of the
//! computing each; `fan-out` has four workers whose results are merged. Results come as they are ready.
//! Channels, queues and buffers have 64 places, in Go and here.
//!
//! `allocations` for each record, in the long run, and `peak-bytes`, all that is in use at one time whatever
//! the number of records, are counted on one thread of tokio, beside the same with tokio's tasks and
//! channels. Two allocations are the strings.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{StreamExt, stream};
use tokio::sync::{Mutex, mpsc};
use weirs_pipelines::{Pipeline, WorkerPool};
use weirs_runtime::Runtime;

use super::hosts::{Host, TokioCurrentThread};
use super::seeds::{Line, List};
use super::sides::{rounds, spin, words};
use crate::child::{self, Count};
use crate::measure::Experiment;
use crate::peers::peer_in;
use crate::row::{Row, Samples, Unit};

const WORKERS: usize = 4;
const PLACES: usize = 64;
const RECORDS: u64 = 1_000;
const WORK: Duration = Duration::from_micros(20);

/// A runtime, how many records, and how many rounds of computing for each.
type Way = fn(Runtime, u64, u64) -> List;

/// The three, ours and by hand, by the names under which they are counted.
const WAYS: [(&str, Way); 6] = [
    ("batch/pool/ours", pool),
    ("batch/pool/tokio", |_, records, rounds| pool_by_hand(records, rounds)),
    ("batch/pipeline/ours", pipeline),
    ("batch/pipeline/tokio", |_, records, rounds| pipeline_by_hand(records, rounds)),
    ("batch/fan-out/ours", fan_out),
    ("batch/fan-out/tokio", |_, records, rounds| fan_out_by_hand(records, rounds)),
];

pub(super) fn experiments() -> Vec<Experiment> {
    let mut all = Vec::new();
    for (shape, way) in [("pool", pool as Way), ("pipeline", pipeline), ("fan-out", fan_out)] {
        let line = Line::new(format!("batch/{shape}"), RECORDS, true);
        let ours = move |runtime| way(runtime, RECORDS, rounds(WORK));
        all.extend(line.beside_go(ours, move || {
            let (work, places) = (rounds(WORK), PLACES as u64);
            match shape {
                "pipeline" => words("batch-pipeline", &[RECORDS, work, places]),
                _ => words(&format!("batch-{shape}"), &[WORKERS as u64, RECORDS, work, places]),
            }
        }));
        all.push(counted(shape, Count::Allocations));
        all.push(counted(shape, Count::PeakBytes));
    }
    all
}

fn counted(shape: &'static str, count: Count) -> Experiment {
    let (name, unit) = match count {
        Count::Allocations => ("allocations", Unit::Each),
        Count::PeakBytes => ("peak-bytes", Unit::Bytes),
    };
    let peer = peer_in("tokio", "spawn and mpsc");
    let row = Row::new(format!("batch/{shape}/tokio/{name}"), peer).unit(unit);
    Experiment::new([row], move |_| {
        let of = |side: &str| child::counted(&format!("batch/{shape}/{side}"), count);
        Ok(vec![Samples::Pairs(vec![(of("ours")?, of("tokio")?)])])
    })
}

/// What the program that counts shall do with so many records, if it has this name.
pub fn batch(name: &str) -> Option<impl Fn(u64) + use<>> {
    let (_, way) = WAYS.iter().find(|(known, _)| *known == name)?;
    Some(move |records| {
        let host = TokioCurrentThread::new();
        host.run(way(host.runtime(), records, 1));
    })
}

fn read(number: u64) -> String {
    format!("record {number}")
}

fn convert(record: &str, rounds: u64) -> String {
    spin(rounds);
    record.to_uppercase()
}

/// Where results are written; it is emptied now and then.
#[derive(Debug, Default)]
struct Output {
    lines: String,
    written: u64,
}

impl Output {
    fn write(&mut self, result: &str) {
        self.lines.push_str(result);
        self.lines.push('\n');
        self.written += 1;
        if self.lines.len() > 4096 {
            black_box(&self.lines);
            self.lines.clear();
        }
    }
}

fn pool(runtime: Runtime, records: u64, rounds: u64) -> List {
    Box::pin(async move {
        let work = move |record: String| async move { Ok::<_, Infallible>(convert(&record, rounds)) };
        let builder = WorkerPool::builder(work).workers(WORKERS).queue(PLACES).unread(PLACES);
        let pool = builder.build(&runtime).expect("it makes sense");
        let intake = pool.intake();
        let reader = runtime.spawn(async move { intake.submit_many((0..records).map(read)).await.is_ok() });
        let mut output = Output::default();
        let mut results = pool.into_results();
        while let Some(end) = results.next().await {
            output.write(&end.result.expect("nothing fails"));
        }
        assert!(reader.await.expect("it is not cancelled"));
        assert_eq!(output.written, records);
    })
}

fn pipeline(runtime: Runtime, records: u64, rounds: u64) -> List {
    Box::pin(async move {
        let half = move |record: String| {
            spin(rounds / 2);
            record
        };
        let plan = Pipeline::source(stream::iter((0..records).map(read)))
            .buffer(PLACES)
            .map(half)
            .buffer(PLACES)
            .map(move |record| convert(&record, rounds / 2))
            .buffer(PLACES)
            .fold(Output::default(), |output, result| output.write(&result));
        let ended = plan.run(&runtime).expect("it makes sense").await.expect("nothing fails");
        assert_eq!(ended.output.written, records);
    })
}

fn fan_out(runtime: Runtime, records: u64, rounds: u64) -> List {
    Box::pin(async move {
        let work = move |record: String| async move { Ok::<_, Infallible>(convert(&record, rounds)) };
        let plan = Pipeline::source(stream::iter((0..records).map(read)))
            .stage("convert", WORKERS, work)
            .unordered()
            .unread(PLACES)
            .fold(Output::default(), |output, result| output.write(&result));
        let ended = plan.run(&runtime).expect("it makes sense").await.expect("nothing fails");
        assert_eq!(ended.output.written, records);
    })
}

/// A task that reads.
fn reader(records: u64) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(PLACES);
    tokio::spawn(async move {
        for number in 0..records {
            sender.send(read(number)).await.expect("it is read to the end");
        }
    });
    receiver
}

async fn write(mut results: mpsc::Receiver<String>, records: u64) {
    let mut output = Output::default();
    while let Some(result) = results.recv().await {
        output.write(&result);
    }
    assert_eq!(output.written, records);
}

fn pool_by_hand(records: u64, rounds: u64) -> List {
    Box::pin(async move {
        let receiver = Arc::new(Mutex::new(reader(records)));
        let (results, finished) = mpsc::channel(PLACES);
        for _ in 0..WORKERS {
            let (receiver, results) = (Arc::clone(&receiver), results.clone());
            tokio::spawn(async move {
                loop {
                    let record = receiver.lock().await.recv().await;
                    let Some(record) = record else { return };
                    results.send(convert(&record, rounds)).await.expect("they are read to the end");
                }
            });
        }
        drop(results);
        write(finished, records).await;
    })
}

fn pipeline_by_hand(records: u64, rounds: u64) -> List {
    Box::pin(async move {
        let mut records_read = reader(records);
        let (sender, mut halves) = mpsc::channel(PLACES);
        tokio::spawn(async move {
            while let Some(record) = records_read.recv().await {
                spin(rounds / 2);
                sender.send(record).await.expect("it is read to the end");
            }
        });
        let (sender, results) = mpsc::channel(PLACES);
        tokio::spawn(async move {
            while let Some(record) = halves.recv().await {
                sender.send(convert(&record, rounds / 2)).await.expect("it is read to the end");
            }
        });
        write(results, records).await;
    })
}

/// One that deals the records out, a channel for each worker, and one channel that all of them send to.
fn fan_out_by_hand(records: u64, rounds: u64) -> List {
    Box::pin(async move {
        let (results, merged) = mpsc::channel(PLACES);
        let mut inputs = Vec::new();
        for _ in 0..WORKERS {
            let (input, mut own) = mpsc::channel::<String>(PLACES / WORKERS);
            inputs.push(input);
            let results = results.clone();
            tokio::spawn(async move {
                while let Some(record) = own.recv().await {
                    results.send(convert(&record, rounds)).await.expect("they are read to the end");
                }
            });
        }
        drop(results);
        tokio::spawn(async move {
            for number in 0..records {
                let input = &inputs[number as usize % WORKERS];
                input.send(read(number)).await.expect("it is read to the end");
            }
        });
        write(merged, records).await;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_writes_all_records() {
        for (name, _) in WAYS {
            batch(name).expect("it is one of them")(1_000);
        }
        assert!(batch("batch/dance").is_none());
    }
}
