//! Random shutdowns in the simulator, compared to the nanosecond with a model that counts on its fingers.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_runtime::{Clock, Instant, Runtime};
use weirs_scopes::{MemberEnd, OrderError, Shutdown, ShutdownGroup, Stage, join};
use weirs_testing::{apply, sim_test};

/// What a task does, in nanoseconds.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Ends at this time, whatever happens.
    EndsAt(u64),
    /// Ends so long after its intake was stopped.
    Drains(u64),
    /// Panics so long after its intake was stopped.
    Panics(u64),
    /// Ends so long after it was cancelled.
    HeedsCancel(u64),
    Ignores,
}

#[derive(Debug)]
struct Script {
    /// Lame duck, drain, grace.
    plan: [u64; 3],
    /// The group that holds each.
    above: Vec<Option<usize>>,
    /// Which stand before which.
    before: Vec<(usize, usize)>,
    tasks: Vec<(usize, Does)>,
    trigger: u64,
    force: Option<u64>,
    main_ends_at_intake: bool,
}

impl Script {
    fn draw(clock: &Clock) -> Self {
        // Times so fine that no two sums are the same.
        let time = || 1 + clock.random_below(10_000_000_000);
        let groups = 1 + clock.random_below(5) as usize;
        let mut above = vec![None; groups];
        for (at, above) in above.iter_mut().enumerate().skip(1) {
            if clock.random_below(3) == 0 {
                *above = Some(clock.random_below(at as u64) as usize);
            }
        }
        let some_group = || clock.random_below(groups as u64) as usize;
        let before = (0..clock.random_below(6)).map(|_| (some_group(), some_group())).collect();
        let tasks = (0..clock.random_below(9)).map(|_| {
            let does = match clock.random_below(5) {
                0 => Does::EndsAt(2 * time()),
                1 => Does::Drains(time()),
                2 => Does::Panics(time()),
                3 => Does::HeedsCancel(time()),
                _ => Does::Ignores,
            };
            (some_group(), does)
        });
        Self {
            plan: [time(), time(), time()],
            above,
            before,
            tasks: tasks.collect(),
            trigger: time(),
            force: (clock.random_below(3) == 0).then(|| 4 * time()),
            main_ends_at_intake: clock.random_below(2) == 0,
        }
    }

    fn path(&self, group: usize) -> String {
        match self.above[group] {
            Some(above) => format!("{}/{group}", self.path(above)),
            None => group.to_string(),
        }
    }

    fn is_within(&self, group: usize, holder: usize) -> bool {
        group == holder || self.above[group].is_some_and(|above| self.is_within(above, holder))
    }
}

/// What became of each task and when, and how long the stages took.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    ends: Vec<(u64, MemberEnd)>,
    stages: [u64; 3],
}

struct Model<'a> {
    script: &'a Script,
    now: u64,
    forced: bool,
    told: Vec<Option<u64>>,
    /// When it was cancelled, and in which round.
    cancelled: Vec<Option<(u64, u32)>>,
    round: Option<u32>,
    draining: bool,
    ends: Vec<Option<(u64, MemberEnd)>>,
}

