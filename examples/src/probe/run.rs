//! [`run`]: the whole of it. One task hands out endpoints and takes results; a pool of workers asks.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, BufReader, IsTerminal};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_lite::StreamExt;
use weirs_limiters::{Quota, Rate, RateLimiter, Semaphore};
use weirs_pipelines::WorkerPool;
use weirs_resilience::{
    Breaker, Budget, ByDefault, Class, Classify, Dynamic, Error, Event, EventKind, Hedge, Interest, Observer,
    Retry, Stack,
};
use weirs_runtime::{Clock, Instant, Runtime};
use weirs_scopes::Signals;

use super::check::{Fault, attempt};
use super::fleet::Fleet;
use super::options::Options;
use super::progress::{Progress, complain};
use super::report::{Outcome, Report, Verdict};
use super::schedule::Schedule;
use super::targets::Targets;
use super::{descriptors, export};
use crate::net::{Kind, Net, Program};

/// Checks a fleet, on whatever runtime and network it is run.
#[derive(Debug)]
pub struct Probe {
    /// What is asked for.
    pub options: Options,
    /// What is checked; if there is nothing, a fleet is started.
    pub targets: Option<Targets>,
}

/// Gives the exit status, or what keeps it from beginning.
pub(super) fn main(mut options: Options) -> Result<u8, String> {
    let targets = match &options.urls {
        None => None,
        Some(path) => Some(read(path, options.strict)?),
    };
    let mut outputs = export::Outputs::open(&options)?;
    if !matches!(options.kind, Kind::Sim(_)) {
        fit(&mut options, targets.is_none());
    }
    let kind = options.kind;
    let report =
        kind.run(Probe { options, targets }).and_then(|report| report).map_err(|why| why.to_string())?;
    export::say(&report.to_string()).map_err(|why| why.to_string())?;
    outputs.write(&report).map_err(|why| why.to_string())?;
    Ok(report.exit_status())
}

/// The list.
fn read(path: &Path, strict: bool) -> Result<Targets, String> {
    let bad = |line: usize, why: &str| {
        if strict {
            return Err(io::Error::other(format!("line {line}: {why}")));
        }
        complain(&format!("line {line}: {why}"));
        Ok(())
    };
    let targets = if path.as_os_str() == "-" {
        Targets::read(io::stdin().lock(), bad)
    } else {
        File::open(path).and_then(|file| Targets::read(BufReader::new(file), bad))
    };
    let targets = targets.map_err(|error| format!("{}: {error}", path.display()))?;
    if targets.endpoints.is_empty() {
        return Err("there is no URL to check".to_owned());
    }
    if targets.repeated > 0 {
        complain(&format!("{} lines name an endpoint again; each is checked once", targets.repeated));
    }
    Ok(targets)
}

/// Lowers the concurrency to what the limit of open files allows. The own fleet holds the other ends.
fn fit(options: &mut Options, own: bool) {
    let sockets = descriptors::sockets() as usize / if own { 2 } else { 1 };
    if options.concurrency > sockets {
        complain(&format!(
            "the limit of open files allows {sockets} connections at once, so that is the concurrency"
        ));
        options.concurrency = sockets;
    }
}

/// What all checks share, and what each host has.
struct Checks<N> {
    net: N,
    clock: Clock,
    targets: Arc<Targets>,
    hosts: Vec<Stack<Dynamic<u16, Fault>>>,
    begun: Instant,
}

impl Program for Probe {
    type Output = io::Result<Report>;

