//! [`Unprocessed`]: what a pipeline had in its hands when it was stopped.

use std::any::Any;
use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a pipeline had in its hands when it was aborted or failed: each item, with the stage that had it.
///
/// Stages have items of different types, so whoever takes them says which.
///
/// # Examples
/// ```
/// use weirs_pipelines::{Left, Pipeline};
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let stuck = async |_: u32| std::future::pending::<Result<u32, std::fmt::Error>>().await;
///     let source = Pipeline::source(futures_lite::stream::iter(1..=9));
///     let plan = source.stage("store", 1, stuck).keep().collect();
///     let running = plan.run(&runtime).unwrap();
///     runtime.clock().sleep(std::time::Duration::from_millis(1)).await;
///     let mut unprocessed = running.abort().await.unwrap().unprocessed;
///     assert_eq!(unprocessed.take::<u32>("store", Left::Interrupted), [1]);
///     assert_eq!(unprocessed.take::<u32>("store", Left::Waiting), [2]);
/// }).unwrap();
/// ```
#[derive(Default)]
pub struct Unprocessed(Vec<Slip>);

/// In which state a stage left an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Left {
    /// Taken, and not begun.
    Waiting,
    /// Cancelled in the middle. Only a stage that [keeps](crate::Pipeline::keep) its jobs can give them back.
    Interrupted,
    /// It failed, and this stopped the pipeline. Only a stage that keeps its jobs can give them back.
    Failed,
    /// Done, and the result was not handed on: here it is.
    Finished,
}

/// Items of one stage in one state.
struct Slip {
    stage: &'static str,
    left: Left,
    /// A `Vec<(u64, T)>`.
    items: Box<dyn Any + Send>,
    len: usize,
}

impl Unprocessed {
    /// Takes the items that this stage left in this state, in order; none if they are of another type.
    pub fn take<T: 'static>(&mut self, stage: &str, left: Left) -> Vec<T> {
        let mut all = Vec::new();
        for slip in &mut self.0 {
            if (slip.stage, slip.left) != (stage, left) {
                continue;
            }
            if let Some(items) = slip.items.downcast_mut::<Vec<(u64, T)>>() {
                slip.len = 0;
                all.append(&mut mem::take(items));
            }
        }
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, item)| item).collect()
    }

    /// Who left how many items in which state.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Left, usize)> {
        self.0.iter().filter(|slip| slip.len > 0).map(|slip| (slip.stage, slip.left, slip.len))
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|slip| slip.len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Unprocessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Where the parts of a pipeline put what they had in their hands.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Vec<Slip>>);

impl Ledger {
    pub(super) fn put<T: Send + 'static>(&self, stage: &'static str, left: Left, number: u64, item: T) {
        let mut slips = self.lock();
        for slip in slips.iter_mut().filter(|slip| (slip.stage, slip.left) == (stage, left)) {
            if let Some(items) = slip.items.downcast_mut::<Vec<(u64, T)>>() {
                slip.len += 1;
                items.push((number, item));
                return;
            }
        }
        slips.push(Slip { stage, left, items: Box::new(vec![(number, item)]), len: 1 });
    }

    pub(super) fn take(&self) -> Unprocessed {
        Unprocessed(mem::take(&mut *self.lock()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slip>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
