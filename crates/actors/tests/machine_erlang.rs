//! The machine of supervision against Erlang's own supervisor: the same scripts, and step by step the same
//! starts, stops, answers and children. Skipped where there is no Erlang.
//!
//! Children start and end in no time here, and a period is an hour, so that no restart is forgotten. Two
//! things are not compared, because they are meant to differ:
//! - A restart of all, or of the rest, takes along what somebody stopped; here it stays down. So whoever is
//!   stopped under these strategies is started or deleted in the next step.
//! - A pool ends all its members at once, in whatever order; their stops are sorted.

mod machine;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use machine::world::{World, child, rules};
use weirs_actors::supervise::machine::{Action, Answer, Ending, Event, Key, Outcome, Phase};
use weirs_actors::supervise::rules::{AutoShutdown, ChildRules, Restart, Rules, Stop, Strategy};
use weirs_runtime::{Entropy, SeededEntropy};

#[derive(Clone, Copy, Debug)]
enum Plan {
    Succeed,
    Fail,
    Ignore,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Die(usize, &'static str),
    Add(usize),
    Stop(usize),
    Start(usize),
    Delete(usize),
}

/// A supervisor, all children it ever has, how many of them are there at the start, and what happens.
#[derive(Debug)]
struct Script {
    rules: Rules,
    children: Vec<(ChildRules, Vec<Plan>)>,
    first: usize,
    steps: Vec<Step>,
}

fn random_script(seed: u64) -> Script {
    let entropy = SeededEntropy::new(seed);
    let below = |n: u64| entropy.next_u64() % n;
    let strategies = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne, Strategy::Dynamic];
    let shutdowns = [AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant];
    let strategy = strategies[below(4) as usize];
    let pool = strategy == Strategy::Dynamic;
    let rules = Rules {
        most: below(9) as u32,
        within: Duration::from_secs(3600),
        auto_shutdown: shutdowns[below(3) as usize],
        ..rules(strategy)
    };
    let mut children: Vec<(ChildRules, Vec<Plan>)> = Vec::new();
    for _ in 0..3 + below(6) {
        let restarts = [Restart::Permanent, Restart::Permanent, Restart::Transient, Restart::Temporary];
        let restart = restarts[below(4) as usize];
        let stop = if below(3) == 0 { Stop::Kill } else { Stop::Within(Duration::from_secs(5)) };
        let may = restart != Restart::Permanent && rules.auto_shutdown != AutoShutdown::Never;
        let mut of_child = ChildRules { stop, significant: may && below(2) == 0, ..child(restart) };
        // The members of a pool are all alike.
        if let Some(alike) = children.first().filter(|_| pool) {
            of_child = alike.0;
        }
        let plan = (0..below(6)).map(|start| match below(if start == 0 { 16 } else { 4 }) {
            0 => Plan::Fail,
            // Erlang's pool keeps a process that there is not when a restart finds nothing to do.
            1 if !pool || start == 0 => Plan::Ignore,
            _ => Plan::Succeed,
        });
        children.push((of_child, plan.collect()));
    }
    let all = children.len();
    let first = if pool { 0 } else { below(all as u64 + 1) as usize };
    let mut added = first;
    let mut steps = Vec::new();
    for _ in 0..6 + below(18) {
        let id = below(added.max(1) as u64) as usize;
        let deaths = ["crash", "crash", "crash", "kill", "normal", "shutdown", "{shutdown,why}"];
        match below(12) {
            0 | 1 if added < all => {
                steps.push(Step::Add(added));
                added += 1;
            }
            2 => {
                steps.push(Step::Stop(id));
                let sweeps = matches!(strategy, Strategy::OneForAll | Strategy::RestForOne);
                match below(3) {
                    0 if sweeps => steps.push(Step::Delete(id)),
                    _ if sweeps => steps.push(Step::Start(id)),
                    _ => {}
                }
            }
            3 if !pool => steps.push(Step::Start(id)),
            4 if !pool => steps.push(Step::Delete(id)),
            _ => steps.push(Step::Die(id, deaths[below(7) as usize])),
        }
    }
    Script { rules, children, first, steps }
}

