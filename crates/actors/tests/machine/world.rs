//! [`World`]: the machine, and what has to hold of whatever it does.

use std::collections::BTreeMap;
use std::time::Duration;

use weirs_actors::supervise::machine::{Action, Answer, Ending, Event, Key, Machine, Outcome, Phase};
use weirs_actors::supervise::rules::{AutoShutdown, ChildRules, Restart, Rules, Stop, Strategy};
use weirs_runtime::Instant;

pub(crate) const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// One restart in five.
pub(crate) fn rules(strategy: Strategy) -> Rules {
    Rules { strategy, most: 1, within: ns(5), auto_shutdown: AutoShutdown::Never }
}

pub(crate) const fn child(restart: Restart) -> ChildRules {
    ChildRules {
        restart,
        stop: Stop::Within(ns(10)),
        kill_grace: ns(10),
        start_within: None,
        significant: false,
        pauses: false,
        reset_after: ns(100),
    }
}

/// What is known of a child from outside.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) alive: bool,
    pub(crate) ready: bool,
    pub(crate) stuck: bool,
    /// It was said that it is down.
    pub(crate) down: bool,
    /// Commands without an answer.
    starts: u32,
    stops: u32,
    deletes: u32,
}

pub(crate) struct World {
    pub(crate) machine: Machine,
    pub(crate) now: Instant,
    pub(crate) seen: BTreeMap<Key, Seen>,
    pub(crate) outcome: Option<Outcome>,
    /// All timers that were set.
    pub(crate) timers: Vec<(Key, u32)>,
    most: u32,
    ending: bool,
    begun: bool,
}

