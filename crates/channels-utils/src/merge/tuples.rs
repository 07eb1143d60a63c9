//! [`merge_tuple`]: two to eight streams of different types as one, of an enum.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

/// Two to eight streams of any types as one, whose items say which they are from.
///
/// In Go this is the `for` around a `select` over several channels.
///
/// # Waiting
/// It waits until one of the streams is ready. It ends when all have.
///
/// # Fairness
/// Those that are ready take turns: of `n` streams, one that is ready waits for at most `n - 1` items of
/// others.
///
/// # Cancel safety
/// It holds no item: whatever was not given out is still in its stream.
///
/// # Panics
/// A panic of a stream goes to whoever polls. That stream is not polled again.
///
/// # Examples
/// ```
/// use futures_lite::{StreamExt, stream};
/// use weirs_channels_utils::{Merged2, merge_tuple};
/// use weirs_runtime::block_on;
///
/// let mut merged = merge_tuple((stream::iter([1, 2]), stream::iter(["one"])));
/// block_on(async {
///     let (mut sum, mut text) = (0, String::new());
///     while let Some(item) = merged.next().await {
///         match item {
///             Merged2::First(number) => sum += number,
///             Merged2::Second(word) => text.push_str(word),
///         }
///     }
///     assert_eq!((sum, &*text), (3, "one"));
/// });
/// ```
pub fn merge_tuple<T: MergeTuple>(streams: T) -> T::Merged {
    streams.into_merged()
}

/// A tuple of two to eight streams, for [`merge_tuple`].
pub trait MergeTuple: sealed::Sealed {
    /// What an item is, and which stream it is from.
    type Item;
    /// The streams as one.
    type Merged: Stream<Item = Self::Item>;

    #[doc(hidden)]
    fn into_merged(self) -> Self::Merged;
}

mod sealed {
    #[allow(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
}

macro_rules! tuples {
    ($($Merged:ident $Tuple:ident $number:literal $word:literal {
        $($S:ident $field:ident $index:literal $Variant:ident $which:literal),+
    })+) => {$(
        #[doc = concat!("An item of one of ", $word, " streams, and which it is from; see [`merge_tuple`].")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Merged<$($S),+> {
            $(
                #[doc = concat!("From the ", $which, " stream.")]
                $Variant($S),
            )+
        }

        impl<T> $Merged<$(tuples!(@T $S)),+> {
            /// The item, where all are of one type and it does not matter whose it is.
            pub fn into_inner(self) -> T {
                match self {
                    $(Self::$Variant(item))|+ => item,
                }
            }
        }

        pin_project! {
            #[doc = concat!("The streams of a tuple of ", $word, " as one; made by [`merge_tuple`].")]
            #[must_use = "streams do nothing unless polled"]
            pub struct $Tuple<$($S),+> {
                $(#[pin] $field: Option<$S>,)+
                // Whose turn it is.
                next: usize,
                // The one that is in a poll; after it only when that panicked.
                polled: Option<usize>,
            }
        }

        impl<$($S: Stream),+> Stream for $Tuple<$($S),+> {
            type Item = $Merged<$($S::Item),+>;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                let mut this = self.project();
                match this.polled.take() {
                    $(Some($index) => this.$field.set(None),)+
                    _ => {}
                }
                let mut left = false;
                for turn in 0..$number {
                    let index = (*this.next + turn) % $number;
                    *this.polled = Some(index);
                    match index {
                        $($index => if let Some(stream) = this.$field.as_mut().as_pin_mut() {
                            match stream.poll_next(cx) {
                                Poll::Ready(Some(item)) => {
                                    *this.polled = None;
                                    *this.next = (index + 1) % $number;
                                    return Poll::Ready(Some($Merged::$Variant(item)));
                                }
                                Poll::Ready(None) => this.$field.set(None),
                                Poll::Pending => left = true,
                            }
                        },)+
                        _ => {}
                    }
                    *this.polled = None;
                }
                if left { Poll::Pending } else { Poll::Ready(None) }
            }
        }

        impl<$($S),+> sealed::Sealed for ($($S,)+) {}

        impl<$($S: Stream),+> MergeTuple for ($($S,)+) {
            type Item = $Merged<$($S::Item),+>;
            type Merged = $Tuple<$($S),+>;

            fn into_merged(self) -> Self::Merged {
                let ($($field,)+) = self;
                $Tuple { $($field: Some($field),)+ next: 0, polled: None }
            }
        }

        impl<$($S),+> fmt::Debug for $Tuple<$($S),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Tuple)).field("next", &self.next).finish_non_exhaustive()
            }
        }
    )+};
    (@T $S:ident) => { T };
}

tuples! {
    Merged2 MergeTuple2 2 "two" { A a 0 First "first", B b 1 Second "second" }
    Merged3 MergeTuple3 3 "three" { A a 0 First "first", B b 1 Second "second", C c 2 Third "third" }
    Merged4 MergeTuple4 4 "four" {
        A a 0 First "first", B b 1 Second "second", C c 2 Third "third", D d 3 Fourth "fourth"
    }
    Merged5 MergeTuple5 5 "five" {
        A a 0 First "first", B b 1 Second "second", C c 2 Third "third", D d 3 Fourth "fourth",
        E e 4 Fifth "fifth"
    }
    Merged6 MergeTuple6 6 "six" {
        A a 0 First "first", B b 1 Second "second", C c 2 Third "third", D d 3 Fourth "fourth",
        E e 4 Fifth "fifth", F f 5 Sixth "sixth"
    }
    Merged7 MergeTuple7 7 "seven" {
        A a 0 First "first", B b 1 Second "second", C c 2 Third "third", D d 3 Fourth "fourth",
        E e 4 Fifth "fifth", F f 5 Sixth "sixth", G g 6 Seventh "seventh"
    }
    Merged8 MergeTuple8 8 "eight" {
        A a 0 First "first", B b 1 Second "second", C c 2 Third "third", D d 3 Fourth "fourth",
        E e 4 Fifth "fifth", F f 5 Sixth "sixth", G g 6 Seventh "seventh", H h 7 Eighth "eighth"
    }
}
