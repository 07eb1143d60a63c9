//! What becomes of a scope that is dropped before its end.

use std::pin::Pin;
use std::sync::Arc;

use weirs_runtime::PanicPayload;

use crate::Reason;
use crate::panics::{contain, forget_panic};
use crate::scope::Ended;
use crate::scope::cell::Unit;
use crate::scope::cleanup::{Skipped, SkippedHook};
use crate::scope::core::Core;
use crate::scope::header::Kind;

/// The scope is dropped before its end: so are its children, the last spawned first, and then its body.
pub(super) fn abandon<P, R, B>(
    core: &Arc<Core<P, R>>,
    mut body: Pin<&mut Option<B>>,
    on_skipped: Option<SkippedHook>,
) -> Option<PanicPayload>
where
    P: Unit<R> + ?Sized,
{
    let mut first = None;
    let mut keep = |result: Result<(), PanicPayload>| match (result, &first) {
        (Err(payload), None) => first = Some(payload),
        (result, _) => forget_panic(result),
    };
    let deferred = core.end();
    keep(contain(|| {
        core.token.cancel(Reason::ScopeDropped);
    }));
    keep(contain(|| core.dismiss_waiting()));
    for child in core.remove_all(&[Kind::Child]) {
        keep(child.discard(None, Ended::Cancelled));
        core.forget(child.header());
    }
    keep(contain(|| body.set(None)));
    let mut skipped = Skipped::new(core.name.as_deref());
    let others = core.remove_all(&[Kind::Service, Kind::Deferred]);
    for unit in others.into_iter().chain(deferred.into_iter().rev()) {
        if unit.header().kind() == Kind::Deferred {
            skipped.push(unit.header());
        }
        keep(unit.discard(None, Ended::Cancelled));
        core.forget(unit.header());
    }
    keep(tell(on_skipped, &skipped));
    first
}

/// Tells the hook, if anything was skipped.
pub(super) fn tell(hook: Option<SkippedHook>, skipped: &Skipped) -> Result<(), PanicPayload> {
    match hook {
        Some(hook) if !skipped.is_empty() => contain(|| hook(skipped)),
        _ => Ok(()),
    }
}
