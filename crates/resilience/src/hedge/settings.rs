//! What can be set of a hedge, and how it explains itself.

use std::sync::Arc;
use std::time::Duration;

use super::{Delay, Hedge, Latencies};
use crate::{Attempt, Budget, ByDefault, Invalid, Part, Plan, Role};

impl Hedge {
    /// One other attempt, after so long. With a delay of zero both begin together.
    pub fn after(delay: Duration) -> Self {
        Self {
            delay: Delay::Fixed,
            after: delay,
            max: 1,
            needs: Duration::ZERO,
            eligible: None,
            budget: None,
            judge: ByDefault,
            invalid: None,
        }
    }
}

impl<C> Hedge<C> {
    /// So many other attempts at most: one without it.
    pub fn max(mut self, most: u16) -> Self {
        self.max = most;
        self
    }

    /// The delay is what such a share of attempts took lately, between 0 and 1; as long as there are fewer
    /// samples than this, it is that of [`after`](Hedge::after).
    ///
    /// It is reckoned anew after each [`period`](Hedge::period). An attempt that is dropped because another
    /// one won counts with the time that it had: so hedging does not make the delay smaller and smaller.
    pub fn percentile(mut self, share: f64, min_samples: u32) -> Self {
        if !(share > 0.0 && share < 1.0) {
            self.invalid = Some(Invalid::new("hedge.percentile", "a share is above 0 and below 1"));
        } else if min_samples == 0 {
            self.invalid = Some(Invalid::new("hedge.min_samples", "nothing is known from no sample"));
        }
        self.delay = Delay::Percentile(Arc::new(Latencies::new(share, min_samples)));
        self
    }

    /// How long samples are gathered for a [`percentile`](Hedge::percentile): ten seconds without it, and
    /// longer while there are too few.
    pub fn period(mut self, period: Duration) -> Self {
        match &mut self.delay {
            Delay::Percentile(latencies) => {
                let mut fresh = Latencies::new(latencies.share(), latencies.min_samples());
                fresh.set_period(period);
                *latencies = Arc::new(fresh);
            }
            _ => self.invalid = Some(Invalid::new("hedge.period", "there is no percentile to reckon")),
        }
        self
    }

    /// The delay before each hedge, by its number from 1. It is asked when somebody has to wait.
    pub fn delay_with(mut self, delay: impl Fn(u16, &Attempt) -> Duration + Send + Sync + 'static) -> Self {
        self.delay = Delay::With(Arc::new(delay));
        self
    }

    /// Only calls for which this holds are hedged. It is asked once, when the first attempt has to wait or
    /// has failed.
    pub fn when(mut self, eligible: impl Fn(&Attempt) -> bool + Send + Sync + 'static) -> Self {
        self.eligible = Some(Arc::new(eligible));
        self
    }

    /// The least time that an attempt needs: none begins that has less.
    pub fn needs(mut self, least: Duration) -> Self {
        self.needs = least;
        self
    }

    /// Other attempts are paid for out of this budget, which retries may share. While it is spent none
    /// begins; those that run go on.
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// What an outcome means; [`ByDefault`] without it.
    pub fn judging<D>(self, judge: D) -> Hedge<D> {
        Hedge {
            delay: self.delay,
            after: self.after,
            max: self.max,
            needs: self.needs,
            eligible: self.eligible,
            budget: self.budget,
            judge,
            invalid: self.invalid,
        }
    }
}

impl<C> Part for Hedge<C> {
    fn explain(&self, plan: &mut Plan) {
        let when = match &self.delay {
            Delay::Fixed => format!("after {:?}", self.after),
            Delay::Percentile(latencies) => {
                let (share, period) = (latencies.share() * 100.0, latencies.period());
                format!("after what {share} % took in the last {period:?}, at first {:?}", self.after)
            }
            Delay::With(_) => String::from("after a delay of your own"),
        };
        let budget = match &self.budget {
            Some(budget) => format!("; {}", budget.words()),
            None => String::new(),
        };
        let period = match &self.delay {
            Delay::Percentile(latencies) if latencies.period().is_zero() => {
                Err(Invalid::new("hedge.period", "nothing happens in no time"))
            }
            _ => Ok(()),
        };
        let max = match self.max {
            0 => Err(Invalid::new("hedge.max", "no other attempt at all")),
            _ => Ok(()),
        };
        plan.part(Role::Hedge, "hedge")
            .says(format!("{} more beside the first, each {when}{budget}", self.max))
            .budgeted(self.budget.is_some())
            .check(self.invalid.clone().map_or(Ok(()), Err))
            .check(max)
            .check(period);
    }
}
