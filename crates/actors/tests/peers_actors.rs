//! What went wrong with the actors of others goes right here.

mod actor_tools;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use actor_tools::{Message, World, act, hold};
use futures::{FutureExt, poll};
use weirs_actors::actor::{Actor, AskError, Context, Mailbox, Overflow, Reply, TryTellError};
use weirs_actors::supervise::{ChildState, Spec, Supervisor};
use weirs_actors::{DeadReason, Exit};
use weirs_runtime::{Runtime, Smol};
use weirs_testing::{runtime_test, sim_test, yields};

const TENTH: Duration = Duration::from_millis(100);

/// A message that takes a tenth of a second.
fn slow() -> Message {
    act(|_, context| {
        async move {
            context.runtime().clock().sleep(TENTH).await;
            Ok(())
        }
        .boxed()
    })
}

sim_test! {
    /// kameo 0.22: a stop stands in line behind the messages.
    async fn a_stop_does_not_wait_behind_messages(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let start = runtime.clock().now();
        for _ in 0..5 {
            address.try_tell(slow()).ok().unwrap();
        }
        // It is at the first of them.
        runtime.clock().sleep(TENTH / 2).await;
        address.stop().await.unwrap();
        assert_eq!(runtime.clock().now() - start, TENTH);
        tree.shutdown().await;
    }

    /// kameo 0.22: a restart because of a sibling waited for half a second behind five messages.
    async fn a_restart_does_not_wait_behind_messages(runtime: Runtime) {
        let world = World::new();
        let (address, first) = world.actor("slow", 8);
        let (other, second) = world.actor("other", 8);
        let tree = Supervisor::one_for_all().child(first).child(second).start(&runtime).await.unwrap();
        let start = runtime.clock().now();
        for _ in 0..5 {
            address.try_tell(slow()).ok().unwrap();
        }
        runtime.clock().sleep(TENTH / 2).await;
        other.tell(Message::Fail).await.unwrap();
        // The other is up again when the slow one has ended its message and begun its next life.
        assert_eq!(other.ask(Message::Life).await.unwrap(), 2);
        assert_eq!(runtime.clock().now() - start, TENTH);
        assert_eq!(address.ask(Message::Life).await.unwrap(), 2);
        assert_eq!(runtime.clock().now() - start, TENTH * 5);
        tree.shutdown().await;
    }

    /// kameo 0.22: the parent was down while its children were still at their `on_stop`.
    async fn who_is_down_has_ended(runtime: Runtime) {
        struct Ends(Arc<AtomicBool>);
        impl Actor for Ends {
            type Message = ();
            type Error = String;
            async fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<(), String> {
                Ok(())
            }
            async fn stopping(&mut self, _: &Exit, context: &mut Context<Self>) {
                context.runtime().clock().sleep(TENTH).await;
                self.0.store(true, SeqCst);
            }
        }
        let ended = Arc::new(AtomicBool::new(false));
        let make = Arc::clone(&ended);
        let (_, spec) = Spec::actor("ends", move || Ends(Arc::clone(&make)));
        let mut specs = Some(spec);
        let below = Spec::tree("below", move || Supervisor::one_for_one().children(specs.take()));
        let tree = Supervisor::one_for_one().child(below).start(&runtime).await.unwrap();
        let start = runtime.clock().now();
        tree.shutdown().await;
        assert!(ended.load(SeqCst));
        assert_eq!(runtime.clock().now() - start, TENTH);
    }
}

