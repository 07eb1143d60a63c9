//! Actors and children that are used as nobody should.

mod actor_tools;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actor_tools::{Message, World, act, idle};
use futures::stream;
use weirs_actors::actor::{Actor, Addr, AskError, Context, Lone, Mailbox, Overflow, Reply, spawn};
use weirs_actors::supervise::{
    CommandError, Handle, Incarnation, Pool, Spec, StartError, Stop, Supervisor, Tree,
};
use weirs_actors::{DeadReason, Exit};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, yields};

/// An actor that waits for its own end is told so.
#[apply(runtime_test)]
async fn who_waits_for_its_own_end_is_told(runtime: Runtime) {
    let world = World::new();
    let (puppet, spec) = world.actor("puppet", 4);
    let below = Mutex::new(Some(spec.stop(Stop::Forever)));
    let below = Spec::tree("below", move || Supervisor::one_for_one().children(below.lock().unwrap().take()));
    let tree = world.supervisor().child(below).start(&runtime).await.unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (handle, subtree, note) = (tree.handle(), tree.subtree("below").unwrap(), Arc::clone(&heard));
    puppet
        .tell(act(move |_, context| {
            Box::pin(async move {
                let itself = context.address().stop().await;
                let by_name = subtree.stop_child("puppet").await;
                let drained = context.address().drain().await;
                let above = handle.stop_child("below").await;
                note.lock().unwrap().extend([itself, by_name, drained, above]);
                Ok(())
            })
        }))
        .await
        .ok()
        .unwrap();
    puppet.closed().await;
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    assert_eq!(heard.len(), 4);
    assert!(heard.iter().all(|heard| matches!(heard, Err(CommandError::Itself))), "{heard:?}");
    assert!(tree.shutdown().await.is_clean());
}

/// Panics when it is dropped, also when something else panics.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        panic!("boom");
    }
}

struct Holder;

impl Actor for Holder {
    type Message = Option<Bomb>;
    type Error = String;

    async fn handle(&mut self, message: Option<Bomb>, context: &mut Context<Self>) -> Result<(), String> {
        let Some(Bomb(count)) = &message else { return Err("told to".into()) };
        let bomb = || Some(Bomb(Arc::clone(count)));
        let never = std::future::pending::<()>;
        for _ in 0..3 {
            let (one, two, three, four) = (bomb(), bomb(), bomb(), bomb());
            context.after(Duration::from_secs(1000), bomb());
            context
                .every(Duration::from_secs(1000), move || one.as_ref().map(|bomb| Bomb(Arc::clone(&bomb.0))));
            context.attach(stream::pending::<()>(), move |()| {
                two.as_ref().map(|bomb| Bomb(Arc::clone(&bomb.0)))
            });
            context.attach_with_end(stream::pending::<()>(), |()| None, three);
            context.pipe(never(), move |()| four);
            context.stash(bomb()).ok().unwrap();
        }
        std::mem::forget(message);
        Ok(())
    }
}

/// None of many destructors that panic keeps the others from running, or ends the process.
#[apply(runtime_test)]
async fn all_that_it_holds_panics_when_dropped(runtime: Runtime) {
    for (told, wait) in [(true, true), (false, true), (true, false), (false, false)] {
        let count = Arc::new(AtomicUsize::new(0));
        let (holder, spec) = Spec::actor("holder", || Holder);
        let tree = Supervisor::one_for_one().child(spec.temporary()).start(&runtime).await.unwrap();
        holder.tell(Some(Bomb(Arc::clone(&count)))).await.ok().unwrap();
        if wait {
            while holder.queued() > 0 {
                yields(1).await;
            }
        }
        if told {
            holder.tell(None).await.ok().unwrap();
            holder.closed().await;
            tree.shutdown().await;
        } else if wait {
            drop(tree);
            holder.closed().await;
        } else {
            tree.shutdown().await;
        }
        while wait && count.load(SeqCst) < 18 {
            yields(1).await;
        }
    }
}

/// In no time nobody is gone, and nobody has so many supervisors.
#[apply(runtime_test)]
async fn what_makes_no_sense_is_an_error(runtime: Runtime) {
    let serve = |life: Incarnation| async move { life.cancelled().await };
    let child = Spec::task("child", serve).kill_grace(Duration::ZERO);
    let (_, pool) = Pool::tasks("pool", move |(), life| serve(life)).kill_grace(Duration::ZERO).build();
    let shards = |shards| Pool::tasks("pool", move |(), life| serve(life)).shards(shards).build().1;
    for spec in [child, pool, shards(0), shards(usize::MAX)] {
        let started = Supervisor::one_for_one().child(spec).start(&runtime).await;
        assert!(matches!(started, Err(StartError::Invalid(_))), "{started:?}");
    }
}

