//! Asking one question after another.

mod puppets;

use puppets::{Log, Message, supervisor};
use weirs_actors::actor::AskError;
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test};

#[apply(runtime_test)]
async fn each_question_has_its_own_answer(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    let mut asker = puppet.asker();
    for _ in 0..100 {
        asker.ask(Message::Sync).await.unwrap();
    }
    // The reply of one that was given up does not answer the next.
    let (open, gate) = smol::channel::bounded(1);
    puppet.tell(Message::Hold(gate)).await.unwrap();
    {
        let mut given_up = std::pin::pin!(asker.ask(Message::Sync));
        assert!(futures::poll!(&mut given_up).is_pending());
    }
    let asks = asker.ask(Message::Sync);
    open.send(()).await.unwrap();
    asks.await.unwrap();
    tree.shutdown().await;
    assert!(matches!(asker.ask(Message::Sync).await, Err(AskError::Closed)));
    assert!(asker.address().is_closed());
}

#[apply(sim_test)]
async fn it_may_be_given_up_at_any_time_and_used_again(runtime: Runtime) {
    let log = Log::default();
    let (puppet, spec) = log.spec("puppet");
    let tree = supervisor().child(spec).start(&runtime).await.unwrap();
    let asker = futures::lock::Mutex::new(puppet.asker());
    let polls = cancel_at_every_poll(
        || async { asker.lock().await.ask(Message::Sync).await.unwrap() },
        |_| async { asker.lock().await.ask(Message::Sync).await.unwrap() },
    )
    .await;
    assert!(polls > 0);
    tree.shutdown().await;
}
