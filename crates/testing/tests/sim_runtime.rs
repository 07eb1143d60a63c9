//! The simulator as a runtime: time, local tasks, blocking jobs, many tasks, and nothing left behind.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::future::yield_now;
use weirs_runtime::{Clock, Instant, JoinError, LocalRuntime, Runtime};
use weirs_testing::sim::{Cause, Explore, Faults, Schedule, Sim};

const MS: Duration = Duration::from_millis(1);
const SCHEDULES: [Schedule; 3] = [Schedule::Fifo, Schedule::Random, Schedule::Pct { depth: 3 }];

#[test]
fn time_starts_at_zero_and_is_exact() {
    for schedule in SCHEDULES {
        let run = Sim::new(3).schedule(schedule).run(|runtime| async move {
            let clock = runtime.clock();
            assert_eq!(clock.now(), Instant::from_nanos(0));
            clock.sleep(Duration::from_nanos(1)).await;
            assert_eq!(clock.now(), Instant::from_nanos(1));
            let sleeps = [5, 3, 4, 3].map(|nanos| {
                let clock = clock.clone();
                runtime.spawn(async move {
                    clock.sleep(Duration::from_nanos(nanos)).await;
                    clock.now().as_nanos()
                })
            });
            let mut ends = Vec::new();
            for sleep in sleeps {
                ends.push(sleep.await.unwrap());
            }
            assert_eq!(ends, [6, 4, 5, 4]);
            clock.sleep(Duration::from_secs(86_400 * 300)).await;
        });
        assert_eq!(run.unwrap().elapsed, Duration::from_secs(86_400 * 300) + Duration::from_nanos(6));
    }
}

#[test]
fn a_dropped_sleep_does_not_move_the_clock() {
    let run = Sim::new(0).run(|runtime| async move {
        let clock = runtime.clock();
        assert!(clock.timeout(MS, clock.sleep(Duration::from_secs(60))).await.is_err());
        let mut sleep = clock.sleep(Duration::from_secs(60));
        futures_lite::future::poll_once(&mut sleep).await;
        sleep.reset_after(MS);
        sleep.await;
    });
    assert_eq!(run.unwrap().elapsed, 2 * MS);
}

#[test]
fn timers_of_one_instant_fire_in_an_order_of_the_schedule() {
    let order = |seed, schedule| {
        let run = Sim::new(seed).schedule(schedule).run(|runtime| async move {
            let (sender, receiver) = async_channel::unbounded();
            for task in 0..3 {
                let (sender, clock) = (sender.clone(), runtime.clock().clone());
                let task = async move {
                    clock.sleep_until(Instant::from_nanos(100)).await;
                    sender.send(task).await.unwrap();
                };
                runtime.spawn(task).detach();
            }
            drop(sender);
            let mut order = Vec::new();
            while let Ok(task) = receiver.recv().await {
                order.push(task);
            }
            order
        });
        run.unwrap().output
    };
    let orders =
        |schedule| -> std::collections::BTreeSet<_> { (0..60).map(|seed| order(seed, schedule)).collect() };
    assert_eq!(Vec::from_iter(orders(Schedule::Fifo)), [[0, 1, 2]]);
    assert_eq!(orders(Schedule::Random).len(), 6);
    assert_eq!(orders(Schedule::Pct { depth: 2 }).len(), 6);
}

