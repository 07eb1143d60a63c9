//! [`runtime_test!`](crate::runtime_test) and its siblings: a test body that is written once and runs
//! everywhere.
//!
//! A `cfg` in an expansion is judged in the crate that uses the macro, which knows nothing of our features.
//! So each runtime's part is a macro of its own, defined here in two forms: one that emits tests, one that
//! emits nothing.

/// Makes a test of an async function for every enabled runtime, and for the simulator.
///
/// For each function the macro makes a module of the same name with a test for each runtime:
///
/// | test | with the feature | runs on |
/// |---|---|---|
/// | `sim` | | the [simulator](crate::sim), once for each seed |
/// | `smol` | `smol` | an executor of smol's, driven by one thread |
/// | `smol_mt` | `smol` | an executor of smol's, driven by four threads |
/// | `async_std` | `async-std` | async-std's global executor |
/// | `tokio_ct` | `tokio` | tokio's current-thread runtime |
/// | `tokio_mt` | `tokio` | tokio's multi-thread runtime with two workers |
/// | `tokio_paused` | `tokio` | tokio's current-thread runtime and its clock, paused |
///
/// So `cargo test queue::is_fair::sim` runs one body in the simulator alone. A function returns nothing, or a
/// `Result<(), E>` whose error is [`Debug`](std::fmt::Debug); an error fails the test. `#[ignore]`,
/// `#[should_panic]` and `#[cfg_attr(..)]` go to every test, all other attributes to the function.
///
/// # Waiting
/// A test on a real runtime has a limit, 60 seconds if the environment variable `WEIRS_TEST_LIMIT` says
/// nothing else (in seconds; zero is none). Over it, the test's name and its runtime's live tasks are written
/// to standard error, and the process ends with status 124: a test that hangs can be neither failed nor left
/// behind. Have real runtimes decide on order and counts, and only the simulator on time: there it is exact.
///
/// # Examples
/// ```
/// use weirs_runtime::{JoinError, Runtime};
/// use weirs_testing::runtime_test;
///
/// runtime_test! {
///     async fn a_task_gives_its_value(runtime: Runtime) -> Result<(), JoinError> {
///         assert_eq!(runtime.spawn(async { 6 * 7 }).await?, 42);
///         Ok(())
///     }
///
///     async fn a_dropped_task_is_cancelled(runtime: Runtime) {
///         let (sender, receiver) = async_channel::bounded::<()>(1);
///         drop(runtime.spawn(async move {
///             let _sender = sender;
///             std::future::pending::<()>().await
///         }));
///         assert!(receiver.recv().await.is_err());
///     }
/// }
/// # fn main() {}
/// ```
///
/// As an attribute, so that rustfmt formats the body; the attribute takes no arguments:
/// ```
/// use weirs_runtime::Runtime;
/// use weirs_testing::{apply, runtime_test};
///
/// #[apply(runtime_test)]
/// async fn a_task_gives_its_value(runtime: Runtime) {
///     assert_eq!(runtime.spawn(async { 6 * 7 }).await.unwrap(), 42);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! runtime_test {
    ($(
        $(#[$($attribute:tt)*])*
        async fn $name:ident($runtime:tt: $Runtime:ty $(,)?) $(-> $Output:ty)? $body:block
    )+) => {$(
        $crate::__weirs_tests! {
            everywhere $name [$([$($attribute)*])*] [] [] []
            { async fn $name($runtime: $Runtime) $(-> $Output)? $body }
        }
    )+};
}

