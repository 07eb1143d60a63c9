//! What a stack says of itself: lints, and what happens under each failure.

mod policies;

use std::future::{Future, pending};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use policies::Plain;
use weirs_limiters::{Quota, Rate, RateLimiter, Semaphore};
use weirs_resilience::{
    Abandoned, Breaker, BreakerBuilder, Circuit, Failure, LintKind, Part, Plan, Role, Stack, StackBuilder,
    Timeout,
};
use weirs_runtime::block_on;
use weirs_testing::ManualClock;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A part with facts.
struct Facts<F>(F);

impl<F: Fn(&mut Plan)> Part for Facts<F> {
    fn explain(&self, plan: &mut Plan) {
        (self.0)(plan);
    }
}

fn lints<P: Part>(
    add: impl FnOnce(StackBuilder<weirs_resilience::Root>) -> StackBuilder<P>,
) -> Vec<(LintKind, Vec<usize>)> {
    let stack = add(Stack::builder()).build().unwrap();
    let places =
        |lint: &weirs_resilience::Lint| lint.places().iter().filter_map(|place| place.index()).collect();
    stack.lints().iter().map(|lint| (lint.kind(), places(lint))).collect()
}

#[test]
fn a_good_order_has_no_lint() {
    let found = lints(|stack| {
        stack
            .policy(Plain(Role::Fallback))
            .policy(Plain(Role::Cache))
            .timeout(ms(1_000))
            .policy(Plain(Role::Retry))
            .policy(Facts(|plan: &mut Plan| {
                plan.part(Role::Hedge, "hedge").budgeted(true);
            }))
            .policy(Facts(|plan: &mut Plan| {
                plan.part(Role::RateLimit, "rate limit").gives_back(true);
            }))
            .policy(Plain(Role::Breaker))
            .policy(Plain(Role::Bulkhead))
            .timeout(ms(300))
            .policy(Plain(Role::Chaos))
    });
    assert_eq!(found, []);
}

#[test]
fn a_stack_without_any_limit_of_time_is_told() {
    assert_eq!(lints(|stack| stack), [(LintKind::NoTimeLimit, vec![])]);
    assert_eq!(lints(|stack| stack.policy(Plain(Role::Breaker))), [(LintKind::NoTimeLimit, vec![])]);
    assert_eq!(lints(|stack| stack.deadline()), []);
}

#[test]
fn a_token_that_is_spent_before_a_breaker_refuses_is_told() {
    let limiter = |stack: StackBuilder<_>| stack.policy(Plain(Role::RateLimit));
    let found = lints(|stack| limiter(stack).policy(Plain(Role::Breaker)).timeout(ms(1)));
    assert_eq!(found, [(LintKind::SpentBeforeBreaker, vec![0, 1])]);
    assert_eq!(
        lints(|stack| stack.policy(Plain(Role::Breaker)).policy(Plain(Role::RateLimit)).timeout(ms(1))),
        []
    );
}

/// The limiters of this project give back what was not used: before a breaker they lose nothing.
#[test]
fn a_limit_that_gives_back_may_stand_before_a_breaker() {
    let rate = RateLimiter::new(Quota::new(Rate::per_second(1), 5).unwrap());
    let places = Semaphore::new(5);
    let breaker = Breaker::consecutive(1).open_for(ms(3_600_000)).build().unwrap();
    let stack = Stack::builder().rate_limit(&rate).limit(&places).breaker(&breaker).timeout(ms(1));
    let stack = stack.build_strict().unwrap();
    breaker.try_acquire().unwrap().failure();
    for _ in 0..10 {
        let refused = block_on(stack.call(async |_| Ok::<_, ()>(()))).unwrap_err();
        assert!(refused.is_circuit_open());
    }
    assert_eq!((rate.available(), places.available()), (5, 5));
}

/// A call that hangs is dropped by the limit outside: whether the breaker counts it hangs on its age then.
#[test]
fn a_breaker_that_never_sees_what_hangs_is_told() {
    let breaker = |slow_after| Breaker::consecutive(2).slow_after(slow_after);
    let found = |breaker: BreakerBuilder, limit| {
        let (time, told) = (ManualClock::new(), vec![(LintKind::TimeoutOnlyOutsideBreaker, vec![0, 1])]);
        let breaker = breaker.clock(time.clock()).build().unwrap();
        let stack = Stack::builder().clock(time.clock()).timeout(limit).breaker(&breaker).build().unwrap();
        let is_told = lints(|stack| stack.timeout(limit).breaker(&breaker)) == told;
        for _ in 0..2 {
            let mut call = pin!(stack.call(async |_| pending::<Result<(), ()>>().await));
            let mut poll = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll().is_pending());
            time.advance(limit);
            assert!(poll().is_ready());
        }
        // What the lint says is what happens.
        assert_eq!(is_told, breaker.state() == Circuit::Closed);
        is_told
    };
    assert!(found(breaker(ms(101)), ms(100)));
    assert!(!found(breaker(ms(100)), ms(100)));
    assert!(found(breaker(ms(1)).abandoned(Abandoned::Ignored), ms(100)));
    assert!(!found(breaker(ms(101)).abandoned(Abandoned::Failure), ms(100)));
    let breaker = breaker(ms(1)).build().unwrap();
    assert_eq!(lints(|stack| stack.deadline().breaker(&breaker)).len(), 1);
    assert_eq!(lints(|stack| stack.timeout(ms(9)).breaker(&breaker).timeout(ms(1))), []);
}

