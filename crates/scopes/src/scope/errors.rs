//! [`Errors`]: all errors of a scope, instead of the first; [`CollectErrors`] and [`AllErrors`] make them.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use weirs_runtime::Runtime;

use super::builder::outcome;
use super::driver::{Driver, End};
use super::rule::{Settled, sealed};
use super::{ChildId, LocalScope, PanicPolicy, Rule, Scope, ScopeBuilder, ScopeError};
use crate::task_scope::Ground;
use crate::{Reason, TaskScope};

/// The errors of a scope's children and its body, in the order in which they came; at least one.
///
/// Given by [`CollectErrors::try_run`], also when there is but one: its shape does not depend on time.
/// Its [`source`](Error::source) is the first error.
#[derive(Debug)]
pub struct Errors<E> {
    errors: Vec<(ChildId, E)>,
    dropped: usize,
    cancelled: Option<Reason>,
}

impl<E> Errors<E> {
    /// How many were kept.
    #[allow(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// How many came after as many as were [to be kept](ScopeBuilder::collect_errors), and were dropped.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// The first.
    pub fn first(&self) -> &E {
        &self.errors[0].1
    }

    /// The errors, and whose they were.
    pub fn iter(&self) -> impl Iterator<Item = (ChildId, &E)> {
        self.errors.iter().map(|(child, error)| (*child, error))
    }

    /// Why the scope was cancelled besides, if it was: some children may have been dropped before they
    /// failed.
    pub fn cancelled(&self) -> Option<&Reason> {
        self.cancelled.as_ref()
    }

    /// The errors, by value.
    pub fn into_vec(self) -> Vec<(ChildId, E)> {
        self.errors
    }
}

impl<E: fmt::Display> fmt::Display for Errors<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.len() + self.dropped {
            1 => f.write_str("one error")?,
            count => write!(f, "{count} errors")?,
        }
        let mut mark = ": ";
        for (child, error) in &self.errors {
            match *child {
                ChildId::BODY => write!(f, "{mark}body: {error}")?,
                child => write!(f, "{mark}#{}: {error}", child.number())?,
            }
            mark = "; ";
        }
        match self.dropped {
            0 => Ok(()),
            dropped => write!(f, "; and {dropped} more"),
        }
    }
}

impl<E: Error + 'static> Error for Errors<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.first())
    }
}

/// A [`ScopeBuilder`] for a scope that keeps all errors; made by [`ScopeBuilder::collect_errors`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing before it runs"]
pub struct CollectErrors {
    builder: ScopeBuilder,
    most: NonZeroUsize,
    stops: bool,
}

impl CollectErrors {
    pub(crate) fn new(builder: ScopeBuilder, most: NonZeroUsize) -> Self {
        Self { builder, most, stops: true }
    }

    /// An error stops nothing: all children and the body run to their end.
    pub fn keep_going(mut self) -> Self {
        self.stops = false;
        self
    }
}

macro_rules! runs {
    ($Scope:ident, $try_run:ident, [$($E:tt)*]) => {
        impl CollectErrors {
            /// Runs a scope whose body and children give a [`Result`], and gives all errors, if there are
            /// any.
            ///
            /// Otherwise it is as [`ScopeBuilder::try_run`]: waiting, cancel safety and panics are the same.
            ///
            /// # Errors
            /// [`ScopeError::Failed`] when there was any error, also if the scope was
            /// [cancelled](Errors::cancelled) as well; [`ScopeError::Cancelled`] when it was that only.
            #[track_caller]
            pub fn $try_run<'env, T, E, F, Fut>(
                self,
                body: F,
            ) -> impl Future<Output = Result<T, ScopeError<Errors<E>>>> + use<'env, T, E, F, Fut>
            where
                E: $($E)* 'env,
                F: FnOnce($Scope<'env, AllErrors<E>>) -> Fut,
                Fut: Future<Output = Result<T, E>>,
            {
                let policy = self.builder.policy();
                let core = self.builder.core(AllErrors::new(self.most, self.stops));
                let start = |core| body($Scope::new(core));
                let settle_body = <AllErrors<E>>::settle_body;
                let driver = Driver::new(core, self.builder.plan(false), start, settle_body);
                let core = Arc::clone(driver.core());
                async move { outcome_with_errors(driver.await, policy, || core.rule.take()) }
            }
        }
    };
}

runs!(Scope, try_run, [Send+]);
runs!(LocalScope, try_run_local, []);

