//! The machine of supervision against a naive model, by random scripts: the same actions at every step.

mod machine;

use std::fmt::Write;

use machine::model::Model;
use machine::world::{World, ns};
use weirs_actors::supervise::machine::{Action, Answer, Ending, Event, Key, Outcome};
use weirs_actors::supervise::rules::{AutoShutdown, ChildRules, Restart, Rules, Stop, Strategy};
use weirs_runtime::{Entropy, SeededEntropy};

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, n: u64) -> u64 {
        self.0.next_u64() % n
    }

    fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&self, things: &[T]) -> T {
        things[self.below(things.len() as u64) as usize]
    }

    fn rules(&self) -> Rules {
        let strategies = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne, Strategy::Dynamic];
        let shutdowns = [AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant];
        Rules {
            strategy: self.of(&strategies),
            most: self.of(&[0, 1, 2, 3, 5, 100]),
            within: ns(1 + self.below(20)),
            auto_shutdown: self.of(&shutdowns),
        }
    }

    fn child(&self) -> ChildRules {
        ChildRules {
            restart: self.of(&[
                Restart::Permanent,
                Restart::Permanent,
                Restart::Transient,
                Restart::Temporary,
            ]),
            stop: self.of(&[Stop::Kill, Stop::Within(ns(3)), Stop::Within(ns(0)), Stop::Forever]),
            kill_grace: ns(self.below(4)),
            start_within: self.of(&[None, Some(ns(4))]),
            significant: self.one_in(3),
            pauses: self.one_in(3),
            reset_after: ns(self.below(15)),
        }
    }

    fn ending(&self) -> Ending {
        self.of(&[Ending::Normal, Ending::Abnormal, Ending::Abnormal, Ending::Ignored])
    }
}

struct Play {
    world: World,
    model: Model,
    /// All children there were, and all timers that were not over.
    keys: Vec<Key>,
    timers: Vec<(Key, u32, weirs_runtime::Instant)>,
    script: String,
    actions: Vec<Action>,
}

impl Play {
    fn new(rules: Rules) -> Self {
        let script = format!("{rules:?}\n");
        let (world, model) = (World::new(rules), Model::new(rules));
        Self { world, model, keys: Vec::new(), timers: Vec::new(), script, actions: Vec::new() }
    }

    fn insert(&mut self, rules: ChildRules) -> Key {
        let key = self.world.insert(rules);
        self.model.insert(key, rules);
        self.keys.push(key);
        writeln!(self.script, "{key:?} {rules:?}").unwrap();
        key
    }

    /// Both take the event, and do the same.
    fn step(&mut self, event: Event) {
        writeln!(self.script, "{:?} {event:?}", self.world.now).unwrap();
        let found = self.world.step(event);
        let expected = self.model.step(self.world.now, event);
        writeln!(self.script, "    {found:?}").unwrap();
        let numberless = |action: &Action| match *action {
            Action::SetTimer(key, _, at) => Action::SetTimer(key, 0, at),
            Action::Pause(key, _, streak) => Action::Pause(key, 0, streak),
            other => other,
        };
        assert_eq!(found.iter().map(numberless).collect::<Vec<_>>(), expected);
        // The last that was set is the one that counts, if any does.
        for action in found.iter().rev() {
            let (key, timer, at) = match *action {
                Action::SetTimer(key, timer, at) => (key, timer, at),
                Action::Pause(key, timer, streak) => {
                    (key, timer, self.world.now + ns(1 + u64::from(streak % 8)))
                }
                _ => continue,
            };
            assert!(!self.timers.iter().any(|other| (other.0, other.1) == (key, timer)));
            self.timers.push((key, timer, at));
            let of_model = self.model.children.iter_mut().find(|child| child.key == key);
            if let Some(child) = of_model.filter(|child| child.timer == Some(0)) {
                child.timer = Some(timer);
            }
        }
        for (key, timer, _) in &self.timers {
            let of_model = self.model.children.iter().find(|child| child.key == *key);
            let awaited = of_model.is_some_and(|child| child.timer == Some(*timer));
            assert_eq!(self.world.machine.awaits(*key, *timer), awaited);
        }
        let line: Vec<Key> = self.model.children.iter().map(|child| child.key).collect();
        assert_eq!(self.world.line(), line);
        assert_eq!(self.world.machine.restarts(self.world.now), self.model.window(self.world.now));
        assert_eq!(self.world.machine.significant(), self.model.significant());
        self.actions.extend(found);
    }

    /// Those that run; with `true` only those that would end if they were asked to.
    fn alive(&self, willing: bool) -> Vec<Key> {
        let seen = self.world.seen.iter();
        seen.filter(|(_, seen)| seen.alive && !(willing && seen.stuck)).map(|(key, _)| *key).collect()
    }

