//! [`Rule`]: what a child's output means for its scope: [`AnyOutput`], [`FirstError`], and
//! [`Gather`](crate::joiners::Gather).

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::Ended;

/// What an output of type `O` means for a scope. Implemented by the sorts of scope, [`AnyOutput`],
/// [`FirstError`] and [`Gather`](crate::joiners::Gather); not to be implemented elsewhere.
///
/// # Examples
/// ```
/// use weirs_scopes::{Rule, Scope};
///
/// // For any sort of scope in which a number is an output.
/// fn spawn_a_number<'env, R: Rule<u32> + 'env>(scope: &Scope<'env, R>)
/// where
///     R: Send + Sync,
///     R::Value: Send + 'env,
/// {
///     scope.spawn(async { 7 });
/// }
/// ```
pub trait Rule<O>: sealed::Sealed + Sized {
    /// What the handle of such a child gives.
    type Value;

    #[doc(hidden)]
    fn settle(&self, id: ChildId, output: O) -> Settled<Self::Value>;

    /// The child ended without an output: it was cancelled, or it panicked.
    #[doc(hidden)]
    fn unsettled(&self, _: ChildId, _: Ended) {}

    /// What a service's output means.
    #[doc(hidden)]
    fn settle_service(&self, id: ChildId, output: O) -> Settled<Self::Value> {
        self.settle(id, output)
    }
}

/// What a child tells the rule of its scope. It knows the types of the child, so that nobody else has to.
pub(crate) trait Tells<R, O, V>: Copy {
    /// The child is about to exist. Called under a lock.
    fn spawned(self, rule: &R, id: ChildId);

    /// It ended, with an output or without.
    fn ended(self, rule: &R, id: ChildId, end: Result<O, Ended>) -> Settled<V>;
}

/// What an ordinary child tells.
#[derive(Clone, Copy)]
pub(crate) struct OfChild;

/// What a service tells.
#[derive(Clone, Copy)]
pub(crate) struct OfService;

/// What a child tells that the rule hears nothing of.
#[derive(Clone, Copy)]
pub(crate) struct Isolated;

impl<R: Rule<O, Value = V>, O, V> Tells<R, O, V> for OfChild {
    #[inline(always)]
    fn spawned(self, rule: &R, id: ChildId) {
        if R::HEARS_OF_SPAWNS {
            rule.spawned(id);
        }
    }

    #[inline]
    fn ended(self, rule: &R, id: ChildId, end: Result<O, Ended>) -> Settled<V> {
        match end {
            Ok(output) => rule.settle(id, output),
            Err(why) => {
                rule.unsettled(id, why);
                Settled { value: None, failed: false }
            }
        }
    }
}

impl<R: Rule<O, Value = V>, O, V> Tells<R, O, V> for OfService {
    #[inline(always)]
    fn spawned(self, _: &R, _: ChildId) {}

    #[inline]
    fn ended(self, rule: &R, id: ChildId, end: Result<O, Ended>) -> Settled<V> {
        match end {
            Ok(output) => rule.settle_service(id, output),
            Err(_) => Settled { value: None, failed: false },
        }
    }
}

impl<R, O> Tells<R, O, O> for Isolated {
    #[inline(always)]
    fn spawned(self, _: &R, _: ChildId) {}

    #[inline]
    fn ended(self, _: &R, _: ChildId, end: Result<O, Ended>) -> Settled<O> {
        Settled { value: end.ok(), failed: false }
    }
}

/// The same by pointers, for whoever has to name their type.
pub(crate) struct Hooks<R, O, V> {
    /// It is about to exist. Called under a lock.
    pub(crate) spawned: Option<fn(&R, ChildId)>,
    /// It ended.
    pub(crate) ended: OnEnd<R, O, V>,
}

/// Tells the rule of an output, or of an end without one.
pub(crate) type OnEnd<R, O, V> = fn(&R, ChildId, Result<O, Ended>) -> Settled<V>;

