//! Warming up, against the curve drawn with floats.

use std::time::Duration;

use weirs_limiters::{Denied, QuotaError, Rate, WarmUp};
use weirs_runtime::Runtime;
use weirs_testing::{ManualClock, apply, sim_test};

/// Ten a second, warm after four seconds: the threshold is 20 cells, 40 are stored.
fn limiter(time: &ManualClock) -> WarmUp {
    let warm_up = Duration::from_secs(4);
    WarmUp::builder(Rate::per_second(10), warm_up).clock(time.clock().clone()).counted(true).build().unwrap()
}

#[test]
fn prices_follow_the_curve() {
    let time = ManualClock::new();
    let limiter = limiter(&time);
    let mut stored = 40.0_f64;
    let mut total = Duration::ZERO;
    for _ in 0..60 {
        limiter.try_acquire(1).unwrap();
        let Err(Denied::Later { retry_after }) = limiter.try_acquire(1) else { panic!("one at a time") };
        let middle = (stored - 20.0 - 0.5).max(0.0);
        let expected = 0.1 + middle * (0.2 / 20.0);
        assert!((retry_after.as_secs_f64() - expected).abs() < 1e-5, "{stored}: {retry_after:?}");
        stored = (stored - 1.0).max(0.0);
        if stored >= 20.0 {
            total += retry_after;
        }
        time.advance(retry_after);
    }
    // Warm after four seconds, but for the last cell above the threshold.
    assert!((total.as_secs_f64() - 4.0).abs() < 0.11, "{total:?}");
    // A pause of a second: ten cells are stored, and none above the threshold.
    time.advance(Duration::from_secs(1));
    limiter.try_acquire(1).unwrap();
    let wait = limiter.try_acquire(1).unwrap_err().retry_after().unwrap();
    assert_eq!(wait, Duration::from_millis(100));
    assert_eq!(limiter.try_acquire(41).unwrap_err(), Denied::TooLarge { max: 40 });
}

#[apply(sim_test)]
async fn those_who_wait_go_in_order(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let limiter =
        WarmUp::builder(Rate::per_second(10), Duration::from_secs(4)).clock(clock.clone()).build().unwrap();
    let start = clock.now();
    // Several at once are paid for by the next: all that are above the threshold take four seconds.
    limiter.acquire(20).await.unwrap();
    assert_eq!(clock.now(), start);
    let late = limiter.acquire_by(1, start + Duration::from_millis(3_999)).await;
    assert!(matches!(late, Err(Denied::WouldMissDeadline { .. })));
    limiter.acquire(1).await.unwrap();
    assert_eq!(clock.now() - start, Duration::from_secs(4));
    limiter.acquire(1).await.unwrap();
    assert_eq!(clock.now() - start, Duration::from_millis(4_100));
}

#[test]
fn what_makes_no_sense_is_an_error() {
    for rate in [Rate::ZERO, Rate::UNLIMITED] {
        assert_eq!(WarmUp::new(rate, Duration::from_secs(1)).unwrap_err(), QuotaError::NoWarmUp);
    }
    assert_eq!(WarmUp::new(Rate::per_second(1), Duration::ZERO).unwrap_err(), QuotaError::NoWarmUp);
}
