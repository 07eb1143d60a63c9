//! How does the simulator report a deadlock and a leak?
//!
//! Two tasks take two locks in opposite order; and a task is detached and forgotten. Neither fails an
//! assertion: an ordinary test hangs on the one and passes on the other.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use async_channel::{Receiver, Sender, bounded};
use weirs_runtime::Runtime;
use weirs_testing::sim::{Explore, Failure};

fn main() {
    for failure in [deadlock(), leak()] {
        match failure {
            Some(failure) => println!("{failure}\n"),
            None => println!("nothing found\n"),
        }
    }
}

fn deadlock() -> Option<Failure> {
    Explore::new().seeds(0..100).find(|runtime: Runtime| async move {
        let (accounts, ledger) = (Lock::new(), Lock::new());
        let transfer = runtime.builder().name("transfer").spawn({
            let (accounts, ledger) = (accounts.clone(), ledger.clone());
            async move {
                let _accounts = accounts.lock().await;
                let _ledger = ledger.lock().await;
            }
        });
        let audit = runtime.builder().name("audit").spawn(async move {
            let _ledger = ledger.lock().await;
            let _accounts = accounts.lock().await;
        });
        transfer.await.unwrap();
        audit.await.unwrap();
    })
}

fn leak() -> Option<Failure> {
    Explore::new().seeds(0..1).find(|runtime: Runtime| async move {
        let (sender, receiver) = bounded::<()>(1);
        let listener = async move { while receiver.recv().await.is_ok() {} };
        runtime.builder().name("listener").spawn(listener).detach();
        // Somebody keeps a sender, so the listener never ends.
        std::mem::forget(sender);
    })
}

/// A lock is a channel with one token.
#[derive(Clone)]
struct Lock {
    give_back: Sender<()>,
    take: Receiver<()>,
}

impl Lock {
    fn new() -> Self {
        let (give_back, take) = bounded(1);
        give_back.try_send(()).expect("there is room for the token");
        Self { give_back, take }
    }

    async fn lock(&self) -> Locked<'_> {
        self.take.recv().await.expect("the lock holds both ends");
        // Whoever is next in line may run before we go on.
        futures_lite::future::yield_now().await;
        Locked(self)
    }
}

struct Locked<'a>(&'a Lock);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _ = self.0.give_back.try_send(());
    }
}
