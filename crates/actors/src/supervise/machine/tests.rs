//! What a step costs, in looks at children: it does not depend on how many there are.

use std::time::Duration;

use weirs_runtime::Instant;

use super::{Action, Ending, Event, Key, Machine};
use crate::supervise::rules::{AutoShutdown, ChildRules, Restart, Rules, Stop, Strategy};

const NOW: Instant = Instant::from_nanos(0);
const CHILD: ChildRules = ChildRules {
    restart: Restart::Permanent,
    stop: Stop::Within(Duration::from_secs(5)),
    kill_grace: Duration::from_secs(1),
    start_within: None,
    significant: false,
    pauses: false,
    reset_after: Duration::from_secs(60),
};

/// A machine with so many children, all up.
fn crowd(strategy: Strategy, size: usize) -> (Machine, Vec<Key>, Vec<Action>) {
    let most = u32::MAX;
    let rules = Rules {
        strategy,
        most,
        within: Duration::from_secs(3600),
        auto_shutdown: AutoShutdown::AllSignificant,
    };
    let mut machine = Machine::new(rules);
    let keys: Vec<Key> = (0..size).map(|_| machine.insert(CHILD)).collect();
    let mut todo = Vec::new();
    machine.step(NOW, Event::Start, &mut todo);
    for key in &keys {
        machine.step(NOW, Event::Ready(*key), &mut todo);
    }
    todo.clear();
    (machine, keys, todo)
}

/// The looks it takes to go through the events.
fn looks(machine: &mut Machine, todo: &mut Vec<Action>, events: &[Event]) -> u64 {
    let before = machine.line.looks.get();
    for event in events {
        machine.step(NOW, *event, todo);
    }
    machine.line.looks.get() - before
}

fn costs(strategy: Strategy, size: usize) -> Vec<u64> {
    let (mut machine, keys, mut todo) = crowd(strategy, size);
    let (middle, last) = (keys[size / 2], keys[size - 1]);
    let mut costs = Vec::new();
    // One that a restart of the rest does not make a restart of half of all.
    let crashes = if strategy == Strategy::RestForOne { last } else { middle };
    let crash = [Event::Ended(crashes, Ending::Abnormal), Event::Ready(crashes)];
    if strategy != Strategy::OneForAll {
        costs.push(looks(&mut machine, &mut todo, &crash));
        assert!(todo.contains(&Action::Run(crashes)));
    }
    costs.push(looks(
        &mut machine,
        &mut todo,
        &[Event::StopChild(middle), Event::Ended(middle, Ending::Normal)],
    ));
    if strategy != Strategy::Dynamic {
        costs.push(looks(&mut machine, &mut todo, &[Event::StartChild(middle), Event::Ready(middle)]));
        let stop =
            [Event::StopChild(middle), Event::Ended(middle, Ending::Normal), Event::DeleteChild(middle)];
        costs.push(looks(&mut machine, &mut todo, &stop));
    }
    assert!(todo.contains(&Action::Forget(middle)));
    let rules = ChildRules { restart: Restart::Temporary, significant: true, ..CHILD };
    let keys = [(); 2].map(|()| machine.insert(rules));
    for key in keys {
        costs.push(looks(&mut machine, &mut todo, &[Event::StartChild(key), Event::Ready(key)]));
    }
    costs.push(looks(&mut machine, &mut todo, &[Event::Ended(keys[0], Ending::Abnormal)]));
    assert!(!machine.is_ending() && machine.significant() == 1);
    costs
}

#[test]
fn a_step_costs_the_same_among_a_hundred_thousand() {
    for strategy in [Strategy::OneForOne, Strategy::RestForOne, Strategy::OneForAll, Strategy::Dynamic] {
        let few = costs(strategy, 10);
        assert_eq!(costs(strategy, 100_000), few, "{strategy:?}");
        assert!(few.iter().all(|cost| *cost < 50), "{few:?}");
    }
}

/// The start, a restart and the end of all are so many looks for each, and no more.
#[test]
fn a_sweep_looks_at_each_child_a_few_times() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let size = 100_000;
        let (mut machine, keys, mut todo) = crowd(strategy, size);
        let start = machine.line.looks.get();
        let mut events = std::collections::VecDeque::from([Event::Ended(keys[0], Ending::Abnormal)]);
        for round in 0..2 {
            while let Some(event) = events.pop_front() {
                machine.step(NOW, event, &mut todo);
                events.extend(todo.drain(..).filter_map(|action| match action {
                    Action::Run(key) => Some(Event::Ready(key)),
                    Action::Ask(key, _) => Some(Event::Ended(key, Ending::Normal)),
                    _ => None,
                }));
            }
            if round == 0 {
                events.push_back(Event::Shutdown);
            }
        }
        assert!(start < 50 * size as u64, "{start}");
        assert!(machine.is_over());
        let restart_and_end = machine.line.looks.get() - start;
        assert!(restart_and_end < 100 * size as u64, "{restart_and_end}");
    }
}
