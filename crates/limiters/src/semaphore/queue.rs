//! [`Queue`]: those who wait for permits. It stands inside the semaphore's lock.
//!
//! In the modes `Fair` and `Lifo` permits are taken on behalf of whoever is next, who is then told. In the
//! mode `Barging` whoever is next is called, as many as the free permits are enough for, and takes them
//! itself, unless somebody else was faster; then it stands where it stood.

use std::task::Waker;

use weirs_runtime::Instant;
use weirs_runtime::waiting::{Ticket, Waiters, Wakes};

use super::Mode;
use super::word::Word;
use crate::Denied;

pub(super) struct Queue {
    waiters: Waiters<Item>,
    mode: Mode,
    capacity: u64,
    max_waiters: usize,
    /// How often somebody overtook those who wait.
    bypasses: u64,
    /// The permits that those want who were called.
    called: u64,
    /// Nobody before this one is to be called; none: nobody at all.
    next_call: Option<Ticket>,
    waited: u64,
}

#[derive(Clone, Copy)]
struct Item {
    cost: u64,
    /// Numbers those who wait.
    number: u64,
    since: Instant,
    /// The `bypasses` when it came.
    bypasses: u64,
    told: Told,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// To come and take.
    Called,
    Granted,
    TooLarge,
    Closed,
}

/// How a wait stands.
pub(super) enum Look {
    /// Whoever took by itself leaves others whose turn may have come.
    Over { result: Result<(), Denied>, took: bool },
    /// Whoever was called and came too late may have to be called again.
    Waits { lost: bool },
    /// It needs another waker.
    Waker,
}

