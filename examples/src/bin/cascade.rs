//! How does one cancel reach everything below it?
//!
//! A service has sessions, and a session has requests; each has a token below that of its holder. Cancelling
//! one request touches nobody else, cancelling a session ends its requests, and cancelling the service ends
//! all. Each hears the reason that was given at the top.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use weirs_runtime::block_on;
use weirs_scopes::{CancelToken, Scope, scope};

fn main() {
    let service = CancelToken::new();
    let sessions = [service.child(), service.child()];
    let requests: Vec<Vec<CancelToken>> =
        sessions.iter().map(|session| vec![session.child(), session.child()]).collect();

    block_on(scope(async |s: Scope<'_>| {
        let mut children = Vec::new();
        for (session, tokens) in requests.iter().enumerate() {
            for (request, token) in tokens.iter().enumerate() {
                children.push(s.spawn(async move {
                    let why = token.run(std::future::pending::<()>()).await.unwrap_err().into_reason();
                    println!("request {session}.{request} has ended: {why}");
                }));
            }
        }
        let mut children = children.into_iter();

        requests[0][0].cancel("the client hung up");
        let _ = children.next().expect("request 0.0").await;

        sessions[0].cancel("the session has expired");
        let _ = children.next().expect("request 0.1").await;
        println!("the other session goes on: {}", !sessions[1].is_cancelled());

        service.cancel("the service is going down");
    }));
}
