//! [`run`]: the whole of it. One task hands out endpoints and takes results; a task for each check asks.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, BufReader};
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_lite::{FutureExt, StreamExt};
use weirs_limiters::{Quota, Rate, RateLimiter};
use weirs_resilience::{
    Attempt, Breaker, Budget, ByDefault, Class, Classify, Dynamic, Error, Event, EventKind, Hedge, Interest,
    Invalid, NextOnce, Observer, Retry, Stack, from_async_once,
};
use weirs_runtime::{Clock, Instant, Runtime};
use weirs_scopes::{ChildId, Ended, Escalation, Signal, Signals, task_scope};

use super::check::{Fault, attempt};
use super::fleet::Fleet;
use super::names::Names;
use super::options::Options;
use super::progress::{self, Progress, complain};
use super::report::{Outcome, Report, Verdict, counted};
use super::schedule::Schedule;
use super::targets::{Endpoint, Targets};
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
    if options.serve {
        descriptors::sockets();
        return served(options.kind.run(Serve { options }));
    }
    let targets = match &options.urls {
        None => None,
        Some(path) => Some(read(path, options.strict)?),
    };
    let mut outputs = export::Outputs::open(&options)?;
    if !matches!(options.kind, Kind::Sim(_)) {
        let all = targets.as_ref().map_or(options.endpoints, |targets| targets.endpoints.len());
        fit(&mut options, targets.is_none(), all);
    }
    let kind = options.kind;
    let colours = progress::colours(&options, &io::stdout());
    let report =
        kind.run(Probe { options, targets }).and_then(|report| report).map_err(|why| why.to_string())?;
    // From here on a signal does what it does by default: it ends the process, in the middle of a line if
    // need be.
    let written = outputs.write(&report);
    export::say(&report.table(colours)).map_err(|why| why.to_string())?;
    written.map_err(|why| format!("the results could not be written: {why}"))?;
    Ok(report.exit_status())
}

fn served(result: io::Result<io::Result<()>>) -> Result<u8, String> {
    result.and_then(|result| result).map(|()| 0).map_err(|why| why.to_string())
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
        let lines = counted(targets.repeated, "line names", "lines name");
        complain(&format!("{lines} an endpoint again; each is checked once"));
    }
    Ok(targets)
}

/// Lowers the concurrency to what the limit of open files allows.
fn fit(options: &mut Options, own: bool, all: usize) {
    // The own fleet holds the other ends, and a hedge is a second connection of the same check.
    let ends = if own { 2 } else { 1 } * if options.hedge.is_some() { 2 } else { 1 };
    let most = (descriptors::sockets() as usize / ends).max(1);
    let wanted = options.concurrency.min(all);
    if wanted > most {
        complain(&format!("the limit of open files allows {most} checks at once, not {wanted}"));
        options.concurrency = most;
    }
}

/// What all checks share, and what each host has.
struct Checks<N: Net> {
    net: N,
    clock: Clock,
    targets: Arc<Targets>,
    names: Names<N>,
    hosts: Vec<Stack<Dynamic<u16, Fault>>>,
    begun: Instant,
}

impl Program for Probe {
    type Output = io::Result<Report>;

