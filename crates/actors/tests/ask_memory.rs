//! What asking and telling allocate. One test, for the count is of the whole process.

use std::convert::Infallible;
use std::sync::Arc;

use weirs_actors::actor::{Actor, Context, Reply, spawn};
use weirs_runtime::{Runtime, Smol, block_on};
use weirs_testing::{Allocations, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MANY: u64 = 10_000;

/// The executor's queue is made of blocks of some thirty tasks.
const A_FEW: u64 = MANY / 10;

struct Echo;

enum Message {
    Say,
    Ask(u64, Reply<u64>),
}

impl Actor for Echo {
    type Message = Message;
    type Error = Infallible;

    async fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Result<(), Infallible> {
        match message {
            Message::Say => {}
            Message::Ask(n, reply) => reply.send(n),
        }
        Ok(())
    }
}

#[test]
fn a_question_allocates_once_and_through_an_asker_never() {
    let executor = Arc::new(smol::Executor::new());
    let runtime = Runtime::from(Smol::on(Arc::clone(&executor)));
    block_on(executor.run(async {
        let echo = spawn("echo", || Echo, &runtime);
        let mut asker = echo.asker();
        let ask = third_round(async || {
            for n in 0..MANY {
                assert_eq!(echo.ask(|reply| Message::Ask(n, reply)).await.unwrap(), n);
            }
        });
        let ask = ask.await;
        assert!((MANY..MANY + A_FEW).contains(&ask.count), "{ask:?}");
        let asked = third_round(async || {
            let asker = &mut asker;
            for n in 0..MANY {
                assert_eq!(asker.ask(|reply| Message::Ask(n, reply)).await.unwrap(), n);
            }
        });
        let asked = asked.await;
        assert!(asked.count < A_FEW, "{asked:?}");
        // One that was given up leaves nothing behind for the next.
        drop(asker.ask(|reply| Message::Ask(1, reply)));
        assert_eq!(asker.ask(|reply| Message::Ask(2, reply)).await.unwrap(), 2);
        let told = third_round(async || {
            for _ in 0..MANY {
                echo.tell(Message::Say).await.unwrap();
            }
        });
        let told = told.await;
        assert!(told.count < A_FEW, "{told:?}");
        echo.shutdown().await;
    }));
}

async fn third_round(mut round: impl AsyncFnMut()) -> Allocations {
    round().await;
    round().await;
    let stretch = weirs_testing::Stretch::begin();
    round().await;
    stretch.end()
}
