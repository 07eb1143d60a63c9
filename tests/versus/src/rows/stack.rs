//! Calls through stacks of policies and through policies alone, over those of tower-resilience,
//! execution-policy, tokio and backon.
//!
//! All goes well at once, and what the work itself takes is taken off on both sides: all that is measured is
//! overhead. `stack/static` and `stack/dynamic` are four
//! policies: a limit of time for all attempts, retries, a breaker, a limit of time for each attempt.
//! tower-resilience has three layers there, as it has nothing for the fourth; execution-policy has all four.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use backon::Retryable;
use execution_policy::{CircuitBreaker, ExecutionPolicy};
use tower::{Layer, Service, ServiceExt};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use tower_resilience_hedge::HedgeLayer;
use tower_resilience_retry::RetryLayer;
use tower_resilience_timelimiter::TimeLimiterLayer;
use weirs_resilience::{
    Breaker, Budget, Bulkhead, Dynamic, Hedge, Policy, Retry, Stack, bulkhead, hedge, retry, timeout,
};

use super::hosts::TokioCurrentThread;
use super::work::{Trouble, Work, beyond_the_work, in_a_row, one_by_one};
use crate::measure::{Experiment, Pair, cpu_time, wall};
use crate::peers::{peer, peer_in};
use crate::row::Row;

const TOTAL: Duration = Duration::from_secs(30);
const EACH: Duration = Duration::from_secs(5);
const BASE: Duration = Duration::from_millis(50);

pub(super) fn experiments() -> Vec<Experiment> {
    let tower = || peer_in("tower-resilience-retry", "with two more layers");
    let row = |name: &str, peer: String| Row::new(name, peer);
    vec![
        Experiment::pair([row("stack/static/tower-resilience", tower()).goal(0.05)], || {
            Pair::new(through(fixed_stack()), through_tower())
        }),
        Experiment::pair([row("stack/static/execution-policy", peer("execution-policy")).goal(0.15)], || {
            Pair::new(through(fixed_stack()), through_execution_policy())
        }),
        Experiment::pair([row("stack/dynamic/tower-resilience", tower()).goal(0.15)], || {
            Pair::new(through(dynamic_stack()), through_tower())
        }),
        Experiment::pair([row("stack/dynamic/execution-policy", peer("execution-policy")).goal(0.6)], || {
            Pair::new(through(dynamic_stack()), through_execution_policy())
        }),
        Experiment::pair([row("policy/timeout-ready/tokio", peer("tokio")).goal(0.4)], || {
            let (ours, tokio) = (timeout(EACH), TokioCurrentThread::new());
            Pair::new(
                move |count| one_by_one(count, |number| ours.call(move |_| Work(number))),
                move |count| {
                    beyond_the_work(count, || {
                        tokio.run_here(in_a_row(count, |number| tokio::time::timeout(EACH, Work(number))));
                    })
                },
            )
        }),
        Experiment::pair([row("policy/timeout-pending/tokio", peer("tokio")).goal(1.05)], pending_timeouts),
        Experiment::pair([row("policy/retry-first-success/backon", peer("backon")).goal(1.0)], || {
            let ours = retry(Retry::exponential(BASE).retries(3));
            let peer = backon::ExponentialBuilder::default().with_max_times(3).with_jitter();
            Pair::new(
                move |count| one_by_one(count, |number| ours.call(move |_| Work(number))),
                move |count| {
                    one_by_one(count, |number| (move || Work(number)).retry(peer).sleep(|_| no_sleep()))
                },
            )
        }),
        Experiment::pair(
            [row("policy/hedge-in-time/tower-resilience", peer("tower-resilience-hedge")).goal(0.1)],
            || {
                let ours = hedge(Hedge::after(BASE));
                let tokio = TokioCurrentThread::new();
                let layer = HedgeLayer::builder().delay(BASE).max_hedged_attempts(2).build();
                let mut peer = layer.layer(tower::service_fn(Work));
                Pair::new(
                    move |count| one_by_one(count, |number| ours.call(move |_| Work(number))),
                    move |count| {
                        beyond_the_work(count, || {
                            tokio.run_here(async {
                                for number in 0..count {
                                    let ready =
                                        ServiceExt::<u64>::ready(&mut peer).await.expect("it always is");
                                    black_box(ready.call(number).await.expect("it goes well"));
                                }
                            });
                        })
                    },
                )
            },
        ),
        Experiment::pair(
            [row("policy/bulkhead-free/tokio", peer_in("tokio", "Semaphore")).goal(0.5)],
            || {
                let places = Bulkhead::new(10);
                let ours = bulkhead(Arc::new(places));
                let peer = tokio::sync::Semaphore::new(10);
                Pair::new(
                    move |count| one_by_one(count, |number| ours.call(move |_| Work(number))),
                    move |count| {
                        let peer = &peer;
                        one_by_one(count, move |number| async move {
                            let _permit = peer.acquire().await.expect("it is not closed");
                            Work(number).await
                        })
                    },
                )
            },
        ),
        budget("deposit", 0.3, |budget| budget.deposit(), tower::retry::budget::Budget::deposit),
        budget(
            "withdraw",
            0.4,
            |budget| {
                budget.try_withdraw().expect("there is enough").spend();
            },
            |budget| {
                assert!(tower::retry::budget::Budget::withdraw(budget), "there is enough");
            },
        ),
    ]
}