/// A tree that is dropped, or stopped, in its own child.
#[apply(runtime_test)]
async fn a_tree_in_its_own_child(runtime: Runtime) {
    for drop_it in [true, false] {
        let world = World::new();
        let (puppet, spec) = world.actor("puppet", 4);
        let tree: Tree = world
            .supervisor()
            .child(spec.stop(Stop::Within(Duration::from_millis(1))))
            .start(&runtime)
            .await
            .unwrap();
        puppet
            .tell(act(move |_, _| {
                Box::pin(async move {
                    if drop_it {
                        drop(tree);
                    } else {
                        tree.shutdown().await;
                    }
                    Ok(())
                })
            }))
            .await
            .ok()
            .unwrap();
        puppet.closed().await;
        while world.alive() > 0 {
            yields(1).await;
        }
    }
}

/// A message that does things when it is dropped.
struct Busy(Addr<Self>, Handle, Option<Reply<u32>>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.2.is_none() {
            return;
        }
        let _ = self.0.try_tell(Self(self.0.clone(), self.1.clone(), None));
        let _ = self.0.try_tell_urgent(Self(self.0.clone(), self.1.clone(), None));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut ask = Box::pin(self.0.ask(|reply| {
            let mut busy = Self(self.0.clone(), self.1.clone(), None);
            drop(busy.2.replace(reply));
            busy.2 = None;
            busy
        }));
        let _ = std::future::Future::poll(ask.as_mut(), &mut cx);
        let mut stop = Box::pin(self.0.stop());
        let _ = std::future::Future::poll(stop.as_mut(), &mut cx);
        drop(self.1.snapshot());
        self.1.registry().register("busy", &self.0).ok();
        self.1.stop_all();
        let _ = self.0.queued();
    }
}

struct Slow(u32);

impl Actor for Slow {
    type Message = Busy;
    type Error = String;

    async fn handle(&mut self, message: Busy, context: &mut Context<Self>) -> Result<(), String> {
        self.0 += 1;
        if self.0 == 1 {
            let _ = context.stash(message);
            context.token().cancelled().await;
            return Err("over".into());
        }
        drop(message);
        Ok(())
    }
}

#[apply(runtime_test)]
async fn destructors_that_come_back(runtime: Runtime) {
    for overflow in [Overflow::Wait, Overflow::DropOldest, Overflow::DropNewest] {
        for kill in [0, 1, 2] {
            let (slow, spec) = Spec::actor_with("slow", Mailbox::bounded(2).overflow(overflow), || Slow(0));
            let tree = Supervisor::one_for_one()
                .intensity(u32::MAX, Duration::MAX)
                .child(spec)
                .start(&runtime)
                .await
                .unwrap();
            let mut asks = Vec::new();
            for _ in 0..6 {
                let (a, h, s) = (slow.clone(), tree.handle(), slow.clone());
                asks.push(Box::pin(async move { s.ask(move |reply| Busy(a, h, Some(reply))).await }));
            }
            let all = futures::future::join_all(asks);
            let end = async {
                yields(20).await;
                match kill {
                    0 => drop(tree.shutdown().await),
                    1 => drop(tree.kill().await),
                    _ => drop(tree),
                }
            };
            let (answers, ()) = futures::join!(all, end);
            assert!(answers.iter().all(Result::is_err), "{answers:?}");
            slow.closed().await;
        }
    }
}

/// The largest and the smallest values that there are.
#[apply(runtime_test)]
async fn the_largest_and_the_smallest(runtime: Runtime) {
    let world = World::new();
    let mut notes = 0;
    for capacity in [1, usize::MAX] {
        for overflow in [Overflow::Wait, Overflow::DropOldest, Overflow::DropNewest] {
            let mailbox = Mailbox::bounded(capacity).overflow(overflow);
            let (puppet, spec) = Spec::actor_with("puppet", mailbox, world.puppet());
            let spec =
                spec.start_within(Duration::MAX).stop(Stop::Within(Duration::MAX)).reset_after(Duration::MAX);
            let tree = Supervisor::one_for_all()
                .intensity(u32::MAX, Duration::MAX)
                .child(spec.kill_grace(Duration::MAX))
                .start(&runtime)
                .await
                .unwrap();
            for _ in 0..10 {
                puppet.tell(Message::Fail).await.ok().unwrap();
                idle(&puppet).await;
            }
            puppet
                .tell(act(|_, context| {
                    Box::pin(async move {
                        context.after(Duration::MAX, Message::Note(1));
                        context.every(Duration::MAX, || Message::Note(2));
                        context.after(Duration::ZERO, Message::Note(3));
                        context.attach(stream::empty::<()>(), |()| Message::Note(4));
                        context.attach_with_end(
                            stream::empty::<()>(),
                            |()| Message::Note(5),
                            Message::Note(6),
                        );
                        context.pipe(async {}, |()| Message::Note(7));
                        Ok(())
                    })
                }))
                .await
                .ok()
                .unwrap();
            notes += 3;
            while world.handled().len() < notes {
                yields(1).await;
            }
            idle(&puppet).await;
            assert!(puppet.ask(Message::Life).within(Duration::MAX).await.unwrap() >= 11);
            assert!(matches!(
                puppet.ask(Message::Hold).within(Duration::ZERO).await,
                Err(AskError::TimedOut)
            ));
            assert!(tree.shutdown().await.is_clean());
        }
    }
    assert!(world.handled().iter().all(|note| [3, 6, 7].contains(note)));
}

