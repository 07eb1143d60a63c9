//! ractor, which has an enum.

use std::hint::black_box;

use weirs_runtime::Runtime;

use super::Work;

struct Ractor;

pub(super) enum RactorMessage {
    Add(u64),
    Get(::ractor::RpcReplyPort<u64>),
}

impl ::ractor::Actor for Ractor {
    type Msg = RactorMessage;
    type State = u64;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ::ractor::ActorRef<RactorMessage>,
        (): (),
    ) -> Result<u64, ::ractor::ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ::ractor::ActorRef<RactorMessage>,
        message: RactorMessage,
        count: &mut u64,
    ) -> Result<(), ::ractor::ActorProcessingErr> {
        match message {
            RactorMessage::Add(number) => *count += number,
            RactorMessage::Get(reply) => reply.send(*count)?,
        }
        Ok(())
    }
}

pub(super) async fn ractor_actor() -> ::ractor::ActorRef<RactorMessage> {
    ::ractor::Actor::spawn(None, Ractor, ()).await.expect("it starts").0
}

pub(super) fn ractor_tells(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = ractor_actor().await;
        for _ in 0..times {
            actor.cast(RactorMessage::Add(1)).expect("it lives");
        }
        assert_eq!(::ractor::call!(actor, RactorMessage::Get).expect("it lives"), times);
        actor.stop(None);
    })
}

pub(super) fn ractor_asks(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = ractor_actor().await;
        for _ in 0..times {
            black_box(::ractor::call!(actor, RactorMessage::Get).expect("it lives"));
        }
        actor.stop(None);
    })
}

pub(super) fn ractor_spawns(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let mut all = Vec::new();
        for _ in 0..times {
            all.push(ractor_actor().await);
        }
        for one in &all {
            black_box(::ractor::call!(one, RactorMessage::Get).expect("it lives"));
        }
        for one in &all {
            let _ = one.stop_and_wait(None, None).await;
        }
    })
}
