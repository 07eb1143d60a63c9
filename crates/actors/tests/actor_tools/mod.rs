//! A puppet: an actor that does what its messages say; and the world, which sees what becomes of them.

#![allow(dead_code, unreachable_pub, reason = "shared by tests, each of which takes what it needs")]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use weirs_actors::DeadReason;
use weirs_actors::actor::{Actor, Addr, Context, Mailbox, Reply};
use weirs_actors::supervise::{Spec, Supervisor, What};
use weirs_scopes::CancelToken;
use weirs_testing::{InFlight, InFlightGuard, yields};

/// What the tests look at.
#[derive(Clone, Default)]
pub struct World(Arc<Seen>);

#[derive(Default)]
struct Seen {
    handled: Mutex<Vec<u32>>,
    undelivered: Mutex<Vec<u32>>,
    dead: Mutex<Vec<(DeadReason, usize)>>,
    lives: AtomicUsize,
    alive: InFlight,
}

impl World {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn handled(&self) -> Vec<u32> {
        self.0.handled.lock().unwrap().clone()
    }

    pub fn undelivered(&self) -> Vec<u32> {
        self.0.undelivered.lock().unwrap().clone()
    }

    pub fn note(&self, number: u32) {
        self.0.handled.lock().unwrap().push(number);
    }

    /// How many dead letters there were of that kind.
    pub fn dead(&self, reason: DeadReason) -> usize {
        self.0.dead.lock().unwrap().iter().filter(|dead| dead.0 == reason).map(|dead| dead.1).sum()
    }

    pub fn lives(&self) -> usize {
        self.0.lives.load(SeqCst)
    }

    /// How many lives there were at once, at most.
    pub fn most_alive(&self) -> usize {
        self.0.alive.peak()
    }

    pub fn alive(&self) -> usize {
        self.0.alive.now()
    }

    pub fn puppet(&self) -> impl FnMut() -> Puppet + Send + 'static {
        let world = self.clone();
        move || {
            world.0.lives.fetch_add(1, SeqCst);
            let alive = world.0.alive.enter();
            Puppet { world: world.clone(), held: Vec::new(), _alive: alive }
        }
    }

    pub fn actor(&self, id: &'static str, capacity: usize) -> (Addr<Message>, Spec) {
        Spec::actor_with(id, Mailbox::bounded(capacity), self.puppet())
    }

    /// A supervisor that never gives up, and tells this world of dead letters.
    pub fn supervisor(&self) -> Supervisor {
        let world = self.clone();
        Supervisor::one_for_one().intensity(u32::MAX, Duration::from_secs(1)).observe(move |event| {
            if let What::DeadLetters { count, reason, .. } = event.what {
                world.0.dead.lock().unwrap().push((reason, count));
            }
        })
    }
}

pub struct Puppet {
    pub world: World,
    /// Replies that it keeps.
    pub held: Vec<Reply<u32>>,
    _alive: InFlightGuard,
}

pub type Step = Box<
    dyn for<'a> FnOnce(&'a mut Puppet, &'a mut Context<Puppet>) -> BoxFuture<'a, Result<(), String>> + Send,
>;

pub enum Message {
    Note(u32),
    Get(Reply<u32>),
    Life(Reply<u64>),
    /// Keeps the reply.
    Hold(Reply<u32>),
    /// Drops the reply.
    Forget(Reply<u32>),
    Fail,
    Panic,
    /// Says that it is at it, and waits.
    Wait(CancelToken, CancelToken),
    Do(Step),
}

/// A message that does this.
pub fn act<F>(step: F) -> Message
where
    F: for<'a> FnOnce(&'a mut Puppet, &'a mut Context<Puppet>) -> BoxFuture<'a, Result<(), String>>
        + Send
        + 'static,
{
    Message::Do(Box::new(step))
}

/// A puppet that is held: it is at a message until this is opened or dropped.
pub struct Held(CancelToken);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.cancel("dropped");
    }
}

impl Held {
    pub fn open(&self) {
        self.0.cancel("open");
    }
}

/// Has the puppet at a message, and waits until it is.
pub async fn hold(address: &Addr<Message>) -> Held {
    let (at, gate) = (CancelToken::new(), CancelToken::new());
    let held = Held(gate.clone());
    assert!(address.tell(Message::Wait(at.clone(), gate)).await.is_ok());
    at.cancelled().await;
    held
}

/// Waits until the puppet is done with all that it was told. It answers before it is.
pub async fn idle(address: &Addr<Message>) {
    while address.queued() > 0 {
        yields(1).await;
    }
}

impl Actor for Puppet {
    type Message = Message;
    type Error = String;

    async fn handle(&mut self, message: Message, context: &mut Context<Self>) -> Result<(), String> {
        match message {
            Message::Note(number) => self.world.note(number),
            Message::Get(reply) => reply.send(self.world.handled().len() as u32),
            Message::Life(reply) => reply.send(context.number()),
            Message::Hold(reply) => self.held.push(reply),
            Message::Forget(reply) => drop(reply),
            Message::Fail => return Err("told to".into()),
            Message::Panic => panic!("told to"),
            Message::Wait(at, gate) => {
                at.cancel("there");
                gate.cancelled().await;
            }
            Message::Do(step) => return step(self, context).await,
        }
        Ok(())
    }

    fn undelivered(&mut self, message: Message) {
        if let Message::Note(number) = message {
            self.world.0.undelivered.lock().unwrap().push(number);
        }
    }
}
