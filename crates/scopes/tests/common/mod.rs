//! Futures that tell when they are dropped, and may panic then.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// The names of what was dropped, in that order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn ready(&self, name: &str) -> Told {
        self.told(name, true)
    }

    pub(crate) fn pending(&self, name: &str) -> Told {
        self.told(name, false)
    }

    fn told(&self, name: &str, ready: bool) -> Told {
        Told { name: name.into(), log: self.clone(), ready, panics: false }
    }

    pub(crate) fn dropped(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub(crate) struct Told {
    name: String,
    log: Log,
    ready: bool,
    panics: bool,
}

impl Told {
    /// Its destructor panics with its name.
    pub(crate) fn panics(mut self) -> Self {
        self.panics = true;
        self
    }
}

impl Future for Told {
    type Output = Self;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self> {
        match self.ready {
            true => Poll::Ready(self.log.pending(&format!("{}'s value", self.name))),
            false => Poll::Pending,
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.log.0.lock().unwrap().push(self.name.clone());
        if self.panics {
            std::panic::panic_any(self.name.clone());
        }
    }
}

/// The text of a panic.
pub(crate) fn message(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().unwrap().to_string(),
    }
}
