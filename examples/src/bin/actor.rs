//! How do a hundred tasks share an account, and nobody locks anything?
//!
//! The account belongs to an actor, which handles one message after another. `tell` waits only while the
//! mailbox is full, so a quick teller is slowed down; `ask` gives the answer, or says why there is none.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::convert::Infallible;
use std::process::ExitCode;

use weirs_actors::actor::{Actor, AskError, Context, Reply, spawn};
use weirs_examples::story;
use weirs_scopes::scope;

/// The state: nobody else sees it.
#[derive(Default)]
struct Account {
    balance: u64,
}

enum Message {
    Deposit(u64),
    Withdraw(u64, Reply<Result<u64, String>>),
    Balance(Reply<u64>),
}

impl Actor for Account {
    type Message = Message;
    type Error = Infallible;

    async fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Result<(), Infallible> {
        match message {
            Message::Deposit(amount) => self.balance += amount,
            Message::Balance(reply) => reply.send(self.balance),
            Message::Withdraw(amount, reply) => reply.send(match self.balance.checked_sub(amount) {
                Some(rest) => {
                    self.balance = rest;
                    Ok(rest)
                }
                None => Err(format!("{} is not enough for {amount}", self.balance)),
            }),
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    story::tell("smol", |runtime| async move {
        let account = spawn("account", Account::default, &runtime);
        scope(async |s| {
            for amount in 1..=100 {
                let account = &account;
                s.spawn(async move { account.tell(Message::Deposit(amount)).await.expect("it is open") });
            }
        })
        .await;
        println!("after 100 deposits: {:?}", account.ask(Message::Balance).await);
        println!("withdraw 5000: {:?}", account.ask(|reply| Message::Withdraw(5000, reply)).await);
        println!("withdraw 5000: {:?}", account.ask(|reply| Message::Withdraw(5000, reply)).await);

        let address = account.address();
        account.shutdown().await;
        let nobody: Result<u64, AskError> = address.ask(Message::Balance).await;
        println!("when it is closed: {}", nobody.expect_err("nobody answers"));
    })
}