impl Model<'_> {
    fn predict(script: &Script) -> Outcome {
        let groups = script.above.len();
        let mut model = Model {
            script,
            now: 0,
            forced: false,
            told: vec![None; groups],
            cancelled: vec![None; groups],
            round: None,
            draining: false,
            ends: vec![None; script.tasks.len()],
        };
        let [lame_duck, drain, grace] = script.plan;
        model.pass(script.trigger, |_| false);
        let triggered = model.now;
        if !model.forced {
            model.pass(triggered + lame_duck, |_| false);
        }
        let intake = model.now;
        model.draining = true;
        let main_over = script.main_ends_at_intake && !model.forced;
        if !model.forced {
            model.pass(intake + drain, |model| main_over && model.none_left());
        }
        let cancel = model.now;
        if !model.forced {
            model.rounds(cancel + grace, main_over);
        }
        let dropped = model.now;
        let ends = model.ends.iter().map(|end| end.unwrap_or((dropped, MemberEnd::Dropped))).collect();
        Outcome { ends, stages: [intake - triggered, cancel - intake, dropped - cancel] }
    }

    fn rounds(&mut self, end: u64, main_over: bool) {
        self.round = Some(0);
        for group in 0..self.told.len() {
            if self.told[group].is_some() {
                self.cancelled[group] = Some((self.now, 0));
            }
        }
        while !self.none_left() {
            let rounds =
                (0..self.told.len()).filter(|group| self.lives(*group)).map(|group| self.level(group));
            let rounds = rounds.max().unwrap() + 1;
            let till = self.now + (end - self.now) / rounds;
            self.pass(till, |model| model.of_round().is_empty());
            if self.forced {
                return;
            }
            for task in self.of_round() {
                self.ends[task] = Some((self.now, MemberEnd::Dropped));
            }
            self.look_who_is_told();
            self.round = self.round.map(|round| round + 1);
        }
        if !main_over {
            self.pass(end, |_| false);
        }
    }

    /// Lets time pass until then, until it is so, or until it is forced.
    fn pass(&mut self, till: u64, done: impl Fn(&Self) -> bool) {
        loop {
            self.look_who_is_told();
            if done(self) {
                return;
            }
            let next = (0..self.ends.len()).filter_map(|task| Some((self.next(task)?, task))).min();
            let force = self.script.force.unwrap_or(u64::MAX);
            match next {
                Some((at, task)) if at < till.min(force) => {
                    self.now = at;
                    let (group, does) = self.script.tasks[task];
                    let end = match does {
                        Does::Panics(_) => MemberEnd::Panicked,
                        _ if self.cancelled[group].is_some() => MemberEnd::Cancelled,
                        _ => MemberEnd::Finished,
                    };
                    self.ends[task] = Some((at, end));
                }
                _ => {
                    self.now = till.min(force);
                    self.forced = force < till;
                    return;
                }
            }
        }
    }

    /// When a task that lives ends by itself, as far as is known now.
    fn next(&self, task: usize) -> Option<u64> {
        let (group, does) = self.script.tasks[task];
        match does {
            _ if self.ends[task].is_some() => None,
            Does::EndsAt(at) => Some(at),
            Does::Drains(after) | Does::Panics(after) => Some(self.told[group]? + after),
            Does::HeedsCancel(after) => Some(self.cancelled[group]?.0 + after),
            Does::Ignores => None,
        }
    }

    fn look_who_is_told(&mut self) {
        if !self.draining {
            return;
        }
        loop {
            let groups = 0..self.told.len();
            let turn = groups.clone().find(|group| {
                let holder_told = self.script.above[*group].is_none_or(|above| self.told[above].is_some());
                let mut first = self.script.before.iter().filter(|pair| pair.1 == *group);
                self.told[*group].is_none() && holder_told && first.all(|pair| self.is_over(pair.0))
            });
            let Some(group) = turn else { return };
            self.told[group] = Some(self.now);
            self.cancelled[group] = self.round.map(|round| (self.now, round + 1));
        }
    }

    fn lives(&self, group: usize) -> bool {
        let tasks = self.script.tasks.iter().zip(&self.ends);
        tasks.into_iter().any(|(task, end)| end.is_none() && self.script.is_within(task.0, group))
    }

    fn is_over(&self, group: usize) -> bool {
        self.told[group].is_some() && !self.lives(group)
    }

    fn none_left(&self) -> bool {
        self.ends.iter().all(Option::is_some)
    }

    fn of_round(&self) -> Vec<usize> {
        let tasks = 0..self.ends.len();
        let is_of_round = |task: &usize| {
            let round = self.cancelled[self.script.tasks[*task].0].map(|cancelled| cancelled.1);
            self.ends[*task].is_none() && round.is_some() && round == self.round
        };
        tasks.filter(is_of_round).collect()
    }

    /// How many groups with tasks have to end one after the other before this one is told.
    fn level(&self, group: usize) -> u64 {
        if self.told[group].is_some() {
            return 0;
        }
        let above = self.script.above[group].map_or(0, |above| self.level(above));
        let first = self.script.before.iter().filter(|pair| pair.1 == group && !self.is_over(pair.0));
        let after = first.map(|pair| {
            let within = (0..self.told.len()).filter(|inner| self.script.is_within(*inner, pair.0));
            within.map(|inner| self.level(inner)).max().unwrap_or(0) + u64::from(self.lives(pair.0))
        });
        after.max().unwrap_or(0).max(above)
    }
}

