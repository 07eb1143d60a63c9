//! Links between the lives of two actors: see [`Context::link`](super::Context::link).

use std::sync::Arc;

use super::inbox::Inbox;
use crate::ties::{self, Tied, address};

pub(super) fn link<M: Send + 'static, N: Send + 'static>(one: &Arc<Inbox<M>>, other: &Arc<Inbox<N>>) {
    if address(one) == address(other) {
        return;
    }
    let ends: [Arc<dyn Tied>; 2] = [Arc::clone(one) as _, Arc::clone(other) as _];
    ties::link(&ends[0], &ends[1]);
    // One that has ended for good ends no more: whoever comes too late hears of it now. Only this link is
    // untied: by now there may be another life, with links of its own.
    if let Some(exit) = other.ended() {
        other.ties().cut_one(address(other), &ends[0], || other.path(), &exit);
    }
}

pub(super) fn unlink<M: Send + 'static, N: Send + 'static>(one: &Arc<Inbox<M>>, other: &Arc<Inbox<N>>) {
    let ends: [Arc<dyn Tied>; 2] = [Arc::clone(one) as _, Arc::clone(other) as _];
    ties::unlink(&ends[0], &ends[1]);
}
