//! Sleeps, timeouts and ticks, over those of the executors.
//!
//! Both sides of a row run where the peer is at home: within tokio's `block_on`, within smol's, or, for
//! futures-timer, within one that drives nothing. Ours is the clock that `Clock::default` gives, with its own
//! thread.
//!
//! `timer/create-poll-drop` is the life of a timeout that does not strike: made for 30 s, polled once,
//! dropped. It counts the processor time of the whole process, since async-io and futures-timer leave part
//! of the work to a thread of theirs; the caller's wall time stands beside it. It is measured with no other
//! timers about, with 100,000 that are set later (`/100k-live`), and by two threads at once (`/two-threads`,
//! for which the wall time is that of one of the two).

use std::future::{Future, poll_fn, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use async_io::Timer;
use weirs_runtime::{Clock, MissedTicks, block_on};

use super::hosts::{Host, SmolGlobal, TokioCurrentThread};
use super::timers_live::Live;
use crate::measure::{Experiment, FAR, Pair, cpu_time, repeat, wall, wall_and_cpu};
use crate::peers::peer;
use crate::row::Row;
use crate::statistics::median;

/// The deadline of a timeout that does not strike.
const LONG: Duration = Duration::from_secs(30);

pub(super) fn experiments() -> Vec<Experiment> {
    let mut experiments = create_poll_drop();
    let crowd = Row::new("timer/200k-sleeps/async-io", peer("async-io")).goal(1.0);
    let ready = Row::new("timer/timeout-ready/tokio", peer("tokio")).goal(0.3);
    let lateness = Row::new("timer/lateness/async-io", peer("async-io")).goal(1.5);
    let in_a_task = Row::new("timer/lateness-in-a-task/async-io", peer("async-io"));
    let to_tokio = Row::new("timer/lateness/tokio", peer("tokio"));
    let tick = Row::new("timer/interval-tick/tokio", peer("tokio"));
    experiments.extend([
        Experiment::long_pair([crowd], many_sleeps),
        Experiment::pair([ready], timeout_of_a_ready_future),
        Experiment::pair([lateness], lateness_on_smol),
        Experiment::pair([in_a_task], lateness_in_a_task_of_smol),
        Experiment::pair([to_tokio], lateness_on_tokio),
        Experiment::pair([tick], interval_tick),
        Experiment::curve(&Row::new("timer/scale/tokio", peer("tokio")), FAR, timers_at_once),
    ]);
    experiments
}

fn create_poll_drop() -> Vec<Experiment> {
    let tokio = Row::new("timer/create-poll-drop/tokio", peer("tokio"));
    let async_io = Row::new("timer/create-poll-drop/async-io", peer("async-io"));
    let futures_timer = Row::new("timer/create-poll-drop/futures-timer", peer("futures-timer"));
    let live = |row: &Row| with_wall(row.beside("100k-live"));
    let threads = |row: &Row| with_wall(row.beside("two-threads"));
    vec![
        Experiment::pair(with_wall(tokio.clone().goal(0.7)), || on_tokio(Live::none)),
        Experiment::pair(with_wall(async_io.clone().goal(0.35)), || on_smol(Live::none)),
        Experiment::pair(with_wall(futures_timer.clone().goal(0.3)), || on_nothing(Live::none)),
        Experiment::pair(live(&tokio), || on_tokio(Live::many)),
        Experiment::pair(live(&async_io), || on_smol(Live::many)),
        Experiment::pair(live(&futures_timer), || on_nothing(Live::many)),
        Experiment::pair(threads(&tokio), tokio_from_two_threads),
        Experiment::pair(threads(&async_io), || {
            let clock = Clock::default();
            from_two_threads(
                move |count| smol::block_on(poll_and_drop(count, || clock.sleep(LONG))),
                |count| smol::block_on(poll_and_drop(count, || Timer::after(LONG))),
            )
        }),
        Experiment::pair(threads(&futures_timer), || {
            let clock = Clock::default();
            from_two_threads(
                move |count| block_on(poll_and_drop(count, || clock.sleep(LONG))),
                |count| block_on(poll_and_drop(count, || futures_timer::Delay::new(LONG))),
            )
        }),
    ]
}

fn with_wall(row: Row) -> [Row; 2] {
    let wall = row.beside("wall");
    [row, wall]
}

fn cpu_and_wall(operations: u64, work: impl FnOnce()) -> [f64; 2] {
    let [wall, cpu] = wall_and_cpu(operations, work);
    [cpu, wall]
}

/// Makes a future that has to wait, polls it once and drops it, so many times.
async fn poll_and_drop<F: Future>(count: u64, make: impl Fn() -> F) {
    poll_fn(|cx| {
        repeat(count, || assert!(pin!(make()).poll(cx).is_pending()));
        Poll::Ready(())
    })
    .await;
}

/// Polls it once: it has set its timer then.
fn started<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    block_on(poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    }));
    future
}

