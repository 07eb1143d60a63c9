//! Questions: each is answered, or ends with the reason why not.

mod actor_tools;

use std::time::Duration;

use actor_tools::{Message, World, act, hold, idle};
use futures::{FutureExt, poll};
use weirs_actors::Exit;
use weirs_actors::actor::{Actor, Addr, AskError, Context, Reply, spawn};
use weirs_actors::supervise::{Spec, Stop, Supervisor};
use weirs_runtime::{Runtime, block_on};
use weirs_scopes::CancelToken;
use weirs_testing::{cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields};

/// A question that panics, fails, or waits for ever.
fn ends(how: &'static str) -> impl FnOnce(Reply<u32>) -> Message {
    move |reply| {
        act(move |puppet, _| {
            async move {
                let _reply = reply;
                puppet.world.note(0);
                match how {
                    "panics" => panic!("over it"),
                    "fails" => Err("over it".into()),
                    "panics later" => {
                        yields(1).await;
                        panic!("over it")
                    }
                    _ => std::future::pending().await,
                }
            }
            .boxed()
        })
    }
}

/// An actor that asks another this, and answers what it was answered.
fn asks(other: &Addr<Message>) -> impl FnOnce(Reply<Result<u32, AskError>>) -> Message {
    let other = other.clone();
    |reply| {
        act(move |_, _| {
            async move {
                reply.send(other.ask(Message::Get).await);
                Ok(())
            }
            .boxed()
        })
    }
}