    async fn run<N: Net>(self, net: N, runtime: Runtime) -> io::Result<Report> {
        let Self { options, targets } = self;
        let clock = runtime.clock().clone();
        let mut own = None;
        let targets = match targets {
            Some(targets) => targets,
            None => {
                let mut targets = Targets::default();
                let fleet =
                    Fleet::start(&net, &runtime, options.endpoints, options.seed, &mut targets).await?;
                own = Some(fleet);
                targets
            }
        };
        let targets = Arc::new(targets);
        let begun = clock.now();
        let openings = Arc::new(Openings { clock: clock.clone(), begun, seen: Mutex::default() });
        let hosts = stacks(&options, &targets, &clock, &openings).map_err(io::Error::other)?;
        let checks =
            Arc::new(Checks { net, clock: clock.clone(), targets: Arc::clone(&targets), hosts, begun });
        let check = move |at: usize| {
            let checks = Arc::clone(&checks);
            async move { Ok::<_, std::convert::Infallible>((at, checks.check(at).await)) }
        };
        let places = options.concurrency.min(targets.endpoints.len()).max(1);
        let pool = WorkerPool::builder(check).workers(places).queue(places).unread(places).build(&runtime);
        let pool = pool.map_err(io::Error::other)?;
        let mut results = pool.results();

        let mut schedule = Schedule::new(&targets, options.per_host);
        let mut report = Report::new(&options, Arc::clone(&targets));
        let real = !matches!(options.kind, Kind::Sim(_));
        let mut signals = if real { Some(Signals::interrupt_and_terminate()?) } else { None };
        let mut progress = Progress::new(&options, &clock, io::stderr().is_terminal(), real);
        let mut running = 0;
        loop {
            while running < places {
                let Some(at) = schedule.take() else { break };
                report.begins(at);
                if pool.try_submit(at).is_err() {
                    unreachable!("there are as many places in the queue as may be taken");
                }
                running += 1;
            }
            if running == 0 {
                break;
            }
            let next = poll_fn(|cx| {
                if let Some(signals) = &mut signals {
                    if let Poll::Ready(signal) = signals.poll_recv(cx) {
                        return Poll::Ready(Err(signal));
                    }
                }
                progress.poll(cx, &report, running);
                results.poll_next(cx).map(Ok)
            });
            match next.await {
                Ok(Some(end)) => {
                    running -= 1;
                    let Ok((at, outcome)) = end.result else { continue };
                    let host = targets.endpoints[at].host;
                    match outcome {
                        Some(outcome) => {
                            schedule.done(host);
                            report.ends(at, outcome);
                        }
                        None => {
                            schedule.put_back(host, at);
                            report.waits(at);
                        }
                    }
                }
                Ok(None) => break,
                Err(signal) => {
                    progress.clear();
                    complain(&format!(
                        "{signal}: {running} checks may end, and no more begin; again to end now"
                    ));
                    report.interrupted();
                    finish(&mut results, &mut report, signals.as_mut(), &clock, options.grace, running).await;
                    break;
                }
            }
        }
        progress.clear();
        drop(results);
        // Whatever still runs is cancelled, and its sockets are closed, when this returns.
        drop(pool.abort().await);
        drop(own);
        report.over(openings.take(), clock.now().saturating_since(begun));
        Ok(report)
    }
}

/// Takes what ends within the grace, or until somebody interrupts again.
async fn finish<S, J, E>(
    results: &mut S,
    report: &mut Report,
    mut signals: Option<&mut Signals>,
    clock: &Clock,
    grace: Duration,
    mut running: usize,
) where
    S: futures_lite::Stream<Item = weirs_pipelines::Completion<J, (usize, Option<Outcome>), E>> + Unpin,
{
    let mut over = clock.sleep(grace);
    while running > 0 {
        let next = poll_fn(|cx| {
            if let Some(signals) = signals.as_deref_mut() {
                if signals.poll_recv(cx).is_ready() {
                    return Poll::Ready(None);
                }
            }
            if Pin::new(&mut over).poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            results.poll_next(cx)
        });
        let Some(end) = next.await else { return };
        running -= 1;
        match end.result {
            Ok((at, Some(outcome))) => report.ends(at, outcome),
            Ok((at, None)) => report.waits(at),
            Err(_) => {}
        }
    }
}

