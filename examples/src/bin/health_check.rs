//! How do I ask a hundred services for their health, ten at a time?
//!
//! A task for each of ten thousand would open ten thousand sockets. Here a child exists only while it is one
//! of the ten; `join_next` gives the answers as they come, and there is no channel and no count to keep.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use weirs_examples::story;
use weirs_runtime::Clock;
use weirs_scopes::scope;

fn main() -> ExitCode {
    let urls: Vec<_> = (0..100).map(|i| format!("https://service-{i}.example.com/health")).collect();
    story::tell("smol", |runtime| async move {
        let ten = NonZeroUsize::new(10).expect("not zero");
        let results = health_check_all(&urls, ten, runtime.clock()).await;
        let healthy = results.iter().filter(|(_, is_healthy)| *is_healthy).count();
        println!("Healthy: {healthy} / {}", results.len());
    })
}

async fn health_check_all<'a>(
    urls: &'a [String],
    at_once: NonZeroUsize,
    clock: &Clock,
) -> Vec<(&'a str, bool)> {
    scope(async |s| {
        let mut checks = s.stream(at_once, urls.iter().map(|url| check_endpoint(url, clock)));
        let mut results = Vec::new();
        while let Some(result) = checks.join_next().await {
            results.push(result.expect("nobody cancels them"));
        }
        results
    })
    .await
}

async fn check_endpoint<'a>(url: &'a str, clock: &Clock) -> (&'a str, bool) {
    clock.sleep(Duration::from_millis(50)).await;
    (url, !url.contains("unhealthy"))
}
