//! Can one program use two executors at once?
//!
//! Yes: a runtime is a value. Here a task on smol awaits one on tokio, which awaits one on async-std; each
//! sleeps on the same clock.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::time::Duration;

use weirs_runtime::{AsyncStd, Clock, JoinError, Runtime, Smol, Tokio, block_on};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let runtimes = [
        ("smol", Runtime::from(Smol::global())),
        ("tokio", Runtime::from(Tokio::on(tokio.handle().clone()))),
        ("async-std", Runtime::from(AsyncStd)),
    ];
    println!("{}", block_on(relay(&runtimes))?);
    Ok(())
}

/// Each runtime's task waits for that of the next.
async fn relay(runtimes: &[(&'static str, Runtime)]) -> Result<String, JoinError> {
    let mut inner = None;
    for (name, runtime) in runtimes.iter().rev() {
        let (name, clock, next) = (*name, Clock::default(), inner.take());
        inner = Some(runtime.spawn(async move {
            clock.sleep(Duration::from_millis(1)).await;
            match next {
                Some(task) => Ok(format!("{name} heard from {}", relayed(task).await?)),
                None => Ok(name.to_string()),
            }
        }));
    }
    match inner {
        Some(task) => relayed(task).await,
        None => Ok(String::new()),
    }
}

async fn relayed(task: weirs_runtime::Task<Result<String, JoinError>>) -> Result<String, JoinError> {
    task.await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_executors_pass_a_message_on() {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let runtimes = [
            ("smol", Runtime::from(Smol::global())),
            ("tokio", Runtime::from(Tokio::on(tokio.handle().clone()))),
            ("async-std", Runtime::from(AsyncStd)),
        ];
        let heard = block_on(relay(&runtimes)).unwrap();
        assert_eq!(heard, "smol heard from tokio heard from async-std");
    }
}
