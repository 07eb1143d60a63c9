//! [`Runner`]: the task of a child. It stays while the child is in the tree, and runs one incarnation after
//! another in the same place.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::branch::{Branch, Said};
use super::incarnation::Incarnation;
use super::machine::Key;
use super::node::{GONE, KILL, Kind, Node, READY, STOP};
use crate::exit::IntoExit;
use crate::panics::{contain, let_go, poll_contained};
use crate::{Exit, current};

pin_project! {
    /// The task of a child.
    pub(crate) struct Runner<F, Fut> {
        seat: Seat,
        make: F,
        #[pin]
        life: Option<Fut>,
        waker: Option<Waker>,
    }

    impl<F, Fut> PinnedDrop for Runner<F, Fut> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // Either we see an order that came before this, or who gives it sees this.
            this.seat.node.set(GONE);
            if this.life.is_some() {
                let _here = current::enter(&this.seat.node);
                let panic = drop_life(this.life);
                let exit = if matches!(panic, Exit::Normal) { this.seat.dropped() } else { panic };
                current::settle(&this.seat.node, &exit);
                this.seat.ended(exit);
            } else if this.seat.node.take_run() {
                this.seat.ended(this.seat.dropped());
            }
        }
    }
}

/// Where the child sits.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) node: Arc<Node>,
    pub(crate) branch: Arc<Branch>,
    pub(crate) key: Key,
    /// Whether it is waited for until it says that it is ready.
    pub(crate) announces: bool,
}

impl Seat {
    /// How a child ends whose task is dropped: by its supervisor, or by the executor.
    fn dropped(&self) -> Exit {
        if self.branch.is_closed() { Exit::Killed } else { Exit::Lost }
    }

    /// Says that the life that runs is ready.
    fn ready(&self) {
        let number = self.node.incarnation();
        if self.node.ready(number) {
            self.branch.say(Said::Ready(self.key, number));
        }
    }

    pub(crate) fn ended(&self, exit: Exit) {
        self.node.ended(exit.clone());
        self.branch.say(Said::Ended(self.key, exit));
    }
}

impl<F, Fut> Runner<F, Fut>
where
    F: FnMut(Incarnation) -> Fut,
    Fut: Future<Output: IntoExit>,
{
    pub(crate) fn new(seat: Seat, make: F) -> Self {
        Self { seat, make, life: None, waker: None }
    }
}

impl<F, Fut> Future for Runner<F, Fut>
where
    F: FnMut(Incarnation) -> Fut,
    Fut: Future<Output: IntoExit>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let node = &this.seat.node;
        let _here = current::enter(node);
        loop {
            node.register(this.waker, cx);
            if this.life.is_none() {
                if !node.take_run() {
                    return Poll::Pending;
                }
                let seat = &*this.seat;
                let life = Incarnation {
                    node: Arc::clone(node),
                    branch: Arc::clone(&seat.branch),
                    key: seat.key,
                    number: node.incarnation(),
                };
                match contain(|| (this.make)(life)) {
                    Ok(future) => this.life.set(Some(future)),
                    Err(panic) => {
                        let exit = Exit::panicked(&panic);
                        let_go(panic);
                        seat.ended(exit);
                        continue;
                    }
                }
            }
            // A supervisor that is killed kills its children, and ends when they have.
            let exit = if node.flags() & KILL != 0 && node.kind != Kind::Tree {
                match drop_life(this.life.as_mut()) {
                    Exit::Normal => Exit::Killed,
                    panicked => panicked,
                }
            } else {
                let Some(life) = this.life.as_mut().as_pin_mut() else { continue };
                match poll_contained(life, cx) {
                    Poll::Pending => {
                        if !this.seat.announces && node.flags() & READY == 0 {
                            this.seat.ready();
                        }
                        return Poll::Pending;
                    }
                    Poll::Ready(end) => {
                        let exit = match end.and_then(|output| contain(|| output.into_exit())) {
                            Ok(exit) => exit,
                            Err(panic) => {
                                let exit = Exit::panicked(&panic);
                                let_go(panic);
                                exit
                            }
                        };
                        match drop_life(this.life.as_mut()) {
                            Exit::Normal => exit,
                            panicked if exit.is_abnormal() => {
                                drop(panicked);
                                exit
                            }
                            panicked => panicked,
                        }
                    }
                }
            };
            let exit = match exit {
                Exit::Normal if node.flags() & STOP != 0 => Exit::Shutdown,
                exit => exit,
            };
            // One that is done in its first poll was ready too.
            if !exit.is_abnormal() && !matches!(exit, Exit::Ignored) && !this.seat.announces {
                this.seat.ready();
            }
            current::settle(node, &exit);
            this.seat.ended(exit);
        }
    }
}

/// Drops the future; the panic of a destructor is an exit.
fn drop_life<Fut>(mut life: Pin<&mut Option<Fut>>) -> Exit {
    match contain(|| life.set(None)) {
        Ok(()) => Exit::Normal,
        Err(panic) => {
            let exit = Exit::panicked(&panic);
            let_go(panic);
            exit
        }
    }
}
