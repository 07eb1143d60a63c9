//! [`LocalHost`]: lets a tree on other threads have actors on this one.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem::take;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use futures_task::{FutureObj, Spawn, SpawnError};
use pin_project_lite::pin_project;
use weirs_runtime::waiting::{Turn, let_go as let_go_of_waker, look, wake};
use weirs_runtime::{Clock, LocalRuntime, Runtime};

use crate::Exit;
use crate::exit::IntoExit;
use crate::panics::{contain, let_go};
use crate::supervise::{Incarnation, Launch, Runner, Seat};
use crate::sync::lock;

/// Lets trees on other threads have actors on this one: see [`Spec::local_actor`].
///
/// A clone is the same host. Its work is a task of the local runtime, which ends when all clones are dropped:
/// a spec of an actor holds one, and so does a tree that has such an actor.
///
/// [`Spec::local_actor`]: crate::supervise::Spec::local_actor
#[derive(Clone)]
pub struct LocalHost(Arc<Guard>);

/// Closes the door behind the last who could come.
struct Guard(Arc<Door>);

/// Where others leave what is to be done on the host's thread.
struct Door {
    state: Mutex<State>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    porter: Option<Waker>,
    closed: bool,
}

type Job = Box<dyn FnOnce(&mut Side) + Send>;

/// What is on the host's thread.
pub(super) struct Side {
    runtime: LocalRuntime,
    kept: Option<Box<dyn Any>>,
}

impl Side {
    /// What was kept there, if it is of this type.
    pub(super) fn take<T: 'static>(&mut self) -> Option<T> {
        let kept = self.kept.take()?.downcast().ok()?;
        Some(*kept)
    }
}

impl LocalHost {
    /// Hosts actors on the thread of this runtime.
    pub fn new(runtime: &LocalRuntime) -> Self {
        Self::keeping(runtime, None)
    }

    /// The same, with something that cannot leave this thread.
    pub(super) fn keeping(runtime: &LocalRuntime, kept: Option<Box<dyn Any>>) -> Self {
        let door = Arc::new(Door { state: Mutex::default(), clock: runtime.clock().clone() });
        let side = Side { runtime: runtime.clone(), kept };
        runtime.builder().name("local host").spawn(Porter { door: Arc::clone(&door), side }).detach();
        Self(Arc::new(Guard(door)))
    }

    /// A runtime whose tasks run on the thread of this host, wherever they are spawned: for whole trees
    /// there.
    ///
    /// # Examples
    /// ```
    /// use weirs_actors::actor::LocalHost;
    /// use weirs_actors::supervise::Supervisor;
    /// use weirs_runtime::LocalRuntime;
    ///
    /// let mut pool = futures::executor::LocalPool::new();
    /// let host = LocalHost::new(&LocalRuntime::new(pool.spawner()));
    /// let tree = Supervisor::one_for_one().spawn(&host.runtime());
    /// assert!(pool.run_until(tree.shutdown()).is_clean());
    /// ```
    pub fn runtime(&self) -> Runtime {
        Runtime::with_parts(self.clone(), self.0.0.clock.clone())
    }

    /// Has this done on the host's thread. If that is gone, it is dropped.
    fn push(&self, job: Job) -> Result<(), Job> {
        let waker = {
            let mut state = lock(&self.0.0.state);
            if state.closed {
                return Err(job);
            }
            state.jobs.push_back(job);
            state.porter.take()
        };
        if let Some(waker) = waker {
            wake(waker);
        }
        Ok(())
    }

    /// How a child gets going whose lives are made on the host's thread.
    pub(super) fn launch<P, F, Fut>(&self, prepare: P) -> Box<dyn Launch>
    where
        P: FnOnce(&mut Side) -> F + Send + 'static,
        F: FnMut(Incarnation) -> Fut + 'static,
        Fut: Future<Output: IntoExit> + 'static,
    {
        let host = self.clone();
        Box::new(move |runtime: &Runtime, seat: Seat| {
            let stay = Arc::new(Stay::default());
            let gone = Gone(Arc::clone(&stay));
            let absent = Absent { stay, seat: seat.clone(), waker: None };
            let name = seat.node.id.fixed();
            let job: Job = Box::new(move |side| {
                let runner = Runner::new(seat, prepare(side));
                let guest = Guest { runner: Some(runner), gone };
                let task = side.runtime.builder();
                let task = match name {
                    Some(name) => task.name(name),
                    None => task,
                };
                task.spawn(guest).detach();
            });
            if let Err(job) = host.push(job) {
                let_go(job);
            }
            match name {
                Some(name) => runtime.builder().name(name).spawn(absent),
                None => runtime.spawn(absent),
            }
        })
    }
}

