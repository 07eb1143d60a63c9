//! A pipeline beside a loop: 10,000 numbers, their squares, and three times those that are even.
//!
//! `serial` is the loop, in Rust and in Go; it is only reported, and the compilers are what is compared.
//! `stages` has three goroutines and channels that hold nothing; tokio's hold one, for it has no others; ours
//! has no buffers, and so one task for all stages. That is what one should do with numbers. `pipeline-20us`
//! computes for 20 microseconds in each of three stages, for 500 numbers; there ours has a buffer of one and
//! a task for each stage.

use std::hint::black_box;
use std::time::Duration;

use futures_lite::stream;
use tokio::sync::mpsc;
use weirs_pipelines::Pipeline;
use weirs_runtime::Runtime;

use super::super::sides::{rounds, spin, words};
use super::{Line, List};
use crate::measure::Experiment;

const NUMBERS: u64 = 10_000;
const FEW_NUMBERS: u64 = 500;
const WORK: Duration = Duration::from_micros(20);

pub(super) fn experiments() -> Vec<Experiment> {
    let serial = Line::new("seeds/pipeline/serial", NUMBERS, false);
    let stages = Line::new("seeds/pipeline/stages", NUMBERS, true);
    let serial_work = Line::new("seeds/pipeline-20us/serial", FEW_NUMBERS, false);
    let stages_work = Line::new("seeds/pipeline-20us/stages", FEW_NUMBERS, true);
    let mut all = serial.beside_go(looped, || words("seed-numbers", &[NUMBERS]));
    all.push(serial.beside_tokio(looped, looped_alike));
    all.extend(stages.beside_go(staged, || words("seed-stages", &[NUMBERS])));
    all.push(stages.beside_tokio(staged, staged_by_hand));
    all.extend(serial_work.beside_go(computed, || words("seed-loop", &[FEW_NUMBERS, 0, 3 * rounds(WORK)])));
    all.push(serial_work.beside_tokio(computed, computed_alike));
    all.extend(stages_work.beside_go(spinning, || words("seed-spinning", &[FEW_NUMBERS, rounds(WORK)])));
    all.push(stages_work.beside_tokio(spinning, spinning_by_hand));
    all
}

fn tripled(square: u64) -> Option<u64> {
    square.is_multiple_of(2).then_some(square.wrapping_mul(3))
}

fn looped(_: Runtime) -> List {
    looped_alike()
}

fn looped_alike() -> List {
    Box::pin(async {
        let mut kept = Vec::with_capacity(NUMBERS as usize);
        kept.extend((0..black_box(NUMBERS)).filter_map(|n| tripled(n * n)));
        black_box(&kept);
    })
}

fn staged(runtime: Runtime) -> List {
    Box::pin(async move {
        let plan = Pipeline::source(stream::iter(0..NUMBERS)).map(|n| n * n).filter_map(tripled).collect();
        let kept = plan.run(&runtime).expect("it makes sense").await.expect("nothing fails").output;
        assert_eq!(black_box(&kept).len() as u64, NUMBERS / 2);
    })
}

fn staged_by_hand() -> List {
    Box::pin(async {
        let (source, mut numbers) = mpsc::channel(1);
        tokio::spawn(async move {
            for n in 0..NUMBERS {
                source.send(n).await.expect("it is read to the end");
            }
        });
        let (squares, mut squared) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(n) = numbers.recv().await {
                squares.send(n * n).await.expect("it is read to the end");
            }
        });
        let mut kept = Vec::with_capacity(NUMBERS as usize);
        while let Some(square) = squared.recv().await {
            kept.extend(tripled(square));
        }
        assert_eq!(black_box(&kept).len() as u64, NUMBERS / 2);
    })
}

fn computed(_: Runtime) -> List {
    computed_alike()
}

fn computed_alike() -> List {
    Box::pin(async {
        let rounds = 3 * rounds(WORK);
        black_box((0..FEW_NUMBERS).fold(0, |sum: u64, n| sum.wrapping_add(n).wrapping_add(spin(rounds))));
    })
}

fn spinning(runtime: Runtime) -> List {
    Box::pin(async move {
        let rounds = rounds(WORK);
        let work = move |n: u64| n.wrapping_add(spin(rounds));
        let plan = Pipeline::source(stream::iter((0..FEW_NUMBERS).map(work)))
            .buffer(1)
            .map(work)
            .buffer(1)
            .fold(0, move |sum: &mut u64, n| *sum = sum.wrapping_add(work(n)));
        black_box(plan.run(&runtime).expect("it makes sense").await.expect("nothing fails").output);
    })
}

fn spinning_by_hand() -> List {
    Box::pin(async {
        let rounds = rounds(WORK);
        let work = move |n: u64| n.wrapping_add(spin(rounds));
        let (source, mut numbers) = mpsc::channel(1);
        tokio::spawn(async move {
            for n in 0..FEW_NUMBERS {
                source.send(work(n)).await.expect("it is read to the end");
            }
        });
        let (sender, mut middle) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(n) = numbers.recv().await {
                sender.send(work(n)).await.expect("it is read to the end");
            }
        });
        let mut sum = 0_u64;
        while let Some(n) = middle.recv().await {
            sum = sum.wrapping_add(work(n));
        }
        black_box(sum);
    })
}
