//! The tree of tokens: who is cancelled with whom, and why.

use std::error::Error;
use std::sync::Arc;

use weirs_scopes::{CancelToken, Cancelled, Reason};

#[test]
fn smoke() {
    let root = CancelToken::new();
    let (left, right) = (root.child(), root.child());
    let leaf = left.child();
    assert!(left.cancel(Reason::Requested));
    assert!(left.is_cancelled() && leaf.is_cancelled());
    assert!(!root.is_cancelled() && !right.is_cancelled());
    assert_eq!(leaf.check(), Err(Cancelled::new(Reason::Requested)));
    assert_eq!(right.check(), Ok(()));
}

#[test]
fn the_first_reason_is_kept() {
    let root = CancelToken::new();
    let child = root.child();
    assert!(child.cancel(Reason::SiblingFailed));
    assert!(!child.cancel(Reason::Shutdown));
    assert!(root.cancel("late"));
    assert_eq!(child.reason(), Some(Reason::SiblingFailed));
    assert_eq!(root.reason().unwrap().to_string(), "late");
}

#[test]
fn every_reason_reaches_the_leaves() {
    let all = [
        Reason::Requested,
        Reason::Deadline,
        Reason::SiblingFailed,
        Reason::ScopeDropped,
        Reason::Shutdown,
        Reason::from("text"),
        Reason::from(String::from("owned")),
        Reason::error(std::fmt::Error),
        Reason::from(Box::<dyn Error + Send + Sync>::from("boxed")),
        Reason::from(Arc::new(std::fmt::Error) as Arc<dyn Error + Send + Sync>),
    ];
    for why in all {
        let root = CancelToken::new();
        let leaf = root.child().child().child();
        root.cancel(why.clone());
        assert_eq!(leaf.reason(), Some(why.clone()));
        assert_eq!(root.child().child().reason(), Some(why.clone()), "of a cancelled token");
        let error = leaf.check().unwrap_err();
        assert_eq!(error.to_string(), format!("cancelled: {why}"));
        assert_eq!(error.source().is_some(), matches!(why, Reason::Other(_)));
        let again = CancelToken::new();
        again.cancel(error);
        assert_eq!(again.reason(), Some(why));
    }
}

#[test]
fn a_clone_is_the_same_token() {
    let token = CancelToken::default();
    let clone = token.clone();
    let child = clone.child();
    drop(clone);
    token.cancel(Reason::Requested);
    assert!(child.is_cancelled());
}

#[test]
fn a_parent_that_nobody_has_any_more_still_connects() {
    let root = CancelToken::new();
    let leaf = root.child().child();
    let middle = root.child();
    let other = middle.child();
    drop(middle);
    root.cancel(Reason::Shutdown);
    assert_eq!(leaf.reason(), Some(Reason::Shutdown));
    assert_eq!(other.reason(), Some(Reason::Shutdown));
}

#[test]
fn dropping_cancels_nothing() {
    let root = CancelToken::new();
    let child = root.child();
    drop(root);
    assert!(!child.is_cancelled());
    assert!(!child.child().is_cancelled());
}

#[test]
fn a_detached_token_is_on_its_own() {
    let token = CancelToken::new();
    let detached = token.detached();
    token.cancel(Reason::Requested);
    assert!(!detached.is_cancelled());
    assert!(!token.detached().is_cancelled());
    assert!(detached.cancel(Reason::Shutdown));
}

#[test]
fn a_linked_token_is_cancelled_with_the_first() {
    let (one, two) = (CancelToken::new(), CancelToken::new());
    let linked = CancelToken::linked([&one, &two]);
    let below = linked.child();
    two.cancel("two");
    one.cancel("one");
    assert_eq!(below.reason(), two.reason());
    assert_eq!(CancelToken::linked([&one, &two]).reason(), one.reason(), "the first in order");

    let (one, two) = (CancelToken::new(), CancelToken::new());
    let linked = CancelToken::linked([&one, &two, &one]);
    assert!(linked.cancel(Reason::Requested));
    assert!(!one.is_cancelled() && !two.is_cancelled());
    assert!(!CancelToken::linked([]).is_cancelled());
}