/// The script in Erlang's words.
fn in_erlang(script: &Script) -> String {
    let strategy = match script.rules.strategy {
        Strategy::OneForOne => "one_for_one",
        Strategy::OneForAll => "one_for_all",
        Strategy::RestForOne => "rest_for_one",
        Strategy::Dynamic => "simple_one_for_one",
    };
    let shutdown = match script.rules.auto_shutdown {
        AutoShutdown::Never => "never",
        AutoShutdown::AnySignificant => "any_significant",
        AutoShutdown::AllSignificant => "all_significant",
    };
    let child = |id: usize| {
        let rules = script.children[id].0;
        let restart = format!("{:?}", rules.restart).to_lowercase();
        let stop = if rules.stop == Stop::Kill { "brutal_kill" } else { "5000" };
        format!("{{{id},{restart},{stop},{}}}", rules.significant)
    };
    let plans = script.children.iter().enumerate().map(|(id, (_, plan))| {
        let words = plan.iter().map(|plan| match plan {
            Plan::Succeed => "ok",
            Plan::Fail => "fail",
            Plan::Ignore => "ignore",
        });
        format!("{{{id},[{}]}}", words.collect::<Vec<_>>().join(","))
    });
    let pool = script.rules.strategy == Strategy::Dynamic;
    let first: Vec<String> = (0..if pool { 1 } else { script.first }).map(child).collect();
    let steps = script.steps.iter().map(|step| match *step {
        Step::Die(id, how) => format!("{{die,{id},{how}}}"),
        Step::Add(id) => format!("{{add,{}}}", child(id)),
        Step::Stop(id) => format!("{{stop,{id}}}"),
        Step::Start(id) => format!("{{start,{id}}}"),
        Step::Delete(id) => format!("{{delete,{id}}}"),
    });
    format!(
        "{{{strategy},{},{shutdown},[{}],[{}],[{}]}}.\n",
        script.rules.most,
        plans.collect::<Vec<_>>().join(","),
        first.join(","),
        steps.collect::<Vec<_>>().join(","),
    )
}

/// The script, played by the machine.
struct Play<'a> {
    script: &'a Script,
    world: World,
    plans: Vec<VecDeque<Plan>>,
    ids: BTreeMap<Key, usize>,
    lines: Vec<String>,
}

