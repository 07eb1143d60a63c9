//! Each fault finds what is not found without it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::future::yield_now;
use weirs_runtime::{JoinError, Runtime};
use weirs_testing::sim::{Cause, Explore, Failure, Faults, Sim};

const MS: Duration = Duration::from_millis(1);

/// Passes without the faults, and gives the first failure with them.
fn found_only_with<Fut>(faults: Faults, body: fn(Runtime) -> Fut) -> Failure
where
    Fut: Future<Output = ()> + 'static,
{
    let seeds = || Explore::new().seeds(0..60);
    assert!(seeds().find(body).is_none(), "it is found without the fault");
    seeds().faults(faults).find(body).expect("the bug")
}

#[test]
fn spurious_polls_find_a_future_that_takes_a_poll_for_its_event() {
    let failure = found_only_with(Faults::new().spurious_polls(), |runtime| async move {
        let rung = Arc::new(AtomicBool::new(false));
        let bell = Arc::new(Mutex::new(None::<Waker>));
        let (rings, ringer, clock) = (Arc::clone(&rung), Arc::clone(&bell), runtime.clock().clone());
        let ring = runtime.spawn(async move {
            for _ in 0..20 {
                yield_now().await;
            }
            clock.sleep(MS).await;
            rings.store(true, Ordering::SeqCst);
            let waiter = ringer.lock().unwrap().take();
            waiter.into_iter().for_each(Waker::wake);
        });
        let listener = runtime.spawn(async move {
            let mut asked = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut asked, true) {
                    return Poll::Ready(());
                }
                *bell.lock().unwrap() = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
            assert!(rung.load(Ordering::SeqCst), "nobody rang");
        });
        ring.await.unwrap();
        listener.await.unwrap_or_else(|error| panic!("{error}"));
    });
    assert!(failure.to_string().contains("nobody rang"), "{failure}");
    assert!(failure.to_string().contains("faults: spurious polls"), "{failure}");
}

#[test]
fn spurious_polls_hide_no_deadlock() {
    let failure = Sim::new(0).faults(Faults::new().spurious_polls()).run(|_| std::future::pending::<()>());
    assert_eq!(*failure.unwrap_err().cause(), Cause::Deadlock);
}

/// Keeps the first waker that it sees, whatever comes later.
#[derive(Clone, Default)]
struct Sticky(Arc<Mutex<(bool, Option<Waker>)>>);

impl Sticky {
    fn open(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Future for Sticky {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        state.1.get_or_insert_with(|| cx.waker().clone());
        Poll::Pending
    }
}

#[test]
fn fresh_wakers_find_a_future_that_keeps_its_first() {
    let failure = found_only_with(Faults::new().fresh_wakers(), |runtime| async move {
        let door = Sticky::default();
        let (opener, clock) = (door.clone(), runtime.clock().clone());
        let open = runtime.spawn(async move {
            clock.sleep(2 * MS).await;
            opener.open();
        });
        let clock = runtime.clock().clone();
        let waiter = runtime.builder().name("waiter").spawn(async move {
            // The timeout polls the door once more, and gives it a new waker then.
            let mut door = std::pin::pin!(door);
            assert!(clock.timeout(MS, door.as_mut()).await.is_err());
            door.await;
        });
        open.await.unwrap();
        waiter.await.unwrap();
    });
    assert_eq!(*failure.cause(), Cause::Deadlock);
    assert!(failure.to_string().contains("\"waiter\""), "{failure}");
}

#[test]
fn late_timers_find_a_race_with_time() {
    let failure = found_only_with(Faults::new().late_timers(5 * MS), |runtime| async move {
        let done = Arc::new(AtomicBool::new(false));
        let (doing, clock) = (Arc::clone(&done), runtime.clock().clone());
        let work = runtime.spawn(async move {
            clock.sleep(MS).await;
            doing.store(true, Ordering::SeqCst);
        });
        runtime.clock().sleep(2 * MS).await;
        assert!(done.load(Ordering::SeqCst), "2 ms are not always after 1 ms");
        work.await.unwrap();
    });
    assert!(failure.to_string().contains("not always after"), "{failure}");
}

#[test]
fn late_timers_are_late_by_no_more_than_asked() {
    let mut late = false;
    for seed in 0..50 {
        let run = Sim::new(seed).faults(Faults::new().late_timers(3 * MS)).run(|runtime| async move {
            runtime.clock().sleep(MS).await;
        });
        let elapsed = run.unwrap().elapsed;
        assert!((MS..=4 * MS).contains(&elapsed), "{elapsed:?}");
        late |= elapsed > MS;
    }
    assert!(late);
}

#[test]
fn a_refused_spawn_is_lost() {
    let run = Sim::new(0).faults(Faults::new().refuse_spawn(2)).run(|runtime| async move {
        let tasks = [1, 2, 3].map(|number| runtime.spawn(async move { number }));
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await);
        }
        let job = runtime.spawn_blocking(|| 4).await;
        (results, job)
    });
    let (results, job) = run.unwrap().output;
    assert!(matches!(results[..], [Ok(1), Err(JoinError::Lost), Ok(3)]), "{results:?}");
    assert!(matches!(job, Ok(4)));
}

