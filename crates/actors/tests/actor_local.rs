//! Actors that stay on their thread, alone and in trees.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use futures::executor::LocalPool;
use futures::stream;
use weirs_actors::Exit;
use weirs_actors::actor::{
    Addr, AskError, LocalActor, LocalContext, LocalHost, Reply, TryTellError, spawn_local,
};
use weirs_actors::supervise::{CommandError, Spec, Stop, Supervisor};
use weirs_runtime::{LocalRuntime, Runtime};
use weirs_testing::{InFlight, InFlightGuard, apply, runtime_test_blocking, runtime_test_local};

enum Message {
    Add(u32),
    Get(Reply<u32>),
    Thread(Reply<ThreadId>),
    Life(Reply<u64>),
    Beside,
    Hold,
    Fail,
    Panic(Reply<()>),
    Other(Addr<Self>, Reply<Result<u32, AskError>>),
}

/// Counts where nobody else can: it is not `Send`.
struct Counter {
    sum: Rc<Cell<u32>>,
    _here: InFlightGuard,
    _dropped: Dropped,
}

#[derive(Clone, Default)]
struct Threads(Arc<Mutex<Vec<ThreadId>>>);

struct Dropped(Threads);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().push(thread::current().id());
    }
}

impl LocalActor for Counter {
    type Message = Message;
    type Error = String;

    async fn handle(&mut self, message: Message, context: &mut LocalContext<Self>) -> Result<(), String> {
        match message {
            Message::Add(n) => self.sum.set(self.sum.get() + n),
            Message::Get(reply) => reply.send(self.sum.get()),
            Message::Thread(reply) => reply.send(thread::current().id()),
            Message::Life(reply) => reply.send(context.number()),
            Message::Beside => {
                // Futures and streams beside it need not be `Send` either.
                let sum = Rc::clone(&self.sum);
                context.attach_with_end(stream::iter([1, 2, 3]), Message::Add, Message::Add(1000));
                context.pipe(async move { sum.get() }, |_| Message::Add(100));
                context.after(Duration::from_millis(1), Message::Add(10_000));
            }
            Message::Hold => std::future::pending().await,
            Message::Fail => return Err("told to".into()),
            Message::Panic(_reply) => panic!("told to"),
            Message::Other(other, reply) => reply.send(other.ask(Message::Get).await),
        }
        Ok(())
    }
}

fn counter(threads: &Threads, there: &InFlight) -> impl FnMut() -> Counter + Send + 'static {
    let (threads, there) = (threads.clone(), there.clone());
    move || Counter { sum: Rc::default(), _here: there.enter(), _dropped: Dropped(threads.clone()) }
}

#[apply(runtime_test_local)]
async fn it_runs_alone(runtime: LocalRuntime) {
    let shared = Rc::new(Cell::new(1));
    let (sum, there) = (Rc::clone(&shared), InFlight::new());
    let here = there.enter();
    let make = move || Counter { sum, _here: here, _dropped: Dropped(Threads::default()) };
    let counter = spawn_local("counter", make, &runtime);
    counter.tell(Message::Add(2)).await.unwrap();
    assert_eq!(counter.ask(Message::Get).await.unwrap(), 3);
    assert_eq!(shared.get(), 3);
    counter.tell(Message::Beside).await.unwrap();
    while shared.get() < 11_109 {
        runtime.clock().sleep(Duration::from_millis(1)).await;
    }
    let address = counter.address();
    assert_eq!(counter.handle().snapshot().child("counter").unwrap().handled, 9);
    assert!(counter.shutdown().await.is_clean());
    assert_eq!(there.now(), 0);
    assert!(matches!(address.try_tell(Message::Add(1)), Err(TryTellError::Closed(_))));
}

#[apply(runtime_test_local)]
async fn a_whole_tree_may_be_on_one_thread(runtime: LocalRuntime) {
    let host = LocalHost::new(&runtime);
    let (threads, there) = (Threads::default(), InFlight::new());
    let (one, first) = Spec::local_actor("one", &host, counter(&threads, &there));
    let (two, second) = Spec::local_actor("two", &host, counter(&threads, &there));
    let supervisor = Supervisor::one_for_one().intensity(100, Duration::from_secs(1000));
    let tree = supervisor.child(first).child(second).start(&host.runtime()).await.unwrap();
    assert_eq!(there.now(), 2);
    one.tell(Message::Add(1)).await.unwrap();
    one.tell(Message::Fail).await.unwrap();
    assert_eq!(one.ask(Message::Life).await.unwrap(), 2);
    assert!(matches!(one.ask(Message::Panic).await, Err(AskError::Crashed(_))));
    assert_eq!(one.ask(Message::Life).await.unwrap(), 3);
    let through = one.ask(|reply| Message::Other(two.clone(), reply)).await.unwrap();
    assert_eq!(through.unwrap(), 0);
    let cycle = one.ask(|reply| Message::Other(one.clone(), reply)).await.unwrap();
    assert!(matches!(cycle, Err(AskError::Cycle(_))));
    assert!(tree.shutdown().await.is_clean());
    assert_eq!(there.now(), 0);
}

