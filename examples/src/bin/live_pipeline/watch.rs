//! [`watch`]: looks at the shop again and again, and does what the keys say.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_lite::future::or;
use weirs_runtime::{Instant, Runtime};

use crate::keys::{Key, Keys};
use crate::look::{Look, Trend};
use crate::report::Report;
use crate::shop::{Prepared, Shop};

/// What is left after this time is handed back.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many dead letters are remembered.
const LETTERS: usize = 20;

/// What the shop does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// It takes no more orders, and finishes those that it has until then.
    Drains(Instant),
    GivenUp,
}

/// Where a look is shown.
pub(crate) trait Display {
    /// How often.
    const EVERY: Duration;

    fn show(&mut self, look: &Look, trend: &Trend) -> io::Result<()>;

    /// A key was pressed.
    fn tell(&mut self, what: &str, look: &Look, trend: &Trend) -> io::Result<()>;
}

enum Event {
    Over(Prepared),
    Key(Key),
    Tick,
}

pub(crate) async fn watch<D: Display>(
    runtime: &Runtime,
    mut keys: Keys,
    display: &mut D,
) -> Result<Report, Box<dyn Error>> {
    let clock = runtime.clock();
    let (shop, running) = Shop::open(runtime)?;
    let (mut trend, mut letters) = (Trend::default(), Vec::new());
    let (mut phase, mut tick) = (Phase::Open, clock.now());
    let prepared = {
        let mut over = pin!(shop.over(running));
        loop {
            let over = async { Event::Over(over.as_mut().await) };
            let key = async { Event::Key(keys.next().await) };
            let tick_comes = async {
                clock.sleep_until(tick).await;
                Event::Tick
            };
            let event = or(over, or(key, tick_comes)).await;
            let told = match event {
                Event::Over(prepared) => break prepared,
                Event::Key(key) => Some(press(key, &shop, &mut phase)),
                Event::Tick => {
                    // Whoever was stopped for an hour does not catch up with it.
                    tick = (tick + D::EVERY).max(clock.now());
                    match phase {
                        Phase::Drains(until) if clock.now() >= until => {
                            phase = Phase::GivenUp;
                            shop.abort();
                            Some("the time is over: hands back what is there".to_owned())
                        }
                        _ => None,
                    }
                }
            };
            letters.extend(shop.new_letters());
            letters.drain(..letters.len().saturating_sub(LETTERS));
            let mut look = shop.look();
            look.letters = letters.iter().rev().cloned().collect();
            if let Phase::Drains(until) = phase {
                look.drains = Some(until.saturating_since(look.at));
            }
            trend.add(&look);
            match told {
                Some(what) => display.tell(&what, &look, &trend)?,
                None => display.show(&look, &trend)?,
            }
        }
    };
    Ok(shop.settle(prepared).await)
}

fn press(key: Key, shop: &Shop, phase: &mut Phase) -> String {
    let world = &shop.world;
    match key {
        Key::Slow => match !world.slow.fetch_not(Relaxed) {
            true => "pricing is slow".to_owned(),
            false => "pricing is as quick as before".to_owned(),
        },
        Key::Outage => match !world.outage.fetch_not(Relaxed) {
            true => "who charges does not answer".to_owned(),
            false => "who charges answers again".to_owned(),
        },
        Key::More => format!("{} orders a second", world.more(true)),
        Key::Less => format!("{} orders a second", world.more(false)),
        Key::Quit if *phase == Phase::Open => {
            *phase = Phase::Drains(world.clock.now() + PATIENCE);
            shop.close();
            "no more orders: finishes what is there".to_owned()
        }
        Key::Quit => {
            *phase = Phase::GivenUp;
            shop.abort();
            "hands back what is there".to_owned()
        }
    }
}