/// [`runtime_test!`](crate::runtime_test) in the simulator alone: for whatever is exact to the nanosecond, or
/// takes hours.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::Runtime;
/// use weirs_testing::{apply, sim_test};
///
/// #[apply(sim_test)]
/// async fn an_hour_is_an_hour(runtime: Runtime) {
///     let start = runtime.clock().now();
///     runtime.clock().sleep(Duration::from_secs(3600)).await;
///     assert_eq!(runtime.clock().now() - start, Duration::from_secs(3600));
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! sim_test {
    ($(
        $(#[$($attribute:tt)*])*
        async fn $name:ident($runtime:tt: $Runtime:ty $(,)?) $(-> $Output:ty)? $body:block
    )+) => {$(
        $crate::__weirs_tests! {
            simulated $name [$([$($attribute)*])*] [] [] []
            { async fn $name($runtime: $Runtime) $(-> $Output)? $body }
        }
    )+};
}

/// [`runtime_test!`](crate::runtime_test) for futures that stay on one thread: the function takes a
/// [`LocalRuntime`](weirs_runtime::LocalRuntime).
///
/// The tests are `sim`, `smol` (a local executor), `async_std` (a local executor within its `block_on`),
/// `tokio_ct` and `tokio_paused` (a local set).
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use weirs_runtime::LocalRuntime;
/// use weirs_testing::{apply, runtime_test_local};
///
/// #[apply(runtime_test_local)]
/// async fn tasks_share_without_locks(runtime: LocalRuntime) {
///     let count = Rc::new(Cell::new(0));
///     let task = runtime.spawn({
///         let count = Rc::clone(&count);
///         async move { count.set(count.get() + 1) }
///     });
///     task.await.unwrap();
///     assert_eq!(count.get(), 1);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! runtime_test_local {
    ($(
        $(#[$($attribute:tt)*])*
        async fn $name:ident($runtime:tt: $Runtime:ty $(,)?) $(-> $Output:ty)? $body:block
    )+) => {$(
        $crate::__weirs_tests! {
            local $name [$([$($attribute)*])*] [] [] []
            { async fn $name($runtime: $Runtime) $(-> $Output)? $body }
        }
    )+};
}

/// [`runtime_test!`](crate::runtime_test) for plain functions: the body has a thread to itself and may block
/// it, while other threads drive the runtime.
///
/// The tests are `smol`, `smol_mt`, `async_std`, `tokio_ct` and `tokio_mt`. There is none in the simulator,
/// which has but one thread, nor on tokio's paused clock, which would run ahead of a body that it cannot see.
///
/// # Examples
/// ```
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_testing::{apply, runtime_test_blocking};
///
/// #[apply(runtime_test_blocking)]
/// fn a_thread_may_wait_for_a_task(runtime: Runtime) {
///     assert_eq!(block_on(runtime.spawn(async { 6 * 7 })).unwrap(), 42);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! runtime_test_blocking {
    ($(
        $(#[$($attribute:tt)*])*
        fn $name:ident($runtime:tt: $Runtime:ty $(,)?) $(-> $Output:ty)? $body:block
    )+) => {$(
        $crate::__weirs_tests! {
            blocking $name [$([$($attribute)*])*] [] [] []
            { fn $name($runtime: $Runtime) $(-> $Output)? $body }
        }
    )+};
}

/// `kind name [attributes left to sort] [for the tests] [for both] [for the function] { function }`
#[doc(hidden)]
#[macro_export]
macro_rules! __weirs_tests {
    ($kind:ident $name:ident [[should_panic $($rest:tt)*] $($left:tt)*] [$($tests:tt)*]
        $both:tt $function:tt $item:tt) => {
        $crate::__weirs_tests! {
            $kind $name [$($left)*] [$($tests)* #[should_panic $($rest)*]] $both $function $item
        }
    };
    ($kind:ident $name:ident [[ignore $($rest:tt)*] $($left:tt)*] [$($tests:tt)*]
        $both:tt $function:tt $item:tt) => {
        $crate::__weirs_tests! {
            $kind $name [$($left)*] [$($tests)* #[ignore $($rest)*]] $both $function $item
        }
    };
    ($kind:ident $name:ident [[cfg_attr $($rest:tt)*] $($left:tt)*] [$($tests:tt)*]
        $both:tt $function:tt $item:tt) => {
        $crate::__weirs_tests! {
            $kind $name [$($left)*] [$($tests)* #[cfg_attr $($rest)*]] $both $function $item
        }
    };
    ($kind:ident $name:ident [[cfg $($rest:tt)*] $($left:tt)*] $tests:tt [$($both:tt)*]
        $function:tt $item:tt) => {
        $crate::__weirs_tests! {
            $kind $name [$($left)*] $tests [$($both)* #[cfg $($rest)*]] $function $item
        }
    };
    ($kind:ident $name:ident [[$($rest:tt)*] $($left:tt)*] $tests:tt $both:tt
        [$($function:tt)*] $item:tt) => {
        $crate::__weirs_tests! {
            $kind $name [$($left)*] $tests $both [$($function)* #[$($rest)*]] $item
        }
    };
    ($kind:ident $name:ident [] $tests:tt [$($both:tt)*] [$($function:tt)*] { $($item:tt)* }) => {
        $($both)*
        $($function)*
        #[allow(dead_code, reason = "used by tests only, and by none if no runtime is on for its kind")]
        $($item)*

        $($both)*
        mod $name {
            $crate::__weirs_smol_tests! { $kind $name $tests }
            $crate::__weirs_async_std_tests! { $kind $name $tests }
            $crate::__weirs_tokio_tests! { $kind $name $tests }
            $crate::__weirs_sim_tests! { $kind $name $tests }
        }
    };
}

/// `[attributes] test = path::to::runner => body`
#[doc(hidden)]
#[macro_export]
macro_rules! __weirs_test {
    ([$($attribute:tt)*] $test:ident = $($runner:ident)::+ => $name:ident) => {
        #[test]
        $($attribute)*
        fn $test() {
            let test = $crate::runtimes::Test::new(
                ::core::module_path!(),
                ::core::stringify!($test),
                ::core::env!("CARGO_PKG_NAME"),
            );
            $crate::runtimes::$($runner)::+(test, super::$name);
        }
    };
}

#[cfg(feature = "smol")]
#[doc(hidden)]
#[macro_export]
macro_rules! __weirs_smol_tests {
    (everywhere $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes smol = smol::one_thread => $name }
        $crate::__weirs_test! { $attributes smol_mt = smol::many_threads => $name }
    };
    (local $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes smol = smol::local => $name }
    };
    (blocking $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes smol = smol::beside_one_thread => $name }
        $crate::__weirs_test! { $attributes smol_mt = smol::beside_many_threads => $name }
    };
    (simulated $name:ident $attributes:tt) => {};
}

// tidy: allow(cfg-not-feature): without the runtime its tests are not emitted.
#[cfg(not(feature = "smol"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __weirs_smol_tests {
    ($($anything:tt)*) => {};
}

#[cfg(feature = "async-std")]
#[doc(hidden)]
#[macro_export]
macro_rules! __weirs_async_std_tests {
    (everywhere $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes async_std = async_std::global => $name }
    };
    (local $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes async_std = async_std::local => $name }
    };
    (blocking $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes async_std = async_std::beside => $name }
    };
    (simulated $name:ident $attributes:tt) => {};
}

