//! Children that end on several threads at once, as they do in a parallel scope.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Waker};
use std::thread;

use super::{Gather, ScopeEnd};
use crate::joiners::{Cause, Flow, Joiner, Outcome};
use crate::scope::rule::sealed::Sealed;
use crate::{CancelToken, ChildId, PanicPolicy, Reason, Rule};

/// Keeps all that it is told, and finds out if it is told two things at once.
#[derive(Default)]
struct Alone {
    busy: AtomicBool,
    spawned: usize,
    told: Vec<u64>,
    enough: usize,
}

impl Joiner<u64> for Alone {
    type Out = (usize, Vec<u64>);
    type Error = ();

    fn on_spawn(&mut self, _: ChildId) {
        self.spawned += 1;
    }

    fn on_end(&mut self, _: ChildId, outcome: Outcome<u64>) -> Flow {
        assert!(!self.busy.swap(true, Ordering::Relaxed), "two at once");
        thread::yield_now();
        self.told.extend(outcome.output());
        self.busy.store(false, Ordering::Relaxed);
        if self.told.len() == self.enough { Flow::Stop(Reason::NotNeeded) } else { Flow::Continue }
    }

    fn finish(self, _: &Cause) -> Result<Self::Out, ()> {
        Ok((self.spawned, self.told))
    }
}

const THREADS: u64 = 4;
const EACH: u64 = 500;

fn settle_on_threads(gather: &Gather<Alone, u64>) {
    thread::scope(|threads| {
        for thread in 0..THREADS {
            threads.spawn(move || {
                for number in thread * EACH..(thread + 1) * EACH {
                    gather.spawned(ChildId::new(number + 1));
                    let _ = gather.settle(ChildId::new(number + 1), number);
                }
            });
        }
    });
}

fn finish(gather: &Gather<Alone, u64>) -> (usize, Vec<u64>) {
    weirs_runtime::block_on(gather.finish(ScopeEnd::Ended, PanicPolicy::Propagate)).unwrap()
}

#[test]
fn nothing_is_lost_and_each_thread_keeps_its_order() {
    let gather = Gather::new(Alone::default(), CancelToken::new());
    settle_on_threads(&gather);
    let (spawned, told) = finish(&gather);
    assert_eq!((spawned, told.len()), (2_000, 2_000));
    for thread in 0..THREADS {
        let of_thread: Vec<_> = told.iter().copied().filter(|number| number / EACH == thread).collect();
        assert!(of_thread.is_sorted(), "{of_thread:?}");
        assert_eq!(of_thread.len() as u64, EACH);
    }
}

#[test]
fn a_stop_is_the_last_thing_whoever_ends_meanwhile() {
    let token = CancelToken::new();
    let gather = Gather::new(Alone { enough: 100, ..Alone::default() }, token.clone());
    settle_on_threads(&gather);
    assert_eq!(token.reason(), Some(Reason::NotNeeded));
    assert_eq!(finish(&gather).1.len(), 100);
}

/// Is told one thing for as long as the test wants.
struct Slow {
    begun: Sender<()>,
    go_on: Receiver<()>,
    told: usize,
}

impl Joiner<u64> for Slow {
    type Out = usize;
    type Error = ();

    fn on_end(&mut self, _: ChildId, _: Outcome<u64>) -> Flow {
        let _ = self.begun.send(());
        self.go_on.recv().unwrap();
        self.told += 1;
        Flow::Continue
    }

    fn finish(self, _: &Cause) -> Result<usize, ()> {
        Ok(self.told)
    }
}

#[test]
fn the_end_waits_for_a_joiner_that_is_being_told_something() {
    let ((begun, has_begun), (go_on, goes_on)) = (channel(), channel());
    let gather = Gather::new(Slow { begun, go_on: goes_on, told: 0 }, CancelToken::new());
    thread::scope(|threads| {
        threads.spawn(|| gather.settle(ChildId::new(1), 1).failed);
        has_begun.recv().unwrap();
        // It does not wait for the joiner, which is told by the other thread.
        let _ = gather.settle(ChildId::new(2), 2);
        let mut end = pin!(gather.finish(ScopeEnd::Ended, PanicPolicy::Propagate));
        assert!(end.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        assert_eq!(weirs_runtime::block_on(end).unwrap(), 2);
    });
}

#[test]
fn a_scope_that_is_dropped_leaves_a_busy_joiner_to_its_thread() {
    let ((begun, has_begun), (go_on, goes_on)) = (channel(), channel());
    let gather = Gather::new(Slow { begun, go_on: goes_on, told: 0 }, CancelToken::new());
    thread::scope(|threads| {
        let teller = threads.spawn(|| gather.settle(ChildId::new(1), 1).failed);
        has_begun.recv().unwrap();
        let _ = gather.settle(ChildId::new(2), 2);
        gather.clear();
        go_on.send(()).unwrap();
        assert!(!teller.join().unwrap());
        assert!(go_on.send(()).is_err(), "the joiner is gone, with its end of the channel");
    });
    assert!(!gather.settle(ChildId::new(3), 3).failed, "it hears of nothing any more");
}