macro_rules! runs_in_parallel {
    ($try_run:ident, [$($Outer:ident)?], $on:ident: $On:ty, $ground:ident) => {
        impl CollectErrors {
            /// Runs a parallel scope whose body and children give a [`Result`], and gives all errors, if
            /// there are any.
            ///
            /// Otherwise it is as the form of [`ScopeBuilder`] with this name: waiting, cancel safety and
            /// panics are the same.
            ///
            /// # Errors
            /// [`ScopeError::Failed`] when there was any error, also if the scope was
            /// [cancelled](Errors::cancelled) as well; [`ScopeError::Cancelled`] when it was that only.
            ///
            /// # Examples
            /// ```
            /// use std::num::NonZeroUsize;
            /// use weirs_runtime::{Runtime, block_on};
            /// use weirs_scopes::{Scope, ScopeError};
            ///
            /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
            /// let collects = Scope::builder().collect_errors(NonZeroUsize::new(100).unwrap()).keep_going();
            /// let result = block_on(collects.try_run_on(&runtime, async |s| {
            ///     for number in ["1", "two", "3", "four"] {
            ///         s.spawn(async move { number.parse::<i32>().map_err(|_| number) });
            ///     }
            ///     Ok(())
            /// }));
            /// let Err(ScopeError::Failed(errors)) = result else { panic!("two are no numbers") };
            /// assert_eq!(errors.len(), 2);
            /// ```
            pub fn $try_run<T, E, F, Fut $(, $Outer)?>(
                self,
                $on: $On,
                body: F,
            ) -> impl Future<Output = Result<T, ScopeError<Errors<E>>>> + use<T, E, F, Fut $(, $Outer)?>
            where
                $($Outer: Send + Sync + 'static,)?
                E: Send + 'static,
                F: FnOnce(TaskScope<AllErrors<E>>) -> Fut,
                Fut: Future<Output = Result<T, E>>,
            {
                let policy = self.builder.policy();
                let (most, stops) = (self.most, self.stops);
                let ground = Ground::$ground($on);
                let settle = <AllErrors<E>>::settle_body;
                let rule = move |_: &_| AllErrors::new(most, stops);
                let driver = self.builder.drive(ground, rule, false, body, settle);
                let shared = Arc::clone(driver.shared());
                async move { outcome_with_errors(driver.await, policy, || shared.rule.take()) }
            }
        }
    };
}

runs_in_parallel!(try_run_on, [], runtime: &Runtime, on);
runs_in_parallel!(try_run_in, [R], outer: &TaskScope<R>, within);

fn outcome_with_errors<T, E>(
    end: End<T>,
    policy: PanicPolicy,
    errors: impl FnOnce() -> Errors<E>,
) -> Result<T, ScopeError<Errors<E>>> {
    if let End::Panicked(_) = end {
        return outcome(end, policy, || None);
    }
    let mut errors = errors();
    if errors.errors.is_empty() {
        return outcome(end, policy, || None);
    }
    if let End::Cancelled(reason) = end {
        errors.cancelled = Some(reason);
    }
    Err(ScopeError::Failed(errors))
}

/// The rule of [`CollectErrors`]: children give a [`Result`], and all errors are kept, up to a number.
pub struct AllErrors<E> {
    most: NonZeroUsize,
    stops: bool,
    errors: Mutex<Errors<E>>,
}

impl<E> AllErrors<E> {
    fn new(most: NonZeroUsize, stops: bool) -> Self {
        let errors = Mutex::new(Errors { errors: Vec::new(), dropped: 0, cancelled: None });
        Self { most, stops, errors }
    }

    fn take(&self) -> Errors<E> {
        let empty = Errors { errors: Vec::new(), dropped: 0, cancelled: None };
        std::mem::replace(&mut *self.errors.lock().unwrap_or_else(PoisonError::into_inner), empty)
    }

    fn settle_body<T>(&self, id: ChildId, output: Result<T, E>) -> Settled<T> {
        self.settle(id, output)
    }
}

impl<E> sealed::Sealed for AllErrors<E> {}

impl<T, E> Rule<Result<T, E>> for AllErrors<E> {
    type Value = T;

    fn settle(&self, id: ChildId, output: Result<T, E>) -> Settled<T> {
        match output {
            Ok(value) => Settled { value: Some(value), failed: false },
            Err(error) => {
                let unkept = {
                    let mut all = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
                    if all.errors.len() < self.most.get() {
                        all.errors.push((id, error));
                        None
                    } else {
                        all.dropped += 1;
                        Some(error)
                    }
                };
                // Its destructor is user code, and runs outside the lock.
                drop(unkept);
                Settled { value: None, failed: self.stops }
            }
        }
    }
}

impl<E> fmt::Debug for AllErrors<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AllErrors")
    }
}
