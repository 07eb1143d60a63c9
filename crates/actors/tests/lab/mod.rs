//! Children that do what a test says, and a log of their lives.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses what it needs")]

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::{Either, select};
use weirs_actors::Exit;
use weirs_actors::supervise::{Incarnation, Restart, Spec, Supervisor};

/// So long that no window slides while a test runs.
pub const EVER: Duration = Duration::from_secs(1 << 30);

/// What a child is told by its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is done.
    Done,
    /// It ends as if it had been asked to.
    Shutdown,
    Fail,
    Panic,
}

/// How a life begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Well,
    Fail,
    Panic,
    Ignore,
    /// It never says that it is ready, and never ends by itself.
    Hang,
}

/// Children that do what a test says, and a log of their lives: `+a` when a life of `a` begins, `-a` when its
/// future is gone.
#[derive(Clone, Default)]
pub struct Lab(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    log: Vec<String>,
    live: HashMap<String, usize>,
    orders: HashMap<String, mpsc::UnboundedSender<Order>>,
    waiting: Vec<Waker>,
}

impl Lab {
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes into the log.
    pub fn say(&self, entry: impl Into<String>) {
        let wakers = {
            let mut state = self.state();
            state.log.push(entry.into());
            std::mem::take(&mut state.waiting)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// A permanent child.
    pub fn child(&self, name: &'static str) -> Spec {
        self.child_that(name, |_| Begin::Well)
    }

    /// A permanent child whose lives begin as their number says.
    pub fn child_that(&self, name: &'static str, begin: impl Fn(u64) -> Begin + Send + 'static) -> Spec {
        let lab = self.clone();
        Spec::task(name, move |life: Incarnation| {
            let begin = begin(life.number());
            lab.live(name, begin, life)
        })
        .announces_ready()
    }

    /// A child with this restart rule.
    pub fn kind(&self, name: &'static str, restart: Restart) -> Spec {
        self.child(name).restart(restart)
    }

    /// A life that does what it is told.
    pub fn live(
        &self,
        name: &str,
        begin: Begin,
        life: Incarnation,
    ) -> impl Future<Output = Exit> + Send + use<> {
        let (lab, name) = (self.clone(), name.to_owned());
        async move {
            let _alive = lab.alive(&name);
            match begin {
                Begin::Well => {}
                Begin::Fail => return Exit::failed("at its start"),
                Begin::Panic => panic!("at its start"),
                Begin::Ignore => return Exit::Ignored,
                Begin::Hang => std::future::pending().await,
            }
            let (orders, mut heard) = mpsc::unbounded();
            lab.state().orders.insert(name.clone(), orders);
            lab.say(format!("+{name}"));
            life.ready();
            match select(pin!(life.cancelled()), heard.next()).await {
                Either::Left(..) => Exit::Normal,
                Either::Right((Some(Order::Shutdown), _)) => Exit::Shutdown,
                Either::Right((Some(Order::Fail), _)) => Exit::failed("told to"),
                Either::Right((Some(Order::Panic), _)) => panic!("told to"),
                Either::Right((Some(Order::Done) | None, _)) => Exit::Normal,
            }
        }
    }

    /// A child that does not care for its token.
    pub fn stubborn(&self, name: &'static str) -> Spec {
        let lab = self.clone();
        Spec::task(name, move |_: Incarnation| {
            let lab = lab.clone();
            async move {
                let _alive = lab.alive(name);
                lab.say(format!("+{name}"));
                std::future::pending::<()>().await;
            }
        })
    }

    /// Until it is dropped there is one of that name: never two.
    pub fn alive(&self, name: &str) -> Alive {
        let count = {
            let mut state = self.state();
            let count = state.live.entry(name.to_owned()).or_default();
            *count += 1;
            *count
        };
        assert_eq!(count, 1, "two lives of {name} at a time");
        Alive(self.clone(), name.to_owned())
    }

    /// Tells the life of that name.
    pub fn tell(&self, name: &str, order: Order) {
        let orders = self.state().orders.get(name).cloned();
        let orders = orders.unwrap_or_else(|| panic!("{name} was never started"));
        orders.unbounded_send(order).unwrap_or_else(|_| panic!("{name} is over"));
    }

    /// Waits until the log has as many entries as this, compares them, and takes them out.
    pub async fn expect(&self, entries: &str) {
        let entries: Vec<&str> = entries.split_whitespace().collect();
        let found = self.take(entries.len()).await;
        assert_eq!(found, entries, "and then {:?}", self.state().log);
    }

    /// The same in any order.
    pub async fn expect_all(&self, entries: &str) {
        let mut entries: Vec<&str> = entries.split_whitespace().collect();
        let mut found = self.take(entries.len()).await;
        entries.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, entries);
    }

    /// There is nothing more in the log.
    pub fn expect_nothing(&self) {
        assert_eq!(self.state().log, [""; 0]);
    }

    /// How many live.
    pub fn count(&self) -> usize {
        self.state().live.values().sum()
    }

    /// Nobody lives any more.
    pub fn expect_nobody(&self) {
        assert_eq!(self.count(), 0, "{:?}", self.state().live);
    }

    /// Waits until the log has so many entries, and takes them out.
    pub async fn take(&self, number: usize) -> Vec<String> {
        self.until(|log| log.len() >= number).await;
        self.state().log.drain(..number).collect()
    }

    /// Waits until the log is so.
    pub async fn until(&self, enough: impl Fn(&[String]) -> bool) {
        poll_fn(|cx| {
            let mut state = self.state();
            if enough(&state.log) {
                return Poll::Ready(());
            }
            state.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A life; dropped, it is over.
pub struct Alive(Lab, String);

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(count) = self.0.state().live.get_mut(&self.1) {
            *count -= 1;
        }
        self.0.say(format!("-{}", self.1));
    }
}

/// As many restarts as it takes.
pub fn patient(supervisor: Supervisor) -> Supervisor {
    supervisor.intensity(1000, EVER)
}

/// Whom a supervisor gave up on.
pub fn gave_up(exit: &Exit) -> String {
    match exit {
        Exit::GaveUp(why) => why.child.to_string(),
        other => panic!("it ended otherwise: {other}"),
    }
}

/// Waits, and lets others work, until it is so.
pub async fn eventually(is_so: impl Fn() -> bool) {
    while !is_so() {
        futures_lite::future::yield_now().await;
    }
}
