//! What becomes of messages and of those who are linked when a life ends.

mod puppets;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use puppets::{Log, Message, Puppet, run, supervisor, sync, until};
use weirs_actors::actor::{Actor, Context, Mailbox, Overflow, Reply, StashFull};
use weirs_actors::supervise::{ChildState, Spec};
use weirs_actors::{DeadReason, Exit};
use weirs_resilience::Backoff;
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test};

/// Puts numbers aside until it is told to go on.
struct Shy {
    log: Log,
    open: bool,
}

#[derive(Clone, Debug)]
enum Said {
    Number(u32),
    Open,
    Fail,
    Queued(Arc<Mutex<Option<Reply<usize>>>>),
}

impl Actor for Shy {
    type Message = Said;
    type Error = String;

    async fn handle(&mut self, said: Said, context: &mut Context<Self>) -> Result<(), String> {
        match said {
            Said::Number(number) if self.open => self.log.note(number),
            Said::Number(_) => {
                if let Err(StashFull(Said::Number(number))) = context.stash(said) {
                    self.log.note(1000 + number);
                }
            }
            Said::Open => {
                self.open = true;
                context.unstash_all();
                assert_eq!(context.stashed(), 0);
            }
            Said::Fail => return Err("told to".into()),
            Said::Queued(reply) => {
                if let Some(reply) = reply.lock().unwrap().take() {
                    reply.send(context.address().queued());
                }
            }
        }
        Ok(())
    }

    fn undelivered(&mut self, said: Said) {
        if let Said::Number(number) = said {
            self.log.note(2000 + number);
        }
    }
}

fn shy(log: &Log) -> (weirs_actors::actor::Addr<Said>, Spec) {
    let log = log.clone();
    Spec::actor_with("shy", Mailbox::bounded(4), move || Shy { log: log.clone(), open: false })
}

