//! [`Faults`]: what shall go wrong in a run, and the state of it within one.

use std::fmt;
use std::time::Duration;

use super::oracle::Oracle;
use super::tasks::MAIN;

/// What shall go wrong in a run. Nothing does unless asked for; where and when is up to the seed.
///
/// There are two sorts. [Spurious polls](Faults::spurious_polls), [fresh wakers](Faults::fresh_wakers) and
/// [late timers](Faults::late_timers) are within the contract of every executor, so any correct program
/// stands them. The others happen to tasks in real life, and a program that promises to cope can be held to
/// it.
///
/// # Examples
/// ```
/// use weirs_testing::sim::{Explore, Faults};
///
/// let strict = Faults::new().spurious_polls().fresh_wakers();
/// Explore::new().seeds(0..20).faults(strict).run(|runtime| async move {
///     let (sender, receiver) = async_channel::bounded(1);
///     let task = runtime.spawn(async move { sender.send(7).await });
///     assert_eq!(receiver.recv().await, Ok(7));
///     task.await.unwrap().unwrap();
/// });
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    spurious_polls: bool,
    pub(super) fresh_wakers: bool,
    late_timers: Option<Duration>,
    refused_spawn: Option<u64>,
    refused_spawns: Option<f64>,
    at_polls: Vec<AtPoll>,
}

/// Something that happens to a task when it is about to be polled.
#[derive(Clone, Debug, PartialEq)]
struct AtPoll {
    what: Strike,
    victim: Victim,
    /// The first poll is 1; none means any.
    poll: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    Cancel,
    Panic,
}

#[derive(Clone, Debug, PartialEq)]
enum Victim {
    /// One task of the run.
    Any,
    /// Every task of this name.
    Named(String),
}

impl Faults {
    /// What a task panics with that [`panic_at_poll`](Faults::panic_at_poll) and its siblings struck.
    pub const PANIC_MESSAGE: &'static str = "this panic is a fault that the simulator put in";

    /// No faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tasks are polled now and then though nobody woke them: about one step in eight.
    ///
    /// It finds futures that take a poll for the event they wait for. It never ends a deadlock: that there
    /// is nothing to poll is found out without it.
    #[must_use]
    pub fn spurious_polls(mut self) -> Self {
        self.spurious_polls = true;
        self
    }

    /// Every poll comes with a waker of its own, and wakers of earlier polls do nothing.
    ///
    /// It finds futures that keep the first waker they see: they hang as soon as they move from one task to
    /// another.
    #[must_use]
    pub fn fresh_wakers(mut self) -> Self {
        self.fresh_wakers = true;
        self
    }

    /// Each timer fires late, by anything up to `most`.
    #[must_use]
    pub fn late_timers(mut self, most: Duration) -> Self {
        self.late_timers = Some(most);
        self
    }

    /// The spawner refuses the `k`th task that is spawned; the first is 1, and the body does not count.
    #[must_use]
    pub fn refuse_spawn(mut self, k: u64) -> Self {
        self.refused_spawn = Some(k);
        self
    }

    /// The spawner refuses each task with this probability, from 0 to 1.
    #[must_use]
    pub fn refuse_spawns(mut self, probability: f64) -> Self {
        self.refused_spawns = Some(probability);
        self
    }

    /// One task of the run, the body excepted, is cancelled in the place of its `k`th poll; the first is 1.
    ///
    /// The seed says which: the first, second or some later task that comes to a `k`th poll. In a short run
    /// there may be none; other seeds make up for it.
    #[must_use]
    pub fn cancel_at_poll(self, k: u64) -> Self {
        self.strike(Strike::Cancel, Victim::Any, Some(k))
    }

    /// One task of the run, the body excepted, is cancelled in the place of one of its polls; the seed says
    /// which.
    #[must_use]
    pub fn cancel_somewhere(self) -> Self {
        self.strike(Strike::Cancel, Victim::Any, None)
    }

    /// Every task of this name is cancelled in the place of its `k`th poll; the first is 1.
    #[must_use]
    pub fn cancel_task(self, name: impl Into<String>, k: u64) -> Self {
        self.strike(Strike::Cancel, Victim::Named(name.into()), Some(k))
    }

    /// One task of the run, the body excepted, panics in the place of its `k`th poll.
    ///
    /// Such a panic fails the run only if the program makes it do so: in a task that nobody awaits it is let
    /// pass.
    #[must_use]
    pub fn panic_at_poll(self, k: u64) -> Self {
        self.strike(Strike::Panic, Victim::Any, Some(k))
    }