#[test]
fn a_linked_token_keeps_what_it_is_linked_to() {
    let root = CancelToken::new();
    let linked = CancelToken::linked([&root.child(), &CancelToken::new()]);
    root.cancel(Reason::Shutdown);
    assert_eq!(linked.reason(), Some(Reason::Shutdown));
}

#[test]
fn a_diamond_is_cancelled_once() {
    let root = CancelToken::new();
    let calls = Arc::new(());
    let (left, right) = (root.child(), root.child());
    let bottom = CancelToken::linked([&left, &right]);
    let kept = Arc::clone(&calls);
    let registration = bottom.on_cancel(move |_| drop(kept));
    root.cancel(Reason::Requested);
    assert_eq!(Arc::strong_count(&calls), 1);
    assert!(!registration.unregister());
}

#[test]
fn a_weak_token_keeps_nothing() {
    let root = CancelToken::new();
    let weak = root.downgrade();
    let again = weak.upgrade().unwrap();
    drop(root);
    let child = again.child();
    drop(again);
    let parent = weak.upgrade().expect("a child is a reason to be there");
    parent.cancel(Reason::Requested);
    assert!(child.is_cancelled());
    drop((parent, child));
    assert!(weak.upgrade().is_none());
    assert_eq!(format!("{weak:?}"), "WeakToken(gone)");
}

#[test]
fn a_child_outlives_the_tokens_of_its_parent_and_lets_go_of_it() {
    let root = CancelToken::new();
    let middle = root.child();
    let weak = middle.downgrade();
    let leaf = middle.child();
    drop(middle);
    assert!(weak.upgrade().is_some());
    drop(leaf);
    assert!(weak.upgrade().is_none());
    root.cancel(Reason::Requested);
}

#[test]
fn a_guard_cancels_unless_it_is_disarmed() {
    let token = CancelToken::new();
    drop(token.child().guard());
    assert!(!token.is_cancelled());
    let guard = token.guard();
    drop(guard.disarm());
    assert!(!token.is_cancelled());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = token.guard();
        std::panic::resume_unwind(Box::new("left early"));
    }));
    assert!(panicked.is_err());
    assert_eq!(token.reason(), Some(Reason::ScopeDropped));
}

/// Neither cancelling nor dropping recurses.
#[test]
fn a_chain_of_a_million() {
    let root = CancelToken::new();
    let mut chain = vec![root.clone()];
    for depth in 0..1_000_000 {
        chain.push(chain[depth].child());
    }
    root.cancel("from the top");
    assert!(chain.iter().all(CancelToken::is_cancelled));
    assert_eq!(chain.last().unwrap().reason(), root.reason());
    drop(chain);
}

#[test]
fn a_chain_of_a_million_that_only_its_end_keeps() {
    let mut end = CancelToken::new();
    let root = end.downgrade();
    for _ in 0..1_000_000 {
        end = end.child();
    }
    assert!(root.upgrade().is_some());
    drop(end);
    assert!(root.upgrade().is_none());
}

#[test]
fn a_chain_of_links_is_dropped_and_cancelled_without_recursion() {
    for cancel in [false, true] {
        let root = CancelToken::new();
        let mut end = root.clone();
        for _ in 0..100_000 {
            end = CancelToken::linked([&end, &CancelToken::new()]);
        }
        if cancel {
            root.cancel(Reason::Shutdown);
            assert_eq!(end.reason(), Some(Reason::Shutdown));
        }
        drop(root);
        drop(end);
    }
}

#[test]
fn what_is_shared_and_sent() {
    fn is<T: Send + Sync + Unpin>() {}
    is::<CancelToken>();
    is::<weirs_scopes::WeakToken>();
    is::<weirs_scopes::DropGuard>();
    is::<weirs_scopes::Registration>();
    is::<weirs_scopes::UntilCancelled<'static>>();
    is::<weirs_scopes::UntilCancelledOwned>();
    is::<weirs_scopes::Run<std::future::Ready<()>>>();
    is::<Reason>();
    is::<Cancelled>();
}

#[test]
fn debug_says_what_matters() {
    let token = CancelToken::new();
    assert_eq!(format!("{token:?}"), "CancelToken { cancelled: false }");
    token.cancel("enough");
    assert_eq!(format!("{token:?}"), "CancelToken { cancelled: Other(\"enough\") }");
}
