//! The lives of an actor: how they begin and end, and what stays.

mod actor_tools;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use actor_tools::{Message, World, act, hold};
use futures::{FutureExt, poll};
use weirs_actors::actor::{Actor, Addr, AskError, Context, Mailbox, Reply, TryTellError, spawn};
use weirs_actors::supervise::{ChildState, CommandError, Spec, Stop, Supervisor};
use weirs_actors::{DeadReason, Exit};
use weirs_resilience::Backoff;
use weirs_runtime::Runtime;
use weirs_testing::{runtime_test, sim_test, yields};

fn notes(address: &Addr<Message>, numbers: std::ops::Range<u32>) {
    for number in numbers {
        address.try_tell(Message::Note(number)).ok().unwrap();
    }
}

runtime_test! {
    async fn it_stops_after_the_message_it_is_at(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 16);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let held = hold(&address).await;
        notes(&address, 0..5);
        address.try_tell_urgent(Message::Note(9)).ok().unwrap();
        let mut asked = Box::pin(address.ask(Message::Get));
        assert!(poll!(&mut asked).is_pending());
        let mut stop = Box::pin(address.stop());
        assert!(poll!(&mut stop).is_pending());
        while tree.snapshot().child("puppet").unwrap().state != ChildState::Stopping {
            yields(1).await;
        }
        held.open();
        assert!(matches!(stop.await, Ok(Exit::Shutdown)));
        assert!(world.handled().is_empty());
        assert_eq!(world.undelivered(), [9, 0, 1, 2, 3, 4]);
        assert!(matches!(asked.await, Err(AskError::Closed)));
        assert!(matches!(address.try_tell(Message::Note(0)), Err(TryTellError::Closed(Message::Note(0)))));
        assert!(matches!(address.closed().await, Exit::Shutdown));
        // A permanent actor that was stopped stays down, until somebody says otherwise.
        assert_eq!(tree.snapshot().child("puppet").unwrap().state, ChildState::Down);
        tree.restart_child("puppet").await.unwrap();
        assert!(!address.is_closed());
        assert_eq!(address.ask(Message::Life).await.unwrap(), 2);
        assert!(matches!(tree.restart_child("puppet").await, Err(CommandError::Running)));
        tree.shutdown().await;
        assert!(matches!(address.stop().await, Err(CommandError::Ended)));
    }

    async fn it_drains_all_that_was_taken(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 100);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let held = hold(&address).await;
        notes(&address, 0..99);
        address.try_tell_urgent(Message::Note(99)).ok().unwrap();
        let mut late = Box::pin(address.tell(Message::Note(100)));
        assert!(poll!(&mut late).is_pending());
        let mut drain = Box::pin(address.drain());
        assert!(poll!(&mut drain).is_pending());
        assert!(late.await.is_err());
        assert!(address.try_tell(Message::Note(101)).is_err());
        held.open();
        assert!(matches!(drain.await, Ok(Exit::Shutdown)));
        let handled = world.handled();
        assert_eq!((handled.len(), handled[0]), (100, 99));
        assert!(world.undelivered().is_empty());
        tree.shutdown().await;
        // One that has nothing to do drains at once.
        let (address, spec) = world.actor("idle", 4);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        address.drain().await.unwrap();
        tree.shutdown().await;
    }

    async fn its_queue_its_batch_and_its_address_survive(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 64);
        for number in 0..10 {
            notes(&address, number..number + 1);
            let crash = if number % 2 == 0 { Message::Fail } else { Message::Panic };
            address.try_tell(crash).ok().unwrap();
        }
        notes(&address, 10..20);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        assert_eq!(address.ask(Message::Get).await.unwrap(), 20);
        assert_eq!(address.ask(Message::Life).await.unwrap(), 11);
        assert!(world.handled().into_iter().eq(0..20));
        assert_eq!(world.dead(DeadReason::Crashed), 10);
        assert_eq!((world.lives(), world.most_alive()), (11, 1));
        tree.shutdown().await;
        while world.alive() > 0 {
            yields(1).await;
        }
    }

    async fn a_kill_in_the_middle_of_a_message_keeps_the_rest(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 64);
        let (other, second) = world.actor("other", 64);
        let tree = Supervisor::one_for_all()
            .intensity(100, Duration::from_secs(1))
            .child(spec.stop(Stop::Kill))
            .child(second)
            .start(&runtime)
            .await
            .unwrap();
        let held = hold(&address).await;
        notes(&address, 0..9);
        // The other crashes, and with it this one is killed and restarted.
        other.tell(Message::Fail).await.unwrap();
        assert_eq!(address.ask(Message::Get).await.unwrap(), 9);
        assert!(world.handled().into_iter().eq(0..9));
        assert_eq!(address.ask(Message::Life).await.unwrap(), 2);
        drop(held);
        tree.shutdown().await;
    }

    async fn an_actor_may_end_itself(runtime: Runtime) {
        let end = || act(|_, context| {
            context.end();
            async { Ok(()) }.boxed()
        });
        let world = World::new();
        let (permanent, first) = world.actor("permanent", 8);
        let (transient, second) = world.actor("transient", 8);
        let tree = world.supervisor().child(first).child(second.transient()).start(&runtime).await.unwrap();
        permanent.tell(end()).await.unwrap();
        assert_eq!(permanent.ask(Message::Life).await.unwrap(), 2);
        let held = hold(&transient).await;
        transient.tell(end()).await.unwrap();
        transient.tell(Message::Note(1)).await.unwrap();
        held.open();
        assert!(matches!(transient.closed().await, Exit::Normal));
        assert!(transient.is_closed());
        tree.shutdown().await;
        // What came behind it was handed over, or is reported.
        assert_eq!(world.undelivered().len() + world.dead(DeadReason::Ended), 1);
    }

    async fn two_trees_have_nothing_to_do_with_each_other(runtime: Runtime) {
        let world = World::new();
        let (one, first) = world.actor("same", 8);
        let (two, second) = world.actor("same", 8);
        let left = world.supervisor().name("left").child(first).start(&runtime).await.unwrap();
        let right = world.supervisor().name("right").child(second).start(&runtime).await.unwrap();
        assert_eq!(one.path().unwrap(), "left/same");
        assert_eq!(two.path().unwrap(), "right/same");
        assert!(one != two && one == one.clone());
        left.shutdown().await;
        assert!(one.is_closed());
        assert_eq!(two.ask(Message::Get).await.unwrap(), 0);
        right.shutdown().await;
    }
}