fn on_tokio(live: fn(&dyn Fn(Duration) -> Box<dyn std::any::Any>) -> Live) -> Pair<2> {
    let (clock, tokio) = (Clock::default(), TokioCurrentThread::new());
    let other = tokio.clone();
    let ours_live = live(&|duration| Box::new(started(clock.sleep(duration))));
    let peer_live =
        tokio.run_here(async { live(&|duration| Box::new(started(tokio::time::sleep(duration)))) });
    Pair::new(
        move |count| {
            let _live = &ours_live;
            cpu_and_wall(count, || tokio.run_here(poll_and_drop(count, || clock.sleep(LONG))))
        },
        move |count| {
            let _live = &peer_live;
            cpu_and_wall(count, || other.run_here(poll_and_drop(count, || tokio::time::sleep(LONG))))
        },
    )
}

fn on_smol(live: fn(&dyn Fn(Duration) -> Box<dyn std::any::Any>) -> Live) -> Pair<2> {
    let clock = Clock::default();
    let ours_live = live(&|duration| Box::new(started(clock.sleep(duration))));
    let peer_live = live(&|duration| Box::new(started(Timer::after(duration))));
    Pair::new(
        move |count| {
            let _live = &ours_live;
            cpu_and_wall(count, || smol::block_on(poll_and_drop(count, || clock.sleep(LONG))))
        },
        move |count| {
            let _live = &peer_live;
            cpu_and_wall(count, || smol::block_on(poll_and_drop(count, || Timer::after(LONG))))
        },
    )
}

fn on_nothing(live: fn(&dyn Fn(Duration) -> Box<dyn std::any::Any>) -> Live) -> Pair<2> {
    let clock = Clock::default();
    let ours_live = live(&|duration| Box::new(started(clock.sleep(duration))));
    let peer_live = live(&|duration| Box::new(started(futures_timer::Delay::new(duration))));
    Pair::new(
        move |count| {
            let _live = &ours_live;
            cpu_and_wall(count, || block_on(poll_and_drop(count, || clock.sleep(LONG))))
        },
        move |count| {
            let _live = &peer_live;
            cpu_and_wall(count, || block_on(poll_and_drop(count, || futures_timer::Delay::new(LONG))))
        },
    )
}

fn tokio_from_two_threads() -> Pair<2> {
    let (clock, tokio) = (Clock::default(), TokioCurrentThread::new());
    from_two_threads(
        move |count| block_on(poll_and_drop(count, || clock.sleep(LONG))),
        move |count| {
            let _context = tokio.handle().enter();
            block_on(poll_and_drop(count, || tokio::time::sleep(LONG)));
        },
    )
}

/// Two threads do so many operations each.
fn from_two_threads(ours: impl Fn(u64) + Sync + 'static, peer: impl Fn(u64) + Sync + 'static) -> Pair<2> {
    fn twice(count: u64, work: &(impl Fn(u64) + Sync)) -> [f64; 2] {
        let [cpu, wall] = cpu_and_wall(count, || {
            thread::scope(|scope| {
                scope.spawn(|| work(count));
                work(count);
            });
        });
        [cpu / 2.0, wall]
    }
    Pair::new(move |count| twice(count, &ours), move |count| twice(count, &peer))
}

/// 200,000 tasks of smol sleep at once, each until some time within a second.
///
/// The cost is the processor time of the process, less what the same tasks take that do not sleep.
fn many_sleeps() -> Pair {
    const SLEEPS: u64 = 200_000;

    fn cpu_of<F: Future<Output: Send> + Send + 'static>(sleep: impl Fn(Duration) -> F) -> f64 {
        let start = cpu_time();
        // A prime number strides through the second: no order that a heap could profit from.
        let duration = |number: u64| Duration::from_nanos(number * 982_451_653 % 1_000_000_000);
        let tasks: Vec<_> = (0..SLEEPS)
            .map(|number| {
                let sleep = sleep(duration(number));
                smol::spawn(async {
                    sleep.await;
                })
            })
            .collect();
        smol::block_on(async {
            for task in tasks {
                task.await;
            }
        });
        (cpu_time() - start).as_nanos() as f64 / SLEEPS as f64
    }

    let clock = Clock::default();
    let bare = || cpu_of(|_| ready(()));
    Pair::new(
        move |_| [cpu_of(|duration| clock.sleep(duration)) - bare()],
        move |_| [cpu_of(Timer::after) - bare()],
    )
}

