//! The queue of an actor, and the answer to a question.
#![cfg(loom)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::future::block_on;
use loom::thread;
use weirs_actors::actor::{AskError, Reply, TellError};
use weirs_actors::models::Queue;

/// Counts its wakes. Not one of loom's atomics: it is looked at when all threads are done.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll<F: Future + Unpin>(future: &mut F, woken: &Arc<Woken>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
}

/// Two tell more than there is room for, and one takes: all comes, in the order of each.
#[test]
fn all_that_is_told_comes_in_order() {
    loom::model(|| {
        let (address, mut queue) = Queue::new(1);
        let other = address.clone();
        let teller = thread::spawn(move || block_on(other.tell(10)).is_ok());
        let taker = thread::spawn(move || {
            block_on(async {
                let mut all = Vec::new();
                while all.len() < 3 {
                    all.extend(queue.next().await);
                    queue.done();
                }
                all
            })
        });
        for number in 0..2 {
            assert!(block_on(address.tell(number)).is_ok());
        }
        assert!(teller.join().unwrap());
        let all = taker.join().unwrap();
        assert_eq!(all.iter().filter(|number| **number < 10).collect::<Vec<_>>(), [&0, &1]);
    });
}

/// Room is made while one that waits for it gives up: the other gets it.
#[test]
fn room_is_not_lost_with_whoever_gives_up() {
    loom::model(|| {
        let (address, mut queue) = Queue::new(1);
        address.try_tell(0).ok().unwrap();
        let woken = [(); 2].map(|()| Arc::new(Woken::default()));
        let (here, there) = (address.clone(), address.clone());
        let mut gives_up = Box::pin(here.tell(1));
        let mut stays = Box::pin(there.tell(2));
        assert!(poll(&mut gives_up, &woken[0]).is_pending());
        assert!(poll(&mut stays, &woken[1]).is_pending());
        let taker = thread::spawn(move || {
            assert_eq!(block_on(queue.next()), Some(0));
            queue.done();
            queue.give_back();
            queue
        });
        drop(gives_up);
        let mut queue = taker.join().unwrap();
        assert!(woken[1].0.load(Ordering::Relaxed) > 0);
        assert!(poll(&mut stays, &woken[1]).is_ready());
        assert_eq!(block_on(queue.next()), Some(2));
    });
}

/// What is told while the queue closes is taken, and dropped with it, or handed back.
#[test]
fn a_close_leaves_nobody_waiting() {
    loom::model(|| {
        let (address, queue) = Queue::new(1);
        address.try_tell(Arc::new(0)).ok().unwrap();
        let message = Arc::new(1);
        let (other, told) = (address.clone(), Arc::clone(&message));
        let teller = thread::spawn(move || match block_on(other.tell(told)) {
            Err(TellError::Closed(message)) => *message == 1,
            _ => false,
        });
        queue.close();
        assert!(teller.join().unwrap());
        assert_eq!(Arc::strong_count(&message), 1);
    });
}

/// A drain hands out what was taken, and no more comes.
#[test]
fn a_drain_ends() {
    loom::model(|| {
        let (address, mut queue) = Queue::new(2);
        let other = address.clone();
        let teller = thread::spawn(move || other.try_tell(1).is_ok());
        queue.drain();
        let told = teller.join().unwrap();
        assert_eq!(block_on(queue.next()).is_some(), told);
        if told {
            queue.done();
            assert_eq!(block_on(queue.next()), None);
        }
    });
}

/// A question is answered, or its reply is dropped, while somebody waits or gives up.
#[test]
fn an_answer_comes_or_its_end_does() {
    for answers in [true, false] {
        for gives_up in [true, false] {
            loom::model(move || {
                let (address, mut queue) = Queue::<Reply<Arc<u32>>>::new(1);
                let answer = Arc::new(7);
                let sent = Arc::clone(&answer);
                let answerer = thread::spawn(move || {
                    let reply = block_on(queue.next()).unwrap();
                    if answers { reply.send(sent) } else { drop((reply, sent)) }
                });
                let mut ask = Box::pin(address.ask(|reply| reply));
                if gives_up {
                    let _ = poll(&mut ask, &Arc::new(Woken::default()));
                } else {
                    match block_on(&mut ask) {
                        Ok(answer) => assert!(answers && *answer == 7),
                        Err(error) => assert!(!answers && matches!(error, AskError::NoReply)),
                    }
                }
                drop(ask);
                answerer.join().unwrap();
                assert_eq!(Arc::strong_count(&answer), 1);
            });
        }
    }
}
