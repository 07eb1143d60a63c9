//! The first steps of an actor, on every runtime.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_actors::Exit;
use weirs_actors::actor::{Actor, Addr, AskError, Context, Mailbox, Reply, TryTellError, spawn};
use weirs_actors::supervise::{Spec, Supervisor};
use weirs_runtime::Runtime;
use weirs_testing::runtime_test;

enum Message {
    Add(u64),
    Get(Reply<u64>),
    Life(Reply<u64>),
    Fail,
    Panic(Reply<()>),
    Forget(Reply<()>),
    Through(Addr<Self>, Reply<Result<u64, AskError>>),
    Me(Reply<Result<u64, AskError>>),
}

#[derive(Default)]
struct Counter(u64);

impl Actor for Counter {
    type Message = Message;
    type Error = String;

    async fn handle(&mut self, message: Message, context: &mut Context<Self>) -> Result<(), String> {
        match message {
            Message::Add(n) => self.0 += n,
            Message::Get(reply) => reply.send(self.0),
            Message::Life(reply) => reply.send(context.number()),
            Message::Fail => return Err("told to".into()),
            Message::Panic(_reply) => panic!("told to"),
            Message::Forget(_reply) => {}
            Message::Through(other, reply) => reply.send(other.ask(Message::Get).await),
            Message::Me(reply) => reply.send(context.address().ask(Message::Get).await),
        }
        Ok(())
    }
}

runtime_test! {
    async fn counts(runtime: Runtime) {
        let counter = spawn("counter", Counter::default, &runtime);
        for n in 1..=1000 {
            counter.tell(Message::Add(n)).await.unwrap();
        }
        assert_eq!(counter.ask(Message::Get).await.unwrap(), 500_500);
        let address = counter.address();
        let report = counter.shutdown().await;
        assert!(report.is_clean(), "{report}");
        assert!(matches!(address.try_tell(Message::Add(1)), Err(TryTellError::Closed(_))));
        assert!(matches!(address.ask(Message::Get).await, Err(AskError::Closed)));
        assert!(!address.closed().await.is_abnormal());
    }
}

runtime_test! {
    async fn crashes_and_keeps_its_queue(runtime: Runtime) {
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&events);
        let (counter, spec) = Spec::actor_with("counter", Mailbox::bounded(8), Counter::default);
        for message in [Message::Add(1), Message::Fail, Message::Add(2), Message::Add(3)] {
            counter.tell(message).await.unwrap();
        }
        let tree = Supervisor::one_for_one()
            .name("app")
            .intensity(5, Duration::from_secs(3600))
            .observe(move |event| heard.lock().unwrap().push(event.to_string()))
            .child(spec)
            .start(&runtime)
            .await
            .unwrap();
        assert_eq!(counter.ask(Message::Get).await.unwrap(), 5);
        assert_eq!(counter.ask(Message::Life).await.unwrap(), 2);
        let crashed = counter.ask(Message::Panic).await;
        let Err(AskError::Crashed(exit)) = crashed else { panic!("{crashed:?}") };
        assert_eq!(exit.to_string(), "panicked: told to");
        assert_eq!(counter.ask(Message::Life).await.unwrap(), 3);
        assert!(matches!(counter.ask(Message::Forget).await, Err(AskError::NoReply)));
        let snapshot = tree.snapshot();
        assert_eq!(snapshot.child("counter").unwrap().incarnation, 3, "{snapshot}");
        tree.shutdown().await;
        let events = events.lock().unwrap().join("\n");
        assert!(events.contains("app/counter: 1 undelivered"), "{events}");
    }
}

runtime_test! {
    async fn asks_that_wait_for_themselves_are_errors(runtime: Runtime) {
        let (one, first) = Spec::actor("one", Counter::default);
        let (two, second) = Spec::actor("two", Counter::default);
        let tree = Supervisor::one_for_one().child(first).child(second).start(&runtime).await.unwrap();
        let cycle = one.ask(Message::Me).await.unwrap();
        assert!(matches!(&cycle, Err(AskError::Cycle(path)) if path.len() == 2), "{cycle:?}");
        let through = one.ask(|reply| Message::Through(two.clone(), reply)).await.unwrap();
        assert_eq!(through.unwrap(), 0);
        tree.shutdown().await;
    }
}

runtime_test! {
    async fn what_was_told_before_a_drain_is_handled_though_it_had_not_begun(runtime: Runtime) {
        for _ in 0..20 {
            let counter = spawn("counter", Counter::default, &runtime);
            let (asked, _) = futures_lite::future::zip(
                async { counter.ask(Message::Life).await },
                async {
                    counter.tell(Message::Add(1)).await.unwrap();
                    counter.drain().await.unwrap();
                },
            )
            .await;
            assert_eq!(asked.unwrap(), 1);
        }
    }
}

runtime_test! {
    async fn an_actor_can_be_stopped_before_its_task_has_run(runtime: Runtime) {
        for _ in 0..20 {
            let counter = spawn("counter", Counter::default, &runtime);
            let addr = counter.address();
            assert_eq!(addr.path().unwrap(), "counter");
            assert!(matches!(addr.stop().await, Ok(Exit::Shutdown)), "{addr:?}");
            assert!(addr.is_closed());
            let (worker, spec) = Spec::actor("worker", Counter::default);
            let tree = Supervisor::one_for_one().name("app").child(spec).spawn(&runtime);
            assert_eq!(worker.path().unwrap(), "app/worker");
            worker.stop().await.unwrap();
            assert!(tree.shutdown().await.is_clean());
        }
    }
}
