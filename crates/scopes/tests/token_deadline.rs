//! Deadlines: exact in the simulator, by themselves, and never later than the parent's.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_runtime::{Clock, Instant, Runtime};
use weirs_scopes::{CancelToken, Reason};
use weirs_testing::{ManualClock, apply, runtime_test, sim_test};

const MS: Duration = Duration::from_millis(1);

#[apply(sim_test)]
async fn it_strikes_at_its_very_time(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let token = CancelToken::with_clock(clock.clone()).child_after(7 * MS);
    assert_eq!(token.deadline(), Some(start + 7 * MS));
    assert_eq!(token.cancelled().await, Reason::Deadline);
    assert_eq!(clock.now() - start, 7 * MS);
    assert_eq!(token.remaining(), Some(Duration::ZERO));
}

#[apply(sim_test)]
async fn nobody_has_to_wait_for_it(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let token = CancelToken::with_clock(clock.clone()).child_after(5 * MS);
    let below = token.child().child();
    let struck = Arc::new(Mutex::new(None));
    let (inside, other) = (Arc::clone(&struck), clock.clone());
    let registration = below.on_cancel(move |why| {
        assert_eq!(*why, Reason::Deadline);
        *inside.lock().unwrap() = Some(other.now());
    });
    clock.sleep(5 * MS - Duration::from_nanos(1)).await;
    assert!(!token.is_cancelled() && !below.is_cancelled());
    assert_eq!(below.remaining(), Some(Duration::from_nanos(1)));
    clock.sleep(MS).await;
    assert!(below.is_cancelled());
    assert_eq!(*struck.lock().unwrap(), Some(start + 5 * MS));
    drop(registration);
}

#[apply(sim_test)]
async fn the_minimum_counts(runtime: Runtime) {
    let clock = runtime.clock();
    let now = clock.now();
    let root = CancelToken::with_clock(clock.clone());
    assert_eq!((root.deadline(), root.remaining()), (None, None));
    let outer = root.child_until(now + 10 * MS);
    let (longer, shorter) = (outer.child_until(now + 20 * MS), outer.child_until(now + 3 * MS));
    let never = outer.child_until(Instant::FAR_FUTURE);
    let beneath = shorter.child().child_after(5 * MS);
    let deadlines =
        [&outer, &longer, &shorter, &never, &beneath].map(|token| token.deadline().unwrap() - now);
    assert_eq!(deadlines, [10, 10, 3, 10, 3].map(|count| count * MS));

    assert_eq!(beneath.cancelled().await, Reason::Deadline);
    assert_eq!(clock.now() - now, 3 * MS);
    assert!(!outer.is_cancelled() && !longer.is_cancelled());
    assert_eq!(longer.cancelled().await, Reason::Deadline);
    assert_eq!(clock.now() - now, 10 * MS);
    assert!(outer.is_cancelled() && never.is_cancelled() && !root.is_cancelled());
}

#[apply(sim_test)]
async fn what_was_cancelled_before_keeps_its_reason(runtime: Runtime) {
    let clock = runtime.clock();
    let token = CancelToken::with_clock(clock.clone()).child_after(5 * MS);
    let child = token.child();
    child.cancel(Reason::Requested);
    clock.sleep(6 * MS).await;
    assert_eq!(child.reason(), Some(Reason::Requested));
    assert_eq!(token.reason(), Some(Reason::Deadline));
}

#[apply(sim_test)]
async fn a_value_at_the_deadline_is_not_lost(runtime: Runtime) {
    let clock = runtime.clock();
    let token = CancelToken::with_clock(clock.clone()).child_after(5 * MS);
    let at = token.deadline().unwrap();
    assert_eq!(token.run(clock.sleep_until(at)).await, Ok(()));
    let error = token.run(pending::<()>()).await.unwrap_err();
    assert_eq!(error.into_reason(), Reason::Deadline);
}

#[apply(sim_test)]
async fn a_detached_token_has_the_clock_and_no_deadline(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let token = CancelToken::with_clock(clock.clone()).child_after(MS);
    let detached = token.detached();
    clock.sleep(2 * MS).await;
    assert!(token.is_cancelled());
    assert_eq!((detached.is_cancelled(), detached.deadline()), (false, None));
    assert_eq!(detached.clock().now(), start + 2 * MS);
    detached.child_after(MS).cancelled().await;
    assert_eq!(clock.now(), start + 3 * MS);
}