    async fn run<N: Net>(self, net: N, runtime: Runtime) -> io::Result<Report> {
        let Self { options, targets } = self;
        let clock = runtime.clock().clone();
        let real = !matches!(options.kind, Kind::Sim(_));
        let mut signals = if real { Some(Signals::interrupt_and_terminate()?.escalate()) } else { None };
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
        let rate = options.rate.map(|rate| {
            let quota = Quota::new(Rate::per_second(rate), (rate / 10).max(1)).expect("a rate above nothing");
            Arc::new(RateLimiter::builder(quota).clock(clock.clone()).build())
        });
        let hosts = stacks(&options, &targets, &clock, rate.as_ref(), &openings).map_err(io::Error::other)?;
        let names = Names::new(targets.hosts.len(), &clock, options.timeout);
        let checks = Arc::new(Checks {
            net,
            clock: clock.clone(),
            targets: Arc::clone(&targets),
            names,
            hosts,
            begun,
        });
        let mut schedule = Schedule::new(&targets, options.per_host);
        let mut report = Report::new(&options, Arc::clone(&targets));
        let mut progress = Progress::new(&options, &clock, real);
        let places = options.concurrency.min(targets.endpoints.len()).max(1);
        let mut running = 0;
        // The endpoint whose turn is next, and the wait for that.
        let mut first = None;
        let mut turn = rate.as_ref().map(|rate| rate.acquire(1));
        // Whatever still runs at its end is cancelled, and has closed its sockets when the scope is over.
        task_scope(&runtime, async |s| {
            let mut results = s.results(NonZeroUsize::new(places).unwrap_or(NonZeroUsize::MIN));
            loop {
                if first.is_none() && running < places {
                    first = schedule.take();
                }
                if first.is_none() && running == 0 {
                    break;
                }
                let next = poll_fn(|cx| {
                    if let Some(signals) = &mut signals
                        && let Poll::Ready(step) = signals.poll_step(cx)
                    {
                        return Poll::Ready(Next::Interrupted(step.signal()));
                    }
                    progress.poll(cx, &report, running);
                    if first.is_some() && turn.as_mut().is_none_or(|turn| Pin::new(turn).poll(cx).is_ready())
                    {
                        return Poll::Ready(Next::Turn);
                    }
                    // Without a check there is nothing to wait for but the turn.
                    if running == 0 { Poll::Pending } else { results.poll_next(cx).map(Next::Ended) }
                });
                match next.await {
                    Next::Turn => {
                        let Some(at) = first.take() else { continue };
                        report.begins(at);
                        let checks = Arc::clone(&checks);
                        let check = results.try_spawn(async move {
                            // One that panics is told by the hook for panics, and holds up nobody else.
                            let outcome = AssertUnwindSafe(checks.check(at)).catch_unwind().await;
                            (at, outcome.ok())
                        });
                        if check.is_err() {
                            unreachable!("there are as many places as may be taken");
                        }
                        running += 1;
                    }
                    Next::Ended(Some((_, end))) => {
                        running -= 1;
                        // A check that panicked is one that was begun: it has no other result.
                        let Ok((at, Some(outcome))) = end else { continue };
                        let host = targets.endpoints[at].host();
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
                    Next::Ended(None) => break,
                    Next::Interrupted(signal) => {
                        progress.clear();
                        let checks = counted(running, "check", "checks");
                        complain(&format!("{signal}: {checks} may end, and no more begin; again to end now"));
                        report.interrupted();
                        finish(&mut results, &mut report, signals.as_mut(), &clock, options.grace, running)
                            .await;
                        break;
                    }
                }
            }
            progress.clear();
            // Whatever is left takes no time worth the name. If it does, the next signal ends it.
            drop(signals.take());
        })
        .await;
        drop(own);
        report.over(openings.take(), clock.now().saturating_since(begun));
        Ok(report)
    }
}

/// How a check ended: without an outcome it comes again, and without even that it panicked.
type End = (ChildId, Result<(usize, Option<Option<Outcome>>), Ended>);

/// What happens next.
enum Next<T> {
    /// The first endpoint may be checked now.
    Turn,
    /// A check has ended; without one, all have.
    Ended(Option<T>),
    Interrupted(Signal),
}

/// Takes what ends within the grace, or until somebody interrupts again.
async fn finish<S>(
    results: &mut S,
    report: &mut Report,
    mut signals: Option<&mut Escalation>,
    clock: &Clock,
    grace: Duration,
    mut running: usize,
) where
    S: futures_lite::Stream<Item = End> + Unpin,
{
    let mut over = clock.sleep(grace);
    while running > 0 {
        let next = poll_fn(|cx| {
            if let Some(signals) = signals.as_deref_mut()
                && signals.poll_step(cx).is_ready()
            {
                return Poll::Ready(None);
            }
            // What has ended counts, even if the grace is none.
            match results.poll_next(cx) {
                Poll::Pending if Pin::new(&mut over).poll(cx).is_ready() => Poll::Ready(None),
                next => next,
            }
        });
        let Some((_, end)) = next.await else { return };
        running -= 1;
        match end {
            Ok((at, Some(Some(outcome)))) => report.ends(at, outcome),
            Ok((at, Some(None))) => report.waits(at),
            _ => {}
        }
    }
}

/// The policies of each host. They share the budget of retries and the rate.
fn stacks(
    options: &Options,
    targets: &Targets,
    clock: &Clock,
    rate: Option<&Arc<RateLimiter>>,
    openings: &Arc<Openings>,
) -> Result<Vec<Stack<Dynamic<u16, Fault>>>, Invalid> {
    let budget = Budget::share(0.2).clock(clock).build()?;
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
        if let Some(rate) = rate {
            let rate = Arc::clone(rate);
            // The first attempt had its turn before the check began: its time does not pass in a queue.
            let again = from_async_once(move |next: NextOnce<u16, Fault>, at: Attempt| {
                let rate = Arc::clone(&rate);
                async move {
                    if at.number() > 1 || at.hedge() > 0 {
                        // Nobody closes it, and nobody asks for more than there can be.
                        let _ = rate.acquire(1).await;
                    }
                    next.run(at).await
                }
            });
            stack = stack.layer(|layer| layer.policy(again));
        }
        if options.breaker > 0 {
            let breaker = Breaker::consecutive(options.breaker)
                .open_for(Duration::from_secs(1))
                .named(host)
                .clock(clock)
                .observer(Arc::clone(openings))
                .build()?;
            let judged = breaker.judging(|result: &Result<u16, Error<Fault>>| match result {
                Err(Error::Inner(fault)) => fault.of_host(),
                other => ByDefault.classify(other),
            });
            stack = stack.layer(|layer| layer.breaker(judged));
        }
        stack = stack.layer(|layer| layer.timeout(options.timeout));
        stacks.push(stack.build()?);
    }
    Ok(stacks)
}

