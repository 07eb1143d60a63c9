//! What messages, questions and restarts allocate. One test, for the count is of the whole process.

use std::time::Duration;

use weirs_actors::actor::{Actor, Addr, Context, Reply};
use weirs_actors::supervise::{Spec, Supervisor};
use weirs_runtime::{Runtime, Smol, block_on};
use weirs_testing::{Allocations, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MANY: u64 = 10_000;
/// The executor's queue is made of blocks of some thirty tasks.
const A_FEW: u64 = MANY / 20;

struct Counts(u64);

enum Message {
    Add(u64),
    Get(Reply<u64>),
    Again,
}

impl Actor for Counts {
    type Message = Message;
    type Error = &'static str;

    async fn handle(&mut self, message: Message, context: &mut Context<Self>) -> Result<(), &'static str> {
        match message {
            Message::Add(number) => self.0 += number,
            Message::Get(reply) => reply.send(self.0),
            Message::Again => context.end(),
        }
        Ok(())
    }
}

async fn tells(address: &Addr<Message>) {
    for number in 0..MANY {
        address.tell(Message::Add(number)).await.unwrap();
    }
    address.ask(Message::Get).await.unwrap();
}

async fn asks(address: &Addr<Message>) {
    for _ in 0..MANY {
        address.ask(Message::Get).await.unwrap();
    }
}

/// A restart, and a question to know that it is over.
async fn restarts(address: &Addr<Message>) {
    for _ in 0..MANY {
        address.tell(Message::Again).await.unwrap();
        assert_eq!(address.ask(Message::Get).await.unwrap(), 0);
    }
}

#[test]
fn a_tell_allocates_nothing_an_ask_its_answer_and_a_restart_little() {
    let runtime = Runtime::from(Smol::global());
    let (address, spec) = Spec::actor("counts", || Counts(0));
    let supervisor = Supervisor::one_for_one().intensity(u32::MAX, Duration::from_nanos(1));
    let tree = block_on(supervisor.child(spec).start(&runtime)).unwrap();
    let third = |round: &dyn Fn()| {
        round();
        round();
        Allocations::measure(round).1.count
    };
    let told = third(&|| block_on(tells(&address)));
    assert!(told <= A_FEW, "tell: {told}");
    let asked = third(&|| block_on(asks(&address)));
    assert!(asked <= MANY + A_FEW, "ask: {asked}");
    let restarted = third(&|| block_on(restarts(&address)));
    // One is the question's. A life has buffers of its own.
    assert!(restarted <= 3 * MANY + A_FEW, "restart: {restarted}");
    block_on(tree.shutdown());
}