/// What goes wrong in an actor that goes wrong everywhere.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    Make,
    Start,
    StartPanic,
    Stopping,
    Name,
}

struct Troubled {
    trouble: Trouble,
}

enum Ask {
    Say(Reply<()>),
    Nothing,
}

impl Actor for Troubled {
    type Message = Ask;
    type Error = &'static str;

    async fn started(&mut self, _: &mut Context<Self>) -> Result<(), &'static str> {
        match self.trouble {
            Trouble::Start => Err("no start"),
            Trouble::StartPanic => panic!("no start"),
            _ => Ok(()),
        }
    }

    async fn handle(&mut self, message: Ask, _: &mut Context<Self>) -> Result<(), &'static str> {
        if let Ask::Say(reply) = message {
            reply.send(());
        }
        Ok(())
    }

    async fn stopping(&mut self, _: &Exit, _: &mut Context<Self>) {
        assert!(self.trouble != Trouble::Stopping, "no end");
    }

    fn name_of(message: &Ask) -> &'static str {
        match message {
            Ask::Say(_) => "say",
            Ask::Nothing => panic!("no name"),
        }
    }
}

fn troubled(trouble: Trouble) -> (Addr<Ask>, Spec) {
    Spec::actor_with("troubled", Mailbox::bounded(8), move || {
        assert!(trouble != Trouble::Make, "no make");
        Troubled { trouble }
    })
}