/// How far the latest attempt came. A check that is over between two of them, because the time is up or the
/// circuit has opened, came to what was found out before.
#[derive(Clone, Copy)]
enum Latest {
    None,
    Runs,
    Failed(Fault),
}

impl<N: Net> Checks<N> {
    /// Checks an endpoint; none if there was no descriptor for it, so that it comes again.
    async fn check(&self, at: usize) -> Option<Outcome> {
        let endpoint = &self.targets.endpoints[at];
        let host = &self.targets.hosts[endpoint.host()];
        let found = self.names.address(&self.net, endpoint.host(), host).await;
        let begun = self.clock.now();
        let (verdict, attempts) = match found {
            Ok(address) => self.ask(endpoint, host, &address).await,
            Err(fault) => (Verdict::Ill(fault), 0),
        };
        if verdict == Verdict::Ill(Fault::NoDescriptor) {
            // Others give theirs back soon.
            self.clock.sleep(Duration::from_millis(5)).await;
            return None;
        }
        let now = self.clock.now();
        let (begun, took) = (begun.saturating_since(self.begun), now.saturating_since(begun));
        Some(Outcome::new(verdict, attempts, begun, took))
    }

    async fn ask(&self, endpoint: &Endpoint, host: &str, address: &N::Address) -> (Verdict, u32) {
        let latest = Mutex::new(Latest::None);
        let note = |now| *latest.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let path = self.targets.path(endpoint);
        let called = self.hosts[endpoint.host()]
            .call_reported(async |_| {
                note(Latest::Runs);
                let result = attempt(&self.net, address, host, path).await;
                if let Err(fault) = result {
                    note(Latest::Failed(fault));
                }
                result
            })
            .await;
        let latest = latest.into_inner().unwrap_or_else(PoisonError::into_inner);
        let verdict = match (called.result, latest) {
            (Ok(status), _) => Verdict::Well(status),
            (Err(Error::Inner(fault)), _) | (Err(_), Latest::Failed(fault)) => Verdict::Ill(fault),
            (Err(error), Latest::None) if error.is_circuit_open() => Verdict::NotAsked,
            (Err(_), _) => Verdict::TimedOut,
        };
        (verdict, called.attempts)
    }
}

/// The own fleet alone.
struct Serve {
    options: Options,
}

impl Program for Serve {
    type Output = io::Result<()>;

    async fn run<N: Net>(self, net: N, runtime: Runtime) -> io::Result<()> {
        let mut signals = Signals::interrupt_and_terminate()?;
        let mut targets = Targets::default();
        let Options { endpoints, seed, .. } = self.options;
        let fleet = Fleet::start(&net, &runtime, endpoints, seed, &mut targets).await?;
        let urls = targets.endpoints.iter().map(|endpoint| targets.url(endpoint) + "\n");
        export::say(&urls.collect::<String>())?;
        drop(targets);
        signals.recv().await;
        drop(fleet);
        Ok(())
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
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Openings {
    fn interest(&self) -> Interest {
        Interest::BREAKER
    }

    fn on_event(&self, event: &Event<'_>) {
        if let EventKind::Opened { .. } = event.kind() {
            let at = self.clock.now().saturating_since(self.begun);
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push((at, event.source().to_owned()));
        }
    }
}
