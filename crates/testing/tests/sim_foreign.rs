//! What reaches into a simulation from outside: other threads, and real time.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use weirs_runtime::{Clock, Runtime, block_on};
use weirs_testing::sim::{Cause, Explore, Faults, Sim};

/// Gives this task's waker to a thread of this name, which wakes it.
async fn woken_by_thread(name: &'static str, join: bool) {
    let mut thread = None;
    poll_fn(|cx| {
        if thread.is_some() {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let handle = thread::Builder::new().name(name.to_owned()).spawn(move || waker.wake()).unwrap();
        thread = Some(());
        if join {
            handle.join().expect("the wake does not panic");
        }
        Poll::Pending
    })
    .await;
}

#[test]
fn a_wake_from_another_thread_is_reported() {
    let failure = Sim::new(0).run(|runtime| async move {
        runtime.builder().name("sleeper").spawn(woken_by_thread("intruder", true)).await.unwrap();
    });
    let failure = failure.unwrap_err();
    let Cause::ForeignThread { thread, backtrace, .. } = failure.cause() else { panic!("{failure}") };
    assert_eq!(thread, "intruder");
    assert!(backtrace.contains("woken_by_thread"), "{backtrace}");
    assert!(failure.to_string().contains("thread \"intruder\" woke a task"), "{failure}");
    assert!(failure.to_string().contains("spawn_blocking"), "{failure}");
}

#[test]
fn a_wait_for_another_thread_is_no_deadlock() {
    // A thread that takes long to get going on a busy machine does look like one.
    let told = (0..50).any(|seed| {
        let failure = Sim::new(seed).run(|_| woken_by_thread("late", false)).unwrap_err();
        matches!(failure.cause(), Cause::ForeignThread { thread, .. } if thread == "late")
    });
    assert!(told);
}

#[test]
fn a_spawn_from_another_thread_is_reported_and_refused() {
    let failure = Sim::new(0).run(|runtime| async move {
        let spawner = thread::Builder::new().name("spawner".to_owned());
        let spawner = spawner.spawn(move || block_on(runtime.spawn(async {}))).unwrap();
        assert!(spawner.join().unwrap().is_err());
    });
    let failure = failure.unwrap_err();
    assert!(failure.to_string().contains("thread \"spawner\" spawned a task"), "{failure}");
}

#[test]
fn a_wake_after_the_end_does_nothing() {
    let kept = Arc::new(Mutex::new(None::<Waker>));
    let keeper = Arc::clone(&kept);
    let run = Sim::new(0).run(|_| {
        poll_fn(move |cx| {
            *keeper.lock().unwrap() = Some(cx.waker().clone());
            Poll::Ready(())
        })
    });
    run.unwrap();
    let waker = kept.lock().unwrap().take().unwrap();
    waker.wake_by_ref();
    thread::Builder::new().spawn(move || waker.wake()).unwrap().join().unwrap();
}

#[test]
fn a_timer_in_real_time_is_reported() {
    let body = |runtime: Runtime| async move {
        let sleep = async { Clock::default().sleep(Duration::from_millis(1)).await };
        runtime.builder().name("hasty").spawn(sleep).await.unwrap();
    };
    let failure = Sim::new(0).run(body).unwrap_err();
    assert!(matches!(failure.cause(), Cause::RealTime { task } if task == "#1 \"hasty\""), "{failure}");
    assert!(failure.to_string().contains("runtime.clock()"), "{failure}");
    // Each poll is checked on its own, whatever the schedule and the faults.
    let failure = Explore::new().seeds(0..3).faults(Faults::new().spurious_polls()).find(body);
    assert!(matches!(failure.unwrap().cause(), Cause::RealTime { .. }));
}

#[test]
fn a_wake_by_the_thread_of_the_real_clock_is_explained() {
    let failure = Sim::new(0).run(|_| woken_by_thread("weirs-clock", true)).unwrap_err();
    assert!(failure.to_string().contains("runtime.clock()"), "{failure}");
}