runtime_test! {
    async fn a_crash_answers_at_once(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        for (how, said) in
            [("panics", "panicked"), ("fails", "failed"), ("panics later", "panicked")]
        {
            let answer = address.ask(ends(how)).await;
            let Err(AskError::Crashed(exit)) = answer else { panic!("{answer:?}") };
            assert_eq!(exit.to_string(), format!("{said}: over it"));
        }
        assert!(matches!(address.ask(Message::Forget).await, Err(AskError::NoReply)));
        assert_eq!(world.lives(), 4);
        tree.shutdown().await;
    }

    async fn a_reply_in_the_state_ends_with_the_life(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let mut asked = Box::pin(address.ask(Message::Hold));
        assert!(poll!(&mut asked).is_pending());
        address.tell(Message::Panic).await.unwrap();
        let answer = asked.await;
        assert!(matches!(&answer, Err(AskError::Crashed(Exit::Panicked(_)))), "{answer:?}");
        let mut asked = Box::pin(address.ask(Message::Hold));
        assert!(poll!(&mut asked).is_pending());
        address.ask(Message::Get).await.unwrap();
        address.stop().await.unwrap();
        assert!(matches!(asked.await, Err(AskError::NoReply)));
        tree.shutdown().await;
    }

    async fn a_kill_answers_at_once(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let tree = world.supervisor().child(spec.stop(Stop::Kill)).start(&runtime).await.unwrap();
        let mut asked = Box::pin(address.ask(ends("not at all")));
        assert!(poll!(&mut asked).is_pending());
        let mut queued = Box::pin(address.ask(Message::Get));
        assert!(poll!(&mut queued).is_pending());
        while world.handled().is_empty() {
            yields(1).await;
        }
        assert!(matches!(address.stop().await, Ok(Exit::Killed)));
        let answer = asked.await;
        assert!(matches!(answer, Err(AskError::Crashed(Exit::Killed))), "{answer:?}");
        assert!(matches!(queued.await, Err(AskError::Closed)));
        tree.shutdown().await;
    }

    async fn a_tree_that_is_dropped_answers_at_once(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let mut asked = Box::pin(address.ask(ends("not at all")));
        assert!(poll!(&mut asked).is_pending());
        let mut queued = Box::pin(address.ask(Message::Get));
        assert!(poll!(&mut queued).is_pending());
        while world.handled().is_empty() {
            yields(1).await;
        }
        drop(tree);
        assert!(matches!(asked.await, Err(AskError::Crashed(_))));
        assert!(matches!(queued.await, Err(AskError::Closed)));
        assert!(matches!(address.ask(Message::Get).await, Err(AskError::Closed)));
        address.closed().await;
    }

    async fn a_question_may_be_passed_on(runtime: Runtime) {
        let world = World::new();
        let (one, first) = world.actor("one", 8);
        let (two, second) = world.actor("two", 8);
        let tree = world.supervisor().child(first).child(second).start(&runtime).await.unwrap();
        type Question = fn(Reply<u32>) -> Message;
        let pass = |to: &Addr<Message>, question: Question| {
            let to = to.clone();
            move |reply| act(move |_, _| {
                async move {
                    to.tell(question(reply)).await.unwrap();
                    Ok(())
                }
                .boxed()
            })
        };
        assert_eq!(one.ask(pass(&two, Message::Get)).await.unwrap(), 0);
        assert!(matches!(one.ask(pass(&two, Message::Forget)).await, Err(AskError::NoReply)));
        // It dies with whoever holds it.
        let mut asked = Box::pin(one.ask(pass(&two, Message::Hold)));
        assert!(poll!(&mut asked).is_pending());
        one.ask(Message::Get).await.unwrap();
        one.tell(Message::Fail).await.unwrap();
        while one.ask(Message::Life).await.unwrap() < 2 {}
        assert!(poll!(&mut asked).is_pending());
        two.tell(Message::Fail).await.unwrap();
        assert!(matches!(asked.await, Err(AskError::Crashed(Exit::Failed(_)))));
        // A task may answer it, or let go of it.
        let to_task = |answers: bool| {
            let runtime = runtime.clone();
            move |reply: Reply<u32>| act(move |puppet, _| {
                let task = runtime.spawn(async move {
                    yields(1).await;
                    if answers {
                        reply.send(7);
                    }
                });
                let _ = puppet;
                async move {
                    task.await.unwrap();
                    Ok(())
                }
                .boxed()
            })
        };
        assert_eq!(one.ask(to_task(true)).await.unwrap(), 7);
        assert!(matches!(one.ask(to_task(false)).await, Err(AskError::NoReply)));
        tree.shutdown().await;
    }

    async fn an_actor_that_lives_on_lets_go_of_a_reply_at_once(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let gate = CancelToken::new();
        let waits = gate.clone();
        // In the middle of a message that goes on.
        let answer = address
            .ask(move |reply: Reply<u32>| {
                act(move |_, _| {
                    async move {
                        drop(reply);
                        waits.cancelled().await;
                        Ok(())
                    }
                    .boxed()
                })
            })
            .await;
        assert!(matches!(answer, Err(AskError::NoReply)));
        gate.cancel("go on");
        tree.shutdown().await;
    }

    async fn nobody_there(runtime: Runtime) {
        let world = World::new();
        // A spec that was dropped.
        let (address, spec) = world.actor("puppet", 8);
        let mut asked = Box::pin(address.ask(Message::Get));
        assert!(poll!(&mut asked).is_pending());
        drop(spec);
        assert!(matches!(asked.await, Err(AskError::Closed)));
        assert!(address.is_closed());
        // One that is started later.
        let (address, spec) = world.actor("puppet", 8);
        let mut asked = Box::pin(address.ask(Message::Get));
        assert!(poll!(&mut asked).is_pending());
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        assert_eq!(asked.await.unwrap(), 0);
        tree.shutdown().await;
        assert!(matches!(address.ask(Message::Get).await, Err(AskError::Closed)));
    }

    async fn whoever_asks_may_go(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let (at, gone) = (CancelToken::new(), CancelToken::new());
        let (here, go) = (at.clone(), gone.clone());
        let (seen, wanted) = futures::channel::oneshot::channel();
        let mut asked = Box::pin(address.ask(move |reply: Reply<u32>| {
            act(move |_, _| {
                async move {
                    let before = reply.is_wanted();
                    here.cancel("there");
                    go.cancelled().await;
                    let _ = seen.send((before, reply.is_wanted()));
                    reply.send(1);
                    Ok(())
                }
                .boxed()
            })
        }));
        assert!(poll!(&mut asked).is_pending());
        at.cancelled().await;
        drop(asked);
        gone.cancel("gone");
        assert_eq!(wanted.await, Ok((true, false)));
        assert!(address.ask(Message::Get).await.is_ok());
        tree.shutdown().await;
    }

    async fn a_question_that_is_dropped_leaves_nothing(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 1);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let (first, second) = (address.clone(), address.clone());
        let ask = || async {
            let _held = hold(&first).await;
            let open = async {
                yields(2).await;
                _held.open();
            };
            futures::join!(first.ask(Message::Get), open).0.unwrap();
        };
        let check = |_| async {
            second.ask(Message::Get).await.unwrap();
            idle(&second).await;
            second.try_tell(Message::Note(1)).ok().unwrap();
            second.ask(Message::Get).await.unwrap();
        };
        cancel_at_every_poll(ask, check).await;
        cancel_at_every_wake(ask, check).await;
        tree.shutdown().await;
    }

    async fn cycles_of_any_length_are_errors_with_their_path(runtime: Runtime) {
        for length in [1, 2, 3, 10, 50_u64] {
            let world = World::new();
            let actors: Vec<_> = (0..length)
                .map(|number| {
                    let make = world.puppet();
                    Spec::actor(number, make)
                })
                .collect();
            let (ring, specs): (Vec<_>, Vec<_>) = actors.into_iter().unzip();
            let tree = world.supervisor().children(specs).start(&runtime).await.unwrap();
            let answer = ring[0].ask(|reply| round(ring.clone(), 1, reply)).await.unwrap();
            let Err(AskError::Cycle(path)) = answer else { panic!("{answer:?}") };
            let path: Vec<_> = path.iter().map(|id| id.number().unwrap()).collect();
            let expected: Vec<_> = std::iter::once(length - 1).chain(0..length).collect();
            assert_eq!(path, expected);
            tree.shutdown().await;
        }
    }

    async fn two_that_ask_each_other_do_not_wait_for_ever(runtime: Runtime) {
        let world = World::new();
        let (one, first) = world.actor("one", 8);
        let (two, second) = world.actor("two", 8);
        let tree = world.supervisor().child(first).child(second).start(&runtime).await.unwrap();
        for _ in 0..20 {
            let (here, there) = futures::join!(one.ask(asks(&two)), two.ask(asks(&one)));
            for answer in [here.unwrap(), there.unwrap()] {
                assert!(matches!(answer, Ok(_) | Err(AskError::Cycle(_))), "{answer:?}");
            }
        }
        tree.shutdown().await;
    }

    async fn whoever_has_answered_may_ask_back(runtime: Runtime) {
        let world = World::new();
        let (one, first) = world.actor("one", 8);
        let (two, second) = world.actor("two", 8);
        let tree = world.supervisor().child(first).child(second).start(&runtime).await.unwrap();
        for _ in 0..20 {
            let (back, to) = (one.clone(), two.clone());
            let (answerer, answer) = futures::channel::oneshot::channel();
            let asked = one.ask(move |reply| act(move |_, _| {
                async move {
                    let answer = to.ask(|reply| act(move |_, _| {
                        async move {
                            reply.send(1);
                            let _ = answerer.send(back.ask(Message::Get).await);
                            Ok(())
                        }
                        .boxed()
                    }));
                    reply.send(answer.await);
                    Ok(())
                }
                .boxed()
            }));
            assert_eq!(asked.await.unwrap().unwrap(), 1);
            let back = answer.await.unwrap();
            assert!(back.is_ok(), "{back:?}");
        }
        tree.shutdown().await;
    }

    async fn a_question_that_is_dropped_is_no_part_of_a_cycle(runtime: Runtime) {
        let world = World::new();
        let (one, first) = world.actor("one", 8);
        let (two, second) = world.actor("two", 8);
        let tree = world.supervisor().child(first).child(second).start(&runtime).await.unwrap();
        let (to, back) = (two.clone(), one.clone());
        let answer = one.ask(move |reply: Reply<u32>| act(move |_, _| {
            async move {
                // Asks, gives up, and has the other ask back.
                assert!(poll!(Box::pin(to.ask(Message::Hold))).is_pending());
                to.tell(act(move |_, _| {
                    async move {
                        reply.send(back.ask(Message::Get).await.unwrap());
                        Ok(())
                    }
                    .boxed()
                }))
                .await
                .unwrap();
                Ok(())
            }
            .boxed()
        }));
        assert_eq!(answer.await.unwrap(), 0);
        tree.shutdown().await;
    }

    async fn an_actor_may_ask_when_it_starts(runtime: Runtime) {
        struct Asks(Addr<Message>, u32);
        impl Actor for Asks {
            type Message = Reply<u32>;
            type Error = AskError;
            async fn started(&mut self, _: &mut Context<Self>) -> Result<(), AskError> {
                self.1 = self.0.ask(Message::Get).await? + 1;
                Ok(())
            }
            async fn handle(&mut self, reply: Reply<u32>, _: &mut Context<Self>) -> Result<(), AskError> {
                reply.send(self.1);
                Ok(())
            }
        }
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let asked = address.clone();
        let (asks, asking) = Spec::actor("asks", move || Asks(asked.clone(), 0));
        let tree = world.supervisor().child(spec).child(asking).start(&runtime).await.unwrap();
        assert_eq!(asks.ask(|reply| reply).await.unwrap(), 1);
        tree.shutdown().await;
        // It fails with the question.
        let asking = Spec::actor("asks", move || Asks(address.clone(), 0)).1;
        assert!(Supervisor::one_for_one().child(asking).start(&runtime).await.is_err());
    }
}

