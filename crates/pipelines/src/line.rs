//! [`Line`]: those who wait for the same things, first come, first served.

use std::task::Waker;

use weirs_runtime::waiting::{Look, Ticket, Turn, Waiters, Wakes};

/// Those who wait for the same sort of thing, and for how many things those were called who have not come
/// yet.
#[derive(Default)]
pub(crate) struct Line {
    waiters: Waiters,
    called: usize,
}

impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Calls the first ones, so that with those who were called already each finds what it wants.
    pub(crate) fn call(&mut self, things: usize, wakes: &mut Wakes) {
        while !wakes.is_full() && self.wanted().is_some_and(|most| most <= things) {
            self.call_first(wakes);
        }
    }

    /// Calls the first one, whatever it wants, unless somebody was called already.
    pub(crate) fn call_one(&mut self, wakes: &mut Wakes) {
        if self.called == 0 && !wakes.is_full() {
            self.call_first(wakes);
        }
    }

    /// How many things there have to be for the first one to be called.
    fn wanted(&self) -> Option<usize> {
        self.waiters.first_item().map(|wants| self.called.saturating_add(wants))
    }

    fn call_first(&mut self, wakes: &mut Wakes) {
        let Some(wants) = self.waiters.first_item() else { return };
        let Some(waker) = self.waiters.call_first() else { return };
        self.called += wants;
        wakes.add(waker);
    }

    /// Whether somebody was called who has not come yet.
    pub(crate) fn has_called(&self) -> bool {
        self.called > 0
    }

    /// How many of the things somebody may take who comes now, with a ticket or without.
    pub(crate) fn share(&self, ticket: Option<Ticket>, things: usize) -> usize {
        match ticket {
            Some(ticket) if self.waiters.is_called(ticket) => {
                let others = self.called - self.waiters.get(ticket);
                // Whoever was called is not sent away while there is anything.
                things.saturating_sub(others).max(things.min(1))
            }
            Some(_) => 0,
            None if !self.waiters.is_empty() => 0,
            None => things.saturating_sub(self.called),
        }
    }

    /// The holder goes, served or not.
    pub(crate) fn leave(&mut self, ticket: &mut Option<Ticket>, look: &mut Look<'_, '_>) {
        self.forget_call(*ticket);
        look.leave(&mut self.waiters, ticket);
    }

    /// Waits for so many, in the last place; whoever was called in vain in the first.
    pub(crate) fn wait<R>(
        &mut self,
        wants: usize,
        ticket: &mut Option<Ticket>,
        look: &mut Look<'_, '_>,
    ) -> Turn<R> {
        let Some(called) = ticket.filter(|ticket| self.waiters.is_called(*ticket)) else {
            return look.wait(&mut self.waiters, wants, ticket);
        };
        let was_for = *self.waiters.get(called);
        let turn = look.wait_first(&mut self.waiters, wants, ticket);
        self.called -= if matches!(turn, Turn::Waits) { was_for } else { 0 };
        turn
    }

    /// Takes out one who gives up. The waker is for the caller to drop, outside the lock.
    #[must_use]
    pub(crate) fn give_up(&mut self, ticket: Ticket) -> Option<Waker> {
        self.forget_call(Some(ticket));
        self.waiters.leave(ticket)
    }

    fn forget_call(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket.filter(|ticket| self.waiters.is_called(*ticket)) {
            self.called -= self.waiters.get(ticket);
        }
    }
}
