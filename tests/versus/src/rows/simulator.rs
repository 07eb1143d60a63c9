//! The simulator of weirs-testing: how fast it goes. Reported, for there is no peer that does the same.
//!
//! The program has twenty tasks: ten sleep for random times and send, ten receive and yield.
//! `simulator/steps` is how many polls of a task the simulator gets through in a second, and
//! `simulator/1000-seeds` what a test costs that tries a thousand seeds, starting and checking included.

use std::ops::Range;
use std::time::{Duration, Instant};

use smol::future::yield_now;
use weirs_runtime::Runtime;
use weirs_testing::sim::{Explore, Schedule, Sim};

use crate::measure::{Effort, Experiment};
use crate::row::{Row, Samples, Unit};

const PAIRS: usize = 10;
const MESSAGES: u64 = 5;

pub(super) fn experiments() -> Vec<Experiment> {
    let schedules = [Schedule::Random, Schedule::Pct { depth: 3 }];
    let steps = schedules.map(|schedule| {
        let row = Row::alone(format!("simulator/steps/{schedule}")).unit(Unit::StepsPerSecond);
        Experiment::new([row], move |effort| Ok(vec![steps_per_second(schedule, effort)]))
    });
    let seeds =
        Experiment::new([Row::alone("simulator/1000-seeds")], |effort| Ok(vec![thousand_seeds(effort)]));
    steps.into_iter().chain([seeds]).collect()
}

fn steps_per_second(schedule: Schedule, effort: Effort) -> Samples {
    let rounds = (0..effort.rounds).map(|_| {
        let (start, mut steps) = (Instant::now(), 0);
        for seed in 0.. {
            steps += Sim::new(seed).schedule(schedule).run(program).expect("the program is right").steps;
            if start.elapsed() >= effort.round {
                break;
            }
        }
        steps as f64 / start.elapsed().as_secs_f64()
    });
    Samples::Alone(rounds.collect())
}

fn thousand_seeds(effort: Effort) -> Samples {
    const SEEDS: Range<u64> = 0..1_000;
    let rounds = (0..effort.long_rounds).map(|_| {
        let start = Instant::now();
        let failure = Explore::new().seeds(SEEDS).find(program);
        assert!(failure.is_none(), "the program is right");
        start.elapsed().as_nanos() as f64
    });
    Samples::Alone(rounds.collect())
}

async fn program(runtime: Runtime) {
    let (sender, receiver) = async_channel::bounded(PAIRS);
    let senders = (0..PAIRS).map(|_| {
        let (clock, sender) = (runtime.clock().clone(), sender.clone());
        runtime.spawn(async move {
            for message in 0..MESSAGES {
                clock.sleep(Duration::from_micros(clock.random_below(1_000))).await;
                sender.send(message).await.expect("somebody receives");
            }
        })
    });
    let receivers = (0..PAIRS).map(|_| {
        let receiver = receiver.clone();
        runtime.spawn(async move {
            while receiver.recv().await.is_ok() {
                yield_now().await;
            }
        })
    });
    let tasks: Vec<_> = senders.chain(receivers).collect();
    drop(sender);
    for task in tasks {
        task.await.expect("no task fails");
    }
}
