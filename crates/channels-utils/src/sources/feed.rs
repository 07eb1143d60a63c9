//! [`feed`]: all items of an iterator into a channel.

use std::collections::{VecDeque, vec_deque};
use std::future::poll_fn;
use std::iter::Chain;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Poll;

use crate::{Closed, Sender};

/// So many items are made before they are sent, and before others of the executor get their turn.
const AT_ONCE: usize = 64;

/// What [`feed`] did not send: the items that it had in hand, and the rest of the iterator.
pub type Rest<I> = Chain<vec_deque::IntoIter<<I as Iterator>::Item>, I>;

/// Sends all items of an iterator, as fast as there is room for them, and says how many they were.
///
/// Items are made when they are about to be sent: at most 64 at a time, and no more than the channel holds.
/// An iterator without an end is welcome.
///
/// # Waiting
/// As [`Sender::send`], for each item; and it gives way to others now and then.
///
/// # Cancel safety
/// Dropped before it completes, what was sent is sent; the rest is dropped with the iterator.
///
/// # Panics
/// A panic of the iterator goes on when the items that were made before it have been sent.
///
/// # Errors
/// [`Closed`] when the channel is closed, with the [`Rest`].
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::{bounded, feed};
/// use weirs_runtime::block_on;
///
/// let (sender, mut receiver) = bounded(NonZeroUsize::new(4).unwrap());
/// let receive = async move {
///     let first = [receiver.recv().await, receiver.recv().await];
///     drop(receiver);
///     first
/// };
/// let (fed, first) = block_on(futures_lite::future::zip(feed(&sender, 1..=100), receive));
/// assert_eq!(first, [Some(1), Some(2)]);
/// // Nobody receives any more: the rest comes back.
/// let rest = fed.unwrap_err().into_inner();
/// assert_eq!(rest.last(), Some(100));
/// ```
pub async fn feed<T, I>(sender: &Sender<T>, items: I) -> Result<usize, Closed<Rest<I::IntoIter>>>
where
    I: IntoIterator<Item = T>,
{
    let mut items = items.into_iter();
    let at_once = sender.capacity().min(AT_ONCE);
    let mut hand = VecDeque::new();
    let mut sent = 0;
    loop {
        let filled = catch_unwind(AssertUnwindSafe(|| {
            while hand.len() < at_once {
                let Some(item) = items.next() else { return true };
                hand.push_back(item);
            }
            false
        }));
        let made = hand.len();
        if sender.send_all(&mut hand).await.is_err() {
            if let Err(panic) = filled {
                resume_unwind(panic);
            }
            return Err(Closed(hand.into_iter().chain(items)));
        }
        sent += made;
        match filled {
            Ok(true) => return Ok(sent),
            Ok(false) => give_way().await,
            Err(panic) => resume_unwind(panic),
        }
    }
}

async fn give_way() {
    let mut gave = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
