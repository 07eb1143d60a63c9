//! Random scripts in the simulator: what each joiner makes of the children is compared with a plain function
//! over the list of their ends.

use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use weirs_runtime::{Clock, Runtime};
use weirs_scopes::joiners::{self, Joiner, Outcome};
use weirs_scopes::{Reason, Scope, ScopeError};
use weirs_testing::{apply, sim_test, yields};

/// A child gives its number as a value or as an error.
type Output = Result<u64, u64>;

/// How a child ended, in the order in which they did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Gave(u64),
    Failed(u64),
    /// By its handle.
    Cancelled(u64),
    /// By the scope: a deadline, or what the joiner said.
    Cut,
}

/// What a child is going to do.
#[derive(Clone, Copy)]
struct Child {
    turns: usize,
    nanos: u64,
    fails: bool,
    waits: bool,
    is_cancelled: bool,
}

struct Script {
    children: Vec<Child>,
    deadline: Option<u64>,
    /// Yields of the body between spawns.
    pauses: usize,
}

impl Script {
    fn draw(clock: &Clock) -> Self {
        let deadline = (clock.random_below(3) == 0).then(|| clock.random_below(6));
        let child = |_| Child {
            turns: clock.random_below(4) as usize,
            nanos: clock.random_below(6),
            fails: clock.random_below(3) == 0,
            // Somebody has to end it.
            waits: deadline.is_some() && clock.random_below(8) == 0,
            is_cancelled: clock.random_below(8) == 0,
        };
        let children = (0..clock.random_below(7)).map(child).collect();
        Self { children, deadline, pauses: clock.random_below(2) as usize }
    }
}

/// Writes down the end of a child that is dropped before it ended by itself.
struct Life<'a> {
    log: &'a Mutex<Vec<End>>,
    end: End,
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        self.log.lock().unwrap().push(self.end);
    }
}

/// What a joiner made of a script, and how the children ended.
async fn run<J>(clock: &Clock, script: &Script, joiner: J) -> (Made<J::Out, J::Error>, Vec<End>)
where
    J: Joiner<Output> + Send,
{
    let log = Mutex::new(Vec::new());
    let mut builder = Scope::builder().clock(clock);
    if let Some(nanos) = script.deadline {
        builder = builder.deadline(clock.now() + Duration::from_nanos(nanos));
    }
    let result = builder
        .gather(joiner, async |s| {
            for (child, number) in script.children.iter().zip(1..) {
                let end = if child.is_cancelled { End::Cancelled(number) } else { End::Cut };
                let life = Life { log: &log, end };
                let handle = s.spawn(async move {
                    let mut life = life;
                    yields(child.turns).await;
                    clock.sleep(Duration::from_nanos(child.nanos)).await;
                    if child.waits {
                        pending().await
                    }
                    life.end = if child.fails { End::Failed(number) } else { End::Gave(number) };
                    if child.fails { Err(number) } else { Ok(number) }
                });
                if child.is_cancelled {
                    handle.cancel();
                }
                yields(script.pauses).await;
            }
        })
        .await;
    let made = match result {
        Ok(out) => Made::Out(out),
        Err(ScopeError::Failed(error)) => Made::Error(error),
        Err(ScopeError::Cancelled(Reason::Deadline)) => Made::Late,
        Err(_) => panic!("neither cancelled nor panicked"),
    };
    (made, log.into_inner().unwrap())
}

#[derive(Debug, PartialEq, Eq)]
enum Made<T, E> {
    Out(T),
    Error(E),
    Late,
}

/// The ends that a joiner is told of when it stops at the first for which `enough` holds, and whether it did.
fn told(log: &[End], enough: impl FnMut(&End) -> bool) -> (Vec<End>, bool) {
    match log.iter().position(enough) {
        Some(last) => {
            let after = log[last + 1..].iter().find(|end| matches!(end, End::Gave(_) | End::Failed(_)));
            assert_eq!(after, None, "ended by itself after the stop: {log:?}");
            (log[..=last].to_vec(), true)
        }
        None => (log.to_vec(), false),
    }
}

fn values(told: &[End]) -> Vec<u64> {
    told.iter().filter_map(|end| if let End::Gave(number) = end { Some(*number) } else { None }).collect()
}

