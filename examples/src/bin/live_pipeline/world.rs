//! [`World`]: where orders come from, what is done with them, and the knobs that make it ill.

use std::convert::Infallible;
use std::future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures_lite::{Stream, stream};
use weirs_runtime::{Clock, Instant};

use crate::meter::Meter;

/// Each press on a key changes the load by so much.
const STEP: u64 = 50;

const MOST: u64 = 1000;

/// What another attempt would not mend.
pub(crate) const REFUSED: &str = "the card is refused";

/// Where orders come from, what is done with them, and the knobs that make it ill.
pub(crate) struct World {
    pub(crate) clock: Clock,
    /// How many orders a second.
    pub(crate) load: AtomicU64,
    /// Pricing takes six times as long.
    pub(crate) slow: AtomicBool,
    /// Who charges does not answer.
    pub(crate) outage: AtomicBool,
    pub(crate) parse_times: Meter,
    pub(crate) price_times: Meter,
    pub(crate) charge_times: Meter,
    /// From the order to its end.
    pub(crate) whole_times: Meter,
}

#[derive(Clone, Copy)]
pub(crate) struct Order {
    pub(crate) number: u64,
    pub(crate) made: Instant,
}

impl World {
    pub(crate) fn new(clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            load: AtomicU64::new(100),
            slow: AtomicBool::new(false),
            outage: AtomicBool::new(false),
            parse_times: Meter::default(),
            price_times: Meter::default(),
            charge_times: Meter::default(),
            whole_times: Meter::default(),
        })
    }

    pub(crate) fn more(&self, more: bool) -> u64 {
        let load = self.load.load(Relaxed);
        let load = if more { (load + STEP).min(MOST) } else { load.saturating_sub(STEP) };
        self.load.store(load, Relaxed);
        load
    }

    /// Orders without end, at uneven times.
    pub(crate) fn orders(self: Arc<Self>) -> impl Stream<Item = Order> + Send {
        let start = self.clock.now();
        stream::unfold((self, 1, start), |(world, number, mut at)| async move {
            while world.load.load(Relaxed) == 0 {
                world.clock.sleep(Duration::from_millis(50)).await;
                at = world.clock.now();
            }
            at += world.random(500..1500) * 1000 / world.load.load(Relaxed).max(1) as u32;
            world.clock.sleep_until(at).await;
            let order = Order { number, made: world.clock.now() };
            Some((order, (world, number + 1, at)))
        })
    }

    pub(crate) async fn parse(self: Arc<Self>, order: Order) -> Result<Order, Infallible> {
        self.parse_times.time(&self.clock, self.clock.sleep(self.random(2000..6000))).await;
        Ok(order)
    }

    pub(crate) async fn price(self: Arc<Self>, order: Order) -> Result<Order, Infallible> {
        let slower = if self.slow.load(Relaxed) { 6 } else { 1 };
        self.price_times.time(&self.clock, self.clock.sleep(self.random(20_000..40_000) * slower)).await;
        Ok(order)
    }

    pub(crate) async fn charge(self: Arc<Self>, order: Order) -> Result<Order, &'static str> {
        let call = async {
            if self.outage.load(Relaxed) {
                future::pending::<()>().await;
            }
            self.clock.sleep(self.random(20_000..60_000)).await;
            match order.number % 60 {
                59 => Err(REFUSED),
                _ if self.clock.random_below(100) == 0 => Err("busy"),
                _ => Ok(order),
            }
        };
        self.charge_times.time(&self.clock, call).await
    }

    fn random(&self, micros: Range<u64>) -> Duration {
        Duration::from_micros(micros.start + self.clock.random_below(micros.end - micros.start))
    }
}