    /// One task of the run, the body excepted, panics in the place of one of its polls; the seed says which.
    #[must_use]
    pub fn panic_somewhere(self) -> Self {
        self.strike(Strike::Panic, Victim::Any, None)
    }

    /// Every task of this name panics in the place of its `k`th poll.
    #[must_use]
    pub fn panic_task(self, name: impl Into<String>, k: u64) -> Self {
        self.strike(Strike::Panic, Victim::Named(name.into()), Some(k))
    }

    fn strike(mut self, what: Strike, victim: Victim, poll: Option<u64>) -> Self {
        self.at_polls.push(AtPoll { what, victim, poll });
        self
    }
}

/// The faults as a list, or `none`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = Vec::new();
        if self.spurious_polls {
            list.push("spurious polls".to_owned());
        }
        if self.fresh_wakers {
            list.push("fresh wakers".to_owned());
        }
        if let Some(most) = self.late_timers {
            list.push(format!("timers up to {most:?} late"));
        }
        if let Some(k) = self.refused_spawn {
            list.push(format!("spawn {k} refused"));
        }
        if let Some(probability) = self.refused_spawns {
            list.push(format!("spawns refused with a probability of {probability}"));
        }
        for AtPoll { what, victim, poll } in &self.at_polls {
            let what = match what {
                Strike::Cancel => "cancelled",
                Strike::Panic => "made to panic",
            };
            let victim = match victim {
                Victim::Any => "a task".to_owned(),
                Victim::Named(name) => format!("task {name:?}"),
            };
            list.push(match poll {
                Some(poll) => format!("{victim} {what} at poll {poll}"),
                None => format!("{victim} {what} at some poll"),
            });
        }
        f.write_str(if list.is_empty() { "none" } else { "" })?;
        f.write_str(&list.join(", "))
    }
}

/// The faults of one run, with what the seed made of them.
#[derive(Debug)]
pub(super) struct RunFaults {
    faults: Faults,
    strikes: Vec<Aim>,
    spawns: u64,
}

/// How many of the polls that a fault may strike at it lets pass, and whether it has struck.
#[derive(Debug)]
struct Aim {
    spare: u64,
    spent: bool,
}

impl RunFaults {
    pub(super) fn new(faults: Faults, oracle: &mut Oracle) -> Self {
        // A run has fewer tasks than polls, and the seed cannot know how many of either.
        let aim = |at_poll: &AtPoll| Aim {
            spare: oracle.magnitude(if at_poll.poll.is_some() { 6 } else { 10 }),
            spent: false,
        };
        let strikes = faults.at_polls.iter().map(aim).collect();
        Self { faults, strikes, spawns: 0 }
    }

    pub(super) fn fresh_wakers(&self) -> bool {
        self.faults.fresh_wakers
    }

    /// Whether there are faults that strike at polls.
    pub(super) fn strikes(&self) -> bool {
        !self.strikes.is_empty()
    }

    /// Whether some task shall be polled spuriously now.
    pub(super) fn poll_spuriously(&self, oracle: &mut Oracle) -> bool {
        self.faults.spurious_polls && oracle.one_in(8)
    }

    /// How many nanoseconds late a new timer shall be.
    pub(super) fn lateness(&self, oracle: &mut Oracle) -> u64 {
        match self.faults.late_timers {
            Some(most) => {
                let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX - 1);
                oracle.below(most.saturating_add(1))
            }
            None => 0,
        }
    }

    /// Whether the spawner shall refuse the next task.
    pub(super) fn refuse_spawn(&mut self, task: u32, oracle: &mut Oracle) -> bool {
        if task == MAIN {
            return false;
        }
        self.spawns += 1;
        self.faults.refused_spawn == Some(self.spawns)
            || self.faults.refused_spawns.is_some_and(|probability| oracle.chance(probability))
    }

    /// What shall happen to a task in the place of this poll, if anything.
    pub(super) fn strike(&mut self, task: u32, name: Option<&str>, poll: u64) -> Option<Strike> {
        if task == MAIN {
            return None;
        }
        for (at_poll, aim) in self.faults.at_polls.iter().zip(&mut self.strikes) {
            if aim.spent || at_poll.poll.is_some_and(|at| at != poll) {
                continue;
            }
            match &at_poll.victim {
                Victim::Named(victim) if name == Some(victim.as_str()) => return Some(at_poll.what),
                Victim::Named(_) => {}
                Victim::Any if aim.spare == 0 => {
                    aim.spent = true;
                    return Some(at_poll.what);
                }
                Victim::Any => aim.spare -= 1,
            }
        }
        None
    }
}