fn timeout_of_a_ready_future() -> Pair {
    let (clock, tokio) = (Clock::default(), TokioCurrentThread::new());
    let other = tokio.clone();
    Pair::new(
        move |count| {
            let work = async {
                for _ in 0..count {
                    black_box(clock.timeout(black_box(LONG), ready(black_box(7))).await)
                        .expect("it is ready");
                }
            };
            wall(count, || tokio.run_here(work))
        },
        move |count| {
            let work = async {
                for _ in 0..count {
                    let timeout = tokio::time::timeout(black_box(LONG), ready(black_box(7)));
                    black_box(timeout.await).expect("it is ready");
                }
            };
            wall(count, || other.run_here(work))
        },
    )
}

const SHORT: Duration = Duration::from_millis(1);

/// How late sleeps of a millisecond end, one after the other: the median.
async fn lateness<F: Future>(count: u64, sleep: impl Fn(Duration) -> F) -> [f64; 1] {
    let mut late = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let start = Instant::now();
        sleep(SHORT).await;
        late.push((start.elapsed().as_nanos() as f64) - SHORT.as_nanos() as f64);
    }
    [median(late)]
}

fn lateness_on_smol() -> Pair {
    let clock = Clock::default();
    Pair::new(
        move |count| smol::block_on(lateness(count, |duration| clock.sleep(duration))),
        |count| smol::block_on(lateness(count, Timer::after)),
    )
    .waits()
}

fn lateness_in_a_task_of_smol() -> Pair {
    let clock = Clock::default();
    Pair::new(
        move |count| {
            let clock = clock.clone();
            SmolGlobal.run(async move { lateness(count, |duration| clock.sleep(duration)).await })
        },
        |count| SmolGlobal.run(lateness(count, Timer::after)),
    )
    .waits()
}

fn lateness_on_tokio() -> Pair {
    let (clock, tokio) = (Clock::default(), TokioCurrentThread::new());
    let other = tokio.clone();
    Pair::new(
        move |count| tokio.run_here(lateness(count, |duration| clock.sleep(duration))),
        move |count| other.run_here(lateness(count, tokio::time::sleep)),
    )
    .waits()
}

/// Ticks that are all overdue, so that none is waited for: what the bookkeeping of a tick costs.
fn interval_tick() -> Pair {
    const PERIOD: Duration = Duration::from_nanos(1);
    let (clock, tokio) = (Clock::default(), TokioCurrentThread::new());
    let other = tokio.clone();
    Pair::new(
        move |count| {
            let ticks = clock.interval(PERIOD).expect("the period is not zero");
            let mut ticks = ticks.missed_ticks(MissedTicks::Burst);
            let work = async {
                for _ in 0..count {
                    black_box(ticks.tick().await);
                }
            };
            wall(count, || tokio.run_here(work))
        },
        move |count| {
            let work = async {
                let mut ticks = tokio::time::interval(PERIOD);
                for _ in 0..count {
                    black_box(ticks.tick().await);
                }
            };
            wall(count, || other.run_here(work))
        },
    )
}

/// So many timers live at once, all set and then all dropped.
fn timers_at_once(timers: usize) -> Pair {
    fn set_and_drop<F: Future + 'static>(
        timers: usize,
        sleep: impl Fn(Duration) -> F + 'static,
    ) -> impl FnMut(u64) -> [f64; 1] + 'static {
        let tokio = TokioCurrentThread::new();
        // Places to pin them in that last, so that the allocator has no part in it.
        let mut places: Vec<_> = (0..timers).map(|_| Box::pin(None)).collect();
        move |rounds| {
            let work = poll_fn(|cx| {
                for _ in 0..rounds {
                    for (place, number) in places.iter_mut().zip(0..) {
                        place.set(Some(sleep(LONG + Duration::from_micros(number))));
                        let timer = place.as_mut().as_pin_mut().expect("it was put there");
                        assert!(timer.poll(cx).is_pending());
                    }
                    places.iter_mut().for_each(|place| place.set(None));
                }
                Poll::Ready(())
            });
            wall(rounds * timers as u64, || tokio.run_here(work))
        }
    }

    let clock = Clock::default();
    Pair::new(
        set_and_drop(timers, move |duration| clock.sleep(duration)),
        set_and_drop(timers, tokio::time::sleep),
    )
}
