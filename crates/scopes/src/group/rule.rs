//! [`Keep`] and [`KeepOrFail`]: the rules of groups: values and errors are kept until somebody waits.

use std::fmt;
use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::scope::rule::{Settled, sealed};
use crate::{ChildId, Rule};

/// Values, each with the number of its child, as far as it matters.
struct Values<T> {
    values: Vec<T>,
    /// Empty for values without a size: all of them look the same.
    numbers: Vec<u64>,
}

impl<T> Values<T> {
    const fn new() -> Self {
        Self { values: Vec::new(), numbers: Vec::new() }
    }

    fn push(&mut self, id: ChildId, value: T) {
        if size_of::<T>() > 0 {
            self.numbers.push(id.number());
        }
        self.values.push(value);
    }

    /// In the order of submission.
    fn into_vec(self) -> Vec<T> {
        if self.numbers.is_sorted() {
            return self.values;
        }
        let mut sorted: Vec<_> = self.numbers.into_iter().zip(self.values).collect();
        sorted.sort_unstable_by_key(|value| value.0);
        sorted.into_iter().map(|value| value.1).collect()
    }
}

/// Keeps the value of each child.
#[allow(unnameable_types, reason = "it is seen only in the type of a future")]
pub struct Keep<T>(Mutex<Values<T>>);

impl<T> Keep<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Values::new()))
    }

    pub(super) fn take(&self) -> Vec<T> {
        let values = mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Values::new());
        values.into_vec()
    }
}

impl<T> sealed::Sealed for Keep<T> {}

impl<T> Rule<T> for Keep<T> {
    type Value = ();

    fn settle(&self, id: ChildId, output: T) -> Settled<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(id, output);
        Settled { value: Some(()), failed: false }
    }
}

impl<T> fmt::Debug for Keep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keep")
    }
}

/// Keeps the value or the error of each child; an error stops the rest, unless all are wanted.
#[allow(unnameable_types, reason = "it is seen only in the type of a future")]
pub struct KeepOrFail<T, E> {
    values: Keep<T>,
    /// In the order in which they came.
    errors: Mutex<Vec<(ChildId, E)>>,
    keeps_going: bool,
}

impl<T, E> KeepOrFail<T, E> {
    pub(super) const fn new(keeps_going: bool) -> Self {
        Self { values: Keep::new(), errors: Mutex::new(Vec::new()), keeps_going }
    }

    pub(super) fn take(&self) -> Vec<T> {
        self.values.take()
    }

    pub(super) fn take_errors(&self) -> Vec<(ChildId, E)> {
        mem::take(&mut *self.errors.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T, E> sealed::Sealed for KeepOrFail<T, E> {}

impl<T, E> Rule<Result<T, E>> for KeepOrFail<T, E> {
    type Value = ();

    fn settle(&self, id: ChildId, output: Result<T, E>) -> Settled<()> {
        match output {
            Ok(value) => self.values.settle(id, value),
            Err(error) => {
                self.errors.lock().unwrap_or_else(PoisonError::into_inner).push((id, error));
                Settled { value: None, failed: !self.keeps_going }
            }
        }
    }
}

impl<T, E> fmt::Debug for KeepOrFail<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeepOrFail")
    }
}
