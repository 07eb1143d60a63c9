//! [`KeyedMerge`]: a merge that says whose each item is.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Event, Key, Merge};

/// A [`Merge`] that gives the key of the input beside each item; made by [`Merge::keyed`].
///
/// `(key, Some(item))` is an item, `(key, None)` says that the input has ended: it comes once, and is the
/// last of that key. Inputs that were [removed](Merge::remove) are not reported.
///
/// # Examples
/// ```
/// use futures_lite::{StreamExt, stream};
/// use weirs_channels_utils::Merge;
/// use weirs_runtime::block_on;
///
/// let mut merge = Merge::new();
/// let key = merge.push(stream::iter(["a"]));
/// let events = block_on(merge.keyed().collect::<Vec<_>>());
/// assert_eq!(events, [(key, Some("a")), (key, None)]);
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct KeyedMerge<S>(Merge<S>);

impl<S> KeyedMerge<S> {
    pub(super) fn new(merge: Merge<S>) -> Self {
        Self(merge)
    }

    /// The inputs, to add and to remove some.
    pub fn inputs(&mut self) -> &mut Merge<S> {
        &mut self.0
    }

    /// The merge without keys.
    pub fn into_inner(self) -> Merge<S> {
        self.0
    }
}

impl<S: Stream> Stream for KeyedMerge<S> {
    type Item = (Key, Option<S::Item>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_event(cx).map(|event| {
            Some(match event? {
                Event::Item(key, item) => (key, Some(item)),
                Event::Ended(key, input) => {
                    drop(input);
                    (key, None)
                }
            })
        })
    }
}

impl<S> Unpin for KeyedMerge<S> {}

impl<S> fmt::Debug for KeyedMerge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyedMerge").field(&self.0).finish()
    }
}
