//! [`Room`]: the actor that knows who is there. What is said goes through it, so that all hear it in one order.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};

use weirs_actors::actor::{Actor, Addr, Context, Reply};
use weirs_channels_utils::broadcast::{self, Receiver, Sender};
use weirs_channels_utils::{Missed, Slow};

/// How many lines wait for somebody who reads slowly. The oldest are let go then.
const BEHIND: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// What is said, by somebody or by the room itself.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) from: Option<Arc<str>>,
    pub(super) text: Arc<str>,
}

pub(super) enum Told {
    /// Somebody comes in under this name. No answer is that it is taken.
    Join(String, Reply<Option<Seat>>),
    Say(Line),
    /// Somebody is gone, and what the others hear of it.
    Leave(Arc<str>, &'static str),
}

pub(super) struct Room {
    lines: Sender<Line>,
    /// A name is free when its seat is dropped, however that came about.
    seats: BTreeMap<Arc<str>, Weak<()>>,
}

impl Room {
    pub(super) fn new() -> Self {
        // Nobody holds up the others: who is slow misses something, and hears how much.
        let (lines, _) = broadcast::builder(BEHIND).slow(Slow::DropOldest).build();
        Self { lines, seats: BTreeMap::new() }
    }

    fn tell_all(&self, from: Option<Arc<str>>, text: impl Into<Arc<str>>) {
        // It cannot be full, and is not closed while the room lives.
        let _ = self.lines.try_send(Line { from, text: text.into() });
    }
}

impl Actor for Room {
    type Message = Told;
    type Error = Infallible;

    async fn handle(&mut self, told: Told, context: &mut Context<Self>) -> Result<(), Infallible> {
        match told {
            Told::Join(name, reply) => {
                let name: Arc<str> = name.into();
                if name.is_empty() || self.seats.get(&name).is_some_and(|seat| seat.strong_count() > 0) {
                    reply.send(None);
                    return Ok(());
                }
                self.tell_all(None, format!("{name} comes in"));
                let mark = Arc::new(());
                self.seats.insert(Arc::clone(&name), Arc::downgrade(&mark));
                // If nobody waits for it any more it is dropped, and with it the name is free.
                let room = context.address();
                reply.send(Some(Seat { name, lines: self.lines.subscribe(), room, mark: Some(mark) }));
            }
            Told::Say(line) => self.tell_all(line.from, line.text),
            Told::Leave(name, how) => {
                // Somebody else may have come in under that name.
                if self.seats.get(&name).is_some_and(|seat| seat.strong_count() == 0) {
                    self.seats.remove(&name);
                }
                self.tell_all(None, format!("{name} {how}"));
            }
        }
        Ok(())
    }
}

/// A place in the room. Dropped, it is free.
pub(super) struct Seat {
    name: Arc<str>,
    lines: Receiver<Line>,
    room: Addr<Told>,
    mark: Option<Arc<()>>,
}

impl Seat {
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What somebody else says next, or how much was missed.
    pub(super) async fn hear(&mut self) -> Option<Result<Line, Missed>> {
        loop {
            match self.lines.recv().await? {
                Ok(line) if line.from.as_ref() == Some(&self.name) => {}
                heard => return Some(heard),
            }
        }
    }

    /// Leaves when all that was said before has been said.
    pub(super) async fn leave(mut self) {
        self.mark = None;
        let _ = self.room.tell(Told::Leave(Arc::clone(&self.name), "leaves")).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.mark.take().is_some() {
            // In a crash nobody can wait. If there is no room for it, the name is free all the same.
            let _ = self.room.try_tell_urgent(Told::Leave(Arc::clone(&self.name), "is gone"));
        }
    }
}
