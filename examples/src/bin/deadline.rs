//! How does a deadline travel from service to service, so that nobody works for a caller who has gone?
//!
//! A gateway asks a service, which asks a store: three servers with sockets between them. How much time is
//! left is in a header. Each keeps some of it for the way back, and so has less than its caller; what is
//! late is dropped at the bottom first, and the answer that says so is in time at every hop above.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use weirs_examples::net::{Net, Program};
use weirs_examples::{http, story};
use weirs_runtime::Runtime;
use weirs_scopes::{CancelToken, Group};

const HEADER: &str = "budget-ms";
/// What each keeps for the way back.
const WAY_BACK: Duration = Duration::from_millis(400);

fn main() -> ExitCode {
    story::tell_on_net("sim", Deadline)
}

struct Deadline;

impl Program for Deadline {
    type Output = io::Result<()>;

    async fn run<N: Net>(self, net: N, runtime: Runtime) -> io::Result<()> {
        let mut below = None;
        let mut servers = Vec::new();
        for name in ["store", "service", "gateway"] {
            let (listener, address) = net.listen("127.0.0.1:0").await?;
            let hop = Hop { name, net: net.clone(), runtime: runtime.clone(), below };
            servers.push(runtime.builder().name(name).spawn(hop.serve(listener)));
            below = Some(address);
        }
        let gateway = net.resolve(&below.expect("three servers")).await?;
        for path in ["/quick", "/slow"] {
            let stream = net.connect(&gateway).await?;
            let answer = http::ask(stream, path, &[(HEADER, "2000")]).await?;
            println!("{path}: {}\n{}", answer.status, answer.body);
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Hop<N> {
    name: &'static str,
    net: N,
    runtime: Runtime,
    /// Whom it asks.
    below: Option<String>,
}

impl<N: Net> Hop<N> {
    async fn serve(self, listener: N::Listener) {
        let requests = Group::<()>::new(&self.runtime);
        while let Ok(stream) = N::accept(&listener).await {
            let hop = self.clone();
            requests.spawn(async move { drop(hop.handle(stream).await) });
        }
    }

    async fn handle(self, mut stream: N::Stream) -> io::Result<()> {
        let request = http::read_request(&mut stream).await?;
        let budget = request.header(HEADER).and_then(|budget| budget.parse().ok()).unwrap_or(1000);
        let clock = self.runtime.clock();
        let token = CancelToken::with_clock(clock.clone()).child_after(Duration::from_millis(budget));
        let (status, below) = match token.run(self.work(&request, &token)).await {
            Ok(answer) => {
                answer.map_or_else(|error| (502, error.to_string()), |told| (told.status, told.body))
            }
            Err(_) => (504, "  too late, and dropped".to_owned()),
        };
        http::answer(&mut stream, status, &format!("  {} had {budget} ms\n{below}", self.name)).await
    }

    async fn work(&self, request: &http::Request, token: &CancelToken) -> io::Result<http::Response> {
        let Some(below) = &self.below else {
            let _row = Query(self.name);
            let takes = if request.path == "/slow" { 3_600_000 } else { 10 };
            self.runtime.clock().sleep(Duration::from_millis(takes)).await;
            return Ok(http::Response { status: 200, body: "  one row".to_owned() });
        };
        let left = token.remaining().unwrap_or_default().saturating_sub(WAY_BACK);
        let stream = self.net.connect(&self.net.resolve(below).await?).await?;
        http::ask(stream, &request.path, &[(HEADER, &left.as_millis().to_string())]).await
    }
}

/// A query that may be dropped in the middle.
struct Query(&'static str);

impl Drop for Query {
    fn drop(&mut self) {
        println!("the query of the {} is over", self.0);
    }
}
