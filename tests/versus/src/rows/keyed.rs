//! Limits for a million keys, over governor's on a dashmap.
//!
//! Keys are asked for in a random order, so that most of the time goes into fetching memory. Both read the
//! system's monotonic clock. The bytes are those that the process has in use more when all keys are there.
//! Of sweeping it is compared for how long the others may have to wait: ours for one step of a thousand
//! places, governor's for the whole map.

use std::hash::Hash;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::MonotonicClock;
use governor::state::keyed::DashMapStateStore;
use weirs_limiters::{Keyed, Quota, Rate};

use super::memory::resident_bytes;
use super::work::on_two_threads;
use crate::child;
use crate::measure::{Experiment, Missing, Pair, repeat, wall};
use crate::peers::peer_in;
use crate::row::{Row, Samples, Unit};

const KEYS: u64 = 1_000_000;
/// At once for each key, and then one a minute: it lasts, and no key gets all its cells back meanwhile.
const BURST: u32 = 1_000_000;
/// Places that a step of the sweep looks at.
const STEP: usize = 1_000;

type Governor<K> = governor::RateLimiter<
    K,
    DashMapStateStore<K>,
    MonotonicClock,
    governor::middleware::NoOpMiddleware<<MonotonicClock as governor::clock::Clock>::Instant>,
>;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |name: &str, goal: f64| {
        Row::new(format!("keyed/{name}/governor"), peer_in("governor", "dashmap")).goal(goal)
    };
    vec![
        Experiment::pair([row("hit", 0.7)], || {
            let (ours, peer, turn) = (full_ours(KEYS), full_governor(KEYS), Turn::default());
            let other = turn.clone();
            Pair::new(
                move |count| wall(count, || turn.keys(count, |key| ours.try_acquire(&key, 1).is_ok())),
                move |count| wall(count, || other.keys(count, |key| peer.check_key(&key).is_ok())),
            )
        }),
        Experiment::pair([row("hit-two-threads", 0.65)], || {
            let (ours, peer, turn) = (full_ours(KEYS), full_governor(KEYS), Turn::default());
            let other = turn.clone();
            Pair::new(
                move |count| {
                    on_two_threads(count, || turn.keys(count, |key| ours.try_acquire(&key, 1).is_ok()))
                },
                move |count| on_two_threads(count, || other.keys(count, |key| peer.check_key(&key).is_ok())),
            )
        }),
        bytes(row("bytes-u64", 0.65), "u64"),
        bytes(row("bytes-string", 0.2), "string"),
        Experiment::pair([row("sweep-step", 0.01)], || {
            let (ours, peer) = (full_ours(KEYS), full_governor(KEYS));
            Pair::new(
                move |count| wall(count, || repeat(count, || ours.sweep(STEP))),
                move |count| wall(count, || repeat(count, || peer.retain_recent())),
            )
        }),
    ]
}

/// Goes through random keys, on and on.
#[derive(Clone, Default)]
struct Turn(Arc<AtomicU64>);

impl Turn {
    fn keys(&self, count: u64, mut ask: impl FnMut(u64) -> bool) {
        let mut number = self.0.fetch_add(count, Ordering::Relaxed).wrapping_mul(0x2545_f491_4f6c_dd1d);
        for _ in 0..count {
            number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            assert!(black_box(ask((number >> 32) % KEYS)), "there is always more");
        }
    }
}

fn ours<K: Hash + 'static>(keys: u64) -> Keyed<K> {
    let quota = Quota::new(Rate::per_minute(1), BURST.into()).expect("a quota");
    Keyed::new(quota, keys as usize)
}

fn full_ours(keys: u64) -> Keyed<u64> {
    let ours = ours(keys);
    (0..keys).for_each(|key| assert!(ours.try_acquire(&key, 1).is_ok()));
    ours
}

fn governor<K: Hash + Eq + Clone>() -> Governor<K> {
    let burst = NonZeroU32::new(BURST).expect("not zero");
    let quota = governor::Quota::per_minute(NonZeroU32::MIN).allow_burst(burst);
    Governor::dashmap_with_clock(quota, MonotonicClock)
}

fn full_governor(keys: u64) -> Governor<u64> {
    let governor = governor();
    (0..keys).for_each(|key| assert!(governor.check_key(&key).is_ok()));
    governor
}

fn bytes(row: Row, key: &'static str) -> Experiment {
    Experiment::new([row.unit(Unit::Bytes)], move |effort| {
        if !cfg!(target_os = "linux") {
            return Err(Missing::Skipped("only Linux tells a process's resident memory".to_owned()));
        }
        let bytes =
            |side: &str| child::resident(&format!("keyed-{key}/{side}"), KEYS).map_err(Missing::Failed);
        let rounds = 0..effort.long_rounds.div_ceil(2).min(3);
        let pairs: Result<_, _> = rounds.map(|_| Ok((bytes("ours")?, bytes("peer")?))).collect();
        Ok(vec![Samples::Pairs(pairs?)])
    })
}

/// Bytes for each of so many keys, measured in this process.
pub(super) fn resident_ours<K: Hash + 'static>(keys: u64, key: fn(u64) -> K) -> Result<f64, String> {
    let before = resident_bytes()?;
    let ours = ours(keys);
    (0..keys).for_each(|number| assert!(ours.try_acquire(&key(number), 1).is_ok()));
    let after = resident_bytes()?;
    black_box(&ours);
    Ok((after - before) / keys as f64)
}

/// The peer's.
pub(super) fn resident_peers<K: Hash + Eq + Clone>(keys: u64, key: fn(u64) -> K) -> Result<f64, String> {
    let before = resident_bytes()?;
    let governor = governor();
    (0..keys).for_each(|number| assert!(governor.check_key(&key(number)).is_ok()));
    let after = resident_bytes()?;
    black_box(&governor);
    Ok((after - before) / keys as f64)
}

/// Nineteen bytes, as an account's number may have.
pub(super) fn text(number: u64) -> String {
    format!("tenant-{number:012}")
}
