//! The promises of policies from hooks.

use std::sync::Mutex;
use std::time::Duration;

use futures_lite::future::yield_now;
use weirs_resilience::{Attempt, Ended, Error, Reason, Rejection, Stack, from_hooks};
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, runtime_test};

type Result<T> = std::result::Result<T, &'static str>;

#[derive(Debug, Default)]
struct Log(Mutex<Vec<&'static str>>);

impl Log {
    fn before(&self, _: &Attempt) -> std::result::Result<u8, Rejection> {
        self.0.lock().unwrap().push("before");
        Ok(7)
    }

    fn after(&self, state: u8, ended: Ended<'_, u32, &'static str>) {
        assert_eq!(state, 7);
        self.0.lock().unwrap().push(match ended {
            Ended::Done(Ok(_)) => "ok",
            Ended::Done(Err(_)) => "error",
            Ended::Abandoned => "abandoned",
            Ended::Panicked => "panicked",
        });
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[apply(runtime_test)]
async fn every_beginning_has_one_end(runtime: Runtime) {
    let log: &'static Log = Box::leak(Box::default());
    let hooks =
        from_hooks(|at: &Attempt| log.before(at), |state, ended| log.after(state, ended)).named("log");
    let stack = Stack::builder().clock(runtime.clock()).policy(hooks).build().unwrap();
    assert_eq!(stack.plan().parts()[0].name(), "log");
    assert_eq!(stack.call(async |_| Ok(1)).await, Ok(1));
    assert_eq!(log.take(), ["before", "ok"]);
    assert_eq!(stack.call_once(async { Err("no") }).await, Err(Error::Inner("no")));
    assert_eq!(log.take(), ["before", "error"]);
    let task = runtime.spawn(async move {
        let broken = stack.call(async |_| {
            yield_now().await;
            if log.0.lock().is_ok() {
                panic!("expected by this test");
            }
            Ok(1)
        });
        let _ = broken.await;
    });
    assert!(task.await.is_err());
    assert_eq!(log.take(), ["before", "panicked"]);
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_it_is_told(runtime: Runtime) {
    let log = Log::default();
    let hooks = from_hooks(|at: &Attempt| log.before(at), |state, ended| log.after(state, ended));
    let stack = Stack::builder().clock(runtime.clock()).policy(hooks).build().unwrap();
    let make = || {
        stack.call(async |_| {
            yield_now().await;
            yield_now().await;
            Ok(1)
        })
    };
    cancel_at_every_poll(make, async |k| {
        let told: &[&str] = match k {
            0 => &[],
            1 | 2 => &["before", "abandoned"],
            _ => &["before", "ok"],
        };
        assert_eq!(log.take(), told);
    })
    .await;
}

#[apply(runtime_test)]
async fn a_refusal_has_its_place_and_no_end(runtime: Runtime) {
    let second = Duration::from_secs(1);
    let refuse =
        |_: &Attempt| Err::<(), _>(Rejection::from(Reason::RateLimited).retry_after_of(Some(second)));
    let hooks = from_hooks(refuse, |(), _: Ended<'_, u32, &'static str>| panic!("nothing began"));
    let stack = Stack::builder().clock(runtime.clock()).timeout(60 * second).policy(hooks).build().unwrap();
    let refused: std::result::Result<u32, _> = stack.call(async |_| -> Result<u32> { Ok(1) }).await;
    match refused.unwrap_err() {
        Error::Rejected(rejection) => {
            assert_eq!(rejection.place().index(), Some(1));
            assert_eq!((rejection.reason(), rejection.retry_after()), (Reason::RateLimited, Some(second)));
        }
        other => panic!("{other:?}"),
    }
}
