//! [`KeyLimit`]: the limit of one key.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use weirs_runtime::{Clock, Instant};

use super::{Name, Owned, Shared};
use crate::{Denied, Grant, Limit, Outcome, Waiting};

/// The limit of one key, as any other [`Limit`]; made by [`Keyed::limit_of`](super::Keyed::limit_of).
///
/// It takes no place in the table by itself, and holds none.
///
/// # Examples
/// ```
/// use weirs_limiters::{Keyed, Quota, Rate, acquire};
/// use weirs_runtime::block_on;
///
/// let users = Keyed::<str>::new(Quota::new(Rate::per_second(10), 1).unwrap(), 1_000);
/// let anna = users.limit_of("anna");
/// block_on(acquire(&anna, 1)).unwrap().success();
/// assert!(users.try_acquire("anna", 1).is_err());
/// ```
pub struct KeyLimit<K: ?Sized> {
    shared: Arc<Shared<K>>,
    name: Name,
    owned: Option<Owned<K>>,
}

impl<K: ?Sized> KeyLimit<K> {
    pub(super) fn new(shared: Arc<Shared<K>>, name: Name, owned: Option<Owned<K>>) -> Self {
        Self { shared, name, owned }
    }

    fn key(&self) -> Option<&K> {
        self.owned.as_ref().map(|key| (**key).borrow())
    }
}

impl<K: ?Sized + 'static> Limit for KeyLimit<K> {
    fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    fn try_acquire_at(&self, now: Instant, cost: u64) -> Result<Grant, Denied> {
        self.shared.try_acquire_at(now, self.key(), self.name, cost)
    }

    fn peek_at(&self, now: Instant, cost: u64) -> Result<u64, Denied> {
        if self.shared.lines.is_closed() {
            return Err(Denied::Closed);
        }
        if let Some(line) = self.shared.lines.find(&self.shared.table, self.key(), self.name) {
            return line.peek_at(now, cost);
        }
        let table = &self.shared.table;
        let left = table.left(now, self.key(), self.name);
        if cost <= left {
            return Ok(left - cost);
        }
        match table.terms(self.name.quota).most() {
            max if cost > max => Err(Denied::TooLarge { max }),
            _ => Err(crate::line::later(now, table.when(now, self.key(), self.name, cost))),
        }
    }

    fn poll_acquire(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        self.shared.poll(self.key(), self.name, waiting, cx)
    }

    fn cancel(&self, waiting: &mut Waiting) {
        self.shared.cancel(self.name, waiting);
    }

    fn release(&self, grant: Grant, outcome: Outcome) {
        if outcome == Outcome::Unused {
            let taken = Instant::from_nanos(grant.note());
            let table = &self.shared.table;
            table.give_back(self.shared.clock.now(), taken, self.key(), self.name, grant.cost());
            if let Some(line) = self.shared.lines.find(&self.shared.table, self.key(), self.name) {
                line.brought();
            }
        }
    }
}

impl<K: ?Sized> fmt::Debug for KeyLimit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLimit").finish_non_exhaustive()
    }
}