impl<R, O, V> Hooks<R, O, V> {
    /// Of an ordinary child.
    pub(crate) fn child() -> Self
    where
        R: Rule<O, Value = V>,
    {
        Self {
            spawned: if R::HEARS_OF_SPAWNS { Some(R::spawned) } else { None },
            ended: |rule, id, end| OfChild.ended(rule, id, end),
        }
    }

    /// Of a service.
    pub(crate) fn service() -> Self
    where
        R: Rule<O, Value = V>,
    {
        Self { spawned: None, ended: |rule, id, end| OfService.ended(rule, id, end) }
    }
}

impl<R, O> Hooks<R, O, O> {
    /// Of a child that the rule hears nothing of.
    pub(crate) fn isolated() -> Self {
        Self { spawned: None, ended: |rule, id, end| Isolated.ended(rule, id, end) }
    }
}

impl<R, O, V> Tells<R, O, V> for Hooks<R, O, V> {
    fn spawned(self, rule: &R, id: ChildId) {
        if let Some(spawned) = self.spawned {
            spawned(rule, id);
        }
    }

    fn ended(self, rule: &R, id: ChildId, end: Result<O, Ended>) -> Settled<V> {
        (self.ended)(rule, id, end)
    }
}

impl<R, O, V> Clone for Hooks<R, O, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, O, V> Copy for Hooks<R, O, V> {}

/// The number of a child in its scope, in the order of spawning; the body is number zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(u64);

impl ChildId {
    /// The body of the scope, which is its first child.
    pub const BODY: Self = Self(0);

    pub(crate) fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number: the body's is zero.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// What an output came to.
#[doc(hidden)]
#[derive(Debug)]
#[allow(unnameable_types, reason = "only this crate makes and reads them")]
pub struct Settled<V> {
    /// For the handle; none for a failure, which the scope keeps.
    pub(crate) value: Option<V>,
    /// Whether it was a failure, which the rule keeps, and the rest shall be stopped.
    pub(crate) failed: bool,
}

pub(crate) mod sealed {
    #[allow(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {
        /// Whether [`spawned`](Self::spawned) does anything.
        #[doc(hidden)]
        const HEARS_OF_SPAWNS: bool = false;

        /// A child is about to exist. Called under a lock, so it runs no user code.
        #[doc(hidden)]
        fn spawned(&self, _: super::ChildId) {}

        /// The scope takes no more children, because [`close`](crate::Scope::close) was called.
        #[doc(hidden)]
        fn closed(&self) {}
    }
}

/// The rule of [`scope`](super::scope): children have any output, and none of it stops the scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyOutput(());

impl sealed::Sealed for AnyOutput {}

impl<O> Rule<O> for AnyOutput {
    type Value = O;

    fn settle(&self, _: ChildId, output: O) -> Settled<O> {
        Settled { value: Some(output), failed: false }
    }
}

/// The rule of [`try_scope`](super::try_scope): children give a [`Result`], and the first error stops the
/// rest.
pub struct FirstError<E>(Mutex<Option<E>>);

impl<E> FirstError<E> {
    /// The error, if there was one.
    pub(crate) fn take(&self) -> Option<E> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<E> Default for FirstError<E> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<E> sealed::Sealed for FirstError<E> {}

impl<T, E> Rule<Result<T, E>> for FirstError<E> {
    type Value = T;

    fn settle(&self, _: ChildId, output: Result<T, E>) -> Settled<T> {
        match output {
            Ok(value) => Settled { value: Some(value), failed: false },
            Err(error) => {
                let later = {
                    let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                    if first.is_some() { Some(error) } else { first.replace(error) }
                };
                // Its destructor is user code, and runs outside the lock.
                drop(later);
                Settled { value: None, failed: true }
            }
        }
    }
}

impl<E> fmt::Debug for FirstError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstError")
    }
}
