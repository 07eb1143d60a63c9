//! Each joiner with each way in which children end, on every runtime.

use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use weirs_runtime::Runtime;
use weirs_scopes::joiners::{self, Gather, Joiner, Outcome};
use weirs_scopes::{CancelToken, Ended, PanicPolicy, Reason, Scope, ScopeError};
use weirs_testing::{apply, runtime_test, sim_test, yields};

type Output = Result<u32, &'static str>;

/// Ends in this turn or so.
async fn after<T>(turns: usize, output: T) -> T {
    yields(turns).await;
    output
}

/// What one child of a test does.
#[derive(Clone, Copy)]
enum Does {
    Gives(usize, u32),
    Fails(usize, &'static str),
    /// Until its handle cancels it.
    IsCancelled,
    Waits,
}

use Does::{Fails, Gives, IsCancelled, Waits};

/// Runs a scope with these children.
async fn gather<J>(joiner: J, children: &[Does]) -> Result<J::Out, ScopeError<J::Error>>
where
    J: Joiner<Output> + Send,
{
    Scope::builder().gather(joiner, async |s| spawn_all(&s, children)).await
}

fn spawn_all<'env, J>(s: &Scope<'env, Gather<J, Output>>, children: &'env [Does])
where
    J: Joiner<Output> + Send + 'env,
{
    for child in children {
        match *child {
            Gives(turns, value) => drop(s.spawn(after(turns, Ok(value)))),
            Fails(turns, error) => drop(s.spawn(after(turns, Err(error)))),
            IsCancelled => s.spawn(pending()).cancel(),
            Waits => drop(s.spawn(pending())),
        }
    }
}

fn number(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn error<T, E>(result: Result<T, ScopeError<E>>) -> E {
    match result {
        Err(ScopeError::Failed(error)) => error,
        Err(_) => panic!("another error than the joiner's"),
        Ok(_) => panic!("no error"),
    }
}

#[apply(runtime_test)]
async fn all_gives_the_values_in_the_order_of_spawning(_: Runtime) {
    let values = gather(joiners::all(), &[Gives(3, 1), Gives(0, 2), Gives(2, 3)]).await;
    assert_eq!(values.unwrap(), [1, 2, 3]);
}

#[apply(runtime_test)]
async fn all_of_nothing_is_nothing(_: Runtime) {
    assert_eq!(gather(joiners::all(), &[]).await.unwrap(), []);
}

#[apply(runtime_test)]
async fn all_stops_at_the_first_error(_: Runtime) {
    let result = gather(joiners::all(), &[Gives(0, 1), Waits, Fails(3, "late"), Fails(1, "early")]).await;
    assert_eq!(error(result), "early");
}

#[apply(runtime_test)]
async fn all_leaves_out_who_was_cancelled(_: Runtime) {
    let values = gather(joiners::all(), &[Gives(2, 1), IsCancelled, Gives(1, 3)]).await;
    assert_eq!(values.unwrap(), [1, 3]);
}

#[apply(runtime_test)]
async fn all_settled_gives_every_outcome_in_the_order_of_spawning(_: Runtime) {
    let outcomes = gather(joiners::all_settled(), &[Gives(3, 1), Fails(0, "no"), IsCancelled]).await;
    let expected =
        [Outcome::Output(Ok(1)), Outcome::Output(Err("no")), Outcome::Cancelled(Reason::Requested)];
    assert_eq!(outcomes.unwrap(), expected);
    assert_eq!(gather(joiners::all_settled(), &[]).await.unwrap(), []);
}

#[apply(runtime_test)]
async fn outputs_take_any_type(_: Runtime) {
    let texts = Scope::builder()
        .gather(joiners::outputs(), async |s| {
            s.spawn(after(2, "a".to_owned()));
            s.spawn(pending()).cancel();
            s.spawn(after(0, "b".to_owned()));
        })
        .await;
    assert_eq!(texts.unwrap(), ["a", "b"]);
}

#[apply(runtime_test)]
async fn any_ok_gives_the_first_success_and_cancels_the_rest(_: Runtime) {
    let children = [Fails(0, "first"), Gives(4, 4), Waits, Gives(2, 2), IsCancelled];
    assert_eq!(gather(joiners::any_ok(), &children).await.unwrap(), 2);
}

#[apply(runtime_test)]
async fn any_ok_gives_all_errors_in_the_order_in_which_they_came(_: Runtime) {
    let errors = error(gather(joiners::any_ok(), &[Fails(3, "b"), IsCancelled, Fails(0, "a")]).await);
    assert_eq!(errors.to_string(), "a; b");
    assert_eq!(errors.into_vec(), ["a", "b"]);
    let one = error(gather(joiners::any_ok(), &[Fails(0, "alone")]).await);
    assert_eq!(one.as_slice(), ["alone"]);
    let none = error(gather(joiners::any_ok(), &[]).await);
    assert_eq!(none.as_slice(), [""; 0]);
}

#[apply(runtime_test)]
async fn race_gives_the_first_output_good_or_bad(_: Runtime) {
    let children = [Waits, IsCancelled, Gives(4, 1), Fails(2, "first")];
    assert_eq!(gather(joiners::race(), &children).await.unwrap(), Err("first"));
    let children = [Fails(4, "late"), Gives(2, 1), Waits];
    assert_eq!(gather(joiners::race(), &children).await.unwrap(), Ok(1));
}

#[apply(runtime_test)]
async fn race_of_nobody_has_no_output(_: Runtime) {
    assert_eq!(error(gather(joiners::race(), &[]).await).to_string(), "no child had an output");
    error(gather(joiners::race(), &[IsCancelled, IsCancelled]).await);
}

#[apply(runtime_test)]
async fn first_n_gives_so_many_in_the_order_in_which_they_came(_: Runtime) {
    let children = [Gives(6, 6), Waits, Gives(4, 4), Fails(0, "no"), Gives(2, 2)];
    assert_eq!(gather(joiners::first_n(number(2)), &children).await.unwrap(), [2, 4]);
}

#[apply(runtime_test)]
async fn first_n_that_cannot_be_had_gives_what_there_was(_: Runtime) {
    let children = [Gives(1, 1), Fails(0, "no"), IsCancelled];
    let few = error(gather(joiners::first_n(number(2)), &children).await);
    assert_eq!((few.wanted(), few.values(), few.errors()), (number(2), &[1][..], &["no"][..]));
    assert_eq!(few.to_string(), "1 of 2 wanted children succeeded; the first error: no");
    assert_eq!(few.into_parts(), (vec![1], vec!["no"]));
    let huge = error(gather(joiners::first_n(NonZeroUsize::MAX), &[Gives(0, 1)]).await);
    assert_eq!(huge.into_parts(), (vec![1], vec![]));
}

#[apply(runtime_test)]
async fn first_n_of_a_closed_scope_fails_as_soon_as_it_is_out_of_reach(_: Runtime) {
    let (both, neither) = ((vec![1], vec!["no"]), (vec![], vec![]));
    for (wanted, close_after, expected) in [(3, 0, &both), (3, 5, &both), (4, 0, &neither), (4, 5, &both)] {
        let result = Scope::builder()
            .gather(joiners::first_n(number(wanted)), async |s| {
                spawn_all(&s, &[Gives(0, 1), Waits, Fails(2, "no")]);
                yields(close_after).await;
                s.close();
                pending().await
            })
            .await;
        assert_eq!(error(result).into_parts(), *expected, "{wanted}, closed after {close_after}");
    }
}

#[apply(runtime_test)]
async fn quorum_needs_so_many_successes(_: Runtime) {
    let two_of_three = || joiners::quorum(number(2), 3).unwrap();
    let children = [Gives(2, 1), Fails(1, "no"), Gives(0, 3)];
    assert_eq!(gather(two_of_three(), &children).await.unwrap(), [3, 1]);
    let all = joiners::quorum(number(2), 2).unwrap();
    assert_eq!(gather(all, &[Gives(1, 1), Gives(0, 2)]).await.unwrap(), [2, 1]);
    let fewer_than_announced = error(gather(two_of_three(), &[Gives(0, 1)]).await);
    assert_eq!(fewer_than_announced.values(), [1]);
}

#[apply(runtime_test)]
async fn quorum_fails_as_soon_as_too_many_failed(_: Runtime) {
    let quorum = joiners::quorum(number(2), 3).unwrap();
    let few = error(gather(quorum, &[Waits, Fails(1, "no"), IsCancelled]).await);
    assert_eq!(few.into_parts(), (vec![], vec!["no"]));
}

#[test]
fn an_impossible_quorum_is_an_error_at_once() {
    let error = joiners::quorum::<(), ()>(number(3), 2).unwrap_err();
    assert_eq!(error.to_string(), "of 2 children, 3 can never succeed");
    assert!(joiners::quorum::<(), ()>(number(1), 0).is_err());
    assert!(joiners::quorum::<(), ()>(NonZeroUsize::MAX, usize::MAX).is_ok());
}

#[apply(runtime_test)]
async fn until_gives_outcomes_up_to_the_one_that_is_enough(_: Runtime) {
    let failed = |_, outcome: &Outcome<Output>| outcome.is_err();
    let children = [Gives(4, 4), Waits, Gives(0, 0), Fails(2, "no")];
    let outcomes = gather(joiners::until(failed), &children).await.unwrap();
    let told: Vec<_> = outcomes.into_iter().map(|(id, outcome)| (id.number(), outcome.output())).collect();
    assert_eq!(told, [(3, Some(Ok(0))), (4, Some(Err("no")))]);
}

#[apply(runtime_test)]
async fn until_gives_all_when_it_never_holds(_: Runtime) {
    let never = |_, _: &Outcome<Output>| false;
    let outcomes = gather(joiners::until(never), &[Gives(1, 1), Fails(0, "no")]).await.unwrap();
    assert_eq!(outcomes.len(), 2);
    assert_eq!(gather(joiners::until(never), &[]).await.unwrap(), []);
}

#[apply(runtime_test)]
async fn discard_stops_at_the_first_error(_: Runtime) {
    gather(joiners::discard(), &[Gives(1, 1), IsCancelled]).await.unwrap();
    let result = gather(joiners::discard(), &[Gives(0, 1), Waits, Fails(1, "no")]).await;
    assert_eq!(error(result), "no");
}

#[apply(runtime_test)]
async fn discard_all_never_stops(_: Runtime) {
    let ended = AtomicUsize::new(0);
    Scope::builder()
        .gather(joiners::discard_all(), async |s| {
            for turns in 0..4 {
                let ended = &ended;
                s.spawn(async move {
                    yields(turns).await;
                    ended.fetch_add(1, Ordering::Relaxed);
                    Err::<(), _>("nobody hears of it")
                });
            }
        })
        .await
        .unwrap();
    assert_eq!(ended.into_inner(), 4);
}

/// Runs this body with every joiner of the crate, and maps each result to the same type.
macro_rules! with_every_joiner {
    ($builder:expr, $body:expr, $check:expr) => {
        with_every_joiner!(@ $builder, $body, $check,
            joiners::all(),
            joiners::all_settled(),
            joiners::outputs(),
            joiners::any_ok(),
            joiners::race(),
            joiners::first_n(number(2)),
            joiners::quorum(number(1), 3).unwrap(),
            joiners::until(|_, _: &Outcome<Output>| false),
            joiners::discard(),
            joiners::discard_all(),
            joiners::until_deadline(joiners::all()),
        )
    };
    (@ $builder:expr, $body:expr, $check:expr, $($joiner:expr,)*) => {$(
        let result = $builder.gather($joiner, $body).await;
        $check(stringify!($joiner), result.map(drop).map_err(|error| match error {
            ScopeError::Cancelled(why) => why.to_string(),
            ScopeError::Panicked(payload) => payload.message().to_string(),
            _ => "the joiner's own".to_owned(),
        }));
    )*};
}

#[apply(runtime_test)]
async fn a_cancelled_scope_gives_the_reason_whatever_the_joiner(_: Runtime) {
    with_every_joiner!(
        Scope::builder(),
        async |s| {
            spawn_all(&s, &[Waits, IsCancelled]);
            yields(1).await;
            s.cancel("from within");
            pending().await
        },
        |name, result| {
            assert_eq!(result, Err("from within".to_owned()), "{name}");
        }
    );
    let token = CancelToken::new();
    token.cancel("from above");
    with_every_joiner!(
        Scope::builder().under(&token),
        async |s| spawn_all(&s, never_asked()),
        |name, result| {
            assert_eq!(result, Err("from above".to_owned()), "{name}");
        }
    );
}

fn never_asked() -> &'static [Does] {
    unreachable!("the body of a cancelled scope does not begin")
}

#[apply(runtime_test)]
async fn a_panic_is_a_panic_whatever_the_joiner(_: Runtime) {
    let builder = || Scope::builder().panics(PanicPolicy::AsError);
    with_every_joiner!(
        builder(),
        async |s| {
            spawn_all(&s, &[Waits, IsCancelled]);
            s.spawn(async { panic!("in a child") });
        },
        |name, result| {
            assert_eq!(result, Err("in a child".to_owned()), "{name}");
        }
    );
    with_every_joiner!(
        builder(),
        async |s| {
            spawn_all(&s, &[Waits]);
            panic!("in the body")
        },
        |name, result| {
            assert_eq!(result, Err("in the body".to_owned()), "{name}");
        }
    );
}

#[apply(sim_test)]
async fn a_deadline_is_told_apart_whatever_the_joiner(runtime: Runtime) {
    let builder = || {
        let clock = runtime.clock();
        Scope::builder().clock(clock).deadline(clock.now() + Duration::from_secs(1))
    };
    with_every_joiner!(builder(), async |s| spawn_all(&s, &[Waits, IsCancelled]), |name: &str, result| {
        let expected = match name.contains("until_deadline") {
            true => Ok(()),
            false => Err("the deadline has passed".to_owned()),
        };
        assert_eq!(result, expected, "{name}");
    });
}

#[apply(runtime_test)]
async fn a_handle_tells_that_its_child_has_ended(_: Runtime) {
    Scope::builder()
        .gather(joiners::all_settled(), async |s| {
            assert_eq!(s.spawn(after(1, Ok(1))).await, Ok(()));
            assert_eq!(s.spawn(after(1, Err("no"))).await, Ok(()));
            let waits = s.spawn(pending::<Output>());
            waits.cancel();
            assert_eq!(waits.await, Err(Ended::Cancelled));
        })
        .await
        .unwrap();
}
