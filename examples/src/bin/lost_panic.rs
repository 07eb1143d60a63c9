//! Who hears of a panic in a task that nobody awaits?
//!
//! Dropped with its handle, the panic is gone with it elsewhere. Here a hook hears of those that nobody else
//! does; whoever awaits has it as an error; and a scope goes on with it, so that it cannot be overlooked.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;

use weirs_examples::story;
use weirs_runtime::{JoinError, Runtime};
use weirs_scopes::{PanicPolicy, Scope, ScopeError};

fn main() -> ExitCode {
    story::tell("smol", |runtime| async move {
        detached(&runtime).await;
        awaited(&runtime).await;
        in_a_scope().await;
    })
}

async fn detached(runtime: &Runtime) {
    let (heard, hears) = async_channel::bounded(1);
    let runtime = runtime.with_panic_hook(move |lost| drop(heard.try_send(lost.message.to_owned())));
    runtime.spawn(async { panic!("exploded, and nobody awaits it") }).detach();
    println!("the hook hears: {}", hears.recv().await.expect("the hook is there"));
}

async fn awaited(runtime: &Runtime) {
    match runtime.spawn(async { panic!("exploded") }).await {
        Ok(()) => println!("Success"),
        Err(JoinError::Panic(payload)) => println!("Panicked: {}", payload.message()),
        Err(_) => println!("Task cancelled"),
    }
}

async fn in_a_scope() {
    let result = Scope::builder()
        .panics(PanicPolicy::AsError)
        .try_run(async |s| {
            s.spawn(async { explode("exploded in a scope") });
            Ok(())
        })
        .await;
    match result {
        Err(ScopeError::Panicked(payload)) => println!("the scope: {}", payload.message()),
        other => println!("the scope: {other:?}"),
    }
}

fn explode(why: &'static str) -> Result<(), String> {
    panic!("{why}")
}
