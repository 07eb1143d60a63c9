//! One value, and the reply to a request.

mod common;

use std::sync::Arc;

use common::{Counted, Woken, live, poll, some};
use weirs_channels_utils::oneshot::{self, CallError, Request};
use weirs_channels_utils::{Closed, Overflow, SendError, bounded, channel};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, yields};

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let (sender, receiver) = oneshot::channel();
    let task = runtime.spawn(receiver);
    yields(2).await;
    sender.send("the value").unwrap();
    assert_eq!(task.await.unwrap(), Ok("the value"));
}

#[apply(runtime_test)]
async fn a_sender_that_goes_cancels(runtime: Runtime) {
    let (sender, receiver) = oneshot::channel::<u8>();
    let task = runtime.spawn(receiver);
    yields(2).await;
    drop(sender);
    assert!(task.await.unwrap().is_err());
}

#[apply(runtime_test)]
async fn a_receiver_that_goes_is_heard_of(runtime: Runtime) {
    let (mut sender, receiver) = oneshot::channel();
    let task = runtime.spawn(async move {
        sender.closed().await;
        assert!(sender.is_closed());
        sender.send(1)
    });
    yields(2).await;
    drop(receiver);
    assert_eq!(task.await.unwrap(), Err(Closed(1)));
}

#[test]
fn a_value_that_nobody_wants_is_dropped_at_once() {
    let count = Arc::new(());
    let (sender, receiver) = oneshot::channel();
    sender.send(Counted::new(&count)).unwrap();
    assert_eq!(live(&count), 1);
    drop(receiver);
    assert_eq!(live(&count), 0);
}

#[test]
fn a_value_sent_before_the_close_is_received() {
    let (sender, mut receiver) = oneshot::channel();
    assert_eq!(receiver.try_recv(), Ok(None));
    sender.send(1).unwrap();
    receiver.close();
    assert_eq!(receiver.try_recv(), Ok(Some(1)));
    assert!(receiver.try_recv().is_err(), "there was one");
    let (sender, mut receiver) = oneshot::channel();
    receiver.close();
    assert_eq!(sender.send(1), Err(Closed(1)));
    assert!(poll(&mut receiver, &Woken::new()).is_ready());
}

#[test]
fn no_waker_is_kept() {
    let woken = Woken::new();
    let (mut sender, mut receiver) = oneshot::channel::<u8>();
    assert!(poll(&mut receiver, &woken).is_pending() && poll(&mut sender.closed(), &woken).is_pending());
    assert_eq!(Arc::strong_count(&woken), 2, "the wait for the close was dropped");
    drop(receiver);
    assert_eq!((Arc::strong_count(&woken), woken.times()), (1, 0));
}

#[apply(runtime_test)]
async fn a_request_gets_its_reply(runtime: Runtime) {
    let (sender, mut receiver) = bounded::<Request<u32, u32>>(some(2));
    let server = runtime.spawn(async move {
        while let Some(request) = receiver.recv().await {
            let reply = request.item * 2;
            if request.item != 13 {
                request.respond(reply).ok();
            }
        }
    });
    assert_eq!(sender.call(21).await, Ok(42));
    assert_eq!(sender.call(13).await, Err(CallError::Canceled), "dropped without a reply");
    drop(sender);
    server.await.unwrap();
}

#[apply(runtime_test)]
async fn a_request_that_is_not_sent_gives_its_item_back(_: Runtime) {
    let (sender, receiver) = channel::<Request<u8, u8>>(some(1)).overflow(Overflow::Error).build();
    let mut first = sender.call(1);
    assert!(futures::poll!(&mut first).is_pending());
    assert_eq!(sender.call(2).await, Err(CallError::NotSent(SendError::Full(2))));
    drop(receiver);
    assert_eq!(first.await, Err(CallError::Canceled));
    assert_eq!(sender.call(3).await.unwrap_err().into_inner(), Some(3));
}

#[apply(runtime_test)]
async fn an_abandoned_request_is_known(_: Runtime) {
    let (sender, mut receiver) = bounded::<Request<u8, u8>>(some(1));
    let mut call = sender.call(1);
    assert!(futures::poll!(&mut call).is_pending());
    let request = receiver.recv().await.unwrap();
    assert!(!request.is_abandoned());
    drop(call);
    assert!(request.is_abandoned());
    assert_eq!(request.respond(2), Err(Closed(2)));
}
