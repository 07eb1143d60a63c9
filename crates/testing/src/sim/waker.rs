//! The wakers of simulated tasks.

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::world::World;

/// Wakes one task of one run; with fresh wakers, only until its next poll.
struct Node {
    world: Arc<World>,
    task: u32,
    generation: u64,
}

pub(super) fn waker(world: &Arc<World>, task: u32, generation: u64) -> Waker {
    Waker::from(Arc::new(Node { world: Arc::clone(world), task, generation }))
}

impl Wake for Node {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.world.is_home("woke a task") {
            self.world.lock().wake(self.task, self.generation);
        }
    }
}
