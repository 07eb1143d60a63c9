//! What readers of results do with the state.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use weirs_runtime::waiting::{Ticket, Turn, let_go};

use super::{Readers, Shared};
use crate::panics;
use crate::pool::completion::Completion;

impl<J, T, E> Shared<J, T, E> {
    /// Takes what can be read, for one of the readers.
    pub(in crate::pool) fn poll_read(
        &self,
        into: &mut VecDeque<Completion<J, T, E>>,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Option<()>> {
        self.poll(cx, |state, look| {
            if state.outbox.ready() == 0 {
                if state.is_over() {
                    state.waiting_readers.leave(ticket, look);
                    return Turn::Ready(None);
                }
                return state.waiting_readers.wait(1, ticket, look);
            }
            state.waiting_readers.leave(ticket, look);
            state.outbox.read(into, state.portion());
            Turn::Ready(Some(()))
        })
    }

    /// A reader goes. What it has in hand goes to the others; the last one's is discarded with all the rest.
    pub(in crate::pool) fn drop_reader(
        &self,
        ticket: Option<Ticket>,
        left: &mut VecDeque<Completion<J, T, E>>,
    ) {
        let (waker, gone) = self.change(|state| {
            state.outbox.put_back(left);
            let gone = match state.readers {
                Readers::Some(number @ 2..) => {
                    state.readers = Readers::Some(number - 1);
                    VecDeque::new()
                }
                _ => {
                    state.readers = Readers::Gone;
                    state.outbox.skip_to(state.next_order)
                }
            };
            state.counts.discarded += gone.len() as u64;
            (ticket.and_then(|ticket| state.waiting_readers.give_up(ticket)), gone)
        });
        let_go(waker);
        gone.into_iter().for_each(panics::let_go);
    }

    /// Takes all that is done and was not read.
    pub(in crate::pool) fn take_unread(&self) -> Vec<Completion<J, T, E>> {
        self.change(|state| state.outbox.skip_to(state.next_order)).into()
    }

    pub(in crate::pool) fn add_reader(&self) {
        self.change(|state| match &mut state.readers {
            Readers::Some(number) => *number += 1,
            Readers::NotYet => state.readers = Readers::Some(1),
            Readers::Gone => {
                // In order, it begins with what is submitted from now on.
                let nothing = state.outbox.skip_to(state.next_order);
                debug_assert!(nothing.is_empty(), "without readers all is discarded");
                state.readers = Readers::Some(1);
            }
        });
    }
}