#[test]
fn local_tasks() {
    Explore::new().seeds(0..50).run_local(|runtime: LocalRuntime| async move {
        let sum = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..10)
            .map(|number| {
                let (sum, clock) = (Rc::clone(&sum), runtime.clock().clone());
                runtime.spawn(async move {
                    clock.sleep(number * MS).await;
                    let before = sum.get(); // nothing comes between: there is no await
                    sum.set(before + number);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(sum.get(), 45);
    });
    let run = Sim::new(0).run_local(|runtime| async move {
        let value = Rc::new(3);
        let task = runtime.spawn(std::future::pending::<()>());
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        value
    });
    assert_eq!(*run.unwrap().output, 3);

    let failure = Explore::new().seeds(0..5).find_local(|runtime| async move {
        runtime.builder().name("local").spawn(std::future::pending::<()>()).detach();
    });
    assert!(failure.unwrap().to_string().contains("\"local\""));
}

#[test]
fn blocking_jobs_are_steps_of_their_own() {
    Explore::new().seeds(0..50).run(|runtime| async move {
        let jobs: Vec<_> = (0..5).map(|number| runtime.spawn_blocking(move || number * 2)).collect();
        let mut sum = 0;
        for job in jobs {
            sum += job.await.unwrap();
        }
        assert_eq!(sum, 20);
        assert!(matches!(
            runtime.spawn_blocking(|| panic!("in a job")).await,
            Err::<(), _>(JoinError::Panic(_))
        ));
    });
    let ran = Arc::new(AtomicU32::new(0));
    let run = Sim::new(0).run(|runtime| {
        let ran = Arc::clone(&ran);
        async move {
            let job = runtime.spawn_blocking(move || ran.fetch_add(1, Ordering::SeqCst));
            assert!(job.cancel().await.unwrap_err().is_cancelled());
        }
    });
    run.unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn what_the_body_spawns_before_its_first_await_is_its_child() {
    let failure = Sim::new(0).run(|runtime| {
        runtime.builder().name("early").spawn(std::future::pending::<()>()).detach();
        std::future::ready(())
    });
    let failure = failure.unwrap_err();
    assert_eq!((failure.tasks()[0].number, failure.tasks()[0].parent), (1, Some(0)));
}

#[test]
fn a_hundred_thousand_tasks() {
    const TASKS: usize = 100_000;
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let run = Sim::new(1).run(|runtime| async move {
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| {
                let (clock, counted) = (runtime.clock().clone(), CountDrop(Arc::clone(&count)));
                runtime.spawn(async move {
                    let _counted = counted;
                    clock.sleep(Duration::from_nanos(number as u64 % 100)).await;
                })
            })
            .collect();
        yield_now().await;
        let mut cancelled = 0;
        for (number, task) in tasks.into_iter().enumerate() {
            if number % 2 == 0 {
                cancelled += usize::from(task.cancel().await.is_err());
            } else {
                task.await.unwrap();
            }
        }
        cancelled
    });
    let run = run.unwrap();
    assert_eq!(run.tasks, TASKS + 1);
    assert!(run.output > 0);
    assert_eq!(ended.load(Ordering::SeqCst), TASKS);
    assert_eq!(Arc::strong_count(&ended), 1);
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// However a run ends, its futures, timers and wakers are gone with it.
#[test]
fn nothing_is_left_behind() {
    type Body = fn(Runtime, Arc<()>) -> futures::future::LocalBoxFuture<'static, ()>;
    let bodies: [Body; 4] = [
        |runtime, token| {
            Box::pin(async move {
                let clock = runtime.clock().clone();
                runtime.spawn(async move { clock.sleep(MS).await }).await.unwrap();
                drop(token);
            })
        },
        |runtime, token| Box::pin(deadlock(runtime, token)),
        |runtime, token| {
            Box::pin(async move {
                deadlock_of(&runtime, &token, 3);
                panic!("with tasks left");
            })
        },
        |runtime, token| {
            Box::pin(async move {
                deadlock_of(&runtime, &token, 3); // a leak
            })
        },
    ];
    for body in bodies {
        for faults in [Faults::new(), Faults::new().fresh_wakers()] {
            let token = Arc::new(());
            let inside = Arc::clone(&token);
            let outcome = Sim::new(0).faults(faults).run(|runtime| body(runtime, inside));
            drop(outcome);
            assert_eq!(Arc::strong_count(&token), 1);
        }
    }
}

async fn deadlock(runtime: Runtime, token: Arc<()>) {
    deadlock_of(&runtime, &token, 3);
    std::future::pending().await
}

/// Tasks that hold the runtime, timers far away, and each other.
fn deadlock_of(runtime: &Runtime, token: &Arc<()>, tasks: u32) {
    for _ in 0..tasks {
        let (runtime, token) = (runtime.clone(), Arc::clone(token));
        let inner = runtime.clone();
        let task = async move {
            let _held = (&inner, &token);
            let child = inner.spawn({
                let (clock, token) = (inner.clock().clone(), Arc::clone(&token));
                async move {
                    let _held = token;
                    let mut sleep = clock.sleep(Duration::from_secs(86_400 * 365 * 100));
                    futures_lite::future::poll_once(&mut sleep).await;
                    std::future::pending::<()>().await;
                }
            });
            child.await.unwrap();
        };
        runtime.spawn(task).detach();
    }
}

#[test]
fn what_is_left_is_dropped_in_the_order_in_which_it_was_spawned() {
    struct Note(u32, Arc<std::sync::Mutex<Vec<u32>>>);
    impl Drop for Note {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    for seed in 0..10 {
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = Arc::clone(&order);
        let run = Sim::new(seed).allow_leaks().run(|runtime| async move {
            for number in 0..5 {
                let note = Note(number, Arc::clone(&noted));
                let task = async move {
                    let _note = note;
                    std::future::pending::<()>().await
                };
                runtime.spawn(task).detach();
            }
        });
        run.unwrap();
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_destructor_that_panics_at_the_end_is_reported() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    let failure = Sim::new(0).allow_leaks().run(|runtime| async move {
        let bomb = Bomb;
        let task = async move {
            let _bomb = bomb;
            std::future::pending::<()>().await
        };
        runtime.builder().name("bomb").spawn(task).detach();
    });
    let failure = failure.unwrap_err();
    assert!(matches!(failure.cause(), Cause::LostPanic { .. }), "{failure}");
    assert!(failure.to_string().contains("\"bomb\"") && failure.to_string().contains("in the destructor"));
}

#[test]
fn a_clock_that_outlives_its_run_stands_still() {
    let run = Sim::new(0).run(|runtime| async move {
        runtime.clock().sleep(MS).await;
        runtime
    });
    let runtime = run.unwrap().output;
    let clock: &Clock = runtime.clock();
    assert_eq!(clock.now(), Instant::from_nanos(1_000_000));
    let mut sleep = clock.sleep(MS);
    let _ = weirs_runtime::block_on(futures_lite::future::poll_once(&mut sleep));
    assert!(matches!(weirs_runtime::block_on(runtime.spawn(async {})), Err(JoinError::Lost)));
    clock.random_u64();
}

#[test]
fn a_simulation_in_a_simulation() {
    let run = Sim::new(0).run(|runtime| async move {
        runtime.clock().sleep(MS).await;
        let inner = Sim::new(1).run(|runtime| async move {
            runtime.spawn(async {}).await.unwrap();
            runtime.clock().sleep(5 * MS).await;
        });
        runtime.clock().sleep(MS).await;
        inner.unwrap().elapsed
    });
    let run = run.unwrap();
    assert_eq!((run.elapsed, run.output), (2 * MS, 5 * MS));
}
