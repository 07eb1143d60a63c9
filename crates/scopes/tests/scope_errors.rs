//! All errors of a scope, instead of the first.

use std::error::Error;
use std::num::NonZeroUsize;
use std::time::Duration;

use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{ChildId, Ended, Reason, Scope, ScopeError};
use weirs_testing::{apply, runtime_test, sim_test, yields};

fn most(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

#[apply(runtime_test)]
async fn keeps_all_in_the_order_in_which_they_came(_: Runtime) {
    let collects = Scope::builder().collect_errors(most(3)).keep_going();
    let result = collects.try_run(async |s| {
        for number in [4_usize, 1, 3, 2] {
            s.spawn(async move {
                yields(10 * number).await;
                Err::<(), _>(number)
            });
        }
        let good = s.spawn(async { Ok("kept going") });
        assert_eq!(good.await, Ok("kept going"));
        let failed = s.spawn(async { Err::<(), _>(0) });
        assert_eq!(failed.await, Err(Ended::Failed));
        Ok(())
    });
    let Err(ScopeError::Failed(errors)) = result.await else { panic!("they failed") };
    assert_eq!((errors.len(), errors.dropped(), errors.first()), (3, 2, &0));
    assert_eq!(errors.cancelled(), None);
    assert_eq!(errors.to_string(), "5 errors: #6: 0; #2: 1; #4: 2; and 2 more");
    let numbers: Vec<_> =
        errors.into_vec().into_iter().map(|(child, error)| (child.number(), error)).collect();
    assert_eq!(numbers, [(6, 0), (2, 1), (4, 2)]);
}

#[apply(runtime_test)]
async fn the_first_stops_the_scope_if_nothing_else_is_said(_: Runtime) {
    let result = Scope::builder().collect_errors(most(8)).try_run(async |s| {
        s.spawn(async { Err::<(), _>("first") });
        s.spawn(async {
            yields(2).await;
            Err::<(), _>("dropped before")
        });
        std::future::pending::<Result<(), _>>().await
    });
    let Err(ScopeError::Failed(errors)) = result.await else { panic!("it failed") };
    assert_eq!(errors.to_string(), "one error: #1: first");
}

#[apply(sim_test)]
async fn errors_in_the_time_of_grace_are_kept(runtime: Runtime) {
    let clock = runtime.clock();
    let builder = Scope::builder().clock(clock).grace(Duration::from_millis(5));
    let result = builder.collect_errors(most(8)).try_run(async |s| {
        let token = s.token().clone();
        s.spawn(async move {
            token.cancelled().await;
            clock.sleep(Duration::from_millis(1)).await;
            Err::<(), _>("second")
        });
        s.spawn(std::future::pending::<Result<(), _>>());
        Err::<(), _>("body")
    });
    let Err(ScopeError::Failed(errors)) = result.await else { panic!("it failed") };
    assert_eq!(errors.iter().next(), Some((ChildId::BODY, &"body")));
    assert_eq!(errors.to_string(), "2 errors: body: body; #1: second");
}

#[apply(sim_test)]
async fn a_deadline_does_not_hide_errors(runtime: Runtime) {
    let clock = runtime.clock();
    let builder = Scope::builder().clock(clock).deadline(clock.now() + Duration::from_millis(5));
    let collects = builder.collect_errors(most(8)).keep_going();
    let result = collects.clone().try_run(async |s| {
        s.spawn(async { Err::<(), _>("early") });
        s.spawn(std::future::pending::<Result<(), _>>());
        Ok(())
    });
    let Err(ScopeError::Failed(errors)) = result.await else { panic!("it failed") };
    assert_eq!((*errors.first(), errors.cancelled()), ("early", Some(&Reason::Deadline)));
    let result = collects.try_run(async |s| {
        s.spawn(std::future::pending::<Result<(), &str>>());
        Ok(())
    });
    assert!(result.await.unwrap_err().is_deadline());
}

#[apply(runtime_test)]
async fn no_error_is_the_value(_: Runtime) {
    let result = Scope::builder().collect_errors(most(1)).try_run(async |s| {
        s.spawn(async { Ok::<_, std::fmt::Error>(()) });
        Ok(7)
    });
    assert_eq!(result.await.unwrap(), 7);
}

#[test]
fn errors_are_an_error_with_the_first_as_its_source() {
    let result = block_on(Scope::builder().collect_errors(most(9)).keep_going().try_run_local(async |s| {
        let shared = std::rc::Rc::new(());
        s.spawn(async move {
            drop(shared);
            "x".parse::<u8>()
        });
        "".parse::<i8>()
    }));
    let Err(ScopeError::Failed(errors)) = result else { panic!("they failed") };
    assert_eq!(errors.len(), 2);
    let source = errors.source().unwrap().to_string();
    assert_eq!(source, errors.first().to_string());
}