type Ends = Arc<Mutex<Vec<Option<u64>>>>;

struct Gone(Ends, usize, Clock, Instant);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.lock().unwrap()[self.1] = Some((self.2.now() - self.3).as_nanos() as u64);
    }
}

fn spawn(group: &ShutdownGroup, name: String, does: Does, gone: Gone) {
    let (clock, begun) = (gone.2.clone(), gone.3);
    let (intake, token) = (group.intake().clone(), group.token().clone());
    let ns = Duration::from_nanos;
    let taken = group.spawn(name, async move {
        let _gone = gone;
        match does {
            Does::EndsAt(at) => clock.sleep_until(begun + ns(at)).await,
            Does::Drains(after) | Does::Panics(after) => {
                intake.cancelled().await;
                clock.sleep(ns(after)).await;
                if matches!(does, Does::Panics(_)) {
                    std::panic::panic_any("as drawn");
                }
            }
            Does::HeedsCancel(after) => {
                token.cancelled().await;
                clock.sleep(ns(after)).await;
            }
            Does::Ignores => pending().await,
        }
    });
    assert!(taken);
}

#[apply(sim_test)]
async fn random_shutdowns_go_as_the_model_says(runtime: Runtime) {
    let runtime = runtime.with_panic_hook(|_| {});
    let clock = runtime.clock();
    for _ in 0..4 {
        let mut script = Script::draw(clock);
        let [lame_duck, drain, grace] = script.plan.map(Duration::from_nanos);
        let builder = Shutdown::builder().lame_duck(lame_duck).drain(drain).grace(grace);
        let shutdown = builder.total(Duration::from_secs(100)).build(&runtime).unwrap();
        let begun = clock.now();
        let groups: Vec<_> = (0..script.above.len()).map(|at| shutdown.group(&script.path(at))).collect();
        let wanted = std::mem::take(&mut script.before);
        for (first, then) in wanted {
            match groups[first].before(groups[then].path()) {
                Ok(_) if script.before.contains(&(first, then)) => {}
                Ok(_) => script.before.push((first, then)),
                Err(OrderError::Cycle { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let ends: Ends = Arc::new(Mutex::new(vec![None; script.tasks.len()]));
        for (at, (group, does)) in script.tasks.iter().enumerate() {
            let gone = Gone(Arc::clone(&ends), at, clock.clone(), begun);
            spawn(&groups[*group], at.to_string(), *does, gone);
        }
        let by_hand = {
            let (shutdown, clock, script) = (&shutdown, clock, &script);
            let at = move |at| clock.sleep_until(begun + Duration::from_nanos(at));
            let trigger = async move {
                at(script.trigger).await;
                shutdown.trigger("as drawn");
            };
            let force = async move {
                if let Some(force) = script.force {
                    at(force).await;
                    shutdown.force();
                }
            };
            async move {
                join((trigger, force)).await;
                pending::<()>().await;
            }
        };
        let main = async {
            if script.main_ends_at_intake {
                shutdown.intake().cancelled().await;
            } else {
                pending::<()>().await;
            }
        };
        // What triggers and forces is not the main future, which may be over by then.
        let report = futures_lite::future::or(shutdown.run(main), async {
            by_hand.await;
            unreachable!("it waits for ever")
        });
        let report = report.await;

        let expected = Model::predict(&script);
        let ends = ends.lock().unwrap().clone();
        let actual: Vec<Option<u64>> = expected.ends.iter().map(|end| Some(end.0)).collect();
        assert_eq!(ends, actual, "{script:#?}\n{report}{expected:?}");
        let stages = [Stage::LameDuck, Stage::Drain, Stage::Cancel];
        let stages = stages.map(|stage| report.took(stage).as_nanos() as u64);
        assert_eq!(stages, expected.stages, "{script:#?}\n{report}");
        for end in [MemberEnd::Finished, MemberEnd::Cancelled, MemberEnd::Dropped, MemberEnd::Panicked] {
            let tasks = expected.ends.iter();
            let number = tasks
                .filter(|task| {
                    task.1 == end && task.0 >= script.trigger.min(script.force.unwrap_or(u64::MAX))
                })
                .count();
            assert_eq!(report.count(end), number, "{end}\n{script:#?}\n{report}{expected:?}");
        }
    }
}
