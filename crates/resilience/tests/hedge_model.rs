//! Random scripts for a hedge in the simulator, against a model in plain words.

use std::cell::Cell;
use std::time::Duration;

use weirs_resilience::{Bulkhead, ByDefault, Class, Classify, Error, Hedge, Stack};
use weirs_runtime::Runtime;
use weirs_testing::{apply, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fail {
    /// Another time it may go well.
    Bad(u16),
    /// It never will.
    Gone(u16),
    Busy(u16),
    Later(u16, Duration),
}

fn judge(result: &Result<u16, Error<Fail>>) -> Class {
    match result {
        Err(Error::Inner(Fail::Gone(_))) => Class::Permanent,
        Err(Error::Inner(Fail::Busy(_))) => Class::Throttled,
        Err(Error::Inner(Fail::Later(_, pause))) => Class::After(*pause),
        other => ByDefault.classify(other),
    }
}

/// What one attempt does.
#[derive(Clone, Copy, Debug)]
struct Script {
    takes: Duration,
    result: Result<(), fn(u16) -> Fail>,
}

/// In plain words what comes of a call, and when: by a list of those that run.
fn model(scripts: &[Script], max: u16, delay: Duration) -> (Result<u16, Fail>, Duration, u16) {
    let mut now = Duration::ZERO;
    let mut runs = vec![(0_u16, scripts[0].takes)];
    let mut next = Some(delay);
    let (mut begun, mut first_error) = (0, None);
    loop {
        // Who has ended is looked at from the oldest on.
        let mut at_once = false;
        let mut over = None;
        runs.retain(|&(number, ends)| {
            if over.is_some() || ends > now {
                return true;
            }
            match scripts[usize::from(number)].result {
                Ok(()) => over = Some(Ok(number)),
                Err(fail) => match fail(number) {
                    fail @ Fail::Gone(_) => over = Some(Err(fail)),
                    fail => {
                        at_once |= matches!(fail, Fail::Bad(_));
                        if let (Fail::Later(_, pause), true) = (fail, next.is_some()) {
                            next = Some(now + pause);
                        }
                        if number == 0 {
                            first_error = Some(fail);
                        }
                    }
                },
            }
            false
        });
        if let Some(result) = over {
            return (result, now, begun + 1);
        }
        if begun < max && (at_once || next == Some(now)) {
            begun += 1;
            runs.push((begun, now + scripts[usize::from(begun)].takes));
            next = (begun < max).then_some(now + delay);
            continue;
        }
        match runs.iter().map(|(_, ends)| *ends).chain(next).min() {
            Some(then) => now = then,
            None => return (Err(first_error.unwrap()), now, begun + 1),
        }
    }
}

/// Random scripts, at any position of a stack, against the model; to the nanosecond.
#[apply(sim_test)]
async fn it_does_as_the_model_says(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let below = |bound: u64| clock.random_below(bound);
    for _ in 0..20 {
        let (max, delay) = (1 + below(4) as u16, ms(below(6)));
        let scripts: Vec<_> = (0..=max)
            .map(|_| Script {
                takes: ms(below(12)),
                result: match below(8) {
                    0 | 1 => Ok(()),
                    2 => Err(Fail::Gone),
                    3 => Err(Fail::Busy),
                    4 => Err(|number| Fail::Later(number, ms(3))),
                    _ => Err(Fail::Bad),
                },
            })
            .collect();
        let places = Bulkhead::new(u64::from(max) + 1);
        let hedge = Hedge::after(delay).max(max).judging(judge);
        let stack = Stack::builder()
            .clock(&clock)
            .timeout(ms(60_000))
            .hedge(hedge)
            .timeout(ms(50_000))
            .bulkhead(&places)
            .build()
            .unwrap();
        let (start, begun) = (clock.now(), Cell::new(0));
        let result = stack
            .call(async |at| {
                begun.set(begun.get() + 1);
                let script = scripts[usize::from(at.hedge())];
                if !script.takes.is_zero() {
                    clock.sleep(script.takes).await;
                }
                script.result.map(|()| at.hedge()).map_err(|fail| fail(at.hedge()))
            })
            .await;
        let (expected, after, attempts) = model(&scripts, max, delay);
        let told = (result, clock.now() - start, begun.get());
        assert_eq!(told, (expected.map_err(Error::Inner), after, attempts), "{max} {delay:?} {scripts:?}");
        assert_eq!(places.stats().taken, 0);
    }
}