    fn random_step(&mut self, dice: &Dice) {
        if dice.one_in(3) {
            self.world.now += ns(dice.below(6));
        }
        let alive = self.alive(false);
        let due: Vec<usize> =
            (0..self.timers.len()).filter(|timer| self.timers[*timer].2 <= self.world.now).collect();
        match dice.below(16) {
            0..=3 if !alive.is_empty() => self.step(Event::Ready(dice.of(&alive))),
            4..=7 if !alive.is_empty() => {
                let key = dice.of(&alive);
                let ready = self.world.seen[&key].ready;
                if !ready && !dice.one_in(3) {
                    return self.step(Event::Ready(key));
                }
                // Only who did not begin has nothing to do.
                let ending = dice.ending();
                let ending = if ready && ending == Ending::Ignored { Ending::Normal } else { ending };
                self.step(Event::Ended(key, ending));
            }
            8..=10 if !due.is_empty() => {
                let (key, timer, _) = self.timers.remove(dice.of(&due));
                self.step(Event::TimeUp(key, timer));
            }
            11 if self.world.seen.len() < 8 => {
                let key = self.insert(dice.child());
                if !dice.one_in(8) {
                    self.step(Event::StartChild(key));
                }
            }
            12 if !self.keys.is_empty() => self.step(Event::StartChild(dice.of(&self.keys))),
            13 if !self.keys.is_empty() => self.step(Event::StopChild(dice.of(&self.keys))),
            14 if !self.keys.is_empty() => self.step(Event::DeleteChild(dice.of(&self.keys))),
            15 if dice.one_in(4) => self.step(Event::Start),
            15 if dice.one_in(8) => self.step(Event::Shutdown),
            15 if dice.one_in(24) => self.step(Event::Kill),
            _ => {}
        }
    }

    /// It ends whatever it was about, when everybody does what he is asked to, or time passes.
    fn wind_down(&mut self, dice: &Dice) {
        self.step(Event::Start);
        self.step(if dice.one_in(4) { Event::Kill } else { Event::Shutdown });
        for _ in 0..1_000 {
            if self.world.outcome.is_some() {
                break;
            }
            let alive = self.alive(true);
            if !self.timers.is_empty() && (alive.is_empty() || dice.one_in(3)) {
                let (key, timer, at) = self.timers.remove(dice.below(self.timers.len() as u64) as usize);
                self.world.now = self.world.now.max(at);
                self.step(Event::TimeUp(key, timer));
            } else {
                self.step(Event::Ended(dice.of(&alive), dice.ending()));
            }
        }
        assert!(self.world.outcome.is_some(), "it does not end");
        for key in self.keys.clone() {
            self.step(Event::StartChild(key));
        }
    }
}

#[test]
fn it_does_what_the_model_does() {
    let deep = std::env::var("WEIRS_DEEP").is_ok_and(|deep| !deep.is_empty() && deep != "0");
    let (first, last) = match std::env::var("WEIRS_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => (seed, seed + 1),
        None => (0, if deep { 100_000 } else { 10_000 }),
    };
    let mut seen = [0_u32; 12];
    for seed in first..last {
        let dice = Dice(SeededEntropy::new(seed));
        let mut play = Play::new(dice.rules());
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..dice.below(5) {
                play.insert(dice.child());
            }
            if !dice.one_in(8) {
                play.step(Event::Start);
            }
            for _ in 0..dice.below(if dice.one_in(8) { 400 } else { 100 }) {
                play.random_step(&dice);
            }
            play.wind_down(&dice);
        }));
        if let Err(panic) = played {
            eprintln!("WEIRS_SEED={seed}\n{}", play.script);
            std::panic::resume_unwind(panic);
        }
        let mut count = |number: usize, is: &dyn Fn(&Action) -> bool| {
            seen[number] += u32::from(play.actions.iter().any(is));
        };
        count(0, &|action| matches!(action, Action::Exit(Outcome::Shutdown)));
        count(1, &|action| matches!(action, Action::Exit(Outcome::Killed)));
        count(2, &|action| matches!(action, Action::Exit(Outcome::StartFailed(_))));
        count(3, &|action| matches!(action, Action::Exit(Outcome::GaveUp(_))));
        count(4, &|action| matches!(action, Action::Exit(Outcome::Done(_))));
        count(5, &|action| matches!(action, Action::Stuck(_)));
        count(6, &|action| matches!(action, Action::Pause(_, _, 2..)));
        count(7, &|action| matches!(action, Action::Answer(_, Answer::Interrupted)));
        count(8, &|action| matches!(action, Action::Answer(_, Answer::NotStarted)));
        count(9, &|action| matches!(action, Action::Answer(_, Answer::Stuck)));
        count(10, &|action| matches!(action, Action::Answer(_, Answer::Ending)));
        count(11, &|action| matches!(action, Action::Ask(_, false)));
    }
    // The scripts do come to the corners.
    assert!(last - first == 1 || seen.iter().all(|seen| *seen > 50), "{seen:?}");
}