impl Spawn for LocalHost {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        let job: Job = Box::new(move |side| side.runtime.spawn(future).detach());
        self.push(job).map_err(|job| {
            let_go(job);
            SpawnError::shutdown()
        })
    }
}

impl fmt::Debug for LocalHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHost").field("gone", &lock(&self.0.0.state).closed).finish()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let waker = {
            let mut state = lock(&self.0.state);
            state.closed = true;
            state.porter.take()
        };
        if let Some(waker) = waker {
            wake(waker);
        }
    }
}

/// Does on the host's thread what others have left at its door.
struct Porter {
    door: Arc<Door>,
    side: Side,
}

// Nothing is pinned in it.
impl Unpin for Porter {}

impl Future for Porter {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let jobs = ready!(look(cx, |look| {
                let mut state = lock(&this.door.state);
                if state.jobs.is_empty() && !state.closed {
                    return look.wait_alone(&mut state.porter);
                }
                Turn::Ready(take(&mut state.jobs))
            }));
            if jobs.is_empty() {
                return Poll::Ready(());
            }
            for job in jobs {
                if let Err(panic) = contain(|| job(&mut this.side)) {
                    let_go(panic);
                }
            }
        }
    }
}

impl Drop for Porter {
    fn drop(&mut self) {
        let (jobs, waker) = {
            let mut state = lock(&self.door.state);
            state.closed = true;
            (take(&mut state.jobs), state.porter.take())
        };
        jobs.into_iter().for_each(let_go);
        let_go_of_waker(waker);
    }
}

/// What the two ends of a child on another thread know of each other.
#[derive(Default)]
struct Stay(Mutex<Ends>);

#[derive(Default)]
struct Ends {
    /// The supervisor has let go of it.
    dismissed: bool,
    /// There is nothing on the host's thread, or not any more.
    gone: bool,
    guest: Option<Waker>,
    absent: Option<Waker>,
}

/// Says that nothing is on the host's thread.
struct Gone(Arc<Stay>);

impl Drop for Gone {
    fn drop(&mut self) {
        let (waker, guest) = {
            let mut ends = lock(&self.0.0);
            ends.gone = true;
            (ends.absent.take(), ends.guest.take())
        };
        let_go_of_waker(guest);
        if let Some(waker) = waker {
            wake(waker);
        }
    }
}

pin_project! {
    /// The task of the child, on the host's thread.
    struct Guest<F, Fut> {
        #[pin]
        runner: Option<Runner<F, Fut>>,
        // Dropped after the runner: by then it has said how its life ended.
        gone: Gone,
    }
}

impl<F, Fut> Future for Guest<F, Fut>
where
    F: FnMut(Incarnation) -> Fut,
    Fut: Future<Output: IntoExit>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let dismissed = look(cx, |look| {
            let mut ends = lock(&this.gone.0.0);
            if ends.dismissed { Turn::Ready(()) } else { look.wait_alone(&mut ends.guest) }
        });
        if dismissed.is_ready() {
            this.runner.set(None);
            return Poll::Ready(());
        }
        this.runner.as_pin_mut().map_or(Poll::Ready(()), |runner| runner.poll(cx))
    }
}

/// Stands for the child where its supervisor is. Dropped, it has the child dropped; and when there is nobody
/// on the host's thread, it says so at each start.
struct Absent {
    stay: Arc<Stay>,
    seat: Seat,
    waker: Option<Waker>,
}

impl Future for Absent {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        ready!(look(cx, |look| {
            let mut ends = lock(&this.stay.0);
            if ends.gone { Turn::Ready(()) } else { look.wait_alone(&mut ends.absent) }
        }));
        loop {
            this.seat.node.register(&mut this.waker, cx);
            if !this.seat.node.take_run() {
                return Poll::Pending;
            }
            this.seat.ended(Exit::Lost);
        }
    }
}

impl Drop for Absent {
    fn drop(&mut self) {
        let (waker, absent) = {
            let mut ends = lock(&self.stay.0);
            ends.dismissed = true;
            (ends.guest.take(), ends.absent.take())
        };
        let_go_of_waker(absent);
        if let Some(waker) = waker {
            wake(waker);
        }
    }
}