runtime_test! {
    async fn a_start_that_fails_leaves_nobody_waiting(runtime: Runtime) {
        for trouble in [Trouble::Make, Trouble::Start, Trouble::StartPanic] {
            let (address, spec) = troubled(trouble);
            let mut asked = Box::pin(address.ask(Ask::Say));
            assert!(poll!(&mut asked).is_pending());
            let error = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap_err();
            assert!(error.to_string().contains("troubled"), "{error}");
            let answer = asked.await;
            assert!(matches!(answer, Err(AskError::Closed)), "{answer:?}");
            address.closed().await;
        }
    }

    async fn a_panic_at_the_end_is_how_it_ended(runtime: Runtime) {
        let (address, spec) = troubled(Trouble::Stopping);
        let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
        address.ask(Ask::Say).await.unwrap();
        let report = tree.shutdown().await;
        assert_eq!(report.left.len(), 1, "{report}");
        assert!(address.closed().await.to_string().contains("no end"));
    }

    async fn a_name_that_panics_is_a_crash_over_that_message(runtime: Runtime) {
        let dead = Arc::new(AtomicUsize::new(0));
        let heard = Arc::clone(&dead);
        let (address, spec) = troubled(Trouble::Name);
        let tree = Supervisor::one_for_one()
            .intensity(9, Duration::from_secs(3600))
            .observe(move |event| {
                if let weirs_actors::supervise::What::DeadLetters { count, reason, .. } = event.what {
                    assert_eq!(reason, DeadReason::Crashed);
                    heard.fetch_add(count, SeqCst);
                }
            })
            .child(spec)
            .start(&runtime)
            .await
            .unwrap();
        address.tell(Ask::Nothing).await.unwrap();
        address.ask(Ask::Say).await.unwrap();
        assert_eq!(dead.load(SeqCst), 1);
        tree.shutdown().await;
    }

    async fn hands_that_panic_are_asked_for_each_message(runtime: Runtime) {
        struct Slow(Arc<AtomicUsize>);
        impl Actor for Slow {
            type Message = (weirs_scopes::CancelToken, weirs_scopes::CancelToken);
            type Error = String;
            async fn handle(&mut self, message: Self::Message, _: &mut Context<Self>) -> Result<(), String> {
                message.0.cancel("there");
                message.1.cancelled().await;
                Ok(())
            }
            fn undelivered(&mut self, _: Self::Message) {
                self.0.fetch_add(1, SeqCst);
                panic!("no hand");
            }
        }
        let seen = Arc::new(AtomicUsize::new(0));
        let slow = Slow(Arc::clone(&seen));
        let slow = spawn("slow", move || slow, &runtime);
        let tokens = (weirs_scopes::CancelToken::new(), weirs_scopes::CancelToken::new());
        for _ in 0..4 {
            slow.try_tell(tokens.clone()).ok().unwrap();
        }
        tokens.0.cancelled().await;
        let address = slow.address();
        let mut stop = Box::pin(address.stop());
        assert!(poll!(&mut stop).is_pending());
        while slow.handle().snapshot().child("slow").is_some_and(|slow| slow.state != ChildState::Stopping) {
            yields(1).await;
        }
        tokens.1.cancel("go on");
        let exit = stop.await.unwrap();
        assert!(exit.to_string().contains("no hand"), "{exit}");
        assert_eq!(seen.load(SeqCst), 3);
        slow.shutdown().await;
    }

    async fn a_message_whose_destructor_panics_harms_nobody(runtime: Runtime) {
        struct Bomb(bool);
        impl Drop for Bomb {
            fn drop(&mut self) {
                assert!(!self.0 || std::thread::panicking(), "a bomb");
            }
        }
        struct Handles;
        impl Actor for Handles {
            type Message = (Bomb, Option<Reply<()>>);
            type Error = String;
            async fn handle(&mut self, asked: Self::Message, _: &mut Context<Self>) -> Result<(), String> {
                let (bomb, reply) = asked;
                drop(bomb);
                if let Some(reply) = reply {
                    reply.send(());
                }
                Ok(())
            }
        }
        let (address, spec) = Spec::actor("handles", || Handles);
        let tree = Supervisor::one_for_one()
            .intensity(9, Duration::from_secs(3600))
            .child(spec)
            .start(&runtime)
            .await
            .unwrap();
        let answer = address.ask(|reply| (Bomb(true), Some(reply))).await;
        assert!(matches!(answer, Err(AskError::Crashed(_))), "{answer:?}");
        address.ask(|reply| (Bomb(false), Some(reply))).await.unwrap();
        address.stop().await.unwrap();
        // In a queue that is closed.
        let (address, spec) = Spec::actor("handles", || Handles);
        for _ in 0..3 {
            address.try_tell((Bomb(true), None)).ok().unwrap();
        }
        let mut asked = Box::pin(address.ask(|reply| (Bomb(true), Some(reply))));
        assert!(poll!(&mut asked).is_pending());
        drop(spec);
        assert!(matches!(asked.await, Err(AskError::Closed)));
        tree.shutdown().await;
    }
}

sim_test! {
    async fn the_bound_holds_while_it_pauses(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 4);
        let pause = Duration::from_secs(10);
        let spec = spec.backoff(Backoff::constant(pause));
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let clock = runtime.clock();
        let start = clock.now();
        address.tell(Message::Fail).await.unwrap();
        while !matches!(tree.snapshot().child("puppet").unwrap().state, ChildState::Pausing(_)) {
            yields(1).await;
        }
        for number in 0..4 {
            address.try_tell(Message::Note(number)).ok().unwrap();
        }
        assert!(matches!(address.try_tell(Message::Note(9)), Err(TryTellError::Full(_))));
        address.tell(Message::Note(4)).await.unwrap();
        assert_eq!(clock.now() - start, pause);
        assert_eq!(address.ask(Message::Get).await.unwrap(), 5);
        assert!(world.handled().into_iter().eq(0..5));
        // Stopped in the pause, what waits is reported.
        address.tell(Message::Fail).await.unwrap();
        while !matches!(tree.snapshot().child("puppet").unwrap().state, ChildState::Pausing(_)) {
            yields(1).await;
        }
        notes(&address, 5..8);
        let mut asked = Box::pin(address.ask(Message::Get));
        assert!(poll!(&mut asked).is_pending());
        address.stop().await.unwrap();
        assert!(matches!(asked.await, Err(AskError::Closed)));
        assert_eq!(world.dead(DeadReason::Ended), 4);
        assert_eq!(clock.now() - start, pause);
        tree.shutdown().await;
    }
}