#[apply(sim_test)]
async fn a_linked_token_has_the_earliest(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let root = CancelToken::with_clock(clock.clone());
    let linked = CancelToken::linked([&root, &root.child_after(9 * MS), &root.child_after(4 * MS)]);
    assert_eq!(linked.remaining(), Some(4 * MS));
    // The tokens that it was linked to are kept by it alone, and so are their timers.
    assert_eq!(linked.cancelled().await, Reason::Deadline);
    assert_eq!(clock.now() - start, 4 * MS);
}

#[apply(sim_test)]
async fn many_strike_in_their_order(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let root = CancelToken::with_clock(clock.clone());
    let order = Arc::new(Mutex::new(Vec::new()));
    let kept: Vec<_> = (0..500_u32)
        .map(|number| {
            let token = root.child_after(MS * (number * 7919 % 500 + 1));
            let (order, clock) = (Arc::clone(&order), clock.clone());
            token.on_cancel(move |_| order.lock().unwrap().push(clock.now()))
        })
        .collect();
    clock.sleep(MS * 501).await;
    let expected: Vec<_> = (1..=500).map(|count| start + MS * count).collect();
    assert_eq!(*order.lock().unwrap(), expected);
    drop(kept);
}

#[test]
fn a_past_deadline_cancels_at_once() {
    let token = CancelToken::new();
    let now = token.clock().now();
    for late in
        [token.child_until(now), token.child_after(Duration::ZERO), token.child_until(Instant::from_nanos(0))]
    {
        assert_eq!(late.reason(), Some(Reason::Deadline));
        assert_eq!(late.remaining(), Some(Duration::ZERO));
    }
    assert!(!token.is_cancelled());
    token.cancel(Reason::Requested);
    assert_eq!(token.child_until(now).reason(), Some(Reason::Requested));
}

#[test]
fn a_timer_goes_with_its_token() {
    let time = ManualClock::new();
    let root = CancelToken::with_clock(time.clock().clone());
    let (dropped, cancelled, kept) = (root.child_after(MS), root.child_after(MS), root.child_after(MS));
    let weak = dropped.downgrade();
    assert_eq!(time.timers(), 3);
    drop(dropped);
    assert!(weak.upgrade().is_none(), "its timer does not keep it");
    assert_eq!(time.timers(), 2);
    cancelled.cancel(Reason::Requested);
    assert_eq!(time.timers(), 1);
    let unchanged = kept.child_after(2 * MS);
    assert_eq!(time.timers(), 1, "a child that shares a deadline has no timer");
    time.advance(MS);
    assert_eq!(unchanged.reason(), Some(Reason::Deadline));
    assert_eq!(time.timers(), 0);
}

/// The parent of a child, of which nobody has a token, is cancelled by its deadline: it has to leave its own
/// parent then, or the two keep each other for ever. (Found by `token_scripts`.)
#[test]
fn a_middle_without_tokens_that_expires_leaves_nothing() {
    let time = ManualClock::new();
    let root = CancelToken::with_clock(time.clock().clone());
    let leaf = root.child_after(MS).child();
    let weak = root.downgrade();
    time.advance(MS);
    assert_eq!(leaf.reason(), Some(Reason::Deadline));
    drop((leaf, root));
    assert!(weak.upgrade().is_none());
}

#[test]
fn cancelling_the_root_takes_all_timers_out() {
    let time = ManualClock::new();
    let root = CancelToken::with_clock(time.clock().clone());
    let children: Vec<_> = (1..=1_000).map(|count| root.child().child_after(MS * count)).collect();
    assert_eq!(time.timers(), 1_000);
    root.cancel(Reason::Shutdown);
    assert_eq!(time.timers(), 0);
    time.advance(Duration::from_secs(60));
    assert!(children.iter().all(|child| child.reason() == Some(Reason::Shutdown)));
}

#[apply(runtime_test)]
async fn real_time_strikes_too(runtime: Runtime) {
    let token = CancelToken::with_clock(runtime.clock().clone());
    let soon = token.child_after(2 * MS);
    assert_eq!(soon.run(pending::<()>()).await.unwrap_err().into_reason(), Reason::Deadline);
    assert!(!token.is_cancelled());
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "two different clocks")]
fn a_deadline_of_another_clock_is_refused() {
    let token = CancelToken::with_clock(ManualClock::new().clock().clone()).child_after(MS);
    let _child = token.child_until(Clock::default().now());
}
