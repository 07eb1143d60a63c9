//! Races over tuples.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::one_of::{OneOf2, OneOf3, OneOf4, OneOf5, OneOf6, OneOf7, OneOf8};
use super::{Branches, Contest, Order, sealed};
use crate::panics::FirstPanic;

macro_rules! tuples {
    ($($Name:ident $OneOf:ident $count:literal {
        $($F:ident $field:ident $number:literal $Variant:ident),+
    })+) => {$(
        pin_project! {
            /// A race over a tuple.
            pub struct $Name<$($F),+> {
                $(
                    #[pin]
                    $field: Option<$F>,
                )+
                order: [u8; $count],
            }

            impl<$($F),+> PinnedDrop for $Name<$($F),+> {
                fn drop(this: Pin<&mut Self>) {
                    let mut panics = FirstPanic::default();
                    this.clear(&mut panics);
                    panics.resume_in_drop();
                }
            }
        }

        impl<$($F),+> $Name<$($F),+> {
            fn clear(self: Pin<&mut Self>, panics: &mut FirstPanic) {
                let mut this = self.project();
                $(panics.run(|| this.$field.set(None));)+
            }
        }

        impl<$($F: Future),+> Contest for $Name<$($F),+> {
            type Output = $OneOf<$($F::Output),+>;

            fn poll_contest(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                _budget: usize,
            ) -> Poll<(usize, Self::Output)> {
                for number in self.order {
                    let this = self.as_mut().project();
                    let poll = match number {
                        $(
                            $number => match this.$field.as_pin_mut() {
                                Some(future) => future.poll(cx).map($OneOf::$Variant),
                                None => Poll::Pending,
                            },
                        )+
                        _ => Poll::Pending,
                    };
                    if let Poll::Ready(output) = poll {
                        let mut panics = FirstPanic::default();
                        self.clear(&mut panics);
                        return Poll::Ready(panics.resume_or((usize::from(number), output)));
                    }
                }
                Poll::Pending
            }
        }

        impl<$($F),+> sealed::Sealed for ($($F,)+) {}

        impl<$($F: IntoFuture),+> Branches for ($($F,)+) {
            type Output = $OneOf<$($F::Output),+>;
            type Contest = $Name<$($F::IntoFuture),+>;

            fn into_contest(self, order: Order) -> Self::Contest {
                let mut numbers = [$($number),+];
                order.arrange(&mut numbers);
                let ($($field,)+) = self;
                $Name { $($field: Some($field.into_future()),)+ order: numbers }
            }
        }

        impl<$($F),+> fmt::Debug for $Name<$($F),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Name)).field("order", &self.order).finish_non_exhaustive()
            }
        }
    )+};
}

tuples! {
    Of2 OneOf2 2 { A a 0 First, B b 1 Second }
    Of3 OneOf3 3 { A a 0 First, B b 1 Second, C c 2 Third }
    Of4 OneOf4 4 { A a 0 First, B b 1 Second, C c 2 Third, D d 3 Fourth }
    Of5 OneOf5 5 { A a 0 First, B b 1 Second, C c 2 Third, D d 3 Fourth, E e 4 Fifth }
    Of6 OneOf6 6 { A a 0 First, B b 1 Second, C c 2 Third, D d 3 Fourth, E e 4 Fifth, F f 5 Sixth }
    Of7 OneOf7 7 {
        A a 0 First, B b 1 Second, C c 2 Third, D d 3 Fourth, E e 4 Fifth, F f 5 Sixth, G g 6 Seventh
    }
    Of8 OneOf8 8 {
        A a 0 First, B b 1 Second, C c 2 Third, D d 3 Fourth, E e 4 Fifth, F f 5 Sixth, G g 6 Seventh,
        H h 7 Eighth
    }
}
