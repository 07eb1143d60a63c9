//! Which group is told when: those that nobody stands before, and each other when those before it are over.
//!
//! A group is told after the one that holds it, and it is over when it was told and neither it nor any within
//! it has a task. Nothing here recurses, and going through the whole order costs as much as there are groups
//! and pairs.

use super::group::OrderError;
use super::state::{Effects, Mode, State};
use crate::Reason;

impl State {
    /// Lets `first` end before the group with this path.
    pub(super) fn before(&mut self, first: usize, path: &str) -> Result<(), OrderError> {
        if self.mode != Mode::Running {
            return Err(OrderError::TooLate);
        }
        let Some(&then) = self.by_path.get(path) else {
            return Err(OrderError::Unknown { path: path.to_owned() });
        };
        if self.groups[first].before.contains(&then) {
            return Ok(());
        }
        if self.is_over_after_told(first, then) {
            let path = |index: usize| self.groups[index].path.to_string();
            return Err(OrderError::Cycle { first: path(first), then: path(then) });
        }
        self.groups[first].before.push(then);
        self.groups[then].waits_for += 1;
        Ok(())
    }

    /// Whether `first` can be over only after `then` was told.
    fn is_over_after_told(&self, first: usize, then: usize) -> bool {
        // For each group: whether its being told, and its being over, comes after.
        let mut after = vec![(false, false); self.groups.len()];
        let mut work = vec![(then, false)];
        while let Some((index, over)) = work.pop() {
            let seen = if over { &mut after[index].1 } else { &mut after[index].0 };
            if std::mem::replace(seen, true) {
                continue;
            }
            let group = &self.groups[index];
            if over {
                work.extend(group.above.map(|above| (above, true)));
                work.extend(group.before.iter().map(|next| (*next, false)));
            } else {
                work.extend(group.within.iter().map(|inner| (*inner, false)));
                work.push((index, true));
            }
        }
        after[first].1
    }

    /// Stops the intake of all that nobody stands before.
    pub(super) fn drain(&mut self) -> Effects {
        self.mode = Mode::Draining;
        let mut effects = Effects::default();
        self.tell(vec![0], &mut effects);
        effects
    }

    /// Cancels all that were told; those that are told later are cancelled as well.
    pub(super) fn cancel(&mut self) -> Effects {
        self.mode = Mode::Cancelling;
        let mut effects = Effects::default();
        for index in 0..self.groups.len() {
            if self.groups[index].told {
                self.cancel_group(index, self.round, &mut effects);
            }
        }
        self.count_round();
        effects
    }

    /// Ends the round: what lives still in the groups that were cancelled in it is to be dropped. When the
    /// effects were run, [`next_round`](State::next_round) has to follow.
    pub(super) fn end_round(&mut self) -> Effects {
        let mut effects = Effects::default();
        for group in self.groups.iter_mut().filter(|group| group.cancelled == Some(self.round)) {
            for entry in group.members.values_mut() {
                entry.dropped = true;
                effects.aborts.extend(entry.abort.take());
            }
        }
        effects
    }

    /// Those that the last round was to drop and that are still there are being polled; they are waited for
    /// no more.
    pub(super) fn next_round(&mut self) -> Effects {
        let mut effects = Effects::default();
        for index in 0..self.groups.len() {
            let group = &mut self.groups[index];
            if group.cancelled != Some(self.round) {
                continue;
            }
            let left = group.members.values_mut().filter(|entry| !entry.given_up);
            let number = left.map(|entry| entry.given_up = true).count();
            if number > 0 {
                self.left(index, number, &mut effects);
            }
        }
        self.round += 1;
        self.count_round();
        effects
    }

    /// How many rounds of cancelling it takes: the most groups with tasks that stand one before the other.
    pub(super) fn rounds(&self) -> u32 {
        let groups = &self.groups;
        let mut waits_for: Vec<usize> = groups.iter().map(|group| group.waits_for).collect();
        // The round in which it is told, and after which it is over; and how many in it are not told yet.
        let mut told = vec![0; groups.len()];
        let mut over = vec![0; groups.len()];
        let mut untold = vec![1_usize; groups.len()];
        for index in (1..groups.len()).rev() {
            if let Some(above) = groups[index].above {
                untold[above] += untold[index];
            }
        }
        let mut work: Vec<usize> = (0..groups.len()).filter(|index| waits_for[*index] == 0).collect();
        // Who was told already waits for nobody, nor does anybody in it wait for that.
        let waits_for_holder = |index: usize| groups[index].above.is_some_and(|above| !groups[above].told);
        while let Some(index) = work.pop() {
            for &inner in &groups[index].within {
                told[inner] = told[inner].max(told[index]);
                if waits_for_holder(inner) {
                    waits_for[inner] -= 1;
                    if waits_for[inner] == 0 {
                        work.push(inner);
                    }
                }
            }
            let mut holder = Some(index);
            while let Some(at) = holder {
                over[at] = over[at].max(told[index]);
                untold[at] -= 1;
                if untold[at] == 0 && !groups[at].over {
                    let next = over[at] + u32::from(groups[at].live > 0);
                    for &then in &groups[at].before {
                        told[then] = told[then].max(next);
                        waits_for[then] -= 1;
                        if waits_for[then] == 0 {
                            work.push(then);
                        }
                    }
                }
                holder = groups[at].above;
            }
        }
        // Empty groups take no time.
        let last = told.iter().zip(groups).filter(|(_, group)| group.live > 0).map(|(round, _)| *round).max();
        last.unwrap_or(0) + 1
    }

    pub(super) fn look_if_over(&mut self, index: usize, reached: &mut Vec<usize>) {
        let group = &mut self.groups[index];
        if !group.told || group.over || group.live > 0 {
            return;
        }
        group.over = true;
        let before = std::mem::take(&mut group.before);
        for &then in &before {
            self.groups[then].waits_for -= 1;
            if self.groups[then].waits_for == 0 {
                reached.push(then);
            }
        }
    }

    /// Tells these groups, and all whose turn has come then.
    pub(super) fn tell(&mut self, mut reached: Vec<usize>, effects: &mut Effects) {
        while let Some(index) = reached.pop() {
            let why = self.trigger.as_ref().map_or(Reason::ScopeDropped, |trigger| trigger.1.clone());
            self.groups[index].told = true;
            effects.cancels.push((self.groups[index].intake.clone(), why));
            if self.mode >= Mode::Cancelling {
                self.cancel_group(index, self.round + 1, effects);
            }
            for at in 0..self.groups[index].within.len() {
                let inner = self.groups[index].within[at];
                self.groups[inner].waits_for -= 1;
                if self.groups[inner].waits_for == 0 {
                    reached.push(inner);
                }
            }
            self.look_if_over(index, &mut reached);
        }
    }

    fn cancel_group(&mut self, index: usize, round: u32, effects: &mut Effects) {
        let group = &mut self.groups[index];
        group.cancelled = Some(round);
        effects.cancels.push((group.token.clone(), Reason::Shutdown));
    }

    fn count_round(&mut self) {
        let round = Some(self.round);
        let groups = self.groups.iter().filter(|group| group.cancelled == round);
        self.in_round =
            groups.map(|group| group.members.values().filter(|entry| !entry.given_up).count()).sum();
    }
}
