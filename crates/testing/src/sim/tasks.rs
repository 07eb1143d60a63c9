//! The tasks of a run: what is known of each, and which are alive.

use std::panic::Location;

use weirs_runtime::{Ending, Spawned, TaskId};

/// The number of the body's own task.
pub(super) const MAIN: u32 = 0;

/// All tasks of a run, numbered in the order in which they were spawned, the ended ones included.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    records: Vec<Record>,
    /// In no particular order, but the same one in each run of the seed.
    live: Vec<u32>,
}

/// What is known of a task.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: TaskId,
    pub(super) name: Option<Box<str>>,
    pub(super) location: &'static Location<'static>,
    pub(super) parent: Option<u32>,
    pub(super) spawned_at: u64,
    pub(super) polls: u64,
    /// The step at which it was last polled.
    pub(super) last_step: u64,
    /// Counts the polls whose wakers no longer count; stays zero unless each poll has a fresh waker.
    pub(super) generation: u64,
    /// It will be polled: it is among the runnable tasks, or woke itself and soon will be.
    pub(super) queued: bool,
    pub(super) ending: Option<Ending>,
    /// Its future is gone: wakes mean nothing any more.
    pub(super) reaped: bool,
    live_index: u32,
}

impl Tasks {
    pub(super) fn add(&mut self, spawned: &Spawned<'_>, now: u64, current: Option<u32>) -> u32 {
        let number = self.records.len() as u32;
        self.records.push(Record {
            id: spawned.id,
            name: spawned.name.map(Box::from),
            location: spawned.location,
            parent: current,
            spawned_at: now,
            polls: 0,
            last_step: 0,
            generation: 0,
            queued: false,
            ending: None,
            reaped: false,
            live_index: self.live.len() as u32,
        });
        self.live.push(number);
        number
    }

    pub(super) fn end(&mut self, number: u32, ending: Ending) {
        let record = &mut self.records[number as usize];
        if record.ending.is_none() {
            record.ending = Some(ending);
            let index = record.live_index as usize;
            self.live.swap_remove(index);
            if let Some(moved) = self.live.get(index) {
                self.records[*moved as usize].live_index = index as u32;
            }
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Record> {
        self.records.get(number as usize)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Record> {
        self.records.get_mut(number as usize)
    }

    /// The number of the task with this id. One thread spawns them all, so their ids ascend.
    pub(super) fn number(&self, id: TaskId) -> Option<u32> {
        self.records.binary_search_by_key(&id, |record| record.id).ok().map(|index| index as u32)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The live tasks, in no particular order.
    pub(super) fn live(&self) -> &[u32] {
        &self.live
    }
}
