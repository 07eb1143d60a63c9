//! Clocks other than the real one: hosted on a foreign sleep, and late.

use std::time::Duration;

use weirs_conformance::poll;
use weirs_runtime::{Clock, Runtime, Smol, block_on};
use weirs_testing::{LateClock, ManualClock, apply, conformance, runtime_test, sim_test, yields};

const MS: Duration = Duration::from_millis(1);

/// A clock that stands on another one's sleep, and what drives it.
fn hosted(on: &Clock) -> (Clock, impl Future<Output = ()> + Send + use<>) {
    let start = on.now();
    let (time, sleep) = (on.clone(), on.clone());
    Clock::hosted(move || time.now() - start, move |duration| sleep.sleep(duration))
}

#[test]
fn a_hosted_clock_passes_the_kit() {
    let runtime = Runtime::from(Smol::global());
    let (clock, drive) = hosted(runtime.clock());
    let drive = runtime.spawn(drive);
    let report = conformance::run(&runtime.with_clock(clock.clone()), smol::block_on);
    assert!(report.is_success(), "{report}");
    drop(clock);
    block_on(drive).expect("the drive ends with the last clock");
}

#[test]
fn a_late_clock_passes_the_kit() {
    let runtime = Runtime::from(Smol::global());
    let late = LateClock::up_to(runtime.clock(), 2 * MS, 17);
    let report = conformance::run(&runtime.with_clock(late), smol::block_on);
    assert!(report.is_success(), "{report}");
}

#[apply(runtime_test)]
async fn the_drive_ends_with_the_last_clock(runtime: Runtime) {
    let (clock, drive) = hosted(runtime.clock());
    let drive = runtime.spawn(drive);
    let other = clock.clone();
    other.sleep(MS).await;
    drop(clock);
    yields(3).await;
    assert!(!drive.is_finished());
    // A sleep that is being waited for is a clock as well.
    let sleep = other.sleep(MS);
    drop(other);
    sleep.await;
    drive.await.unwrap();
}

#[apply(runtime_test)]
async fn without_its_drive_a_clock_still_tells_the_time(runtime: Runtime) {
    let (clock, drive) = hosted(runtime.clock());
    let mut sleep = clock.sleep(Duration::from_secs(3600));
    assert!(poll(&mut sleep).is_pending());
    drop(drive);
    let before = clock.now();
    runtime.clock().sleep(MS).await;
    assert!(clock.now() > before);
    assert!(poll(&mut clock.sleep(Duration::ZERO)).is_ready());
    let mut later = clock.sleep(Duration::from_secs(3600));
    assert!(poll(&mut later).is_pending());
}

#[apply(sim_test)]
async fn a_hosted_clock_is_as_exact_as_its_host(runtime: Runtime) {
    let (clock, drive) = hosted(runtime.clock());
    let drive = runtime.spawn(drive);
    let start = clock.now();
    let lengths: [u32; 5] = [30, 10, 20, 10, 40];
    let tasks: Vec<_> = lengths
        .iter()
        .map(|&length| {
            let clock = clock.clone();
            runtime.spawn(async move {
                clock.sleep(length * MS).await;
                clock.now()
            })
        })
        .collect();
    for (task, length) in tasks.into_iter().zip(lengths) {
        let late = task.await.unwrap() - start;
        let late = late.checked_sub(length * MS).expect("no sleep ends too early");
        assert!(late < MS, "{length} ms: {late:?} late");
    }
    drop(clock);
    drive.await.unwrap();
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "two different clocks")]
fn instants_of_two_clocks_do_not_compare() {
    let _ = Clock::default().now() < ManualClock::new().clock().now();
}
