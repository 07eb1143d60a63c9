//! The mailbox of an actor: order, bounds, waiting, overflow, urgency and turns.

mod actor_tools;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use actor_tools::{Message, World, act, hold, idle};
use futures::{FutureExt, poll};
use weirs_actors::DeadReason;
use weirs_actors::actor::{AskError, Mailbox, Overflow, TellError, TryTellError, spawn};
use weirs_actors::supervise::{Spec, StartError, Supervisor};
use weirs_runtime::{Runtime, Smol};
use weirs_testing::{cancel_at_every_poll, cancel_at_every_wake, runtime_test, yields};

runtime_test! {
    async fn messages_of_a_sender_arrive_in_order(runtime: Runtime) {
        const SENDERS: u32 = 4;
        const EACH: u32 = 100;
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let address = address.clone();
                runtime.spawn(async move {
                    for number in 0..EACH {
                        address.tell(Message::Note(sender * EACH + number)).await.unwrap();
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.await.unwrap();
        }
        assert_eq!(address.ask(Message::Get).await.unwrap(), SENDERS * EACH);
        let handled = world.handled();
        for sender in 0..SENDERS {
            let of_it = handled.iter().copied().filter(|number| number / EACH == sender);
            assert!(of_it.eq(sender * EACH..(sender + 1) * EACH));
        }
        tree.shutdown().await;
    }

    async fn what_is_in_the_actors_hands_counts(runtime: Runtime) {
        for capacity in [1, 2, 3, 8, 64, 200] {
            let world = World::new();
            let (address, spec) = world.actor("puppet", capacity);
            let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
            let first = hold(&address).await;
            for number in 1..capacity {
                address.try_tell(Message::Note(number as u32)).ok().unwrap();
            }
            assert_eq!(address.queued(), capacity);
            assert!(matches!(address.try_tell(Message::Note(0)), Err(TryTellError::Full(_))));
            first.open();
            assert_eq!(address.ask(Message::Get).await.unwrap(), capacity as u32 - 1);
            tree.shutdown().await;
        }
    }

    async fn each_message_that_is_done_leaves_room_for_one(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let tokens = || (weirs_scopes::CancelToken::new(), weirs_scopes::CancelToken::new());
        let waits = [(); 8].map(|()| tokens());
        for (at, gate) in &waits {
            address.try_tell(Message::Wait(at.clone(), gate.clone())).ok().unwrap();
        }
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        for (done, (at, gate)) in waits.iter().enumerate() {
            at.cancelled().await;
            if done > 0 {
                // One that is urgent, and was handled, made no more room.
                address.try_tell(Message::Note(1)).ok().unwrap();
            }
            assert!(matches!(address.try_tell(Message::Note(0)), Err(TryTellError::Full(_))));
            assert_eq!(address.queued(), 8);
            address.try_tell_urgent(Message::Note(2)).ok().unwrap();
            gate.cancel("open");
        }
        assert_eq!(address.ask(Message::Get).await.unwrap(), 15);
        idle(&address).await;
        tree.shutdown().await;
    }

    async fn those_who_wait_are_served_in_their_order(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 1);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let held = hold(&address).await;
        let mut waiting: Vec<_> =
            (0..6).map(|number| Box::pin(address.tell(Message::Note(number)))).collect();
        for tell in &mut waiting {
            assert!(poll!(tell).is_pending());
        }
        assert!(matches!(address.try_tell(Message::Note(9)), Err(TryTellError::Full(_))));
        // The third gives up; so does the first, just as it is its turn.
        drop(waiting.remove(2));
        held.open();
        yields(3).await;
        drop(waiting.remove(0));
        for tell in waiting {
            tell.await.unwrap();
        }
        assert_eq!(address.ask(Message::Get).await.unwrap(), 4);
        assert_eq!(world.handled(), [1, 3, 4, 5]);
        tree.shutdown().await;
    }

    async fn a_tell_that_is_dropped_takes_no_room(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 1);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        for at_wake in [false, true] {
            let tell = || {
                let address = address.clone();
                async move {
                    let held = hold(&address).await;
                    let room = async {
                        yields(2).await;
                        held.open();
                    };
                    let (told, ()) = futures::join!(address.tell(Message::Note(1)), room);
                    told.unwrap();
                }
            };
            let check = |_| async {
                let handled = address.ask(Message::Get).await.unwrap();
                idle(&address).await;
                address.try_tell(Message::Note(2)).ok().unwrap();
                assert_eq!(address.ask(Message::Get).await.unwrap(), handled + 1);
            };
            let polls = if at_wake {
                cancel_at_every_wake(tell, check).await
            } else {
                cancel_at_every_poll(tell, check).await
            };
            assert!(polls > 1, "{polls}");
        }
        assert_eq!(world.lives(), 1);
        tree.shutdown().await;
    }

    async fn overflow_drops_what_it_says(runtime: Runtime) {
        for (overflow, left) in [(Overflow::DropNewest, [1, 2]), (Overflow::DropOldest, [2, 3])] {
            let world = World::new();
            let mailbox = Mailbox::bounded(3).overflow(overflow);
            let (address, spec) = Spec::actor_with("puppet", mailbox, world.puppet());
            let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
            let held = hold(&address).await;
            for number in 1..=3 {
                address.tell(Message::Note(number)).await.unwrap();
            }
            assert_eq!(world.dead(DeadReason::Overflow), 1);
            held.open();
            while world.handled().len() < 2 {
                yields(1).await;
            }
            assert_eq!(world.handled(), left);
            tree.shutdown().await;
        }
    }

    async fn a_question_that_overflows_is_an_error_at_once(runtime: Runtime) {
        for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
            let world = World::new();
            let mailbox = Mailbox::bounded(1).overflow(overflow);
            let (full, spec) = Spec::actor_with("full", mailbox, world.puppet());
            let (asks, asking) = world.actor("asks", 4);
            let tree = world.supervisor().child(spec).child(asking).start(&runtime).await.unwrap();
            let held = hold(&full).await;
            assert!(matches!(full.ask(Message::Get).await, Err(AskError::Overflow)));
            // Nor does an actor wait for it that asks, and lets go of its own question thereby.
            let other = full.clone();
            let answer = asks.ask(|reply| {
                act(move |_, _| {
                    async move {
                        let answer = other.ask(Message::Get).await;
                        assert!(matches!(answer, Err(AskError::Overflow)), "{answer:?}");
                        reply.send(());
                        Ok(())
                    }
                    .boxed()
                })
            });
            answer.await.unwrap();
            let through = full.map(Message::Note);
            through.tell(5).await.unwrap();
            through.try_tell(6).unwrap();
            held.open();
            tree.shutdown().await;
        }
    }

    async fn urgent_messages_overtake_the_batch_in_hand(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 16);
        let (at, gate) = (weirs_scopes::CancelToken::new(), weirs_scopes::CancelToken::new());
        address.try_tell(Message::Wait(at.clone(), gate.clone())).ok().unwrap();
        for number in 0..15 {
            address.try_tell(Message::Note(number)).ok().unwrap();
        }
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        at.cancelled().await;
        for number in 100..116 {
            address.try_tell_urgent(Message::Note(number)).ok().unwrap();
        }
        assert!(matches!(address.try_tell_urgent(Message::Note(0)), Err(TryTellError::Full(_))));
        gate.cancel("open");
        address.ask(Message::Get).await.unwrap();
        assert!(world.handled().into_iter().eq((100..116).chain(0..15)));
        tree.shutdown().await;
    }

    async fn an_actor_that_tells_itself_gets_no_room_from_itself(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 4);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let told = address.ask(|reply| {
            act(move |_, context| {
                async move {
                    let me = context.address();
                    let mut told = 0;
                    let error = loop {
                        match me.tell(Message::Note(told)).await {
                            Ok(()) => told += 1,
                            Err(error) => break error,
                        }
                    };
                    let TellError::Cycle(message, path) = error else { panic!("{error}") };
                    assert!(matches!(message, Message::Note(number) if number == told));
                    assert!(path.iter().all(|id| id.name() == Some("puppet")) && path.len() == 2);
                    let narrow = me.map(Message::Note);
                    assert!(matches!(narrow.tell(7).await, Err(TellError::Cycle(7, _))));
                    reply.send(told);
                    Ok(())
                }
                .boxed()
            })
        });
        // Its own message is in its hands.
        assert_eq!(told.await.unwrap(), 3);
        assert_eq!(address.ask(Message::Get).await.unwrap(), 3);
        tree.shutdown().await;
    }

    async fn two_that_tell_each_other_do_not_wait_for_ever(runtime: Runtime) {
        let world = World::new();
        let (one, first) = world.actor("one", 1);
        let (two, second) = world.actor("two", 1);
        let tree = world.supervisor().child(first).child(second).start(&runtime).await.unwrap();
        let tells = |other: &weirs_actors::actor::Addr<Message>| {
            let other = other.clone();
            move |reply| act(move |_, _| {
                async move {
                    // The first finds room, perhaps.
                    let mut cycles = 0;
                    for _ in 0..2 {
                        cycles += u32::from(matches!(
                            other.tell(Message::Note(1)).await,
                            Err(TellError::Cycle(..))
                        ));
                    }
                    weirs_actors::actor::Reply::send(reply, cycles);
                    Ok(())
                }
                .boxed()
            })
        };
        for _ in 0..5 {
            let (here, there) = futures::join!(one.ask(tells(&two)), two.ask(tells(&one)));
            assert!(here.unwrap() + there.unwrap() <= 4);
        }
        tree.shutdown().await;
    }

    async fn a_narrow_address_makes_its_message_when_there_is_room(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 1);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let made = Arc::new(AtomicUsize::new(0));
        let narrow = address.map({
            let made = Arc::clone(&made);
            move |number: u32| {
                made.fetch_add(1, SeqCst);
                assert!(number < 100, "that is none");
                Message::Note(number)
            }
        });
        let held = hold(&address).await;
        assert_eq!(narrow.try_tell(1), Err(TryTellError::Full(1)));
        {
            let mut waits = Box::pin(narrow.tell(2));
            assert!(poll!(&mut waits).is_pending());
            assert_eq!(made.load(SeqCst), 0);
            held.open();
            waits.await.unwrap();
        }
        // A function that panics takes no room.
        for _ in 0..3 {
            address.ask(Message::Get).await.unwrap();
            let panic = std::panic::AssertUnwindSafe(narrow.tell(100)).catch_unwind().await;
            assert!(panic.is_err());
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| narrow.try_tell(200)));
            assert!(panic.is_err());
        }
        narrow.tell(3).await.unwrap();
        assert_eq!(address.ask(Message::Get).await.unwrap(), 2);
        tree.shutdown().await;
        assert_eq!(narrow.try_tell(4), Err(TryTellError::Closed(4)));
        assert_eq!(narrow.tell(5).await, Err(TellError::Closed(5)));
        assert!(narrow.is_closed());
    }

    async fn weak_addresses_let_go(runtime: Runtime) {
        let world = World::new();
        let puppet = spawn("puppet", world.puppet(), &runtime);
        let weak = puppet.downgrade();
        assert!(weak.upgrade().unwrap() == puppet.address());
        puppet.shutdown().await;
        while weak.upgrade().is_some() {
            yields(1).await;
        }
    }

    async fn capacities_from_none_to_endless(runtime: Runtime) {
        let world = World::new();
        let (_, none) = world.actor("none", 0);
        let error = Supervisor::one_for_one().child(none).start(&runtime).await.unwrap_err();
        assert!(matches!(error, StartError::Invalid(_)), "{error}");
        let (address, spec) = world.actor("endless", usize::MAX);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        for number in 0..1000 {
            address.try_tell(Message::Note(number)).ok().unwrap();
            address.try_tell_urgent(Message::Note(number)).ok().unwrap();
        }
        assert_eq!(address.ask(Message::Get).await.unwrap(), 2000);
        tree.shutdown().await;
    }
}

#[test]
fn a_busy_actor_lets_others_have_their_turn() {
    const MESSAGES: u32 = 10_000;
    let executor = Arc::new(smol::Executor::new());
    let runtime = Runtime::from(Smol::on(Arc::clone(&executor)));
    let turns = Arc::new(AtomicUsize::new(0));
    let world = World::new();
    smol::block_on(executor.run(async {
        let (address, spec) = world.actor("busy", usize::MAX);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let _other = runtime.spawn({
            let turns = Arc::clone(&turns);
            async move {
                loop {
                    turns.fetch_add(1, SeqCst);
                    yields(1).await;
                }
            }
        });
        for number in 0..MESSAGES {
            address.try_tell(Message::Note(number)).ok().unwrap();
        }
        address.ask(Message::Get).await.unwrap();
        tree.shutdown().await;
    }));
    let turns = turns.load(SeqCst);
    assert!(turns >= MESSAGES as usize / 64, "{turns}");
}