impl Queue {
    pub(super) fn new(mode: Mode, capacity: u64, max_waiters: usize) -> Self {
        Self {
            waiters: Waiters::new(),
            mode,
            capacity,
            max_waiters,
            bypasses: 0,
            called: 0,
            next_call: None,
            waited: 0,
        }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn waited(&self) -> u64 {
        self.waited
    }

    /// Since when the first to come of those who wait does.
    pub(super) fn since(&self) -> Option<Instant> {
        self.waiters.first().map(|first| self.waiters.get(first).since)
    }

    /// For somebody who comes now: takes if the mode lets it.
    pub(super) fn try_take(&mut self, word: &Word, n: u64) -> Result<(), Denied> {
        let may = self.may_take(word, n)?;
        if !may || !word.take(n) {
            return Err(Denied::Busy { free: word.available() });
        }
        self.overtook(n);
        Ok(())
    }

    pub(super) fn peek(&self, word: &Word, n: u64) -> Result<u64, Denied> {
        let free = word.available();
        match self.may_take(word, n)? {
            true if n <= free => Ok(free - n),
            _ => Err(Denied::Busy { free }),
        }
    }

    /// Whether one who comes now may take, if so many are free.
    fn may_take(&self, word: &Word, n: u64) -> Result<bool, Denied> {
        if word.is_closed() {
            return Err(Denied::Closed);
        }
        if n > self.capacity {
            return Err(Denied::TooLarge { max: self.capacity });
        }
        Ok(n == 0 || self.may_overtake())
    }

    fn overtook(&mut self, n: u64) {
        if n > 0 && !self.waiters.is_empty() {
            self.bypasses += 1;
        }
    }

    /// Takes permits, or a place in the queue.
    pub(super) fn join(
        &mut self,
        word: &Word,
        n: u64,
        now: Instant,
        waker: &mut Option<Waker>,
    ) -> Result<Option<Ticket>, Denied> {
        let may = self.may_take(word, n)?;
        // From here on whoever gives back sees that somebody waits: so the permits are looked at after this.
        word.mark_waited_for();
        if may && word.take(n) {
            self.overtook(n);
            self.unmark_if_empty(word);
            return Ok(None);
        }
        if self.waiters.len() >= self.max_waiters {
            self.unmark_if_empty(word);
            return Err(match self.max_waiters {
                0 => Denied::Busy { free: word.available() },
                waiting => Denied::QueueFull { waiting },
            });
        }
        let Some(waker) = waker.take() else { unreachable!("it brings a waker") };
        self.waited += 1;
        let (number, bypasses) = (self.waited, self.bypasses);
        let item = Item { cost: n, number, since: now, bypasses, told: Told::Nothing };
        let ticket = self.waiters.join(waker, item);
        self.next_call = self.next_call.or(Some(ticket));
        Ok(Some(ticket))
    }

    /// How a wait stands; one that was called takes.
    pub(super) fn look(
        &mut self,
        word: &Word,
        ticket: Ticket,
        waker: &Waker,
        old: &mut Option<Waker>,
    ) -> Look {
        let Item { cost, told, .. } = *self.waiters.get(ticket);
        let result = match told {
            Told::Granted => Ok(()),
            Told::TooLarge => Err(Denied::TooLarge { max: self.capacity }),
            Told::Closed => Err(Denied::Closed),
            Told::Called if self.is_its_turn(ticket) && word.take(cost) => {
                if self.waiters.first() != Some(ticket) {
                    self.bypasses += 1;
                }
                self.dismiss(ticket);
                Ok(())
            }
            Told::Called | Told::Nothing => {
                if !self.waiters.will_wake(ticket, waker) {
                    return Look::Waker;
                }
                return Look::Waits { lost: self.uncall(ticket) };
            }
        };
        *old = self.waiters.leave(ticket);
        Look::Over { result, took: told == Told::Called }
    }

    pub(super) fn replace(&mut self, ticket: Ticket, waker: Waker) -> Option<Waker> {
        self.waiters.replace(ticket, waker)
    }

    /// Takes a wait back; what it was granted comes back with it.
    pub(super) fn leave(&mut self, word: &Word, ticket: Ticket) -> Option<Waker> {
        if self.waiters.is_queued(ticket) {
            self.dismiss(ticket);
        }
        let item = *self.waiters.get(ticket);
        let waker = self.waiters.leave(ticket);
        if item.told == Told::Granted {
            word.give_back(item.cost);
        }
        self.unmark_if_empty(word);
        waker
    }

    /// Lets go whoever may; whether all is done. If not, the wakers have to be woken first.
    pub(super) fn serve(&mut self, word: &Word, wakes: &mut Wakes) -> bool {
        let done = match self.mode {
            Mode::Fair => self.grant(word, wakes, Waiters::first),
            Mode::Lifo => self.grant(word, wakes, Waiters::last),
            Mode::Barging { .. } => self.call(word, wakes),
        };
        self.unmark_if_empty(word);
        done
    }

    fn grant(&mut self, word: &Word, wakes: &mut Wakes, next: fn(&Waiters<Item>) -> Option<Ticket>) -> bool {
        while let Some(ticket) = next(&self.waiters) {
            if wakes.is_full() {
                return false;
            }
            if !word.take(self.waiters.get(ticket).cost) {
                break;
            }
            self.tell(ticket, Told::Granted);
            self.waiters.take_waker(ticket).into_iter().for_each(|waker| wakes.add(waker));
        }
        true
    }

    fn call(&mut self, word: &Word, wakes: &mut Wakes) -> bool {
        let free = word.available();
        while let Some(ticket) = self.next_call {
            if wakes.is_full() {
                return false;
            }
            if !self.is_its_turn(ticket) {
                break;
            }
            let item = self.waiters.get_mut(ticket);
            if item.told == Told::Nothing {
                if item.cost > free.saturating_sub(self.called) {
                    break;
                }
                item.told = Told::Called;
                self.called += item.cost;
                self.waiters.take_waker(ticket).into_iter().for_each(|waker| wakes.add(waker));
            }
            self.next_call = self.waiters.after(ticket);
        }
        true
    }

    /// Whether one who waits may take: not past a first who was overtaken often enough.
    fn is_its_turn(&self, ticket: Ticket) -> bool {
        self.waiters.first() == Some(ticket) || self.may_overtake()
    }

    /// Whether the first, who has been overtaken most often of all, may be once more.
    fn may_overtake(&self) -> bool {
        let Some(first) = self.waiters.first() else { return true };
        match self.mode {
            Mode::Fair => false,
            Mode::Lifo => true,
            Mode::Barging { max_bypass } => {
                self.bypasses - self.waiters.get(first).bypasses < u64::from(max_bypass)
            }
        }
    }

    /// One who was called came too late: it waits on where it stands.
    fn uncall(&mut self, ticket: Ticket) -> bool {
        let item = self.waiters.get_mut(ticket);
        if item.told != Told::Called {
            return false;
        }
        item.told = Told::Nothing;
        let (cost, number) = (item.cost, item.number);
        self.called -= cost;
        if self.next_call.is_none_or(|next| number < self.waiters.get(next).number) {
            self.next_call = Some(ticket);
        }
        true
    }

    /// Takes one out of the queue, who is to hear this.
    fn tell(&mut self, ticket: Ticket, told: Told) {
        self.dismiss(ticket);
        self.waiters.get_mut(ticket).told = told;
    }

    fn dismiss(&mut self, ticket: Ticket) {
        if self.next_call == Some(ticket) {
            self.next_call = self.waiters.after(ticket);
        }
        let item = self.waiters.get(ticket);
        if item.told == Told::Called {
            self.called -= item.cost;
        }
        self.waiters.dismiss(ticket);
    }

    pub(super) fn set_capacity(&mut self, word: &Word, new: u64) -> Vec<Waker> {
        let old = std::mem::replace(&mut self.capacity, new);
        match new > old {
            true => _ = word.give_back(new - old),
            false => word.owe(old - new),
        }
        self.tell_all(Told::TooLarge, |item| item.cost > new)
    }

    pub(super) fn close(&mut self, word: &Word) -> Vec<Waker> {
        word.close();
        let woken = self.tell_all(Told::Closed, |_| true);
        self.unmark_if_empty(word);
        woken
    }

    /// Permits that are held never come back: the capacity is less by them, and what is free stays.
    pub(super) fn forget(&mut self, word: &Word, n: u64) -> Vec<Waker> {
        let old = self.capacity;
        self.capacity = old.saturating_sub(n);
        // More were held than there are: these come back after all.
        word.give_back(n - (old - self.capacity));
        let new = self.capacity;
        self.tell_all(Told::TooLarge, |item| item.cost > new)
    }

    fn tell_all(&mut self, told: Told, who: impl Fn(&Item) -> bool) -> Vec<Waker> {
        let (mut woken, mut next) = (Vec::new(), self.waiters.first());
        while let Some(ticket) = next {
            next = self.waiters.after(ticket);
            if who(self.waiters.get(ticket)) {
                self.tell(ticket, told);
                woken.extend(self.waiters.take_waker(ticket));
            }
        }
        woken
    }

    fn unmark_if_empty(&self, word: &Word) {
        if self.waiters.is_empty() {
            word.unmark_waited_for();
        }
    }
}
