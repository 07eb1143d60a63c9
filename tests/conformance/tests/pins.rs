//! What of the public types may be sent, shared and moved while pinned: a change here is a breaking one.

use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use weirs_runtime::*;

type NotSync = Cell<u8>;
type NotSend = Rc<u8>;

fn send<T: ?Sized + Send>() {}
fn sync<T: ?Sized + Sync>() {}
fn unpin<T: ?Sized + Unpin>() {}
fn is_static<T: 'static>() {}
fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

/// Compiles only if the type does not have the trait: else it is ambiguous which `marker` is meant.
macro_rules! is_not {
    ($type:ty: $trait:path) => {{
        trait Marked<A> {
            fn marker() {}
        }
        impl<T: ?Sized> Marked<()> for T {}
        struct Has;
        impl<T: ?Sized + $trait> Marked<Has> for T {}
        <$type as Marked<_>>::marker();
    }};
}

#[test]
fn runtimes_and_clocks() {
    send::<Runtime>();
    sync::<Runtime>();
    unpin::<Runtime>();
    is_static::<Runtime>();
    send::<Clock>();
    sync::<Clock>();
    unpin::<Clock>();
    send::<TaskBuilder<'_>>();
    is_not!(LocalRuntime: Send);
    is_not!(LocalRuntime: Sync);
    unpin::<LocalRuntime>();
}

#[test]
fn plain_values() {
    fn plain<T: Send + Sync + Unpin + Copy + 'static>() {}
    plain::<Instant>();
    plain::<MissedTicks>();
    plain::<ZeroPeriod>();
    plain::<Elapsed>();
    plain::<TimerKey>();
    plain::<TaskId>();
    plain::<TaskKind>();
    plain::<TaskState>();
    plain::<Ending>();
    plain::<PanicOrigin>();
    unwind_safe::<Instant>();
}

#[test]
fn tasks() {
    send::<Task<u8>>();
    sync::<Task<u8>>();
    // Whatever its output: a handle shares nothing of it, it only moves it.
    send::<Task<NotSync>>();
    sync::<Task<NotSync>>();
    unpin::<Task<std::marker::PhantomPinned>>();
    send::<Cancelled<NotSync>>();
    unpin::<Cancelled<std::marker::PhantomPinned>>();
    send::<AbortHandle>();
    sync::<AbortHandle>();
    unpin::<AbortHandle>();
    is_not!(LocalTask<u8>: Send);
    is_not!(LocalTask<u8>: Sync);
    unpin::<LocalTask<NotSend>>();
    is_not!(LocalCancelled<u8>: Send);
    unpin::<LocalCancelled<NotSend>>();
}

#[test]
fn futures_of_time() {
    send::<Sleep>();
    sync::<Sleep>();
    unpin::<Sleep>();
    send::<Interval>();
    sync::<Interval>();
    unpin::<Interval>();
    send::<Tick<'_>>();
    unpin::<Tick<'_>>();
    send::<Timeout<std::future::Ready<NotSync>>>();
    unpin::<Timeout<std::future::Ready<()>>>();
    is_not!(Timeout<std::future::Ready<NotSend>>: Send);
    is_not!(Timeout<std::marker::PhantomPinned>: Unpin);
}

#[test]
fn errors_go_where_errors_go() {
    fn error<T: std::error::Error + Send + Sync + Unpin + 'static>() {}
    error::<JoinError>();
    error::<Elapsed>();
    error::<ZeroPeriod>();
    error::<NoTokio>();
    send::<PanicPayload>();
    sync::<PanicPayload>();
}

#[test]
fn watches() {
    send::<Watched>();
    sync::<Watched>();
    send::<TaskInfo>();
    sync::<TaskInfo>();
    send::<dyn Watch>();
    sync::<dyn Watch>();
    send::<dyn TimerDriver>();
    sync::<dyn TimerDriver>();
    send::<dyn Entropy>();
    sync::<dyn Entropy>();
    send::<dyn SpawnBlocking>();
    sync::<dyn SpawnBlocking>();
}

#[test]
fn adapters() {
    send::<Smol>();
    sync::<Smol>();
    send::<AsyncStd>();
    sync::<AsyncStd>();
    send::<Tokio>();
    sync::<Tokio>();
    is_not!(SmolLocal: Send);
    is_not!(TokioLocal: Send);
}

#[test]
fn testing_tools() {
    use weirs_testing::*;
    send::<InFlight>();
    sync::<InFlight>();
    send::<InFlightGuard>();
    send::<ManualClock>();
    sync::<ManualClock>();
    send::<LateClock>();
    sync::<LateClock>();
    send::<Stretch>();
    send::<conformance::Report>();
}
