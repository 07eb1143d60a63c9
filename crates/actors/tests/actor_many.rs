//! A hundred thousand actors in one tree.

use std::convert::Infallible;
use std::time::Duration;

use weirs_actors::actor::{Actor, Context, Reply};
use weirs_actors::supervise::{Spec, Supervisor};
use weirs_runtime::Runtime;
use weirs_testing::runtime_test;

struct Adds(u64);

enum Message {
    Add(u64),
    Get(Reply<u64>),
    Panic,
}

impl Actor for Adds {
    type Message = Message;
    type Error = Infallible;

    async fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Result<(), Infallible> {
        match message {
            Message::Add(number) => self.0 += number,
            Message::Get(reply) => reply.send(self.0),
            Message::Panic => panic!("told to"),
        }
        Ok(())
    }
}

runtime_test! {
    async fn a_hundred_thousand_start_work_crash_and_stop(runtime: Runtime) {
        let many = how_many();
        let (addresses, specs): (Vec<_>, Vec<_>) =
            (0..many).map(|number| Spec::actor(number, || Adds(0))).unzip();
        let supervisor = Supervisor::one_for_one().intensity(1_000, Duration::from_secs(3600));
        let tree = supervisor.children(specs).start(&runtime).await.unwrap();
        for (address, number) in addresses.iter().zip(0..) {
            address.tell(Message::Add(number)).await.unwrap();
        }
        for (address, number) in addresses.iter().zip(0..) {
            assert_eq!(address.ask(Message::Get).await.unwrap(), number);
        }
        for address in addresses.iter().step_by(many as usize / 100) {
            address.tell(Message::Panic).await.unwrap();
            assert_eq!(address.ask(Message::Get).await.unwrap(), 0);
        }
        let report = tree.shutdown().await;
        assert!(report.is_clean());
        assert_eq!(report.stopped, many as usize);
        assert!(addresses.iter().all(|address| address.is_closed()));
    }
}

/// All of them in a deep run. The simulator does it again and again.
fn how_many() -> u64 {
    let simulated = std::thread::current().name().is_some_and(|name| name.ends_with("::sim"));
    let deep = std::env::var("WEIRS_DEEP").is_ok_and(|deep| deep != "0");
    match (simulated, deep) {
        (true, _) => 200,
        (false, true) => 100_000,
        (false, false) => 10_000,
    }
}
