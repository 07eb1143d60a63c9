//! [`Notes`]: what several limiters noted in their grants, behind one number.

use crate::Grant;

#[derive(Default)]
pub(super) struct Notes {
    rows: Vec<Option<Box<[u64]>>>,
    free: Vec<usize>,
}

impl Notes {
    /// Zero if nobody noted anything: rates and semaphores do not.
    pub(super) fn keep(&mut self, grants: &[Grant]) -> u64 {
        if grants.iter().all(|grant| grant.note() == 0) {
            return 0;
        }
        let row = Some(grants.iter().map(|grant| grant.note()).collect());
        let at = match self.free.pop() {
            Some(at) => {
                self.rows[at] = row;
                at
            }
            None => {
                self.rows.push(row);
                self.rows.len() - 1
            }
        };
        at as u64 + 1
    }

    pub(super) fn take(&mut self, note: u64, parts: usize) -> Option<Box<[u64]>> {
        let at = usize::try_from(note.checked_sub(1)?).ok()?;
        let row = self.rows.get_mut(at)?.take()?;
        self.free.push(at);
        (row.len() == parts).then_some(row)
    }
}