#[test]
fn spawns_are_refused_now_and_then() {
    let run = Sim::new(0).faults(Faults::new().refuse_spawns(0.25)).run(|runtime| async move {
        let mut lost = 0;
        for _ in 0..1000 {
            lost += usize::from(runtime.spawn(async {}).await.is_err());
            lost += usize::from(runtime.spawn_blocking(|| {}).await.is_err());
        }
        lost
    });
    assert!((400..600).contains(&run.unwrap().output));
}

/// A worker that holds a slot over an await, and gives it back only if it gets that far.
async fn slots(runtime: Runtime) {
    let slot = Arc::new(AtomicBool::new(true));
    let workers: Vec<_> = ["one", "two"]
        .into_iter()
        .map(|name| {
            let slot = Arc::clone(&slot);
            runtime.builder().name(name).spawn(async move {
                yield_now().await;
                while !slot.swap(false, Ordering::SeqCst) {
                    yield_now().await;
                }
                yield_now().await;
                slot.store(true, Ordering::SeqCst);
            })
        })
        .collect();
    for worker in workers {
        let _ = worker.await;
    }
    assert!(slot.load(Ordering::SeqCst), "the slot is gone");
}

#[test]
fn cancelling_finds_what_is_not_given_back() {
    for faults in [
        Faults::new().cancel_at_poll(3),
        Faults::new().cancel_somewhere(),
        Faults::new().panic_at_poll(3),
        Faults::new().panic_somewhere(),
    ] {
        let failure = found_only_with(faults, slots);
        let what = failure.cause().to_string();
        assert!(what.contains("slot is gone") || what.contains("live-lock"), "{failure}");
    }
}

#[test]
fn a_task_is_cancelled_at_each_of_its_polls() {
    for k in 1..=5 {
        let run = Sim::new(k).faults(Faults::new().cancel_task("victim", k)).run(|runtime| async move {
            let polls = Arc::new(Mutex::new(0));
            let (counted, other) = (Arc::clone(&polls), runtime.builder().name("other").spawn(async {}));
            let victim = runtime.builder().name("victim").spawn(async move {
                for _ in 0..4 {
                    *counted.lock().unwrap() += 1;
                    yield_now().await;
                }
                *counted.lock().unwrap() += 1;
            });
            assert!(victim.await.unwrap_err().is_cancelled());
            other.await.unwrap();
            *polls.lock().unwrap()
        });
        assert_eq!(run.unwrap().output, k - 1);
    }
}

#[test]
fn a_task_is_made_to_panic() {
    let run = Sim::new(0).faults(Faults::new().panic_task("victim", 1)).run(|runtime| async move {
        let JoinError::Panic(payload) = runtime.builder().name("victim").spawn(async {}).await.unwrap_err()
        else {
            panic!("no panic");
        };
        assert_eq!(payload.message(), Faults::PANIC_MESSAGE);
        // Nobody awaits this one, and that is the program's good right.
        runtime.builder().name("victim").spawn(async {}).detach();
        yield_now().await;
    });
    run.unwrap();
}

#[test]
fn every_poll_of_every_task_is_struck_by_some_seed() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..600 {
        let run = Sim::new(seed).faults(Faults::new().cancel_somewhere()).run(|runtime| async move {
            let tasks = [(); 3].map(|()| {
                let polls = Arc::new(Mutex::new(0));
                let counted = Arc::clone(&polls);
                let task = runtime.spawn(async move {
                    for _ in 0..3 {
                        yield_now().await;
                        *counted.lock().unwrap() += 1;
                    }
                });
                (polls, task)
            });
            let mut victim = None;
            for (number, (polls, task)) in tasks.into_iter().enumerate() {
                if task.await.is_err() {
                    victim = Some((number, *polls.lock().unwrap()));
                }
            }
            victim
        });
        seen.insert(run.unwrap().output);
    }
    // At the first poll or after that many; or nobody, when the seed aimed at more than there is.
    for number in 0..3 {
        for polls in 0..3 {
            assert!(seen.contains(&Some((number, polls))), "{number} {polls}: {seen:?}");
        }
    }
    assert!(seen.contains(&None));
}

#[test]
fn faults_have_names() {
    let faults = Faults::new()
        .spurious_polls()
        .fresh_wakers()
        .late_timers(MS)
        .refuse_spawn(2)
        .refuse_spawns(0.5)
        .cancel_at_poll(3)
        .cancel_task("reader", 1)
        .panic_somewhere();
    assert_eq!(
        faults.to_string(),
        "spurious polls, fresh wakers, timers up to 1ms late, spawn 2 refused, spawns refused with a \
         probability of 0.5, a task cancelled at poll 3, task \"reader\" cancelled at poll 1, a task made \
         to panic at some poll",
    );
    assert_eq!(Faults::new().to_string(), "none");
}