#[test]
fn each_odd_order_is_told() {
    let pair = |outer, inner| lints(|stack| stack.policy(Plain(outer)).policy(Plain(inner)).timeout(ms(1)));
    assert_eq!(pair(Role::Retry, Role::Fallback), [(LintKind::FallbackHidesErrors, vec![0, 1])]);
    assert_eq!(pair(Role::Breaker, Role::Fallback), [(LintKind::FallbackHidesErrors, vec![0, 1])]);
    assert_eq!(pair(Role::Retry, Role::Retry), [(LintKind::RetryInRetry, vec![0, 1])]);
    assert_eq!(pair(Role::Breaker, Role::Retry), [(LintKind::BreakerOutsideRetry, vec![0, 1])]);
    assert_eq!(pair(Role::Bulkhead, Role::Retry), [(LintKind::BulkheadOutsideRetry, vec![0, 1])]);
    assert_eq!(pair(Role::Chaos, Role::Breaker), [(LintKind::ChaosOutermost, vec![0])]);
    assert_eq!(pair(Role::Retry, Role::Hedge), [(LintKind::HedgeWithoutBudget, vec![1])]);
    let outside = |inner| lints(|stack| stack.timeout(ms(1)).policy(Plain(inner)));
    assert_eq!(outside(Role::Breaker), [(LintKind::TimeoutOnlyOutsideBreaker, vec![0, 1])]);
    assert_eq!(outside(Role::Retry), [(LintKind::TimeoutOnlyOutsideRetry, vec![0, 1])]);
    let twice = lints(|stack| stack.timeout(ms(5)).timeout(ms(4)).timeout(ms(4)));
    assert_eq!(twice, [(LintKind::TimeoutNeverStrikes, vec![1, 2])]);
    assert_eq!(
        lints(|stack| stack.policy(Plain(Role::Chaos)).policy(Plain(Role::Chaos)).timeout(ms(1))).len(),
        1
    );
}

#[test]
fn a_lint_names_its_remedy_and_can_be_an_error() {
    let stack = || Stack::builder().timeout(ms(1)).policy(Plain(Role::Breaker));
    let lint = stack().build().unwrap().lints().remove(0);
    assert_eq!(
        lint.to_string(),
        "[0, 1] the time is limited outside of the breaker only: a call that hangs is dropped there, and the \
         breaker does not see a failure; add a `timeout` inside of the breaker, or make its `slow_after` no \
         longer than that limit"
    );
    let invalid = stack().build_strict().unwrap_err();
    assert_eq!(invalid.field(), "stack.order");
    assert!(invalid.to_string().contains("breaker"), "{invalid}");
    stack().timeout(ms(1)).build().unwrap();
}

#[test]
fn what_happens_under_each_failure_is_told() {
    let stack = Stack::builder()
        .policy(Plain(Role::Fallback))
        .timeout(ms(1_000))
        .policy(Facts(|plan: &mut Plan| {
            plan.part(Role::Retry, "retry").on(Failure::Errors, "tries again, 3 times");
        }))
        .policy(Plain(Role::Breaker))
        .policy(Plain(Role::Bulkhead))
        .timeout(ms(300))
        .build()
        .unwrap();
    assert_eq!(
        stack.describe().to_string(),
        "\
when the other side is slow
  timeout: ends it after 300ms
  bulkhead: fills up; then refuses what is over its places
  breaker: counts each timeout further in; then refuses at once
  retry: tries again after each timeout further in
  timeout: ends it after 1s
  fallback: gives another answer at each timeout further in
  => the caller gets another answer, after 1s at the latest
when the other side hangs
  timeout: ends it after 300ms
  bulkhead: fills up; then refuses what is over its places
  breaker: counts each timeout further in; then refuses at once
  retry: tries again after each timeout further in
  timeout: ends it after 1s
  fallback: gives another answer at each timeout further in
  => the caller gets another answer, after 1s at the latest
when the other side gives errors
  breaker: counts failures; then refuses at once for a while
  retry: tries again, 3 times
  fallback: gives another answer
  => the caller gets another answer
when the other side refuses
  breaker: counts failures; then refuses at once for a while
  retry: tries again after a pause, or when the other side said
  fallback: gives another answer
  => the caller gets another answer
when the work panics
  breaker: counts it as a failure
  => the caller gets the panic
when the caller goes away
  bulkhead: gets back what the call held
  breaker: gets back what the call held
  retry: makes no further attempt
  => the work is dropped first, then what the policies hold is given back
when the calls double
  bulkhead: refuses what is over its places
  => what is over the limits gets another answer
"
    );
}

#[test]
fn what_a_caller_gets_follows_from_the_parts() {
    let outcome = |plan: Plan, failure| plan.degradation().outcome(failure).to_owned();
    let empty = || Stack::builder().build().unwrap().plan();
    assert_eq!(outcome(empty(), Failure::Hangs), "the caller waits for ever");
    assert_eq!(outcome(empty(), Failure::Slow), "the caller waits as long as it takes");
    assert_eq!(outcome(empty(), Failure::Errors), "the caller gets the error");
    assert_eq!(outcome(empty(), Failure::Doubles), "the other side gets all of it");
    let deadline = Stack::builder().deadline().build().unwrap().plan();
    assert_eq!(outcome(deadline, Failure::Hangs), "the caller gets a timeout by its deadline, if it has one");
    let retried = Stack::builder().policy(Plain(Role::Retry)).timeout(ms(3)).build().unwrap().plan();
    assert_eq!(outcome(retried.clone(), Failure::Hangs), "the caller gets a timeout in the end");
    assert_eq!(outcome(retried, Failure::Errors), "the caller gets the last error");
    let mut plan = Plan::default();
    Timeout::new(ms(3)).explain(&mut plan);
    assert_eq!(outcome(plan, Failure::Slow), "the caller gets a timeout after 3ms at the latest");
}
