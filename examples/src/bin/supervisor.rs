//! Who starts a worker again when it has failed, and what happens to those that depend on it?
//!
//! With `one_for_one` the one that failed begins anew; with `one_for_all` the others too, stopped and started
//! in order. One that fails again and again is no accident: the supervisor gives up, and tells why.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_actors::supervise::{Event, Incarnation, Spec, Supervisor};
use weirs_examples::story;
use weirs_runtime::Runtime;

const MINUTE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    story::tell("smol", |runtime| async move {
        println!("one for one:");
        restart(Supervisor::one_for_one(), &runtime).await;
        println!("one for all:");
        restart(Supervisor::one_for_all(), &runtime).await;
        println!("again and again:");
        give_up(&runtime).await;
    })
}

async fn restart(supervisor: Supervisor, runtime: &Runtime) {
    let (well, is_well) = async_channel::unbounded();
    let log = Log::default();
    let tree = supervisor
        .name("app")
        .intensity(3, MINUTE)
        .observe(log.observer())
        .child(Spec::task("index", async |life: Incarnation| life.cancelled().await))
        .child(Spec::task("feed", move |life: Incarnation| feed(life, well.clone())))
        .start(runtime)
        .await
        .unwrap();
    is_well.recv().await.expect("the third life is well");
    let report = tree.shutdown().await;
    log.print();
    println!("  stopped: {}, in order: {}", report.stopped, report.is_clean());
}

/// Fails in its first two lives.
async fn feed(life: Incarnation, well: async_channel::Sender<()>) -> Result<(), String> {
    life.runtime().clock().sleep(Duration::from_millis(1)).await;
    match life.number() {
        1 => return Err("no connection".to_owned()),
        2 => panic!("half a message"),
        _ => drop(well.send(()).await),
    }
    life.cancelled().await;
    Ok(())
}

async fn give_up(runtime: &Runtime) {
    let mut tree = Supervisor::one_for_one()
        .intensity(2, MINUTE)
        .child(Spec::task("feed", async |life: Incarnation| {
            life.runtime().clock().sleep(Duration::from_millis(1)).await;
            Err::<(), _>(format!("no connection in life {}", life.number()))
        }))
        .start(runtime)
        .await
        .unwrap();
    println!("  {}", tree.wait().await);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn observer(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static + use<> {
        let log = Arc::clone(&self.0);
        move |event| log.lock().expect("nobody panics with it").push(event.to_string())
    }

    fn print(&self) {
        for line in self.0.lock().expect("nobody panics with it").iter() {
            println!("  {line}");
        }
    }
}
