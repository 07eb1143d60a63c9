//! [`Timers`]: when a supervisor has to look again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use weirs_runtime::{Clock, Instant, Sleep};

use crate::supervise::machine::{Key, Machine};

/// The timers of all children; those that count no longer are thrown out as they come up.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Key, u32)>>,
    sleep: Option<Sleep>,
    sweep_at: usize,
}

impl Timers {
    pub(super) fn set(&mut self, at: Instant, key: Key, timer: u32, machine: &Machine) {
        if self.heap.len() >= self.sweep_at.max(64) {
            self.heap.retain(|Reverse((_, key, timer))| machine.awaits(*key, *timer));
            self.sweep_at = self.heap.len() * 2;
        }
        self.heap.push(Reverse((at, key, timer)));
    }

    /// Waits until the first of them is due.
    pub(super) fn poll(&mut self, machine: &Machine, clock: &Clock, cx: &mut Context<'_>) -> Poll<Instant> {
        while let Some(Reverse((_, key, timer))) = self.heap.peek() {
            if machine.awaits(*key, *timer) {
                break;
            }
            self.heap.pop();
        }
        let Some(Reverse((at, ..))) = self.heap.peek() else {
            self.sleep = None;
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| clock.sleep_until(*at));
        if sleep.deadline() != *at {
            sleep.reset(*at);
        }
        ready!(Pin::new(sleep).poll(cx));
        self.sleep = None;
        Poll::Ready(clock.now())
    }

    pub(super) fn due(&mut self, now: Instant) -> Option<(Key, u32)> {
        let Reverse((at, ..)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, key, timer))| (key, timer))
    }
}
