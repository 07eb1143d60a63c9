//! What the default build has, by name. The rest is behind features of the same names.

use std::time::Duration;

use weirs::block_on;

#[test]
fn the_default_build_has_the_four_crates() {
    let (sender, receiver) = weirs::channels::oneshot::channel();
    let answer = block_on(weirs::scopes::scope(async |s| {
        let places = weirs::limiters::Semaphore::new(1);
        let child = s.spawn(async {
            weirs::resilience::timeout(Duration::from_secs(60)).call(async |_| Ok::<_, ()>(7)).await
        });
        let permit = places.try_acquire(1).unwrap();
        sender.send(child.await.unwrap().unwrap()).unwrap();
        drop(permit);
        receiver.await.unwrap()
    }));
    assert_eq!(answer, 7);
}
