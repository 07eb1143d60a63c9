//! Joins of tuples.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{JoinBranches, TryJoinBranches};
use crate::panics::FirstPanic;

/// The parts of a tuple that are still futures, and the outputs of the others.
///
/// `T` is what is kept of an output: all of it in a join, the value of an `Ok` in one that may fail.
macro_rules! parts {
    ($Name:ident $Try:ident { $($F:ident $T:ident $field:ident $output:ident),+ }) => {
        pin_project! {
            /// A join of a tuple.
            pub struct $Name<$($F,)+ $($T),+> {
                $(
                    #[pin]
                    $field: Option<$F>,
                    $output: Option<$T>,
                )+
            }

            impl<$($F,)+ $($T),+> PinnedDrop for $Name<$($F,)+ $($T),+> {
                fn drop(this: Pin<&mut Self>) {
                    let mut panics = FirstPanic::default();
                    this.clear(&mut panics);
                    panics.resume_in_drop();
                }
            }
        }

        impl<$($F,)+ $($T),+> $Name<$($F,)+ $($T),+> {
            fn clear(self: Pin<&mut Self>, panics: &mut FirstPanic) {
                let mut this = self.project();
                $(
                    panics.run(|| this.$field.set(None));
                    panics.run(|| *this.$output = None);
                )+
            }

            /// The outputs, if all are there.
            fn take(self: Pin<&mut Self>) -> Option<($($T,)+)> {
                let this = self.project();
                if $(this.$output.is_none())||+ {
                    return None;
                }
                Some(($(this.$output.take()?,)+))
            }
        }

        impl<$($F: Future),+> Future for $Name<$($F,)+ $($F::Output),+> {
            type Output = ($($F::Output,)+);

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let mut this = self.as_mut().project();
                $(
                    if let Some(future) = this.$field.as_mut().as_pin_mut() {
                        if let Poll::Ready(output) = future.poll(cx) {
                            *this.$output = Some(output);
                            this.$field.set(None);
                        }
                    }
                )+
                match self.as_mut().take() {
                    Some(outputs) => Poll::Ready(outputs),
                    None => {
                        self.assert_not_over();
                        Poll::Pending
                    }
                }
            }
        }

        impl<$($F,)+ $($T),+> $Name<$($F,)+ $($T),+> {
            fn assert_not_over(&self) {
                let over = $(self.$field.is_none() && self.$output.is_none())||+;
                assert!(!over, "a join was polled after it was over");
            }
        }

        impl<$($F,)+ $($T),+> fmt::Debug for $Name<$($F,)+ $($T),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($Name))
            }
        }

        impl<$($F: IntoFuture),+> JoinBranches for ($($F,)+) {
            type Output = ($($F::Output,)+);
            type Joining = $Name<$($F::IntoFuture,)+ $($F::Output),+>;

            fn into_joining(self) -> Self::Joining {
                let ($($field,)+) = self;
                $Name { $($field: Some($field.into_future()), $output: None,)+ }
            }
        }

        pin_project! {
            /// A join of a tuple that ends with the first error.
            pub struct $Try<$($F,)+ $($T),+> {
                #[pin]
                parts: $Name<$($F,)+ $($T),+>,
            }
        }

        impl<$($F: Future<Output = Result<$T, Error>>,)+ $($T,)+ Error> Future for $Try<$($F,)+ $($T),+> {
            type Output = Result<($($T,)+), Error>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let mut parts = self.project().parts;
                $({
                    let mut this = parts.as_mut().project();
                    if let Some(future) = this.$field.as_mut().as_pin_mut() {
                        match future.poll(cx) {
                            Poll::Ready(Ok(output)) => {
                                *this.$output = Some(output);
                                this.$field.set(None);
                            }
                            Poll::Ready(Err(error)) => {
                                let mut panics = FirstPanic::default();
                                parts.clear(&mut panics);
                                return Poll::Ready(Err(panics.resume_or(error)));
                            }
                            Poll::Pending => {}
                        }
                    }
                })+
                match parts.as_mut().take() {
                    Some(outputs) => Poll::Ready(Ok(outputs)),
                    None => {
                        parts.assert_not_over();
                        Poll::Pending
                    }
                }
            }
        }

        impl<$($F,)+ $($T),+> fmt::Debug for $Try<$($F,)+ $($T),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($Try))
            }
        }

        impl<$($F: IntoFuture<Output = Result<$T, Error>>,)+ $($T,)+ Error> TryJoinBranches for ($($F,)+) {
            type Ok = ($($T,)+);
            type Error = Error;
            type Joining = $Try<$($F::IntoFuture,)+ $($T),+>;

            fn into_joining(self) -> Self::Joining {
                let ($($field,)+) = self;
                $Try { parts: $Name { $($field: Some($field.into_future()), $output: None,)+ } }
            }
        }
    };
}

parts!(Join2 TryJoin2 { A Ta a a_output, B Tb b b_output });
parts!(Join3 TryJoin3 { A Ta a a_output, B Tb b b_output, C Tc c c_output });
parts!(Join4 TryJoin4 { A Ta a a_output, B Tb b b_output, C Tc c c_output, D Td d d_output });
parts!(Join5 TryJoin5 {
    A Ta a a_output, B Tb b b_output, C Tc c c_output, D Td d d_output, E Te e e_output
});
parts!(Join6 TryJoin6 {
    A Ta a a_output, B Tb b b_output, C Tc c c_output, D Td d d_output, E Te e e_output,
    F Tf f f_output
});
parts!(Join7 TryJoin7 {
    A Ta a a_output, B Tb b b_output, C Tc c c_output, D Td d d_output, E Te e e_output,
    F Tf f f_output, G Tg g g_output
});
parts!(Join8 TryJoin8 {
    A Ta a a_output, B Tb b b_output, C Tc c c_output, D Td d d_output, E Te e e_output,
    F Tf f f_output, G Tg g g_output, H Th h h_output
});
