//! actix, which stays on one thread.

use std::hint::black_box;

use ::actix::Actor as _;

use super::{Add, Get};

struct Actix(u64);

impl ::actix::Actor for Actix {
    type Context = ::actix::Context<Self>;
}

impl ::actix::Message for Add {
    type Result = ();
}

impl ::actix::Message for Get {
    type Result = u64;
}

impl ::actix::Handler<Add> for Actix {
    type Result = ();

    fn handle(&mut self, add: Add, _: &mut ::actix::Context<Self>) {
        self.0 += add.0;
    }
}

impl ::actix::Handler<Get> for Actix {
    type Result = u64;

    fn handle(&mut self, _: Get, _: &mut ::actix::Context<Self>) -> u64 {
        self.0
    }
}

pub(super) fn actix_tells(times: u64) {
    ::actix::System::new().block_on(async move {
        let actor = Actix(0).start();
        for _ in 0..times {
            actor.do_send(Add(1));
        }
        assert_eq!(actor.send(Get).await.expect("it lives"), times);
    });
}

pub(super) fn actix_asks(times: u64) {
    ::actix::System::new().block_on(async move {
        let actor = Actix(0).start();
        for _ in 0..times {
            black_box(actor.send(Get).await.expect("it lives"));
        }
    });
}