/// The policies of each host. They share the budget of retries and the rate.
fn stacks(
    options: &Options,
    targets: &Targets,
    clock: &Clock,
    openings: &Arc<Openings>,
) -> Result<Vec<Stack<Dynamic<u16, Fault>>>, weirs_resilience::Invalid> {
    let budget = Budget::share(0.2).clock(clock).build()?;
    let rate = options.rate.map(|rate| {
        let quota = Quota::new(Rate::per_second(rate), (rate / 10).max(1)).expect("a rate above nothing");
        Arc::new(RateLimiter::builder(quota).clock(clock.clone()).build())
    });
    // A hedge is a second connection of the same check, so places are counted where connections are made.
    let sockets = Arc::new(Semaphore::new(options.concurrency as u64));
    let mut stacks = Vec::with_capacity(targets.hosts.len());
    for host in &targets.hosts {
        let mut stack = Stack::dynamic().named(host.as_str()).clock(clock);
        stack = stack.layer(|layer| layer.timeout(options.total));
        if options.retries > 0 {
            let retry = Retry::exponential(Duration::from_millis(50))
                .retries(options.retries)
                .budget(&budget)
                .classify(|result: &Result<u16, Error<Fault>>| match result {
                    Err(Error::Inner(fault)) if !fault.may_pass() => Class::Permanent,
                    other => ByDefault.classify(other),
                });
            stack = stack.layer(|layer| layer.retry(retry));
        }
        if let Some(hedge) = options.hedge {
            let hedge = Hedge::after(hedge).budget(&budget);
            stack = stack.layer(|layer| layer.hedge(hedge));
        }
        if let Some(rate) = &rate {
            let rate = Arc::clone(rate);
            stack = stack.layer(|layer| layer.rate_limit(rate));
        }
        if options.breaker > 0 {
            let breaker = Breaker::consecutive(options.breaker)
                .open_for(Duration::from_secs(1))
                .named(host)
                .clock(clock)
                .observer(Arc::clone(openings))
                .build()?;
            let judged = breaker.judging(|result: &Result<u16, Error<Fault>>| match result {
                Err(Error::Inner(fault)) if !fault.is_of_host() => Class::Permanent,
                other => ByDefault.classify(other),
            });
            stack = stack.layer(|layer| layer.breaker(judged));
        }
        let sockets = Arc::clone(&sockets);
        stack = stack.layer(|layer| layer.limit(sockets)).layer(|layer| layer.timeout(options.timeout));
        stacks.push(stack.build()?);
    }
    Ok(stacks)
}

impl<N: Net> Checks<N> {
    /// Checks an endpoint; none if there was no descriptor for it, so that it comes again.
    async fn check(&self, at: usize) -> Option<Outcome> {
        let endpoint = &self.targets.endpoints[at];
        let host = &self.targets.hosts[endpoint.host];
        let begun = self.clock.now();
        let called = self.hosts[endpoint.host]
            .call_reported(async |_| attempt(&self.net, host, &endpoint.path).await)
            .await;
        let verdict = match called.result {
            Ok(status) => Verdict::Well(status),
            Err(Error::Inner(Fault::NoDescriptor)) => {
                // Others give theirs back soon.
                self.clock.sleep(Duration::from_millis(5)).await;
                return None;
            }
            Err(Error::Inner(fault)) => Verdict::Ill(fault),
            Err(error) if error.is_circuit_open() => Verdict::NotAsked,
            Err(_) => Verdict::TimedOut,
        };
        let now = self.clock.now();
        Some(Outcome {
            verdict,
            attempts: called.attempts,
            begun: begun.saturating_since(self.begun),
            took: now.saturating_since(begun),
        })
    }
}

/// When which circuit opened.
struct Openings {
    clock: Clock,
    begun: Instant,
    seen: Mutex<Vec<(Duration, String)>>,
}

impl Openings {
    fn take(&self) -> Vec<(Duration, String)> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Observer for Openings {
    fn interest(&self) -> Interest {
        Interest::BREAKER
    }

    fn on_event(&self, event: &Event<'_>) {
        if let EventKind::Opened { .. } = event.kind() {
            let at = self.clock.now().saturating_since(self.begun);
            let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            seen.push((at, event.source().to_owned()));
        }
    }
}
