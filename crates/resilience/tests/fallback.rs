//! The promises of fallbacks.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use futures_lite::future::yield_now;
use weirs_resilience::{
    Bulkhead, Error, Event, EventKind, Fallback, Observer, Reason, Stack, bulkhead, fallback,
};
use weirs_runtime::Runtime;
use weirs_testing::{InFlight, apply, cancel_at_every_poll, runtime_test};

struct Log(Arc<Mutex<Vec<EventKind>>>);

impl Observer for Log {
    fn on_event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(event.kind());
    }
}

#[apply(runtime_test)]
async fn another_answer_in_place_of_an_error(runtime: Runtime) {
    let log = Arc::default();
    let stack = Stack::builder()
        .clock(runtime.clock())
        .observer(Log(Arc::clone(&log)))
        .fallback(|error: &Error<u32>| error.inner().filter(|code| **code > 9).map(|code| code * 2))
        .build()
        .unwrap();
    assert_eq!(stack.call(async |_| Ok(1)).await, Ok(1));
    assert_eq!(stack.call(async |_| Err(5)).await, Err(Error::Inner(5)), "no answer for this one");
    assert_eq!(*log.lock().unwrap(), []);
    assert_eq!(stack.call(async |_| Err(21)).await, Ok(42));
    assert_eq!(*log.lock().unwrap(), [EventKind::FellBack]);
}

#[apply(runtime_test)]
async fn a_value_for_some_errors(runtime: Runtime) {
    let full = Bulkhead::new(1);
    let _place = full.try_enter().unwrap();
    let value = Fallback::value(String::from("a guess"))
        .when(|error: &Error<()>| error.rejected() == Some(Reason::BulkheadFull));
    let stack =
        Stack::builder().clock(runtime.clock()).policy(value.clone()).bulkhead(&full).build().unwrap();
    assert_eq!(stack.call(async |_| Ok(String::new())).await.unwrap(), "a guess");
    let stack = Stack::builder().clock(runtime.clock()).policy(value).build().unwrap();
    assert_eq!(stack.call(async |_| Err::<String, _>(())).await, Err(Error::Inner(())));
    let any = Stack::builder().clock(runtime.clock()).fallback_value(3).build().unwrap();
    assert_eq!(any.call(async |_| Err::<i32, _>("any")).await, Ok(3));
    assert_eq!(any.call_once(async { Err::<i32, _>("any") }).await, Ok(3));
}

/// The call is gone, with all that it held, before somebody else is asked.
#[apply(runtime_test)]
async fn somebody_else_is_asked_when_the_call_is_gone(runtime: Runtime) {
    let (log, places) = (Arc::default(), Bulkhead::new(1));
    let stack = Stack::builder()
        .clock(runtime.clock())
        .observer(Log(Arc::clone(&log)))
        .bulkhead(&places)
        .build()
        .unwrap();
    let replica = bulkhead(&places);
    let fails = async |_| {
        yield_now().await;
        Err::<&str, _>("broken")
    };
    let answer = stack.call(fails).fall_back(async |error| {
        assert_eq!(error, Error::Inner("broken"));
        replica.call(async |_| Ok("the replica's")).await
    });
    assert_eq!(answer.await, Ok("the replica's"));
    assert_eq!(*log.lock().unwrap(), [EventKind::FellBack]);
    // It may know no answer either.
    let neither = stack.call(fails).fall_back(async |error| Err(error));
    assert_eq!(neither.await, Err(Error::Inner("broken")));
    let never =
        stack.call_once(async { Ok::<_, ()>("the first") }).fall_back(async |_| unreachable!("it went well"));
    assert_eq!(never.await, Ok("the first"));
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[apply(runtime_test)]
async fn both_may_be_dropped_at_every_poll(runtime: Runtime) {
    let (places, lives, asked) = (Bulkhead::new(1), InFlight::new(), Cell::new(0));
    let stack = Stack::builder().clock(runtime.clock()).bulkhead(&places).build().unwrap();
    let work = async |fails: bool| {
        let _lives = lives.enter();
        yield_now().await;
        yield_now().await;
        if fails { Err(()) } else { Ok(()) }
    };
    let make = || {
        let call = stack.call(async |_| work(true).await);
        call.fall_back(async |_| {
            asked.set(asked.get() + 1);
            stack.call(async |_| work(false).await).await
        })
    };
    let polls = cancel_at_every_poll(make, async |_| {
        assert_eq!((places.stats().taken, lives.now()), (0, 0));
    });
    assert_eq!(polls.await, 4);
    assert!(asked.get() > 0);
}

#[test]
fn a_call_that_falls_back_is_send() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let name = String::from("anna");
    let work = async move {
        let stack = fallback(|_: &Error<()>| None);
        stack.call(async |_| Err::<usize, ()>(())).fall_back(async |_| Ok(name.len())).await
    };
    assert_eq!(smol::block_on(smol::spawn(sent(work))), Ok(4));
}