/// Has each of a ring ask the next, and the last the first.
fn round(ring: Vec<Addr<Message>>, next: usize, reply: Reply<Result<u32, AskError>>) -> Message {
    act(move |_, _| {
        async move {
            let to = ring[next % ring.len()].clone();
            let answer = if next >= ring.len() {
                to.ask(Message::Get).await
            } else {
                to.ask(|reply| round(ring, next + 1, reply)).await.unwrap()
            };
            reply.send(answer);
            Ok(())
        }
        .boxed()
    })
}

sim_test! {
    async fn limits_are_exact(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 1);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let held = hold(&address).await;
        let clock = runtime.clock();
        let start = clock.now();
        let limit = Duration::from_nanos(1_000_001);
        // It waits for room first, and that counts.
        let answer = address.ask(Message::Get).within(limit).await;
        assert!(matches!(answer, Err(AskError::TimedOut)), "{answer:?}");
        assert_eq!(clock.now() - start, limit);
        held.open();
        let answer = address.ask(Message::Hold).within(limit).await;
        assert!(matches!(answer, Err(AskError::TimedOut)), "{answer:?}");
        assert_eq!(clock.now() - start, limit * 2);
        assert_eq!(address.ask(Message::Get).within(limit).await.unwrap(), 0);
        let answer = address.ask(Message::Hold).within(Duration::ZERO).await;
        assert!(matches!(answer, Err(AskError::TimedOut)), "{answer:?}");
        tree.shutdown().await;
    }
}

#[test]
fn a_limit_holds_for_a_tree_that_was_never_started() {
    let world = World::new();
    let (address, _spec) = world.actor("puppet", 8);
    let answer = block_on(address.ask(Message::Get).within(Duration::from_millis(5)).into_future());
    assert!(matches!(answer, Err(AskError::TimedOut)), "{answer:?}");
}

runtime_test! {
    async fn an_executor_that_is_gone_leaves_nobody_waiting(_runtime: Runtime) {
        let executor = std::sync::Arc::new(smol::Executor::new());
        let other = Runtime::from(weirs_runtime::Smol::on(std::sync::Arc::clone(&executor)));
        let world = World::new();
        let puppet = spawn("puppet", world.puppet(), &other);
        let address = puppet.address();
        let mut asked = Box::pin(address.ask(Message::Get));
        assert!(poll!(&mut asked).is_pending());
        drop(other);
        drop(executor);
        drop(puppet);
        let answer = asked.await;
        assert!(matches!(answer, Err(AskError::Closed)), "{answer:?}");
        assert!(address.is_closed());
    }
}
