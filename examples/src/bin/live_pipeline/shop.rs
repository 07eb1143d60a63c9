//! [`Shop`]: the pipeline that is looked at.

use std::error::Error as StdError;
use std::fmt;
use std::future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::{or, zip};
use weirs_channels_utils::Overflow;
use weirs_limiters::{Quota, Rate, RateLimiter};
use weirs_pipelines::{
    Answer, DeadLetter, DeadLetterRing, Pipeline, PipelineError, PipelineHandle, ResilientPipeline, Running,
    Summary,
};
use weirs_resilience::{Backoff, Breaker, Class, Error};
use weirs_runtime::{Instant, Runtime};
use weirs_scopes::CancelToken;

use crate::look::{Look, Row};
use crate::report::Report;
use crate::world::{Order, REFUSED, World};

/// So many orders may wait before each stage.
const ROOM: usize = 64;

/// So many dead letters are kept until somebody looks at them.
const LETTERS: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// The pipeline that is looked at: one part parses and prices orders, another charges them.
pub(crate) struct Shop {
    pub(crate) world: Arc<World>,
    opened: Instant,
    prepare: PipelineHandle,
    charge: ResilientPipeline<Order, Order, &'static str>,
    breaker: Arc<Breaker>,
    letters: DeadLetterRing<Order, Error<&'static str>>,
    given_up: CancelToken,
}

pub(crate) type Prepared = Result<Summary<()>, PipelineError<()>>;

impl Shop {
    /// The shop, and its first part.
    pub(crate) fn open(runtime: &Runtime) -> Result<(Self, Running<()>), Box<dyn StdError>> {
        let clock = runtime.clock();
        let world = World::new(clock);
        let breaker = Breaker::consecutive(5).open_for(Duration::from_secs(2)).clock(clock).build()?;
        let letters = DeadLetterRing::new(LETTERS);
        let limit = RateLimiter::builder(Quota::new(Rate::per_second(250), 10)?).clock(clock.clone()).build();
        let judge = |result: &Result<Order, Error<&str>>| match result {
            Ok(_) => Class::Success,
            Err(Error::Inner(REFUSED)) => Class::Permanent,
            Err(_) => Class::Failure,
        };
        let [one, two, three] = [(); 3].map(|()| Arc::clone(&world));
        let charge = ResilientPipeline::builder(move |order| Arc::clone(&three).charge(order))
            .workers(8)
            .queue(ROOM)
            .limit(limit)
            .breaker(&breaker)
            .timeout(Duration::from_millis(250))
            .retry(2, Backoff::exponential(Duration::from_millis(50)))
            .classify(judge)
            .dead_letters(letters.clone())
            .measured()
            .build(runtime)?;

        let intake = charge.intake();
        let submit = move |order| {
            let intake = intake.clone();
            async move { intake.submit(order).await.map_err(|_| fmt::Error) }
        };
        let running = Pipeline::source(Arc::clone(&world).orders())
            // Whoever comes when the shop is full is turned away.
            .buffer_with(ROOM, Overflow::DropNewest)
            .stage("parse", 2, move |order| Arc::clone(&one).parse(order))
            .unordered()
            .keep()
            .buffer(ROOM)
            .stage("price", 6, move |order| Arc::clone(&two).price(order))
            .unordered()
            .keep()
            .stage("submit", 1, submit)
            .keep()
            .for_each(|_| future::ready(()))
            .run(runtime)?;

        let (opened, prepare, given_up) = (clock.now(), running.handle(), CancelToken::new());
        Ok((Self { world, opened, prepare, charge, breaker, letters, given_up }, running))
    }

    /// Reads results until all orders are charged, or given up.
    pub(crate) async fn over(&self, running: Running<()>) -> Prepared {
        let prepare = async {
            let prepared = running.await;
            drop(self.charge.close());
            prepared
        };
        let read = async {
            let mut results = self.charge.results();
            while let Some(end) = results.next().await {
                if let Answer::Done(order) = end.answer {
                    let took = self.world.clock.now().saturating_since(order.made);
                    self.world.whole_times.add(took);
                }
            }
        };
        let given_up = async {
            self.given_up.cancelled().await;
        };
        zip(prepare, or(read, given_up)).await.0
    }

    /// Takes no more orders.
    pub(crate) fn close(&self) {
        self.prepare.stop();
    }

    /// Finishes no more orders.
    pub(crate) fn abort(&self) {
        self.prepare.abort();
        self.given_up.cancel("there is no time left");
    }

    /// The dead letters since the last time.
    pub(crate) fn new_letters(&self) -> Vec<String> {
        let told = |letter: DeadLetter<Order, Error<_>>| {
            let error = letter.error.map_or(String::new(), |error| format!(" ({error})"));
            format!("order {}: {}{error}", letter.job.number, letter.reason)
        };
        self.letters.take().into_iter().map(told).collect()
    }

    pub(crate) fn look(&self) -> Look {
        let (prepare, charge, breaker) = (self.prepare.stats(), self.charge.stats(), self.breaker.stats());
        let row = |name, times| {
            let stage = prepare.stage(name).cloned().unwrap_or_default();
            let (queued, room) = (stage.queued, ROOM as u64);
            Row { name, queued, room, in_flight: stage.in_flight, done: stage.given, times }
        };
        let world = &self.world;
        Look {
            at: world.clock.now(),
            running: world.clock.now().saturating_since(self.opened),
            load: world.load.load(Relaxed),
            slow: world.slow.load(Relaxed),
            outage: world.outage.load(Relaxed),
            drains: None,
            stages: [
                row("parse", world.parse_times.percentiles()),
                row("price", world.price_times.percentiles()),
                Row {
                    name: "charge",
                    queued: charge.queued as u64,
                    room: ROOM as u64,
                    in_flight: charge.in_hand as u64,
                    done: charge.counts.done,
                    times: world.charge_times.percentiles(),
                },
            ],
            whole: world.whole_times.percentiles(),
            circuit: breaker.circuit,
            openings: breaker.openings,
            paused: charge.paused,
            calls: charge.counts.attempts,
            turned_away: prepare.stage("parse").map_or(0, |stage| stage.overflowed),
            dead: charge.counts.dead_lettered,
            letters: Vec::new(),
        }
    }

    /// Hands back what is left.
    pub(crate) async fn settle(self, prepared: Prepared) -> Report {
        let stats = self.charge.stats();
        let drained = self.charge.drain(Duration::ZERO).await;
        Report::new(prepared, stats, drained.counts, drained.handed_back.len() as u64)
    }
}
