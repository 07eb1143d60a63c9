//! [`OneOf2`] to [`OneOf8`]: what a race over a tuple gives.

macro_rules! one_of {
    ($($name:ident $tuple:literal { $($letter:ident $variant:ident $which:literal),+ })+) => {$(
        #[doc = concat!("The value of one of ", $tuple, " futures, and which of them it was.")]
        ///
        /// Given by [`race`](crate::race()), [`race_biased`](crate::race_biased) and
        /// [`Select`](crate::Select) for a tuple. An arm of a `match` for each variant reads like a `select`
        /// in Go.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name<$($letter),+> {
            $(
                #[doc = concat!("From the ", $which, " future.")]
                $variant($letter),
            )+
        }

        impl<T> $name<$(one_of!(@T $letter)),+> {
            /// The value, where all are of one type and it does not matter whose it is.
            pub fn into_inner(self) -> T {
                match self {
                    $(Self::$variant(value))|+ => value,
                }
            }
        }
    )+};
    (@T $letter:ident) => { T };
}

one_of! {
    OneOf2 "two" { A First "first", B Second "second" }
    OneOf3 "three" { A First "first", B Second "second", C Third "third" }
    OneOf4 "four" { A First "first", B Second "second", C Third "third", D Fourth "fourth" }
    OneOf5 "five" {
        A First "first", B Second "second", C Third "third", D Fourth "fourth", E Fifth "fifth"
    }
    OneOf6 "six" {
        A First "first", B Second "second", C Third "third", D Fourth "fourth", E Fifth "fifth",
        F Sixth "sixth"
    }
    OneOf7 "seven" {
        A First "first", B Second "second", C Third "third", D Fourth "fourth", E Fifth "fifth",
        F Sixth "sixth", G Seventh "seventh"
    }
    OneOf8 "eight" {
        A First "first", B Second "second", C Third "third", D Fourth "fourth", E Fifth "fifth",
        F Sixth "sixth", G Seventh "seventh", H Eighth "eighth"
    }
}