impl World {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            machine: Machine::new(rules),
            now: Instant::from_nanos(1_000),
            seen: BTreeMap::new(),
            outcome: None,
            timers: Vec::new(),
            most: rules.most,
            ending: false,
            begun: false,
        }
    }

    pub(crate) fn insert(&mut self, rules: ChildRules) -> Key {
        let key = self.machine.insert(rules);
        let before = self.seen.insert(key, Seen { down: self.begun, ..Seen::default() });
        assert!(before.is_none(), "{key:?} is used twice");
        key
    }

    pub(crate) fn step(&mut self, event: Event) -> Vec<Action> {
        let counted = !self.machine.is_over();
        match event {
            Event::StartChild(key) if counted => self.known(key, |seen| seen.starts += 1),
            Event::StopChild(key) if counted => self.known(key, |seen| seen.stops += 1),
            Event::DeleteChild(key) if counted => self.known(key, |seen| seen.deletes += 1),
            Event::Ended(key, _) => {
                self.known(key, |seen| (seen.alive, seen.ready, seen.stuck) = (false, false, false));
            }
            Event::Ready(key) => self.known(key, |seen| seen.ready = true),
            Event::Shutdown | Event::Kill => self.ending = true,
            Event::Start => self.begun = true,
            _ => {}
        }
        let mut todo = Vec::new();
        self.machine.step(self.now, event, &mut todo);
        for action in &todo {
            self.look_at(*action, event);
        }
        self.look_round();
        todo
    }

    fn known(&mut self, key: Key, change: impl FnOnce(&mut Seen)) {
        self.seen.get_mut(&key).map(change);
    }

    fn look_at(&mut self, action: Action, event: Event) {
        assert_eq!(self.outcome, None, "{action:?} comes after the end");
        let key = match action {
            Action::Started => return,
            Action::Exit(outcome) => {
                for (key, seen) in &self.seen {
                    assert!(!seen.alive || seen.stuck, "{key:?} outlives its supervisor");
                    assert!(seen.down || seen.stuck, "nobody said that {key:?} is down");
                    assert_eq!((seen.starts, seen.stops, seen.deletes), (0, 0, 0), "{key:?} owes an answer");
                }
                self.outcome = Some(outcome);
                return;
            }
            Action::Run(key) | Action::Ask(key, _) | Action::Kill(key, _) | Action::Down(key) => key,
            Action::SetTimer(key, ..) | Action::Pause(key, ..) | Action::Answer(key, _) => key,
            Action::Forget(key) | Action::Stuck(key) => key,
        };
        let seen = self.seen.get_mut(&key).unwrap_or_else(|| panic!("{action:?}, and the child had left"));
        match action {
            Action::Run(_) => {
                assert!(!seen.alive, "two incarnations of {key:?}");
                (seen.alive, seen.down) = (true, false);
            }
            Action::Ask(..) | Action::Kill(..) => assert!(seen.alive && !seen.stuck, "{action:?} of nothing"),
            Action::Down(_) => {
                assert!(!seen.alive, "{key:?} is said to be down, and runs");
                seen.down = true;
            }
            Action::Stuck(_) => {
                assert!(seen.alive, "{key:?} is said to be stuck, and does not run");
                seen.stuck = true;
            }
            Action::Pause(_, timer, _) => {
                assert!(!seen.alive);
                self.timers.push((key, timer));
            }
            Action::Forget(_) => {
                assert!(!seen.alive, "{key:?} left, and runs");
                assert_eq!((seen.starts, seen.stops, seen.deletes), (0, 0, 0), "{key:?} owes an answer");
                self.seen.remove(&key);
            }
            Action::Answer(_, answer) => {
                let owed = match answer {
                    Answer::Started | Answer::NotStarted | Answer::Interrupted | Answer::Ending => {
                        &mut seen.starts
                    }
                    Answer::Stopped | Answer::Stuck => &mut seen.stops,
                    Answer::Deleted => &mut seen.deletes,
                    Answer::Running if event == Event::StartChild(key) => &mut seen.starts,
                    Answer::Running => &mut seen.deletes,
                };
                assert!(*owed > 0, "nobody asked for {answer:?} of {key:?}");
                *owed -= 1;
            }
            Action::SetTimer(_, timer, at) => {
                assert!(at >= self.now);
                self.timers.push((key, timer));
            }
            Action::Started | Action::Exit(_) => {}
        }
    }

    /// What holds between two steps.
    fn look_round(&mut self) {
        assert_eq!(self.machine.is_over(), self.outcome.is_some());
        if self.outcome.is_some() {
            return;
        }
        let mut waits = false;
        let mut busy = false;
        for (key, seen) in &self.seen {
            let phase = self.machine.phase(*key).expect("a child that did not leave");
            let runs = matches!(phase, Phase::Starting | Phase::Up | Phase::Stopping(_) | Phase::Stuck);
            assert_eq!(runs, seen.alive, "{key:?} is {phase:?}");
            waits |= matches!(phase, Phase::Queued | Phase::Crashed(_));
            busy |= matches!(phase, Phase::Starting | Phase::Pausing | Phase::Stopping(_));
        }
        assert_eq!(self.machine.children().count(), self.seen.len());
        if self.begun {
            assert!(busy || !waits, "somebody waits, and for nothing");
            assert!(busy || !self.ending, "it is to end, and waits for nothing");
            assert!(self.machine.restarts(self.now) <= self.most as usize + 1);
        }
    }

    /// The children in the order of their start.
    pub(crate) fn line(&self) -> Vec<Key> {
        self.machine.children().collect()
    }

    /// Has everybody who runs do at once what is wanted of him until nothing is left to do, as if it took no
    /// time. `starts` tells what becomes of a start. Gives all actions.
    pub(crate) fn obey(
        &mut self,
        event: Event,
        mut starts: impl FnMut(Key) -> Option<Ending>,
    ) -> Vec<Action> {
        let mut events = std::collections::VecDeque::from([event]);
        let mut all = Vec::new();
        while let Some(event) = events.pop_front() {
            let todo = self.step(event);
            for action in &todo {
                match *action {
                    Action::Run(key) => {
                        events.push_back(starts(key).map_or(Event::Ready(key), |how| Event::Ended(key, how)));
                    }
                    Action::Ask(key, _) => events.push_back(Event::Ended(key, Ending::Normal)),
                    Action::Kill(key, _) => events.push_back(Event::Ended(key, Ending::Abnormal)),
                    _ => {}
                }
            }
            all.extend(todo);
            assert!(all.len() < 100_000, "it does not come to rest");
        }
        all
    }
}
