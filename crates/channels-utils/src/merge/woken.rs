//! [`Woken`]: which inputs were woken since somebody looked. Wakers only set bits.
//!
//! A bit for each input, in blocks of 64; a bit in `any` for each block, of which those that are 64 apart
//! share one. A waker sets the input's bit, and if it was the block's first, then the block's bit, and if
//! that was the first of all, it wakes the task. Whoever looks takes the bits in the other order. So a bit
//! that is set is seen now, or its waker wakes.

use std::task::{Wake, Waker};

use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, in_one_order, lock};
use weirs_runtime::waiting::{let_go, wake};

pub(super) const BLOCK: usize = u64::BITS as usize;

#[derive(Default)]
pub(super) struct Woken {
    root: Arc<Root>,
    blocks: Vec<Arc<Block>>,
}

#[derive(Default)]
struct Root {
    any: AtomicU64,
    /// Whether somebody waits. It is set before the last look at `any`, and read after `any` was changed,
    /// each in the one order of all: so either the one who waits sees the bit, or the waker sees the one who
    /// waits.
    waits: AtomicBool,
    /// Whoever waits. No user code runs under the lock.
    task: Mutex<Option<Waker>>,
}

struct Block {
    root: Arc<Root>,
    inputs: AtomicU64,
    /// Its bit in `any`.
    bit: u64,
}

impl Woken {
    /// A waker for an input.
    pub(super) fn waker(&mut self, input: usize) -> Waker {
        while self.blocks.len() <= input / BLOCK {
            let bit = 1 << (self.blocks.len() % BLOCK);
            let block = Block { root: Arc::clone(&self.root), inputs: AtomicU64::new(0), bit };
            self.blocks.push(Arc::new(block));
        }
        let block = Arc::clone(&self.blocks[input / BLOCK]);
        Waker::from(std::sync::Arc::new(InputWaker { block, bit: 1 << (input % BLOCK) }))
    }

    /// Takes the inputs that were woken: the numbers of blocks, and the inputs in each.
    pub(super) fn take(&self, mut each: impl FnMut(usize, u64)) {
        // A look before the write: mostly there is nothing.
        if self.root.any.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut any = self.root.any.swap(0, Ordering::AcqRel);
        while any != 0 {
            let first = any.trailing_zeros() as usize;
            any &= any - 1;
            for at in (first..self.blocks.len()).step_by(BLOCK) {
                // Always a write, so that a waker which found the block's bit set comes before it.
                let inputs = self.blocks[at].inputs.swap(0, Ordering::AcqRel);
                if inputs != 0 {
                    each(at, inputs);
                }
            }
        }
    }

    /// Has `task` woken with the next input. False if one was woken already.
    pub(super) fn wait(&self, task: &Waker) -> bool {
        let known = lock(&self.root.task).as_ref().is_some_and(|known| known.will_wake(task));
        if !known {
            let task = task.clone();
            let before = lock(&self.root.task).replace(task);
            let_go(before);
        }
        self.root.waits.store(true, Ordering::SeqCst);
        in_one_order();
        self.root.any.load(Ordering::SeqCst) == 0
    }

    /// Wakes whoever waits: there is something new.
    pub(super) fn wake(&self) {
        self.root.wake();
    }
}

impl Drop for Woken {
    fn drop(&mut self) {
        let task = lock(&self.root.task).take();
        let_go(task);
    }
}

impl Root {
    fn wake(&self) {
        if !self.waits.load(Ordering::SeqCst) || !self.waits.swap(false, Ordering::SeqCst) {
            return;
        }
        let task = lock(&self.task).take();
        task.into_iter().for_each(wake);
    }
}

struct InputWaker {
    block: Arc<Block>,
    bit: u64,
}

impl Wake for InputWaker {
    fn wake(self: std::sync::Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        let Block { root, inputs, bit } = &*self.block;
        if inputs.fetch_or(self.bit, Ordering::AcqRel) != 0 {
            // Whoever set the first bit says so.
            return;
        }
        if root.any.fetch_or(*bit, Ordering::SeqCst) == 0 {
            in_one_order();
            root.wake();
        }
    }
}
