//! Whatever an actor has taken is handled, handed back, undelivered, or a dead letter: nothing is lost, in
//! whatever order things go wrong.

mod actor_tools;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_actors::actor::{Actor, Addr, AskError, Context, Mailbox, Overflow, Reply};
use weirs_actors::supervise::{Handle, Restart, Spec, Stop, Strategy, Supervisor, What};
use weirs_runtime::{Clock, Runtime};
use weirs_testing::{InFlight, InFlightGuard, sim_test, yields};

/// What became of the messages.
#[derive(Default)]
struct Books {
    /// Said to be taken.
    taken: AtomicUsize,
    /// Questions to one that ended: taken before, or not.
    perhaps: AtomicUsize,
    /// Handled to their end.
    handled: AtomicUsize,
    undelivered: AtomicUsize,
    dead: AtomicUsize,
    /// Not dropped yet.
    there: InFlight,
    /// The last of each sender that was begun.
    last: Mutex<[u64; SENDERS]>,
    lives: InFlight,
}

const SENDERS: usize = 3;

struct Work {
    sender: usize,
    number: u64,
    urgent: bool,
    /// At how many awaits it gives way, and at which it crashes.
    awaits: u64,
    crashes_at: Option<u64>,
    fails: bool,
    reply: Option<Reply<u64>>,
    _there: InFlightGuard,
}

struct Worker {
    books: Arc<Books>,
    clock: Clock,
    _alive: InFlightGuard,
}

impl Actor for Worker {
    type Message = Work;
    type Error = &'static str;

    async fn started(&mut self, context: &mut Context<Self>) -> Result<(), &'static str> {
        yields(self.clock.random_below(3) as usize).await;
        // The first is let through, so that the tree starts.
        if context.number() > 1 && self.clock.random_below(8) == 0 {
            return Err("no start");
        }
        Ok(())
    }

    async fn handle(&mut self, work: Work, context: &mut Context<Self>) -> Result<(), &'static str> {
        assert_eq!(self.books.lives.now(), 1, "two lives at once");
        if !work.urgent {
            let last = &mut self.books.last.lock().unwrap()[work.sender];
            assert!(work.number > *last, "{} after {last}", work.number);
            *last = work.number;
        }
        for at in 0..work.awaits {
            if work.crashes_at == Some(at) {
                if work.fails {
                    return Err("told to");
                }
                panic!("told to");
            }
            yields(1).await;
        }
        if let Some(reply) = work.reply {
            if work.number % 5 > 0 {
                reply.send(work.number);
            }
        }
        if work.number % 61 == 0 {
            context.end();
        }
        self.books.handled.fetch_add(1, SeqCst);
        Ok(())
    }

    async fn stopping(&mut self, _: &weirs_actors::Exit, _: &mut Context<Self>) {
        yields(self.clock.random_below(3) as usize).await;
    }

    fn undelivered(&mut self, _: Work) {
        self.books.undelivered.fetch_add(1, SeqCst);
    }
}