// tidy: allow(cfg-not-feature): without the runtime its tests are not emitted.
#[cfg(not(feature = "async-std"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __weirs_async_std_tests {
    ($($anything:tt)*) => {};
}

#[cfg(feature = "tokio")]
#[doc(hidden)]
#[macro_export]
macro_rules! __weirs_tokio_tests {
    (everywhere $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes tokio_ct = tokio::current_thread => $name }
        $crate::__weirs_test! { $attributes tokio_mt = tokio::multi_thread => $name }
        $crate::__weirs_test! { $attributes tokio_paused = tokio::paused => $name }
    };
    (local $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes tokio_ct = tokio::local => $name }
        $crate::__weirs_test! { $attributes tokio_paused = tokio::local_paused => $name }
    };
    (blocking $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes tokio_ct = tokio::beside_current_thread => $name }
        $crate::__weirs_test! { $attributes tokio_mt = tokio::beside_multi_thread => $name }
    };
    (simulated $name:ident $attributes:tt) => {};
}

// tidy: allow(cfg-not-feature): without the runtime its tests are not emitted.
#[cfg(not(feature = "tokio"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __weirs_tokio_tests {
    ($($anything:tt)*) => {};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __weirs_sim_tests {
    (local $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes sim = sim::local => $name }
    };
    (blocking $name:ident $attributes:tt) => {};
    ($kind:ident $name:ident $attributes:tt) => {
        $crate::__weirs_test! { $attributes sim = sim::explore => $name }
    };
}
