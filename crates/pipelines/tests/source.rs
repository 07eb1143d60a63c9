//! The promises of messages that have to be acknowledged.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_lite::StreamExt;
use futures_lite::future::yield_now;
use futures_lite::stream;
use weirs_pipelines::{AckError, Delivery, Receipt, WorkerPool, ack_each};
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, runtime_test};

/// A broker in memory: what is refused goes to the end of its queue.
#[derive(Clone, Default)]
struct Broker(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    queue: VecDeque<(u32, u32)>,
    out: usize,
    acked: Vec<u32>,
}

struct Told {
    broker: Broker,
    message: u32,
    times: u32,
}

impl Receipt for Told {
    fn ack(self) {
        let mut state = self.broker.0.lock().unwrap();
        state.out -= 1;
        state.acked.push(self.message);
    }

    fn nack(self) {
        let mut state = self.broker.0.lock().unwrap();
        state.out -= 1;
        state.queue.push_back((self.message, self.times + 1));
    }
}

impl Broker {
    fn with(messages: u32) -> Self {
        let broker = Self::default();
        broker.0.lock().unwrap().queue.extend((0..messages).map(|message| (message, 0)));
        broker
    }

    fn next(&self) -> Option<Delivery<u32, Told>> {
        let mut state = self.0.lock().unwrap();
        let (message, times) = state.queue.pop_front()?;
        state.out += 1;
        drop(state);
        Some(Delivery::new(message, Told { broker: self.clone(), message, times }).redelivered(times))
    }

    /// The sum of what waits, what is out, and what is done with.
    fn total(&self) -> usize {
        let state = self.0.lock().unwrap();
        state.queue.len() + state.out + state.acked.len()
    }

    fn out(&self) -> usize {
        self.0.lock().unwrap().out
    }

    fn acked(&self) -> Vec<u32> {
        let mut acked = self.0.lock().unwrap().acked.clone();
        acked.sort_unstable();
        acked
    }

    fn stream(&self) -> impl futures::Stream<Item = Delivery<u32, Told>> + Unpin + use<> {
        let broker = self.clone();
        stream::poll_fn(move |_| std::task::Poll::Ready(broker.next()))
    }
}

#[apply(runtime_test)]
async fn each_is_acknowledged_when_its_result_is_delivered(runtime: Runtime) {
    let broker = Broker::with(50);
    let (sender, receiver) = futures::channel::mpsc::unbounded::<u32>();
    let double = async |n: u32| Ok::<_, ()>(n * 2);
    let counts = ack_each(&runtime, broker.stream(), 3, double, sender).await.unwrap();
    assert_eq!((counts.received, counts.acked, counts.refused), (50, 50, 0));
    assert_eq!(broker.acked(), (0..50).collect::<Vec<_>>());
    assert_eq!(receiver.count().await, 50);
}

#[apply(runtime_test)]
async fn what_fails_or_panics_comes_again(runtime: Runtime) {
    let broker = Broker::with(20);
    let first_time = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let work = move |n: u32| {
        let is_first = first_time.lock().unwrap().insert(n);
        async move {
            yield_now().await;
            match n % 4 {
                0 if is_first => panic!("as told"),
                1 if is_first => Err("no"),
                _ => Ok(n),
            }
        }
    };
    let work = Arc::new(work);
    let (sender, receiver) = futures::channel::mpsc::unbounded::<u32>();
    let (mut acked, mut redelivered) = (0, 0);
    // The source is empty when all is out; then it is asked once more.
    while acked < 20 {
        let work = Arc::clone(&work);
        let counts = ack_each(&runtime, broker.stream(), 2, move |n| work(n), sender.clone()).await.unwrap();
        acked += counts.acked;
        redelivered += counts.redelivered;
    }
    drop(sender);
    assert_eq!((acked, redelivered), (20, 10));
    assert_eq!(broker.acked(), (0..20).collect::<Vec<_>>());
    assert_eq!(receiver.count().await, 20);
}

#[apply(runtime_test)]
async fn a_crash_at_any_moment_loses_nothing(runtime: Runtime) {
    let broker = Broker::with(6);
    let (runtime, watched) = runtime.watched();
    let make = || {
        let (sender, _receiver) = futures::channel::mpsc::unbounded::<u32>();
        let work = async |n: u32| {
            yield_now().await;
            Ok::<_, ()>(n)
        };
        let (broker, runtime) = (broker.clone(), runtime.clone());
        async move {
            let _receiver = _receiver;
            ack_each(&runtime, broker.stream(), 2, work, sender).await.unwrap();
        }
    };
    cancel_at_every_poll(make, async |_| {
        watched.idle().await;
        assert_eq!((broker.total(), broker.out()), (6, 0));
    })
    .await;
    assert_eq!(broker.acked(), (0..6).collect::<Vec<_>>());
}

#[apply(runtime_test)]
async fn an_output_that_fails_refuses_what_it_did_not_take(runtime: Runtime) {
    let broker = Broker::with(10);
    let (runtime, watched) = runtime.watched();
    let (sender, receiver) = futures::channel::mpsc::unbounded::<u32>();
    drop(receiver);
    let ended = ack_each(&runtime, broker.stream(), 2, async |n: u32| Ok::<_, ()>(n), sender).await;
    assert!(matches!(ended, Err(AckError::Output { .. })));
    watched.idle().await;
    assert_eq!((broker.total(), broker.out(), broker.acked().len()), (10, 0, 0));
}

#[apply(runtime_test)]
async fn a_delivery_is_a_job_for_any_pool(runtime: Runtime) {
    let broker = Broker::with(8);
    let work = |delivery: Delivery<u32, Told>| {
        delivery.with(async |n| if n < 3 { Ok::<_, ()>(n) } else { std::future::pending().await })
    };
    let pool = WorkerPool::builder(work).workers(2).queue(8).build(&runtime).unwrap();
    let mut results = pool.results();
    for _ in 0..8 {
        pool.submit(broker.next().unwrap()).await.unwrap();
    }
    for _ in 0..3 {
        results.next().await.unwrap().result.unwrap().ack();
    }
    // What runs is refused at once, what waits when nobody wants it: all of it comes again.
    let report = pool.abort().await;
    assert!((3..=5).contains(&report.handed_back.len()));
    assert_eq!(broker.out(), report.handed_back.len());
    drop(report);
    drop(results);
    assert_eq!((broker.total(), broker.out(), broker.acked().len()), (8, 0, 3));
}
