//! What a queue shows of itself to the supervisor, and to those that are linked to it.

use super::*;

impl<M: Send> Tied for Inbox<M> {
    fn ties(&self) -> &Ties {
        &self.ties
    }

    fn struck(&self) {
        self.signals.fetch_or(STRUCK, Ordering::Release);
        if let Some(node) = self.node() {
            node.poke();
        }
    }
}

impl<M: Send> Face for Inbox<M> {
    fn open(&self) {
        let before = self.state.change(|state| {
            let closed = state.closed.take();
            // Somebody may drain it before its first life has begun.
            state.draining &= closed.is_none();
            closed
        });
        let_go(before);
    }

    fn close(&self, exit: &Exit) {
        let kept = exit.clone();
        let (before, again, urgent, queue) = self.state.change(|state| {
            let before = if state.closed.is_none() { state.closed.replace(kept) } else { Some(kept) };
            self.signals.fetch_and(!URGENT, Ordering::AcqRel);
            let rare = state.rare.as_mut();
            let (again, urgent) =
                rare.map(|rare| (rare.again.take(), take(&mut rare.urgent))).unwrap_or_default();
            (before, again, urgent, take(&mut state.queue))
        });
        let_go(before);
        if again.is_some() || !urgent.is_empty() || !queue.is_empty() {
            self.bury_all(again, urgent, queue);
        }
        // Whoever was linked to it between its last life and this, which it did not see to be the end.
        self.untie(exit);
        self.leave_lists();
    }

    fn life_ended(&self, exit: &Exit) {
        self.settle_orphans(Some(exit));
        self.signals.fetch_and(!STRUCK, Ordering::AcqRel);
        self.untie(exit);
    }

    fn awaits_room(&self, ticket: Ticket) -> bool {
        self.awaits_room(ticket)
    }

    fn orphan(&self, orphan: Arc<dyn Orphan>) -> Result<(), Arc<dyn Orphan>> {
        self.ties.keep(orphan);
        self.signals.fetch_or(ORPHANS, Ordering::Release);
        Ok(())
    }

    fn show(&self, snapshot: &mut Snapshot, now: Instant) {
        self.state.change(|state| {
            self.count(state);
            snapshot.kind = Kind::Actor;
            snapshot.queued = state.queued();
            snapshot.handled = state.handled + self.done_beside.load(Ordering::Relaxed) as u64;
            let handling = state.rare.as_ref().and_then(|rare| rare.handling);
            snapshot.handling = handling.map(|(name, since)| (name, now.saturating_since(since)));
        });
    }
}

impl<M> Inbox<M> {
    /// All that it is linked to hear how it ended.
    fn untie(&self, exit: &Exit) {
        self.ties.cut(std::ptr::from_ref(self).addr(), || self.path(), exit);
    }

    /// Where the actor stands in its tree.
    pub(crate) fn path(&self) -> String {
        self.node().map_or_else(String::new, |node| node.path())
    }

    /// Messages that wait when nobody will take them any more.
    #[cold]
    fn bury_all(&self, again: Option<Box<Again<M>>>, urgent: VecDeque<M>, queue: VecDeque<M>) {
        let count = usize::from(again.is_some()) + urgent.len() + queue.len();
        let again = again.map(|again| again.message).into_iter();
        let letters = again.chain(urgent).chain(queue);
        current::unheard(Unheard::Closed, || {
            letters.for_each(|message| self.let_go_of(message, DeadReason::Ended));
        });
        self.dead(count, DeadReason::Ended);
    }
}
