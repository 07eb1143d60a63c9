//! Calls through a circuit breaker, over those of recloser, failsafe and tower-resilience.
//!
//! The circuit is closed and every call goes well, but for `refused`, where the circuit is open. Each side
//! has a breaker of the kind that the row says; those of recloser have a ring of so many calls, whatever it
//! says. `time-window-30k` is of ours alone: a window that holds 30,000 calls over one that holds 100.

use std::sync::Arc;
use std::time::Duration;

use failsafe::futures::CircuitBreaker as _;
use failsafe::{StateMachine, backoff, failure_policy};
use recloser::{AsyncRecloser, Recloser};
use tower::{Layer, Service};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use weirs_resilience::{Breaker, BreakerBuilder, Class};
use weirs_runtime::block_on;

use super::hosts::TokioCurrentThread;
use super::work::{Work, beyond_the_work, in_a_row, on_two_threads, one_by_one};
use crate::measure::{Experiment, Pair};
use crate::peers::{peer, peer_in};
use crate::row::Row;

/// How long a circuit is open: longer than any measurement.
const OPEN: Duration = Duration::from_secs(3600);
const WINDOW: Duration = Duration::from_secs(60);

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |name: &str, peer: String| Row::new(format!("breaker/{name}"), peer);
    let to_recloser = |name: &str| row(&format!("{name}/recloser"), peer("recloser"));
    let two = |name: &str| to_recloser(&format!("{name}/two-threads"));
    let tower = peer_in("tower-resilience-circuitbreaker", "consecutive");
    vec![
        one_thread(to_recloser("consecutive").goal(0.5), consecutive),
        Experiment::pair([row("consecutive/failsafe", peer("failsafe")).goal(0.3)], || {
            let (ours, peer) = (consecutive(), failsafe_rs());
            Pair::new(
                move |count| one_by_one(count, |number| ours.call(Work(number))),
                move |count| one_by_one(count, |number| peer.call(Work(number))),
            )
        }),
        Experiment::pair([row("consecutive/tower-resilience", tower).goal(0.05)], over_tower),
        two_threads(two("consecutive").goal(0.1), consecutive),
        one_thread(to_recloser("count-window"), count_window),
        two_threads(two("count-window").goal(0.3), count_window),
        one_thread(to_recloser("time-window"), time_window),
        two_threads(two("time-window").goal(0.3), time_window),
        Experiment::pair([row("time-window-30k/over-100", "itself with 100 calls".into()).goal(1.2)], || {
            let [many, few] = [30_000, 100].map(|calls| {
                let breaker = time_window();
                for _ in 0..calls {
                    breaker.try_acquire().expect("it is closed").success();
                }
                breaker
            });
            Pair::new(
                move |count| one_by_one(count, |number| many.call(Work(number))),
                move |count| one_by_one(count, |number| few.call(Work(number))),
            )
        }),
        one_thread_of(to_recloser("refused").goal(0.3), open, open_recloser),
    ]
}

fn build(breaker: BreakerBuilder) -> Arc<Breaker> {
    breaker.open_for(OPEN).build().expect("the values make sense")
}

fn consecutive() -> Arc<Breaker> {
    build(Breaker::consecutive(5))
}

fn count_window() -> Arc<Breaker> {
    warm(build(Breaker::builder().failure_rate(0.5).window_of_calls(100)))
}

fn time_window() -> Arc<Breaker> {
    warm(build(Breaker::builder().failure_rate(0.5).window_of_time(WINDOW, 10)))
}

/// As after some calls.
fn warm(breaker: Arc<Breaker>) -> Arc<Breaker> {
    block_on(in_a_row(200, |number| breaker.call(Work(number))));
    breaker
}

fn open() -> Arc<Breaker> {
    let breaker = consecutive();
    for _ in 0..5 {
        breaker.try_acquire().expect("it is closed").end(Class::Failure);
    }
    breaker
}

fn recloser() -> AsyncRecloser {
    let recloser = Recloser::custom().error_rate(0.5).closed_len(100).open_wait(OPEN).build();
    let recloser = AsyncRecloser::from(recloser);
    block_on(in_a_row(200, |number| recloser.call(Work(number))));
    recloser
}

fn open_recloser() -> AsyncRecloser {
    let recloser = recloser();
    block_on(in_a_row(200, |_| recloser.call(Work(u64::MAX))));
    recloser
}

type Failsafe = StateMachine<failure_policy::ConsecutiveFailures<std::iter::Repeat<Duration>>, ()>;

fn failsafe_rs() -> Failsafe {
    let policy = failure_policy::consecutive_failures(5, backoff::constant(OPEN));
    failsafe::Config::new().failure_policy(policy).build()
}

fn one_thread(row: Row, ours: fn() -> Arc<Breaker>) -> Experiment {
    one_thread_of(row, ours, recloser)
}

fn one_thread_of(row: Row, ours: fn() -> Arc<Breaker>, peer: fn() -> AsyncRecloser) -> Experiment {
    Experiment::pair([row], move || {
        let (ours, peer) = (ours(), peer());
        Pair::new(
            move |count| one_by_one(count, |number| ours.call(Work(number))),
            move |count| one_by_one(count, |number| peer.call(Work(number))),
        )
    })
}

fn two_threads(row: Row, ours: fn() -> Arc<Breaker>) -> Experiment {
    Experiment::pair([row], move || {
        let (ours, peer) = (ours(), recloser());
        Pair::new(
            move |count| {
                on_two_threads(count, || block_on(in_a_row(count, |number| ours.call(Work(number)))))
            },
            move |count| {
                on_two_threads(count, || block_on(in_a_row(count, |number| peer.call(Work(number)))))
            },
        )
    })
}

fn over_tower() -> Pair {
    let (ours, tokio) = (consecutive(), TokioCurrentThread::new());
    let layer = CircuitBreakerLayer::builder().consecutive_failures(5).wait_duration_in_open(OPEN).build();
    let layer = layer.expect("the values make sense");
    let mut peer = layer.layer(tower::service_fn(Work));
    Pair::new(
        move |count| one_by_one(count, |number| ours.call(Work(number))),
        move |count| {
            beyond_the_work(count, || {
                tokio.run_here(async {
                    for number in 0..count {
                        let ready = tower::ServiceExt::<u64>::ready(&mut peer).await;
                        let called = ready.expect("the circuit is closed").call(number).await;
                        std::hint::black_box(called.expect("it goes well"));
                    }
                });
            })
        },
    )
}