fn errors(told: &[End]) -> Vec<u64> {
    told.iter().filter_map(|end| if let End::Failed(number) = end { Some(*number) } else { None }).collect()
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

/// What is to be expected of a joiner that did not stop: a deadline beats what it would make.
fn unless_late<T, E>(late: bool, otherwise: Result<T, E>) -> Made<T, E> {
    match otherwise {
        _ if late => Made::Late,
        Ok(out) => Made::Out(out),
        Err(error) => Made::Error(error),
    }
}

/// Whether the deadline cut something: a child, or the body before it had spawned all.
fn is_late(script: &Script, log: &[End], made_late: bool) -> bool {
    log.contains(&End::Cut) || (made_late && script.deadline.is_some())
}

#[apply(sim_test)]
async fn every_joiner_makes_of_the_ends_what_the_model_does(runtime: Runtime) {
    let clock = runtime.clock();
    for _ in 0..4 {
        let script = Script::draw(clock);

        let (made, log) = run(clock, &script, joiners::all()).await;
        let (seen, stopped) = told(&log, |end| matches!(end, End::Failed(_)));
        let late = is_late(&script, &log, made == Made::Late);
        let expected = match stopped {
            true => Made::Error(errors(&seen)[0]),
            false => unless_late(late, Ok(sorted(values(&seen)))),
        };
        assert_eq!(made, expected, "all: {log:?}");

        let (made, log) = run(clock, &script, joiners::all_settled()).await;
        let late = is_late(&script, &log, made == Made::Late);
        let mut seen: Vec<_> = log.iter().filter_map(outcome).collect();
        seen.sort_unstable_by_key(|entry| entry.0);
        let outcomes = seen.into_iter().map(|entry| entry.1).collect();
        assert_eq!(made, unless_late(late, Ok(outcomes)), "all_settled: {log:?}");

        let (made, log) = run(clock, &script, joiners::outputs()).await;
        let late = is_late(&script, &log, made == Made::Late);
        let mut seen: Vec<_> = log.iter().filter_map(outcome).collect();
        seen.sort_unstable_by_key(|entry| entry.0);
        let outputs = seen.into_iter().filter_map(|entry| entry.1.output()).collect();
        assert_eq!(made, unless_late(late, Ok(outputs)), "outputs: {log:?}");

        let (made, log) = run(clock, &script, joiners::any_ok()).await;
        let (seen, stopped) = told(&log, |end| matches!(end, End::Gave(_)));
        let late = is_late(&script, &log, made == Made::Late);
        match (stopped, made) {
            (true, Made::Out(value)) => assert_eq!(vec![value], values(&seen), "any_ok: {log:?}"),
            (false, Made::Error(all)) => {
                assert!(!late);
                assert_eq!(all.into_vec(), errors(&seen), "any_ok: {log:?}");
            }
            (false, Made::Late) => assert!(late),
            (_, made) => panic!("any_ok: {made:?} of {log:?}"),
        }

        let (made, log) = run(clock, &script, joiners::race()).await;
        let (seen, stopped) = told(&log, |end| matches!(end, End::Gave(_) | End::Failed(_)));
        let late = is_late(&script, &log, made == Made::Late);
        match (stopped, seen.last()) {
            (true, Some(End::Gave(number))) => assert_eq!(made, Made::Out(Ok(*number))),
            (true, Some(End::Failed(number))) => assert_eq!(made, Made::Out(Err(*number))),
            _ => assert!(made == if late { Made::Late } else { Made::Error(joiners::NoOutput::default()) }),
        }

        let n = 1 + clock.random_below(3) as usize;
        let wanted = NonZeroUsize::new(n).unwrap();
        let (made, log) = run(clock, &script, joiners::first_n(wanted)).await;
        let mut count = 0;
        let (seen, stopped) = told(&log, |end| {
            count += usize::from(matches!(end, End::Gave(_)));
            count == n
        });
        few_or_enough(&script, made, &log, &seen, stopped.then_some(true));

        let of = n + clock.random_below(3) as usize;
        let (made, log) = run(clock, &script, joiners::quorum(wanted, of).unwrap()).await;
        let (mut good, mut bad) = (0, 0);
        let (seen, stopped) = told(&log, |end| {
            match end {
                End::Gave(_) => good += 1,
                End::Failed(_) | End::Cancelled(_) => bad += 1,
                End::Cut => return false,
            }
            good == n || bad > of - n
        });
        few_or_enough(&script, made, &log, &seen, stopped.then_some(good == n));

        let (made, log) = run(clock, &script, joiners::discard()).await;
        let (seen, stopped) = told(&log, |end| matches!(end, End::Failed(_)));
        let late = is_late(&script, &log, made == Made::Late);
        let expected = if stopped { Made::Error(errors(&seen)[0]) } else { unless_late(late, Ok(())) };
        assert_eq!(made, expected, "discard: {log:?}");

        let (made, log) = run(clock, &script, joiners::until_deadline(joiners::outputs())).await;
        let Made::Out(partial) = made else { panic!("{log:?}") };
        let outputs =
            partial.result.unwrap().into_iter().map(|output| output.unwrap_or_else(|number| number));
        let by_themselves = sorted([values(&log), errors(&log)].concat());
        assert_eq!(outputs.collect::<Vec<_>>(), by_themselves, "until_deadline: {log:?}");
        assert!(!(partial.complete && log.contains(&End::Cut)));
    }
}

/// `enough` is none when the joiner was not to stop, and else whether it had what it wanted.
fn few_or_enough(
    script: &Script,
    made: Made<Vec<u64>, joiners::TooFew<u64, u64>>,
    log: &[End],
    seen: &[End],
    enough: Option<bool>,
) {
    let late = is_late(script, log, made == Made::Late);
    match (enough, made) {
        (Some(true), Made::Out(out)) => assert_eq!(out, values(seen), "{log:?}"),
        (None, Made::Late) => assert!(late),
        (None | Some(false), Made::Error(few)) => {
            assert!(enough.is_some() || !late);
            assert_eq!(few.into_parts(), (values(seen), errors(seen)), "{log:?}");
        }
        (_, made) => panic!("{made:?} of {log:?}"),
    }
}

fn outcome(end: &End) -> Option<(u64, Outcome<Output>)> {
    match end {
        End::Gave(number) => Some((*number, Outcome::Output(Ok(*number)))),
        End::Failed(number) => Some((*number, Outcome::Output(Err(*number)))),
        End::Cancelled(number) => Some((*number, Outcome::Cancelled(Reason::Requested))),
        End::Cut => None,
    }
}
