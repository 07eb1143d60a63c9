//! What did the services answer by the deadline, and what became of the others?
//!
//! Five services are asked at once. One fails, one is too slow, one is not needed after all: the page is made
//! of what is there. `--runtime sim` does it in simulated time, `smol` and `tokio` on these executors.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::time::Duration;

use weirs_runtime::{Clock, block_on};
use weirs_scopes::joiners::{Outcome, all_settled, until_deadline};
use weirs_scopes::{Scope, ScopeError};
use weirs_testing::sim::Explore;

struct Service {
    name: &'static str,
    takes: Duration,
    answer: Result<&'static str, &'static str>,
}

const SERVICES: [Service; 5] = [
    Service { name: "search", takes: Duration::from_millis(20), answer: Ok("42 hits") },
    Service { name: "prices", takes: Duration::from_millis(10), answer: Ok("129 offers") },
    Service { name: "stock", takes: Duration::from_millis(5), answer: Err("connection refused") },
    Service { name: "reviews", takes: Duration::from_secs(3600), answer: Ok("never seen") },
    Service { name: "adverts", takes: Duration::from_millis(10), answer: Ok("not wanted") },
];

const DEADLINE: Duration = Duration::from_millis(250);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = std::env::args().skip_while(|argument| argument != "--runtime").nth(1);
    let page = page(Clock::default());
    match runtime.as_deref() {
        None => println!("{}", block_on(page)?),
        Some("smol") => println!("{}", smol::block_on(page)?),
        Some("tokio") => {
            println!("{}", tokio::runtime::Builder::new_current_thread().build()?.block_on(page)?)
        }
        Some("sim") => println!("{}", simulated()?),
        Some(other) => return Err(format!("no runtime is called {other:?}").into()),
    }
    Ok(())
}

/// The simulator runs a seed twice, to see whether it does the same; so the page is printed afterwards.
fn simulated() -> Result<String, async_channel::TryRecvError> {
    let (pages, printed) = async_channel::unbounded();
    Explore::new().seeds(0..1).run(|runtime| {
        let pages = pages.clone();
        async move { drop(pages.try_send(page(runtime.clock().clone()).await.unwrap())) }
    });
    printed.try_recv()
}

async fn page(clock: Clock) -> Result<String, ScopeError> {
    let answers = Scope::builder()
        .clock(&clock)
        .deadline(clock.now() + DEADLINE)
        .gather(until_deadline(all_settled()), async |s| {
            for service in &SERVICES {
                let child = s.spawn_named(service.name, service.ask(&clock));
                if service.name == "adverts" {
                    child.cancel();
                }
            }
        })
        .await?;
    let Ok(outcomes) = answers.result;
    let mut page = format!("{:<10}answer\n", "service");
    for (service, outcome) in SERVICES.iter().zip(outcomes) {
        let told = match outcome {
            Outcome::Output(Ok(answer)) => answer.to_owned(),
            Outcome::Output(Err(error)) => format!("failed: {error}"),
            late if late.is_timed_out() => "timed out".to_owned(),
            _ => "cancelled".to_owned(),
        };
        page += &format!("{:<10}{told}\n", service.name);
    }
    page += if answers.complete { "all in time" } else { "cut short by the deadline" };
    Ok(page)
}

impl Service {
    async fn ask(&self, clock: &Clock) -> Result<&'static str, &'static str> {
        clock.sleep(self.takes).await;
        self.answer
    }
}
