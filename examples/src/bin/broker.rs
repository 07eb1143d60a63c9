//! What happens to my messages when the consumer crashes in the middle?
//!
//! A message is acknowledged when its result is delivered, and not before. At the crash, what was not
//! acknowledged goes back to the broker and is delivered again: nothing is lost, and what comes twice is
//! counted.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::channel::mpsc;
use futures_lite::{StreamExt, stream};
use weirs_pipelines::{Delivery, Receipt, ack_each};
use weirs_testing::sim::Sim;

/// Messages, and how often each was out before.
#[derive(Clone)]
struct Broker(Arc<Mutex<VecDeque<(u32, u32)>>>);

struct Ticket {
    broker: Broker,
    message: u32,
    times: u32,
}

impl Receipt for Ticket {
    fn ack(self) {}

    fn nack(self) {
        self.broker.put(self.message, self.times + 1);
    }
}

impl Broker {
    fn put(&self, message: u32, times: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back((message, times));
    }

    fn next(&self) -> Option<Delivery<u32, Ticket>> {
        let (message, times) = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        Some(Delivery::new(message, Ticket { broker: self.clone(), message, times }).redelivered(times))
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Sim::new(7).run(|runtime| async move {
        let clock = runtime.clock().clone();
        let broker = Broker(Arc::new(Mutex::new((1..=20).map(|message| (message, 0)).collect())));
        let (results, received) = mpsc::unbounded();
        let work = {
            let clock = clock.clone();
            move |message: u32| {
                let sleep = clock.sleep(Duration::from_millis(10));
                async move {
                    sleep.await;
                    Ok::<_, ()>(message * 100)
                }
            }
        };
        let consume = || {
            let source = stream::poll_fn({
                let broker = broker.clone();
                move |_| Poll::Ready(broker.next())
            });
            ack_each(&runtime, source, 4, work.clone(), results.clone())
        };

        let crashed = clock.timeout(Duration::from_millis(25), consume()).await;
        println!("the consumer crashed: {}", crashed.is_err());
        // Its tasks are dropped, and with them what they had.
        clock.sleep(Duration::from_millis(1)).await;
        println!("the broker has {} of 20 messages again", broker.len());

        let counts = consume().await.unwrap();
        println!(
            "the next consumer: {} received, {} of them again, {} acknowledged",
            counts.received, counts.redelivered, counts.acked
        );
        drop(results);
        let delivered: Vec<u32> = received.collect().await;
        let different: BTreeSet<_> = delivered.iter().collect();
        println!("{} results, {} different ones", delivered.len(), different.len());
    })?;
    Ok(())
}
