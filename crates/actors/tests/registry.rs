//! Names and groups.

mod puppets;

use std::time::Duration;

use puppets::{Log, Message, run, supervisor, sync, until};
use weirs_actors::actor::{Addr, Mailbox};
use weirs_actors::registry::{Group, Registry};
use weirs_actors::supervise::{Incarnation, Spec, Supervisor};
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test};

#[apply(runtime_test)]
async fn an_actor_is_found_by_its_name_until_it_is_gone(runtime: Runtime) {
    let log = Log::default();
    let (one, first) = log.spec("one");
    let (two, second) = log.spec("two");
    let tree = supervisor().child(first).child(second).start(&runtime).await.unwrap();
    let names = tree.registry().clone();
    assert!(names.find::<Message>("it").is_none());
    names.register("it", &one).unwrap();
    names.register("it", &one).unwrap();
    names.register(7, &one).unwrap();
    let taken = names.register("it", &two).unwrap_err();
    assert_eq!(
        (taken.name().name(), taken.to_string()),
        (Some("it"), "there is an actor called it".to_owned())
    );
    assert!(names.find::<Message>("it").unwrap() == one);
    assert!(names.find::<u32>("it").is_none());
    assert_eq!(names.names(), [weirs_actors::Id::from("it"), weirs_actors::Id::from(7)]);
    // A restart is no end.
    one.tell(Message::Fail).await.unwrap();
    sync(&one).await;
    assert!(names.find::<Message>("it").unwrap() == one);
    tree.stop_child("one").await.unwrap();
    assert!(names.find::<Message>("it").is_none() && names.find::<Message>(7).is_none());
    names.register("it", &two).unwrap();
    // Whoever is gone is not found, nor in the way.
    names.register("late", &one).unwrap();
    assert!(names.find::<Message>("late").is_none());
    assert!(!names.unregister("it", &one));
    assert!(names.unregister("it", &two));
    assert!(!names.unregister("it", &two));
    names.register("it", &two).unwrap();
    tree.shutdown().await;
    assert!(names.names().is_empty(), "{names:?}");
}

#[apply(runtime_test)]
async fn a_tree_has_one_registry_and_another_tree_another(runtime: Runtime) {
    let log = Log::default();
    let (addr, spec) = log.spec("deep");
    let mut spec = Some(spec);
    let tree = supervisor()
        .child(Spec::task("task", async |life: Incarnation| {
            while life.registry().find::<Message>("deep").is_none() {
                life.runtime().clock().sleep(Duration::from_millis(1)).await;
            }
            life.registry().find::<Message>("deep").unwrap().tell(Message::Note(1)).await.unwrap();
            life.cancelled().await;
        }))
        .child(Spec::tree("below", move || Supervisor::one_for_one().children(spec.take())))
        .start(&runtime)
        .await
        .unwrap();
    run(&addr, |context| {
        let me = context.address();
        context.registry().register("deep", &me).unwrap();
    })
    .await;
    until(&runtime, || log.notes() == [1]).await;
    assert!(tree.subtree("below").unwrap().registry().find::<Message>("deep").is_some());
    let other = supervisor().start(&runtime).await.unwrap();
    assert!(other.registry().find::<Message>("deep").is_none());
    other.shutdown().await;
    tree.shutdown().await;
}

#[apply(runtime_test)]
async fn a_group_goes_round_and_tells_all(runtime: Runtime) {
    let log = Log::default();
    let (addrs, specs): (Vec<_>, Vec<_>) = ["a", "b", "c"].map(|id| log.spec(id)).into_iter().unzip();
    let tree = supervisor().children(specs).start(&runtime).await.unwrap();
    let group: Group<Number> = Group::new();
    assert!(group.is_empty() && group.next().is_none() && group.least_queued().is_none());
    drop(group);
    let group = tree.registry().group::<Message>("group");
    for addr in &addrs {
        assert!(group.join(addr));
        assert!(!group.join(addr));
    }
    assert_eq!(tree.registry().group::<Message>("group").len(), 3);
    assert!(tree.registry().group::<Number>("group").is_empty());
    let turns: Vec<_> = (0..7).map(|_| group.next().unwrap().id().unwrap().to_string()).collect();
    assert_eq!(turns, ["a", "b", "c", "a", "b", "c", "a"]);
    assert!(group.leave(&addrs[1]) && !group.leave(&addrs[1]) && !group.contains(&addrs[1]));
    let turns: Vec<_> = (0..3).map(|_| group.next().unwrap().id().unwrap().to_string()).collect();
    assert_eq!(turns, ["c", "a", "c"]);
    let (open, gate) = smol::channel::bounded(1);
    addrs[0].tell(Message::Hold(gate)).await.unwrap();
    addrs[0].tell(Message::Note(1)).await.unwrap();
    assert!(group.least_queued().unwrap() == addrs[2]);
    open.send(()).await.unwrap();
    // A restart is no reason to leave.
    addrs[2].tell(Message::Fail).await.unwrap();
    sync(&addrs[2]).await;
    assert_eq!(group.len(), 2);
    tree.stop_child("a").await.unwrap();
    assert!(group.members() == [addrs[2].clone()]);
    assert!(!group.join(&addrs[0]));
    tree.shutdown().await;
    assert!(group.is_empty());
}

