//! What do I write for an `errgroup` that fetches pages, where the first error ends the others?
//!
//! Each fetch is a child; the first that fails cancels the rest, the one that hangs too, and the scope gives
//! its error when all are gone. The pages come from a server of the program's own.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use weirs_examples::net::{Net, Program};
use weirs_examples::{http, story};
use weirs_runtime::Runtime;
use weirs_scopes::{Group, Scope, try_scope};

fn main() -> ExitCode {
    story::tell_on_net("smol", FetchUrls)
}

struct FetchUrls;

impl Program for FetchUrls {
    type Output = io::Result<()>;

    async fn run<N: Net>(self, net: N, runtime: Runtime) -> io::Result<()> {
        let (listener, address) = net.listen("127.0.0.1:0").await?;
        let _server = runtime.spawn(serve::<N>(listener, runtime.clone()));
        for paths in [["/news", "/about", "/jobs"], ["/news", "/hangs", "/broken"]] {
            let left = AtomicU32::new(0);
            match fetch_all(&net, &address, &paths, &left).await {
                Ok(()) => println!("all three pages are here"),
                Err(error) => println!("{error}; given up: {}", left.into_inner()),
            }
        }
        Ok(())
    }
}

async fn fetch_all<N: Net>(net: &N, address: &str, paths: &[&str], left: &AtomicU32) -> io::Result<()> {
    try_scope(|s: Scope<'_, _>| async move {
        for path in paths {
            s.spawn(async move {
                let begun = Begun(left);
                let answer = fetch(net, address, path).await;
                std::mem::forget(begun);
                answer
            });
        }
        Ok(())
    })
    .await
}

async fn fetch<N: Net>(net: &N, address: &str, path: &str) -> io::Result<()> {
    let stream = net.connect(&net.resolve(address).await?).await?;
    match http::ask(stream, path, &[]).await?.status {
        200 => Ok(()),
        status => Err(io::Error::other(format!("bad status: {status}"))),
    }
}

async fn serve<N: Net>(listener: N::Listener, runtime: Runtime) {
    let connections = Group::<()>::new(&runtime);
    while let Ok(mut stream) = N::accept(&listener).await {
        connections.spawn(async move {
            let Ok(request) = http::read_request(&mut stream).await else { return };
            let status = match request.path.as_str() {
                "/hangs" => std::future::pending().await,
                "/broken" => 500,
                _ => 200,
            };
            let _ = http::answer(&mut stream, status, "").await;
        });
    }
}

/// Counts those that are dropped in the middle.
struct Begun<'a>(&'a AtomicU32);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