runtime_test! {
    /// kameo 0.22: a permanent actor that was stopped came back; and what was asked of a handle from before a
    /// restart had no effect.
    async fn a_stop_is_a_stop_and_an_address_is_for_all_lives(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        address.tell(Message::Panic).await.unwrap();
        assert_eq!(address.ask(Message::Life).await.unwrap(), 2);
        address.stop().await.unwrap();
        assert_eq!(tree.snapshot().child("puppet").unwrap().state, ChildState::Down);
        assert_eq!((world.lives(), world.most_alive()), (2, 1));
        tree.shutdown().await;
    }

    /// xtra 0.6: with a panic the task is gone, and the queue with it. OTP: the queue is gone too. Akka and
    /// pekko: what was kept is lost when the first of it crashes again.
    async fn a_queue_of_poison_loses_only_the_poison(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 64);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let held = hold(&address).await;
        for _ in 0..5 {
            address.tell(Message::Panic).await.unwrap();
        }
        address.tell(Message::Note(1)).await.unwrap();
        held.open();
        assert_eq!(address.ask(Message::Get).await.unwrap(), 1);
        assert_eq!(world.dead(DeadReason::Crashed), 5);
        tree.shutdown().await;
    }

    /// nearcore over actix: `do_send` goes past the bound.
    async fn nothing_goes_past_the_bound(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 4);
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let held = hold(&address).await;
        let narrow = address.map(Message::Note);
        let mut taken = 1;
        for number in 0..10 {
            taken += usize::from(address.try_tell(Message::Note(number)).is_ok());
            taken += usize::from(narrow.try_tell(number).is_ok());
            let mut tell = address.tell(Message::Note(number));
            taken += usize::from(poll!(&mut tell).is_ready());
        }
        assert_eq!((taken, address.queued()), (4, 4));
        held.open();
        tree.shutdown().await;
    }

    /// actor-ts: a queue that drops its oldest dropped the orders to stop.
    async fn a_full_queue_does_not_drop_an_order_to_stop(runtime: Runtime) {
        let world = World::new();
        let mailbox = Mailbox::bounded(2).overflow(Overflow::DropOldest);
        let (address, spec) = Spec::actor_with("puppet", mailbox, world.puppet());
        let tree = world.supervisor().child(spec).start(&runtime).await.unwrap();
        let held = hold(&address).await;
        let mut stop = Box::pin(address.stop());
        assert!(poll!(&mut stop).is_pending());
        for number in 0..10 {
            address.tell(Message::Note(number)).await.unwrap();
        }
        held.open();
        assert!(matches!(stop.await, Ok(Exit::Shutdown)));
        tree.shutdown().await;
    }

    /// kameo #335: a question to one that is about to die had no answer; and what was queued when it gave up
    /// was lost.
    async fn who_gives_up_answers_all_that_wait(runtime: Runtime) {
        let world = World::new();
        let (address, spec) = world.actor("puppet", 8);
        let supervisor = world.supervisor().intensity(1, Duration::from_secs(3600));
        let mut tree = supervisor.child(spec).start(&runtime).await.unwrap();
        let held = hold(&address).await;
        for message in [Message::Fail, Message::Panic, Message::Note(1), Message::Note(2)] {
            address.try_tell(message).ok().unwrap();
        }
        let mut asked = Box::pin(address.ask(Message::Get));
        assert!(poll!(&mut asked).is_pending());
        held.open();
        assert!(matches!(asked.await, Err(AskError::Closed)));
        assert!(matches!(tree.wait().await, Exit::GaveUp(_)));
        assert!(matches!(address.ask(Message::Get).await, Err(AskError::Closed)));
        assert!(matches!(address.closed().await, Exit::Panicked(_)));
        assert_eq!((world.dead(DeadReason::Crashed), world.dead(DeadReason::Ended)), (2, 3));
        assert!(world.handled().is_empty());
    }
}

/// actix: an actor that is always busy leaves no turn for others, its own stop among them; and one that
/// panics takes its thread along.
#[test]
fn on_one_thread_nobody_is_at_the_mercy_of_another() {
    struct Busy;
    impl Actor for Busy {
        type Message = ();
        type Error = String;
        async fn handle(&mut self, (): (), context: &mut Context<Self>) -> Result<(), String> {
            // There is always another.
            context.address().try_tell(()).map_err(|error| error.to_string())
        }
    }
    struct Echo;
    impl Actor for Echo {
        type Message = Option<Reply<()>>;
        type Error = String;
        async fn handle(&mut self, reply: Option<Reply<()>>, _: &mut Context<Self>) -> Result<(), String> {
            reply.expect("told to panic").send(());
            Ok(())
        }
    }
    let executor = Arc::new(smol::Executor::new());
    let runtime = Runtime::from(Smol::on(Arc::clone(&executor)));
    smol::block_on(executor.run(async {
        let (busy, first) = Spec::actor("busy", || Busy);
        let (echo, second) = Spec::actor("echo", || Echo);
        let supervisor = Supervisor::one_for_one().intensity(10, Duration::from_secs(3600));
        let tree = supervisor.child(first).child(second).start(&runtime).await.unwrap();
        busy.tell(()).await.unwrap();
        for _ in 0..5 {
            echo.tell(None).await.unwrap();
            echo.ask(Some).await.unwrap();
        }
        busy.stop().await.unwrap();
        assert!(matches!(busy.try_tell(()), Err(TryTellError::Closed(()))));
        yields(1).await;
        assert!(tree.shutdown().await.is_clean());
    }));
}