#[apply(runtime_test_blocking)]
fn a_tree_elsewhere_sees_to_it(runtime: Runtime) {
    let here = thread::current().id();
    let mut pool = LocalPool::new();
    let host = LocalHost::new(&LocalRuntime::new(pool.spawner()));
    let (threads, there) = (Threads::default(), InFlight::new());
    pool.run_until(async {
        let (addr, spec) = Spec::local_actor("counter", &host, counter(&threads, &there));
        let (held, second) = Spec::local_actor("held", &host, counter(&threads, &there));
        let second = second.stop(Stop::Kill);
        let supervisor = Supervisor::one_for_one().intensity(100, Duration::from_secs(1000));
        let tree = supervisor.child(spec).child(second).start(&runtime).await.unwrap();
        // It is ready, so it is there.
        assert_eq!(there.now(), 2);
        assert_eq!(addr.ask(Message::Thread).await.unwrap(), here);
        addr.tell(Message::Fail).await.unwrap();
        assert_eq!(addr.ask(Message::Life).await.unwrap(), 2);
        assert_eq!(addr.stop().await.unwrap().to_string(), "stopped");
        assert_eq!(there.now(), 1);
        tree.restart_child("counter").await.unwrap();
        assert_eq!(addr.ask(Message::Life).await.unwrap(), 3);
        // A killed one is gone when that is told.
        held.tell(Message::Hold).await.unwrap();
        assert_eq!(tree.stop_child("held").await.unwrap().to_string(), "killed");
        assert_eq!(there.now(), 1);
        let report = tree.shutdown().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(there.now(), 0);
        assert!(addr.is_closed() && held.is_closed());
    });
    assert_eq!(*threads.0.lock().unwrap(), [here; 4]);
}

#[apply(runtime_test_blocking)]
fn a_tree_that_is_dropped_lets_go_of_it_on_its_own_thread(runtime: Runtime) {
    let here = thread::current().id();
    let mut pool = LocalPool::new();
    let host = LocalHost::new(&LocalRuntime::new(pool.spawner()));
    let (threads, there) = (Threads::default(), InFlight::new());
    pool.run_until(async {
        let (addr, spec) = Spec::local_actor("counter", &host, counter(&threads, &there));
        let tree = Supervisor::one_for_one().child(spec).start(&runtime).await.unwrap();
        addr.tell(Message::Hold).await.unwrap();
        drop(tree);
        addr.closed().await;
    });
    drop(host);
    // Nothing is left to do on the thread: it has gone, and the host with it.
    pool.run();
    assert_eq!(there.now(), 0);
    assert_eq!(*threads.0.lock().unwrap(), [here]);
}

#[apply(runtime_test_blocking)]
fn a_host_that_is_gone_is_told_of(runtime: Runtime) {
    let mut pool = LocalPool::new();
    let host = LocalHost::new(&LocalRuntime::new(pool.spawner()));
    let (threads, there) = (Threads::default(), InFlight::new());
    let (addr, spec) = Spec::local_actor("counter", &host, counter(&threads, &there));
    let (late, second) = Spec::local_actor("late", &host, counter(&threads, &there));
    let supervisor = Supervisor::one_for_one().intensity(3, Duration::from_secs(1000));
    let mut tree = pool.run_until(supervisor.child(spec.transient()).start(&runtime)).unwrap();
    drop(pool);
    assert_eq!(there.now(), 0);
    let exit = weirs_runtime::block_on(tree.wait());
    assert!(matches!(&exit, Exit::GaveUp(why) if matches!(why.exit, Exit::Lost)), "{exit}");
    assert!(addr.is_closed());
    let late_tree = Supervisor::one_for_one().child(second).start(&runtime);
    assert!(weirs_runtime::block_on(late_tree).is_err());
    assert!(late.is_closed());
    assert!(matches!(weirs_runtime::block_on(late.stop()), Err(CommandError::Ended)));
}

#[allow(dead_code, reason = "it is enough that it compiles")]
fn an_address_goes_anywhere(addr: Addr<Message>) -> impl Send + Sync {
    addr
}