/// All in a ring, by links and by watches.
#[apply(runtime_test)]
async fn rings(runtime: Runtime) {
    let world = World::new();
    let (all, specs): (Vec<_>, Vec<_>) =
        (0..300_u64).map(|number| Spec::actor_with(number, Mailbox::bounded(4), world.puppet())).unzip();
    let specs = specs.into_iter().map(Spec::temporary);
    let tree = world.supervisor().children(specs).start(&runtime).await.unwrap();
    for at in 0..all.len() {
        let next = all[(at + 1) % all.len()].clone();
        all[at]
            .tell(act(move |_, context| {
                Box::pin(async move {
                    context.link(&next);
                    context.watch(&next, |_| Message::Note(1));
                    let own = context.address();
                    context.watch(&own, |_| Message::Note(2));
                    context.link(&own);
                    Ok(())
                })
            }))
            .await
            .ok()
            .unwrap();
    }
    for one in &all {
        idle(one).await;
    }
    all[7].tell(Message::Panic).await.ok().unwrap();
    for one in &all {
        assert!(one.closed().await.is_abnormal());
    }
    assert!(tree.shutdown().await.is_clean());
}

/// Many stop the same at once, in all ways.
#[apply(runtime_test)]
async fn many_stop_the_same_at_once(runtime: Runtime) {
    let world = World::new();
    let (puppet, spec) = world.actor("puppet", 4);
    let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
    let stops = futures::future::join_all((0..5).map(|_| puppet.stop()));
    let drains = futures::future::join_all((0..5).map(|_| puppet.drain()));
    let names = futures::future::join_all((0..5).map(|_| tree.stop_child("puppet")));
    let (a, b, c) = futures::join!(stops, drains, names);
    for heard in a.into_iter().chain(b).chain(c) {
        assert!(matches!(heard, Ok(Exit::Shutdown)), "{heard:?}");
    }
    let handle = tree.handle();
    handle.stop_all();
    handle.stop_all();
    handle.kill_all();
    let report = tree.shutdown().await;
    assert!(report.is_clean());
    handle.stop_all();
    assert!(matches!(handle.stop_child("puppet").await, Err(CommandError::Ended)));
    assert_eq!(world.dead(DeadReason::Ended), 0);
}

/// What an actor has started and keeps is dropped with it, however it ends.
#[apply(runtime_test)]
async fn an_actor_that_starts_others_takes_them_along(runtime: Runtime) {
    struct Parent(World, Option<Lone<Message>>);

    impl Actor for Parent {
        type Message = Reply<Addr<Message>>;
        type Error = String;

        async fn handle(&mut self, reply: Self::Message, context: &mut Context<Self>) -> Result<(), String> {
            if self.1.is_some() {
                return Err("told to".into());
            }
            let child = spawn("child", self.0.puppet(), context.runtime());
            reply.send(child.address());
            self.1 = Some(child);
            Ok(())
        }
    }

    let world = World::new();
    let make = {
        let world = world.clone();
        move || Parent(world.clone(), None)
    };
    let (parent, spec) = Spec::actor("parent", make);
    let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
    for _ in 0..3 {
        let child = parent.ask(|reply| reply).await.unwrap();
        child.tell(Message::Note(1)).await.ok().unwrap();
        idle(&child).await;
        assert!(matches!(parent.ask(|reply| reply).await, Err(AskError::Crashed(_))));
        child.closed().await;
    }
    parent.ask(|reply| reply).await.unwrap();
    assert!(tree.shutdown().await.is_clean());
    while world.alive() > 0 {
        yields(1).await;
    }
}

/// An actor is stopped though its task has not run yet.
#[apply(runtime_test)]
async fn one_that_was_just_spawned_is_stopped(runtime: Runtime) {
    let world = World::new();
    let puppet = spawn("puppet", world.puppet(), &runtime);
    assert!(puppet.stop().await.is_ok());
    assert!(puppet.is_closed());
    assert_eq!(world.alive(), 0);
    puppet.shutdown().await;
}
