//! How do I build a connection pool from a semaphore?
//!
//! The semaphore says how many connections there are and who is next; the pool only keeps those that are
//! idle. A caller comes with a deadline; a connection that does not answer is replaced; those that nobody
//! used for a while are closed; and a caller who gives up leaves nothing behind.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weirs_limiters::{Denied, Permit, Semaphore};
use weirs_runtime::{Clock, Instant, block_on};

const MOMENT: Duration = Duration::from_millis(5);

fn main() -> Result<(), Denied> {
    let clock = Clock::default();
    let pool = Pool::new(2, clock.clone());
    block_on(async {
        let (soon, later) = (|| clock.now() + MOMENT, clock.now() + Duration::from_secs(3600));
        let (one, mut two) = (pool.checkout(later).await?, pool.checkout(later).await?);
        println!("out: {} and {}", one.number, two.number);

        let denied = pool.checkout(soon()).await.map(|_| ()).unwrap_err();
        println!("a third caller: {denied}");

        // A caller who loses patience before the deadline, at no particular point.
        let _ = clock.timeout(MOMENT, pool.checkout(later)).await;
        println!("after one who went away: {} wait", pool.permits.stats().waiting);

        two.broken = true;
        drop(one);
        drop(two);
        let (one, two) = (pool.checkout(later).await?, pool.checkout(later).await?);
        println!("2 broke, so out: {} and {}", one.number, two.number);

        drop((one, two));
        let since = clock.now();
        clock.sleep(MOMENT).await;
        println!("idle for a while, closed: {}", pool.reap(since + MOMENT));
        println!("back in the pool: {} of {}", pool.permits.available(), pool.permits.capacity());
        Ok(())
    })
}

struct Pool {
    permits: Semaphore,
    /// The last one given back is the first one taken: the others get old and are closed.
    idle: Mutex<Vec<(Instant, Connection)>>,
    opened: AtomicU32,
    clock: Clock,
}

impl Pool {
    fn new(size: u64, clock: Clock) -> Self {
        let permits = Semaphore::builder(size).max_waiters(100).clock(clock.clone()).build();
        Self { permits, idle: Mutex::default(), opened: AtomicU32::new(0), clock }
    }

    /// A connection that answers, before the deadline or not at all.
    async fn checkout(&self, deadline: Instant) -> Result<Checkout<'_>, Denied> {
        // From here on the permit is held: dropped at any await, it goes back by itself.
        let permit = self.permits.acquire_by(1, deadline).await?;
        let ready = self.clock.timeout_at(deadline, self.connection()).await;
        let connection = ready.map_err(|_| Denied::DeadlinePassed)?;
        Ok(Checkout { pool: self, connection: Some(connection), _permit: permit })
    }

    async fn connection(&self) -> Connection {
        loop {
            // The lock is not held while the connection is asked.
            let Some((_, mut connection)) = self.idle().pop() else {
                return Connection::open(1 + self.opened.fetch_add(1, Ordering::Relaxed)).await;
            };
            if connection.answers().await {
                return connection;
            }
        }
    }

    /// Closes those that are idle since then or longer.
    fn reap(&self, since: Instant) -> usize {
        let mut idle = self.idle();
        let (old, used) = idle.drain(..).partition(|(at, _)| *at <= since);
        *idle = used;
        drop(idle);
        let old: Vec<_> = old;
        old.len()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Connection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on loan. It is given back before its permit: fields are dropped after `drop`.
struct Checkout<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
    _permit: Permit<'a>,
}

impl Drop for Checkout<'_> {
    fn drop(&mut self) {
        let now = self.pool.clock.now();
        let mut idle = self.pool.idle();
        idle.extend(self.connection.take().map(|connection| (now, connection)));
    }
}

impl Deref for Checkout<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("it is there until the drop")
    }
}

impl DerefMut for Checkout<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it is there until the drop")
    }
}

/// Stands for a socket.
struct Connection {
    number: u32,
    broken: bool,
}

impl Connection {
    async fn open(number: u32) -> Self {
        futures_lite::future::yield_now().await;
        Self { number, broken: false }
    }

    async fn answers(&mut self) -> bool {
        futures_lite::future::yield_now().await;
        !self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weirs_runtime::Runtime;
    use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, yields};

    /// Wherever a caller is dropped, waiting, asking, or opening: the next ones get both connections.
    #[apply(runtime_test)]
    async fn whoever_goes_away_leaves_nothing_behind(runtime: Runtime) {
        let pool = Pool::new(2, runtime.clock().clone());
        let far = Instant::FAR_FUTURE;
        let make = || async {
            let one = pool.checkout(far).await.unwrap();
            let mut two = pool.checkout(far).await.unwrap();
            two.broken = true;
            let gives_back = async {
                yields(2).await;
                drop(one);
                drop(two);
            };
            let (third, ()) = futures_lite::future::zip(pool.checkout(far), gives_back).await;
            yields(1).await;
            drop(third.unwrap());
        };
        let check = async |_| {
            let both = (pool.checkout(far).await.unwrap(), pool.checkout(far).await.unwrap());
            assert!(!both.0.broken && !both.1.broken && pool.permits.available() == 0);
            drop(both);
            assert_eq!((pool.permits.available(), pool.permits.stats().waiting), (2, 0));
        };
        cancel_at_every_poll(make, check).await;
        cancel_at_every_wake(make, check).await;
    }
}