impl Play<'_> {
    fn new(script: &Script) -> Play<'_> {
        let plans = script.children.iter().map(|(_, plan)| plan.iter().copied().collect()).collect();
        Play { script, world: World::new(script.rules), plans, ids: BTreeMap::new(), lines: Vec::new() }
    }

    fn play(mut self) -> Vec<String> {
        for id in 0..self.script.first {
            self.insert(id);
        }
        self.step(Event::Start, "started");
        for step in &self.script.steps {
            if self.world.outcome.is_some() {
                return self.lines;
            }
            let key = |id: usize| self.ids.iter().find(|(_, other)| **other == id).map(|(key, _)| *key);
            let key = |id| key(id).filter(|key| self.world.machine.phase(*key).is_some());
            let (event, otherwise) = match *step {
                Step::Die(id, how) => {
                    let abnormal = matches!(how, "crash" | "kill");
                    let how = if abnormal { Ending::Abnormal } else { Ending::Normal };
                    let up = key(id).filter(|key| self.world.machine.phase(*key) == Some(Phase::Up));
                    (up.map(|key| Event::Ended(key, how)), "none")
                }
                Step::Add(id) => (Some(Event::StartChild(self.insert(id))), "not_found"),
                Step::Stop(id) => (key(id).map(Event::StopChild), "not_found"),
                Step::Start(id) => (key(id).map(Event::StartChild), "not_found"),
                Step::Delete(id) => (key(id).map(Event::DeleteChild), "not_found"),
            };
            match event {
                Some(event) => self.step(event, "none"),
                None => self.say(String::from(otherwise)),
            }
        }
        if self.world.outcome.is_none() {
            self.step(Event::Shutdown, "none");
        }
        self.lines
    }

    fn insert(&mut self, id: usize) -> Key {
        let key = self.world.insert(self.script.children[id].0);
        self.ids.insert(key, id);
        key
    }

    fn step(&mut self, event: Event, otherwise: &str) {
        let (ids, plans) = (&self.ids, &mut self.plans);
        let actions = self.world.obey(event, |key| match plans[ids[&key]].pop_front() {
            Some(Plan::Fail) => Some(Ending::Abnormal),
            Some(Plan::Ignore) => Some(Ending::Ignored),
            Some(Plan::Succeed) | None => None,
        });
        let (mut did, mut answer) = (Vec::new(), otherwise.to_owned());
        for action in actions {
            match action {
                Action::Run(key) => did.push(format!("start:{}", ids[&key])),
                Action::Ask(key, _) | Action::Kill(key, _) => did.push(format!("stop:{}", ids[&key])),
                Action::Answer(_, Answer::Started | Answer::Stopped | Answer::Deleted) => {
                    answer = "ok".into()
                }
                Action::Answer(_, Answer::NotStarted) => answer = "failed".into(),
                Action::Answer(_, Answer::Running) => answer = "running".into(),
                Action::Exit(Outcome::StartFailed(key)) => answer = format!("failed:{}", ids[&key]),
                Action::Exit(_) => answer = "exit".into(),
                _ => {}
            }
        }
        did.push(answer);
        self.say(did.join(" "));
    }

    fn say(&mut self, mut line: String) {
        let machine = &self.world.machine;
        let there = machine.children().filter(|_| self.world.outcome.is_none());
        let mut there: Vec<(usize, bool)> =
            there.map(|key| (self.ids[&key], machine.phase(key) == Some(Phase::Up))).collect();
        if self.script.rules.strategy == Strategy::Dynamic {
            there.sort_unstable();
        }
        for (id, up) in there {
            write!(line, " {id}{}", if up { '+' } else { '-' }).unwrap();
        }
        self.lines.push(line);
    }
}

/// The members of a pool end in no order.
fn sorted(line: &str, pool: bool) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    if pool && line.ends_with("exit") {
        words.sort_unstable();
    }
    words.join(" ")
}

#[test]
fn it_does_what_erlang_does() {
    let escript = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/erl/supervise.escript");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("supervise.terms");
    let deep = std::env::var("WEIRS_DEEP").is_ok_and(|deep| !deep.is_empty() && deep != "0");
    let scripts: Vec<Script> = (0..if deep { 10_000 } else { 500 }).map(random_script).collect();
    std::fs::write(&file, scripts.iter().map(in_erlang).collect::<String>()).unwrap();
    let output = match Command::new("escript").arg(escript).arg(file).output() {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: there is no Erlang ({error})"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    let played: Vec<&str> = output.split("script\n").skip(1).collect();
    assert_eq!(played.len(), scripts.len());
    let (mut exits, mut steps, mut restarts) = (0, 0, 0);
    for (seed, (script, played)) in scripts.iter().zip(played).enumerate() {
        let pool = script.rules.strategy == Strategy::Dynamic;
        let expected: Vec<String> = played.lines().map(|line| sorted(line, pool)).collect();
        let found: Vec<String> = Play::new(script).play().iter().map(|line| sorted(line, pool)).collect();
        assert_eq!(found, expected, "script {seed}, theirs on the right: {}", in_erlang(script));
        steps += expected.len();
        restarts += found.iter().filter(|line| line.contains("start:") && line.contains(" none")).count();
        exits += usize::from(found.len() < script.steps.len() + 2);
    }
    assert!(
        restarts > scripts.len() && steps > 8 * scripts.len() && exits > scripts.len() / 4,
        "the scripts do come to the corners"
    );
}