#[apply(runtime_test)]
async fn what_is_put_aside_comes_before_the_queue(runtime: Runtime) {
    let log = Log::default();
    let (addr, spec) = shy(&log);
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    for number in [1, 2, 3] {
        addr.tell(Said::Number(number)).await.unwrap();
    }
    addr.tell(Said::Open).await.unwrap();
    addr.tell(Said::Number(4)).await.unwrap();
    until(&runtime, || log.notes().len() == 4).await;
    assert_eq!(log.notes(), [1, 2, 3, 4]);
    let queued = addr.ask(|reply| Said::Queued(Arc::new(Mutex::new(Some(reply))))).await.unwrap();
    assert_eq!(queued, 1);
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn there_is_room_for_as_many_as_in_the_queue(runtime: Runtime) {
    let log = Log::default();
    let (addr, spec) = shy(&log);
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    for number in 1..=6 {
        addr.tell(Said::Number(number)).await.unwrap();
    }
    addr.tell(Said::Open).await.unwrap();
    until(&runtime, || log.notes().len() == 6).await;
    assert_eq!(log.notes(), [1005, 1006, 1, 2, 3, 4]);
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn what_is_put_aside_is_there_after_a_restart_and_at_the_end(runtime: Runtime) {
    let log = Log::default();
    let (addr, spec) = shy(&log);
    for said in [Said::Number(1), Said::Number(2), Said::Fail, Said::Number(3)] {
        addr.tell(said).await.unwrap();
    }
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    addr.tell(Said::Open).await.unwrap();
    until(&runtime, || log.notes().len() == 3).await;
    assert_eq!(log.notes(), [1, 2, 3]);
    addr.tell(Said::Fail).await.unwrap();
    addr.tell(Said::Number(4)).await.unwrap();
    addr.tell(Said::Number(5)).await.unwrap();
    addr.ask(|reply| Said::Queued(Arc::new(Mutex::new(Some(reply))))).await.unwrap();
    tree.shutdown().await;
    assert_eq!(log.notes(), [1, 2, 3, 2004, 2005]);
}

type Letters = Arc<Mutex<Vec<(u32, DeadReason)>>>;

fn letters() -> (Letters, impl Fn(weirs_actors::actor::DeadLetter<Fragile>) + Send + Sync + 'static) {
    let letters = Letters::default();
    let sink = Arc::clone(&letters);
    (letters, move |letter: weirs_actors::actor::DeadLetter<Fragile>| {
        sink.lock().unwrap().push((letter.message.0, letter.reason));
        assert!(letter.message.0 != 13, "the sink panics");
    })
}

/// A number; above 100 a life ends over it, unless it is in that life or later.
#[derive(Clone)]
struct Fragile(u32);

struct Breaks(Log);

impl Actor for Breaks {
    type Message = Fragile;
    type Error = String;

    async fn handle(&mut self, message: Fragile, context: &mut Context<Self>) -> Result<(), String> {
        self.0.note(message.0);
        if message.0 > 100 && context.number() < u64::from(message.0 - 100) {
            return Err("too early".into());
        }
        assert!(message.0 != 100, "never");
        Ok(())
    }
}

#[apply(runtime_test)]
async fn what_a_life_ends_over_comes_again(runtime: Runtime) {
    let log = Log::default();
    let inside = log.clone();
    let (dead, sink) = letters();
    let mailbox = Mailbox::bounded(16).redeliver(2).dead_letters(sink);
    let (addr, spec) = Spec::actor_with("breaks", mailbox, move || Breaks(inside.clone()));
    // 103 is done in the third life, 100 in none.
    for number in [1, 103, 2, 100, 3] {
        addr.tell(Fragile(number)).await.unwrap();
    }
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    until(&runtime, || log.notes().last() == Some(&3)).await;
    assert_eq!(log.notes(), [1, 103, 103, 103, 2, 100, 100, 100, 3]);
    assert_eq!(*dead.lock().unwrap(), [(100, DeadReason::Crashed)]);
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn what_came_again_too_often_is_over_with_the_last_life(runtime: Runtime) {
    let log = Log::default();
    let inside = log.clone();
    let (dead, sink) = letters();
    let mailbox = Mailbox::bounded(2).overflow(Overflow::DropNewest).redeliver(5).dead_letters(sink);
    let (addr, spec) = Spec::actor_with("breaks", mailbox, move || Breaks(inside.clone()));
    for number in [100, 7, 13, 9] {
        addr.tell(Fragile(number)).await.unwrap();
    }
    assert_eq!(*dead.lock().unwrap(), [(13, DeadReason::Overflow), (9, DeadReason::Overflow)]);
    let mut tree = supervisor().intensity(2, Duration::from_secs(1000)).child(spec).spawn(&runtime);
    assert!(matches!(tree.wait().await, Exit::GaveUp(_)));
    assert_eq!(log.notes(), [100, 100, 100]);
    let ended = DeadReason::Ended;
    assert_eq!(dead.lock().unwrap()[2..], [(100, ended), (7, ended)]);
}

#[apply(runtime_test)]
async fn a_failure_takes_those_with_it_who_are_linked(runtime: Runtime) {
    let log = Log::default();
    let [(one, first), (two, second), (three, third), (four, fourth)] =
        ["one", "two", "three", "four"].map(|id| log.spec(id));
    let tree = supervisor()
        .children([first, second, third, fourth].map(Spec::temporary))
        .start(&runtime)
        .await
        .unwrap();
    let (next, last, alone) = (two.clone(), three.clone(), four.clone());
    run(&one, move |context| {
        context.link(&next);
        context.link(&next);
        context.link(&context.address());
        context.link(&alone);
        context.unlink(&alone);
    })
    .await;
    run(&two, move |context| context.link(&last)).await;
    for addr in [&one, &two, &three, &four] {
        sync(addr).await;
    }
    // Two is in the middle of a message, the others wait for one.
    let (_open, gate) = smol::channel::bounded(1);
    two.tell(Message::Hold(gate)).await.unwrap();
    three.tell(Message::Fail).await.unwrap();
    let exits = [one.closed().await, two.closed().await, three.closed().await].map(|exit| exit.to_string());
    let linked = "linked to app/three: failed: told to";
    assert_eq!(exits, [linked, linked, "failed: told to"]);
    assert_eq!(log.exits(), [format!("stopping: {linked}"), format!("stopping: {linked}")]);
    sync(&four).await;
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn an_end_that_is_no_failure_takes_nobody_along(runtime: Runtime) {
    let log = Log::default();
    let [(one, first), (two, second), (three, third)] = ["one", "two", "three"].map(|id| log.spec(id));
    let tree = supervisor()
        .child(first.transient())
        .child(second.transient())
        .child(third.transient())
        .start(&runtime)
        .await
        .unwrap();
    let others = [two.clone(), three.clone()];
    run(&one, move |context| others.iter().for_each(|other| context.link(other))).await;
    sync(&one).await;
    run(&two, Context::end).await;
    two.closed().await;
    tree.stop_child("three").await.unwrap();
    sync(&one).await;
    // Too late: that one has ended, as it should.
    run(&one, move |context| context.link(&two)).await;
    sync(&one).await;
    assert_eq!(tree.snapshot().child("one").unwrap().incarnation, 1);
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn links_are_of_lives_and_a_late_one_counts(runtime: Runtime) {
    let log = Log::default();
    let [(one, first), (two, second)] = ["one", "two"].map(|id| log.spec(id));
    let tree = supervisor().child(first).child(second.temporary()).start(&runtime).await.unwrap();
    let other = two.clone();
    run(&one, move |context| context.link(&other)).await;
    one.tell(Message::Fail).await.unwrap();
    // It is temporary, and gone for good.
    assert_eq!(two.closed().await.to_string(), "linked to app/one: failed: told to");
    sync(&one).await;
    assert_eq!(tree.snapshot().child("one").unwrap().incarnation, 2);
    // Its second life is linked to nobody, until it links to one that failed.
    run(&one, move |context| context.link(&two)).await;
    let life = || tree.snapshot().child("one").unwrap().incarnation;
    until(&runtime, || life() == 3).await;
    sync(&one).await;
    tree.shutdown().await;
}

/// A link that comes between two lives of the other, of which the second never begins.
#[apply(runtime_test)]
async fn a_link_to_one_that_does_not_come_back_counts(runtime: Runtime) {
    let log = Log::default();
    let [(one, first), (two, second)] = ["one", "two"].map(|id| log.spec(id));
    let hour = Backoff::constant(Duration::from_secs(3600));
    let specs = [first.temporary(), second.backoff(hour)];
    let tree = supervisor().children(specs).start(&runtime).await.unwrap();
    two.tell(Message::Fail).await.unwrap();
    let state = || tree.snapshot().child("two").unwrap().state;
    until(&runtime, || matches!(state(), ChildState::Pausing(_))).await;
    let other = two.clone();
    run(&one, move |context| context.link(&other)).await;
    sync(&one).await;
    tree.stop_child("two").await.unwrap();
    assert_eq!(one.closed().await.to_string(), "linked to app/two: failed: told to");
    tree.shutdown().await;
}

/// Everybody linked to everybody, some fail by themselves: whoever is linked has failed once it is quiet.
#[apply(sim_test)]
async fn random_links(runtime: Runtime) {
    const MANY: usize = 8;
    let log = Log::default();
    let clock = runtime.clock().clone();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let (addrs, specs): (Vec<_>, Vec<_>) = names.map(|name| log.spec(name)).into_iter().unzip();
    let specs = specs.into_iter().map(Spec::temporary);
    let tree = supervisor().children(specs).start(&runtime).await.unwrap();
    let mut group: Vec<usize> = (0..MANY).collect();
    for _ in 0..clock.random_below(10) {
        let (one, two) = (clock.random_below(MANY as u64) as usize, clock.random_below(MANY as u64) as usize);
        let other = addrs[two].clone();
        run(&addrs[one], move |context| context.link(&other)).await;
        sync(&addrs[one]).await;
        let (from, to) = (group[one], group[two]);
        group.iter_mut().filter(|of| **of == from).for_each(|of| *of = to);
    }
    let fails = clock.random_below(MANY as u64) as usize;
    let how = if clock.random_below(2) == 0 { Message::Fail } else { Message::Panic };
    addrs[fails].tell(how).await.unwrap();
    clock.sleep(Duration::from_secs(1)).await;
    for (at, addr) in addrs.iter().enumerate() {
        assert_eq!(addr.is_closed(), group[at] == group[fails], "{at} {fails} {group:?}");
    }
    tree.shutdown().await;
}

#[test]
fn a_puppet_and_its_parts_are_what_they_say() {
    fn send<T: Send>() {}
    send::<Context<Puppet>>();
    send::<weirs_actors::actor::Asker<Message, u32>>();
    send::<weirs_actors::actor::MailboxOf<Message>>();
    send::<weirs_actors::actor::LocalHost>();
    let full = StashFull(3);
    assert_eq!(full.to_string(), "there is no room to put another message aside");
}

/// Puts numbers aside, fails over them or notes them, as chance has it, until it is calm.
struct Moody {
    log: Log,
    calm: Arc<std::sync::atomic::AtomicBool>,
}

#[derive(Clone)]
enum Turn {
    Number(u32),
    Flush,
}

impl Actor for Moody {
    type Message = Turn;
    type Error = String;

    async fn handle(&mut self, turn: Turn, context: &mut Context<Self>) -> Result<(), String> {
        let Turn::Number(number) = turn else {
            context.unstash_all();
            return Ok(());
        };
        let clock = context.runtime().clock().clone();
        let calm = self.calm.load(std::sync::atomic::Ordering::SeqCst);
        match clock.random_below(if calm { 1 } else { 6 }) {
            1 => return Err("a mood".into()),
            2 => {
                clock.sleep(Duration::from_millis(clock.random_below(3))).await;
                panic!("a mood")
            }
            3 => {
                if let Err(StashFull(_)) = context.stash(turn) {
                    self.log.note(number);
                }
                return Ok(());
            }
            4 => context.unstash_all(),
            5 => clock.sleep(Duration::from_millis(clock.random_below(3))).await,
            _ => {}
        }
        self.log.note(number);
        Ok(())
    }
}

#[apply(sim_test)]
async fn whatever_the_moods_every_message_is_handled_once_or_a_dead_letter(runtime: Runtime) {
    const MANY: u32 = 30;
    let log = Log::default();
    let calm = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (inside, mood, sink) = (log.clone(), Arc::clone(&calm), log.clone());
    let mailbox = Mailbox::bounded(4).redeliver(1).dead_letters(move |letter| match letter.message {
        Turn::Number(number) => sink.note(number),
        Turn::Flush => {}
    });
    let make = move || Moody { log: inside.clone(), calm: Arc::clone(&mood) };
    let (addr, spec) = Spec::actor_with("moody", mailbox, make);
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    for number in 0..MANY {
        addr.tell(Turn::Number(number)).await.unwrap();
    }
    calm.store(true, std::sync::atomic::Ordering::SeqCst);
    addr.tell(Turn::Flush).await.unwrap();
    runtime.clock().sleep(Duration::from_secs(10)).await;
    addr.tell(Turn::Flush).await.unwrap();
    runtime.clock().sleep(Duration::from_secs(10)).await;
    let mut notes = log.notes();
    notes.sort_unstable();
    assert_eq!(notes, (0..MANY).collect::<Vec<_>>());
    assert!(tree.shutdown().await.is_clean());
}