/// Four policies whose types are known.
pub fn fixed_stack() -> Stack<impl Policy<u64, Trouble>> {
    let breaker = Breaker::consecutive(5).build().expect("the values make sense");
    let retry = Retry::exponential(BASE).retries(3);
    let stack = Stack::builder().timeout(TOTAL).retry(retry).breaker(breaker).timeout(EACH).build();
    stack.expect("the values make sense")
}

/// The same four, whose types are gone.
pub fn dynamic_stack() -> Stack<Dynamic<u64, Trouble>> {
    let breaker = Breaker::consecutive(5).build().expect("the values make sense");
    let retry = Retry::exponential(BASE).retries(3);
    let stack = Stack::dynamic()
        .timeout(TOTAL)
        .layer(|layer| layer.retry(retry))
        .layer(|layer| layer.breaker(breaker))
        .timeout(EACH)
        .build();
    stack.expect("the values make sense")
}

fn through<P: Policy<u64, Trouble> + 'static>(stack: Stack<P>) -> impl FnMut(u64) -> [f64; 1] + 'static {
    move |count| one_by_one(count, |number| stack.call(move |_| Work(number)))
}

fn through_tower() -> impl FnMut(u64) -> [f64; 1] + 'static {
    let tokio = TokioCurrentThread::new();
    let breaker = CircuitBreakerLayer::builder().consecutive_failures(5).build();
    let inner = breaker.expect("the values make sense").layer(tower::service_fn(Work));
    let retry = RetryLayer::builder().max_attempts(4).exponential_backoff(BASE).build();
    let retried = retry.layer(inner);
    let mut service = TimeLimiterLayer::builder().timeout_duration(TOTAL).build().layer(retried);
    move |count| {
        beyond_the_work(count, || {
            tokio.run_here(async {
                for number in 0..count {
                    let ready = ServiceExt::<u64>::ready(&mut service).await.expect("the circuit is closed");
                    black_box(ready.call(number).await.expect("it goes well"));
                }
            });
        })
    }
}

fn through_execution_policy() -> impl FnMut(u64) -> [f64; 1] + 'static {
    let tokio = TokioCurrentThread::new();
    let policy = ExecutionPolicy::builder::<u64, Trouble>()
        .total_timeout(TOTAL)
        .retry(execution_policy::Retry::exponential().max_attempts(4))
        .circuit_breaker(CircuitBreaker::consecutive_failures(5))
        .attempt_timeout(EACH)
        .build();
    move |count| {
        beyond_the_work(count, || {
            tokio.run_here(async {
                for number in 0..count {
                    let number = black_box(number);
                    black_box(policy.run(async || Work(number).await).await.expect("it goes well"));
                }
            });
        })
    }
}

async fn no_sleep() {}

/// A call whose work waits: polled once, so that its timer runs, and dropped.
fn pending_timeouts() -> Pair {
    async fn polled<F: Future>(count: u64, make: impl Fn() -> F) {
        poll_fn(|cx| {
            for _ in 0..count {
                let mut call = pin!(make());
                assert!(black_box(call.as_mut()).poll(cx).is_pending());
            }
            Poll::Ready(())
        })
        .await;
    }
    fn timed(count: u64, work: impl FnOnce()) -> [f64; 1] {
        // A thread of ours may do a part: what counts is what all of them do.
        let start = cpu_time();
        work();
        [(cpu_time() - start).as_nanos() as f64 / count as f64]
    }
    let (ours, tokio) = (timeout(EACH), TokioCurrentThread::new());
    let other = tokio.clone();
    let pending = || std::future::pending::<Result<u64, Trouble>>();
    Pair::new(
        move |count| timed(count, || tokio.run_here(polled(count, || ours.call(move |_| pending())))),
        move |count| timed(count, || other.run_here(polled(count, || tokio::time::timeout(EACH, pending())))),
    )
}

fn budget(
    name: &str,
    goal: f64,
    ours: fn(&Budget),
    peers: fn(&tower::retry::budget::TpsBudget),
) -> Experiment {
    let row = Row::new(format!("budget/{name}/tower"), peer_in("tower", "TpsBudget")).goal(goal);
    Experiment::pair([row], move || {
        // Enough for all withdrawals of a measurement.
        const EACH_SECOND: u32 = 1_000_000_000;
        let budget = Budget::share(0.2).floor(EACH_SECOND).build().expect("the values make sense");
        let tps = tower::retry::budget::TpsBudget::new(Duration::from_secs(10), EACH_SECOND, 0.2);
        Pair::new(
            move |count| {
                wall(count, || {
                    for _ in 0..count {
                        ours(black_box(&budget));
                    }
                })
            },
            move |count| {
                wall(count, || {
                    for _ in 0..count {
                        peers(black_box(&tps));
                    }
                })
            },
        )
    })
}
