//! [`Supervisor`]: the machine with children that have names, for tests that read like what they test.

use std::collections::{BTreeMap, VecDeque};

use weirs_actors::supervise::machine::{Action, Ending, Event, Key, Outcome, Phase};
use weirs_actors::supervise::rules::{ChildRules, Rules};

use super::world::World;

/// A supervisor whose children have names. What it does comes as words, in order.
pub(crate) struct Supervisor {
    pub(crate) world: World,
    pub(crate) keys: BTreeMap<&'static str, Key>,
    /// How the next starts end.
    starts: BTreeMap<&'static str, VecDeque<Option<Ending>>>,
}

impl Supervisor {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { world: World::new(rules), keys: BTreeMap::new(), starts: BTreeMap::new() }
    }

    /// With children that start well.
    pub(crate) fn started(rules: Rules, children: &[(&'static str, ChildRules)]) -> Self {
        let mut this = Self::new(rules);
        children.iter().for_each(|(name, rules)| this.insert(name, *rules));
        assert!(this.begin().ends_with("started"));
        this
    }

    pub(crate) fn insert(&mut self, name: &'static str, rules: ChildRules) {
        let key = self.world.insert(rules);
        self.keys.insert(name, key);
    }

    pub(crate) fn fails(&mut self, name: &'static str, times: usize) {
        self.starts.entry(name).or_default().extend(vec![Some(Ending::Abnormal); times]);
    }

    pub(crate) fn ignores(&mut self, name: &'static str) {
        self.starts.entry(name).or_default().push_back(Some(Ending::Ignored));
    }

    pub(crate) fn begin(&mut self) -> String {
        self.obey(Event::Start)
    }

    pub(crate) fn crash(&mut self, name: &str) -> String {
        self.obey(Event::Ended(self.keys[name], Ending::Abnormal))
    }

    pub(crate) fn end(&mut self, name: &str) -> String {
        self.obey(Event::Ended(self.keys[name], Ending::Normal))
    }

    pub(crate) fn add(&mut self, name: &'static str, rules: ChildRules) -> String {
        self.insert(name, rules);
        self.start(name)
    }

    pub(crate) fn start(&mut self, name: &str) -> String {
        self.obey(Event::StartChild(self.keys[name]))
    }

    pub(crate) fn stop(&mut self, name: &str) -> String {
        self.obey(Event::StopChild(self.keys[name]))
    }

    pub(crate) fn delete(&mut self, name: &str) -> String {
        self.obey(Event::DeleteChild(self.keys[name]))
    }

    pub(crate) fn shutdown(&mut self) -> String {
        self.obey(Event::Shutdown)
    }

    /// One event alone: what is asked of the children takes its time.
    pub(crate) fn step(&mut self, event: Event) -> String {
        let actions = self.world.step(event);
        self.words(actions)
    }

    pub(crate) fn obey(&mut self, event: Event) -> String {
        let (keys, starts) = (&self.keys, &mut self.starts);
        let actions = self.world.obey(event, |key| {
            let name = keys.iter().find(|(_, other)| **other == key).unwrap().0;
            starts.get_mut(name).and_then(VecDeque::pop_front).flatten()
        });
        self.words(actions)
    }

    fn name(&self, key: Key) -> &'static str {
        self.keys.iter().find(|(_, other)| **other == key).unwrap().0
    }

    fn words(&self, actions: Vec<Action>) -> String {
        let words = actions.into_iter().filter_map(|action| {
            Some(match action {
                Action::Run(key) => format!("run {}", self.name(key)),
                Action::Ask(key, _) => format!("ask {}", self.name(key)),
                Action::Kill(key, _) => format!("kill {}", self.name(key)),
                Action::Pause(key, _, streak) => format!("pause {} {streak}", self.name(key)),
                Action::Answer(_, answer) => format!("{answer:?}"),
                Action::Down(key) => format!("down {}", self.name(key)),
                Action::Forget(key) => format!("forget {}", self.name(key)),
                Action::Stuck(key) => format!("stuck {}", self.name(key)),
                Action::Started => "started".to_owned(),
                Action::Exit(Outcome::GaveUp(key)) => format!("gave up {}", self.name(key)),
                Action::Exit(Outcome::Done(key)) => format!("done {}", self.name(key)),
                Action::Exit(Outcome::StartFailed(key)) => format!("start failed {}", self.name(key)),
                Action::Exit(outcome) => format!("exit {outcome:?}"),
                Action::SetTimer(..) => return None,
            })
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// The children in order; those that are not up with what they are.
    pub(crate) fn which_children(&self) -> String {
        let words = self.world.machine.children().map(|key| match self.world.machine.phase(key) {
            Some(Phase::Up) => self.name(key).to_owned(),
            phase => format!("{}:{:?}", self.name(key), phase.unwrap()),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// All timers that were set for the child are over, whether they still count or not.
    pub(crate) fn time_passes(&mut self, name: &str) -> String {
        let key = self.keys[name];
        let timers = std::mem::take(&mut self.world.timers);
        let timers = timers.into_iter().filter(|timer| timer.0 == key).collect::<Vec<_>>();
        let words = timers.into_iter().map(|(key, timer)| self.step(Event::TimeUp(key, timer)));
        words.filter(|words| !words.is_empty()).collect::<Vec<_>>().join(", ")
    }
}
