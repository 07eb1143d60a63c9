//! A puppet that does what it is told, and the log of what it did.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_actors::Exit;
use weirs_actors::actor::{Actor, Addr, Context, Mailbox, MailboxOf, Reply};
use weirs_actors::supervise::{Spec, Supervisor};
use weirs_runtime::{Instant, Runtime};

pub(crate) type Step = Box<dyn FnOnce(&mut Context<Puppet>) + Send>;

pub(crate) enum Message {
    /// Noted.
    Note(u32),
    /// Waited for in the middle of a handler.
    Hold(smol::channel::Receiver<()>),
    /// Slept in the middle of a handler.
    Sleep(Duration),
    Do(Step),
    Sync(Reply<()>),
    Ask(Addr<Self>, Reply<bool>),
    Ended(Exit),
    Fail,
    Panic,
}

impl Message {
    pub(crate) fn run(step: impl FnOnce(&mut Context<Puppet>) + Send + 'static) -> Self {
        Self::Do(Box::new(step))
    }
}

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    notes: Vec<u32>,
    times: Vec<(u32, Instant)>,
    exits: Vec<String>,
    undelivered: Vec<u32>,
}

impl Log {
    pub(crate) fn notes(&self) -> Vec<u32> {
        self.0.lock().unwrap().notes.clone()
    }

    pub(crate) fn times(&self) -> Vec<(u32, Instant)> {
        self.0.lock().unwrap().times.clone()
    }

    pub(crate) fn exits(&self) -> Vec<String> {
        self.0.lock().unwrap().exits.clone()
    }

    pub(crate) fn undelivered(&self) -> Vec<u32> {
        self.0.lock().unwrap().undelivered.clone()
    }

    pub(crate) fn note(&self, note: u32) {
        self.0.lock().unwrap().notes.push(note);
    }

    pub(crate) fn puppet(&self) -> Puppet {
        Puppet(self.clone())
    }

    pub(crate) fn spec(&self, id: &'static str) -> (Addr<Message>, Spec) {
        self.spec_with(id, Mailbox::default())
    }

    pub(crate) fn spec_with(
        &self,
        id: &'static str,
        mailbox: impl Into<MailboxOf<Message>>,
    ) -> (Addr<Message>, Spec) {
        let log = self.clone();
        Spec::actor_with(id, mailbox, move || log.puppet())
    }
}

/// A supervisor that does not give up.
pub(crate) fn supervisor() -> Supervisor {
    Supervisor::one_for_one().name("app").intensity(1000, Duration::from_secs(1_000_000))
}

pub(crate) struct Puppet(pub(crate) Log);

impl Actor for Puppet {
    type Message = Message;
    type Error = String;

    async fn handle(&mut self, message: Message, context: &mut Context<Self>) -> Result<(), String> {
        match message {
            Message::Note(note) => {
                let now = context.runtime().clock().now();
                let mut seen = self.0.0.lock().unwrap();
                seen.notes.push(note);
                seen.times.push((note, now));
            }
            Message::Hold(gate) => {
                let _ = gate.recv().await;
            }
            Message::Sleep(time) => context.runtime().clock().sleep(time).await,
            Message::Do(step) => step(context),
            Message::Sync(reply) => reply.send(()),
            Message::Ask(other, reply) => reply.send(other.ask(Message::Sync).await.is_ok()),
            Message::Ended(exit) => self.0.0.lock().unwrap().exits.push(exit.to_string()),
            Message::Fail => return Err("told to".into()),
            Message::Panic => panic!("told to"),
        }
        Ok(())
    }

    async fn stopping(&mut self, why: &Exit, _: &mut Context<Self>) {
        if matches!(why, Exit::Linked(_)) {
            self.0.0.lock().unwrap().exits.push(format!("stopping: {why}"));
        }
    }

    fn undelivered(&mut self, message: Message) {
        if let Message::Note(note) = message {
            self.0.0.lock().unwrap().undelivered.push(note);
        }
    }
}

pub(crate) async fn run(addr: &Addr<Message>, step: impl FnOnce(&mut Context<Puppet>) + Send + 'static) {
    addr.tell(Message::run(step)).await.unwrap();
}

/// Waits until everything that was told before is handled.
pub(crate) async fn sync(addr: &Addr<Message>) {
    addr.ask(Message::Sync).await.unwrap();
}

/// Waits until this holds.
pub(crate) async fn until(runtime: &Runtime, holds: impl Fn() -> bool) {
    while !holds() {
        runtime.clock().sleep(Duration::from_millis(1)).await;
    }
}