async fn sender(address: Addr<Work>, sender: usize, books: Arc<Books>, clock: Clock, asks: bool) {
    for number in 1..=30 {
        let awaits = clock.random_below(4);
        let crashes = awaits > 0 && clock.random_below(6) == 0;
        let work = |urgent, reply| Work {
            sender,
            number,
            urgent,
            awaits,
            crashes_at: crashes.then(|| clock.random_below(awaits)),
            fails: clock.random_below(2) == 0,
            reply,
            _there: books.there.enter(),
        };
        let taken = match clock.random_below(8) {
            0 => address.try_tell_urgent(work(true, None)).is_ok(),
            1 => address.try_tell(work(false, None)).is_ok(),
            2 => {
                // Gives up after some polls.
                let mut tell = address.tell(work(false, None));
                let mut told = None;
                for _ in 0..clock.random_below(3) {
                    if let std::task::Poll::Ready(done) = futures::poll!(&mut tell) {
                        told = Some(done.is_ok());
                        break;
                    }
                    yields(1).await;
                }
                told.unwrap_or(false)
            }
            3 | 4 if asks => {
                match address.ask(|reply| work(false, Some(reply))).await {
                    Ok(answer) => assert!(answer == number && number % 5 > 0),
                    Err(AskError::NoReply | AskError::Crashed(_) | AskError::Overflow) => {}
                    Err(AskError::Closed) => {
                        books.perhaps.fetch_add(1, SeqCst);
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                }
                true
            }
            _ => address.tell(work(false, None)).await.is_ok(),
        };
        books.taken.fetch_add(usize::from(taken), SeqCst);
        yields(clock.random_below(3) as usize).await;
    }
}

async fn meddle(tree: Handle, address: Addr<Work>, clock: Clock) {
    for _ in 0..6 {
        clock.sleep(Duration::from_nanos(clock.random_below(3))).await;
        yields(clock.random_below(30) as usize).await;
        let _ = match clock.random_below(4) {
            0 => address.stop().await.map(drop),
            1 => address.drain().await.map(drop),
            2 => tree.stop_child("beside").await.map(drop),
            _ => Ok(()),
        };
        yields(clock.random_below(5) as usize).await;
        let _ = tree.restart_child("worker").await;
        let _ = tree.restart_child("beside").await;
    }
}

sim_test! {
    async fn nothing_that_was_taken_is_lost(runtime: Runtime) {
        let clock = runtime.clock().clone();
        let books = Arc::new(Books::default());
        let (make_books, make_clock) = (Arc::clone(&books), clock.clone());
        let overflow = match clock.random_below(4) {
            0 => Overflow::DropOldest,
            1 => Overflow::DropNewest,
            _ => Overflow::Wait,
        };
        let capacity = [1, 2, 3, 8, 64][clock.random_below(5) as usize];
        let mailbox = Mailbox::bounded(capacity).overflow(overflow);
        let (address, spec) = Spec::actor_with("worker", mailbox, move || Worker {
            books: Arc::clone(&make_books),
            clock: make_clock.clone(),
            _alive: make_books.lives.enter(),
        });
        let heard = Arc::clone(&books);
        let strategy = if clock.random_below(2) == 0 { Strategy::OneForOne } else { Strategy::OneForAll };
        let stop = match clock.random_below(3) {
            0 => Stop::Kill,
            1 => Stop::Within(Duration::from_nanos(1)),
            _ => Stop::Forever,
        };
        let restart = if clock.random_below(3) == 0 { Restart::Transient } else { Restart::Permanent };
        let beside = clock.clone();
        let tree = Supervisor::new(strategy)
            .intensity(u32::MAX, Duration::from_secs(1))
            .observe(move |event| {
                if let What::DeadLetters { count, .. } = event.what {
                    heard.dead.fetch_add(count, SeqCst);
                }
            })
            .child(spec.stop(stop).restart(restart))
            .child(Spec::task("beside", move |life: weirs_actors::supervise::Incarnation| {
                let clock = beside.clone();
                async move {
                    clock.sleep(Duration::from_nanos(1 + clock.random_below(3))).await;
                    assert!(life.number() > 4, "told to");
                    life.cancelled().await;
                }
            }))
            .start(&runtime)
            .await
            .unwrap();
        // Without questions the sum is exact.
        let asks = clock.random_below(2) == 0;
        let mut tasks: Vec<_> = (0..SENDERS)
            .map(|number| sender(address.clone(), number, Arc::clone(&books), clock.clone(), asks))
            .map(|sender| runtime.spawn(sender))
            .collect();
        tasks.push(runtime.spawn(meddle(tree.handle(), address.clone(), clock.clone())));
        for task in tasks {
            task.await.unwrap();
        }
        tree.shutdown().await;
        assert!(address.is_closed());
        let count = |of: &AtomicUsize| of.load(SeqCst);
        let (taken, perhaps) = (count(&books.taken), count(&books.perhaps));
        let known = count(&books.handled) + count(&books.undelivered) + count(&books.dead);
        assert!(
            (taken..=taken + perhaps).contains(&known),
            "{known} of {taken} and perhaps {perhaps}: handled {}, undelivered {}, dead {}",
            count(&books.handled),
            count(&books.undelivered),
            count(&books.dead),
        );
        assert_eq!(books.there.now(), 0, "somebody keeps them");
        assert_eq!(books.lives.now(), 0);
    }
}