#[derive(Clone, Copy)]
struct Number(u32);

/// Puts its name before each number, and is held up by what is over a thousand.
struct Slow(Log, u32, smol::channel::Receiver<()>);

impl weirs_actors::actor::Actor for Slow {
    type Message = Number;
    type Error = std::convert::Infallible;

    async fn handle(
        &mut self,
        number: Number,
        _: &mut weirs_actors::actor::Context<Self>,
    ) -> Result<(), Self::Error> {
        if number.0 >= 1000 {
            let _ = self.2.recv().await;
        }
        self.0.note(self.1 + number.0 % 100);
        Ok(())
    }
}

fn slow(log: &Log, id: &'static str, name: u32) -> (Addr<Number>, smol::channel::Sender<()>, Spec) {
    let (open, gate) = smol::channel::unbounded();
    let log = log.clone();
    let make = move || Slow(log.clone(), name, gate.clone());
    let (addr, spec) = Spec::actor_with(id, Mailbox::bounded(1), make);
    (addr, open, spec)
}

#[apply(runtime_test)]
async fn one_that_is_full_does_not_keep_it_from_the_others(runtime: Runtime) {
    let log = Log::default();
    let (one, open, first) = slow(&log, "one", 100);
    let (two, _gate, second) = slow(&log, "two", 200);
    let tree = supervisor().child(first).child(second).start(&runtime).await.unwrap();
    let group = Group::new();
    group.join(&one);
    group.join(&two);
    one.tell(Number(1001)).await.unwrap();
    until(&runtime, || two.queued() == 0).await;
    let full = group.try_tell_all(&Number(2));
    assert!(full == [one.clone()]);
    until(&runtime, || log.notes() == [202]).await;
    let everybody = group.clone();
    let telling = runtime.spawn(async move { everybody.tell_all(&Number(3)).await });
    until(&runtime, || log.notes() == [202, 203]).await;
    open.send(()).await.unwrap();
    assert_eq!(telling.await.unwrap(), 2);
    until(&runtime, || log.notes() == [202, 203, 101, 103]).await;
    tree.shutdown().await;
}

#[apply(sim_test)]
async fn telling_all_may_be_given_up(runtime: Runtime) {
    let log = Log::default();
    let (one, open, first) = slow(&log, "one", 100);
    let tree = supervisor().child(first).start(&runtime).await.unwrap();
    let group = Group::new();
    group.join(&one);
    let clock = runtime.clock().clone();
    let polls = cancel_at_every_poll(
        || {
            let (group, one, open, clock) = (&group, one.clone(), open.clone(), clock.clone());
            async move {
                one.tell(Number(1001)).await.unwrap();
                let letting_go = async {
                    clock.sleep(Duration::from_secs(1)).await;
                    open.send(()).await.unwrap();
                };
                let (told, ()) = futures::join!(group.tell_all(&Number(3)), letting_go);
                assert_eq!(told, 1);
            }
        },
        |_| {
            let (open, one, clock, log) = (open.clone(), one.clone(), clock.clone(), log.clone());
            async move {
                let _ = open.try_send(());
                clock.sleep(Duration::from_secs(10)).await;
                // Nobody's place was lost.
                one.tell(Number(4)).await.unwrap();
                clock.sleep(Duration::from_secs(10)).await;
                assert_eq!(log.notes().last(), Some(&104));
            }
        },
    )
    .await;
    assert!(polls > 0);
    tree.shutdown().await;
}

#[test]
fn many_come_and_go() {
    const MANY: u64 = 20_000;
    let names = Registry::new();
    let group = Group::new();
    let make = || Log::default().puppet();
    let (addrs, specs): (Vec<_>, Vec<_>) = (0..MANY).map(|id| Spec::actor(id, make)).unzip();
    for (number, addr) in addrs.iter().enumerate() {
        names.register(number as u64, addr).unwrap();
        assert!(group.join(addr));
        assert!(names.unregister(number as u64, addr));
        names.register(number as u64, addr).unwrap();
    }
    assert_eq!((names.names().len(), group.len()), (MANY as usize, MANY as usize));
    drop(specs);
    assert!(group.is_empty() && names.names().is_empty());
    assert!(addrs.iter().all(Addr::is_closed));
}
