//! The pool, and what is known of each of its connections.
//!
//! A connection is leased for one call: checked out alive, used, and returned, or closed if anything went wrong with it. A
//! lease that is dropped before its end (the caller's future was cancelled) closes its connection too: the next statement on
//! it would read the reply of the abandoned one.

use std::{
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use mysql_async::Opts;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    driver::timed_out,
    event::Listeners,
    guard::Table,
    meter::{Level, Meters},
    outage::{self, Outage},
    policy::{Budget, RetryBudget},
    pool::watch::Watch,
};

mod availability;
mod backend;
mod checkout;
mod introduction;
mod lane;
mod lease;
mod limits;
mod parking;
mod prepared;
mod record;
mod records;
mod setup;
mod slot;
mod slow_start;
mod target;
mod tasks;

pub(crate) use backend::{Backend, Doing, Fate, doing};
pub(crate) use checkout::NoConnection;
use lane::Lane;
pub(crate) use lease::{End, Lease};
pub(crate) use limits::Limits;
pub(crate) use parking::{Finding, GivenUp};
pub(crate) use record::Record;
pub(crate) use setup::Setup;
pub(crate) use slot::{Broken, Rebuild, Rider, Slot, Standing, Trouble};
use slow_start::SlowStart;
use target::Target;
pub(crate) use tasks::watch;
use tasks::{keeper::Keeper, orphans::Orphans};

/// How connections are kept.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// Ping a connection that has idled for at least this long before it is used; `None` never.
    pub(crate) ping_after: Option<Duration>,
    /// Retire a connection at this age; `None` never.
    pub(crate) max_age: Option<Duration>,
    /// A reset, and a probe, are given up after this time.
    pub(crate) reset_timeout: Duration,
    /// The table of the guard.
    pub(crate) guard: Table,
    pub(crate) setup: Setup,
    pub(crate) outage: outage::Tuning,
    pub(crate) watch: watch::Tuning,
    pub(crate) budget: Option<RetryBudget>,
    /// The spans of calls have their texts.
    pub(crate) traces_text: bool,
}

/// What all clones of an executor share.
pub(crate) struct Shared {
    /// In order of preference.
    pub(crate) targets: Box<[Target]>,
    /// One permit for each connection that may be in use. Waiting for a free connection happens here, so that
    /// the connect time-out does not run while a call is merely queued.
    permits: Semaphore,
    /// How many of them there are.
    size: usize,
    /// One permit for each connection that may be in the process of being made.
    handshakes: Semaphore,
    slow_start: SlowStart,
    pub(crate) outage: Outage,
    probing: Keeper,
    retaking: Keeper,
    trimming: Keeper,
    pub(crate) watch: Watch,
    budget: Option<Budget>,
    orphans: Orphans,
    lane: Lane,
    made: Instant,
    ping_after: Option<Duration>,
    /// Also a connection that was returned a moment ago is pinged.
    pings_at_once: bool,
    pub(crate) reset_timeout: Duration,
    /// An error of the driver's statement cache tells whether a statement had been prepared.
    pub(crate) caches_statements: bool,
    pub(crate) tls: bool,
    pub(crate) reads_local_files: bool,
    pub(crate) traces_text: bool,
    pub(crate) listeners: Listeners,
    setup: Setup,
    pub(crate) guard: Table,
    /// The table of the guard at each target, with its database, once it has been checked.
    pub(crate) guards: Box<[OnceLock<Arc<Table>>]>,
    /// In milliseconds.
    pub(crate) longest_deadline: AtomicU64,
}

/// How many connections may be made at the same time, so that not all calls connect at once when a server is back.
const HANDSHAKES: usize = 16;

impl Shared {
    /// For at least one target.
    pub(crate) fn new(targets: Vec<Opts>, keeping: Keeping, listeners: Listeners) -> Self {
        let sizes = targets.iter().map(|opts| opts.pool_opts().constraints().max());
        let size = sizes.min().unwrap_or_default().min(Semaphore::MAX_PERMITS);
        let caches_statements = targets.iter().all(|opts| opts.stmt_cache_size() > 0);
        let tls = targets.iter().any(|opts| opts.ssl_opts().is_some());
        // a callback may set a handler for local files on a connection
        let reads_local_files =
            targets.iter().any(|opts| opts.local_infile_handler().is_some() || opts.after_connect().is_some());
        let guards = targets.iter().map(|_| OnceLock::new()).collect();
        Shared {
            targets: targets.into_iter().map(|opts| Target::new(opts, keeping.max_age)).collect(),
            permits: Semaphore::new(size),
            size,
            handshakes: Semaphore::new(HANDSHAKES),
            slow_start: SlowStart::default(),
            outage: Outage::new(keeping.outage),
            probing: Keeper::default(),
            retaking: Keeper::default(),
            trimming: Keeper::default(),
            watch: Watch::new(keeping.watch),
            budget: keeping.budget.map(Budget::new),
            orphans: Orphans::default(),
            lane: Lane::default(),
            made: Instant::now(),
            ping_after: keeping.ping_after,
            pings_at_once: keeping.ping_after.is_some_and(|after| after <= lane::WINDOW),
            reset_timeout: keeping.reset_timeout,
            caches_statements,
            tls,
            reads_local_files,
            traces_text: keeping.traces_text,
            listeners,
            setup: keeping.setup,
            guard: keeping.guard,
            guards,
            longest_deadline: AtomicU64::new(0),
        }
    }

    /// A policy with this deadline is used from now on.
    pub(crate) fn note_deadline(&self, deadline: Duration) {
        let millis = deadline.as_millis().try_into().unwrap_or(u64::MAX);
        self.longest_deadline.fetch_max(millis, Relaxed);
    }

    /// Where statements go at the moment, for messages.
    pub(crate) fn address(&self) -> &str {
        &self.current().1.address
    }

    /// How to get there.
    pub(crate) fn opts(&self) -> &Opts {
        &self.current().1.opts
    }

    /// Closes the idle connections, and the others when their calls end. No connection is given out any more.
    pub(crate) async fn close(&self) -> mysql_async::Result<()> {
        self.permits.close();
        self.handshakes.close();
        self.outage.close();
        self.lane.clear();
        let mut result = Ok(());
        for target in &self.targets {
            result = result.and(target.pool.clone().disconnect().await);
        }
        result
    }

    /// The target that statements go to.
    fn current(&self) -> (usize, &Target) {
        let index = self.outage.current();
        (index, &self.targets[index])
    }

    /// Whether a connection to the current target idles, dead or alive.
    fn has_idle(&self) -> bool {
        let (index, target) = self.current();
        target.has_idle() || self.lane.has(index)
    }

    /// The metrics of the current target.
    pub(crate) fn meters(&self) -> &Meters {
        // nothing is looked up where nothing is measured
        let index = if cfg!(feature = "metrics") { self.current().0 } else { 0 };
        &self.targets[index].meters
    }

    /// Tells the metrics how many connections there are.
    pub(crate) fn measure(&self) {
        self.meters().level(|| {
            let used = self.size.saturating_sub(self.permits.available_permits());
            let idle = self.current().1.open().saturating_sub(used);
            Level { used, idle, budget_left: self.budget_left() }
        });
    }

    /// How many connections to the current target there are, also those that are being made or closed, and how many of them are in
    /// use.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let (index, target) = self.current();
        let open = target.open();
        (open, open.saturating_sub(target.idle() + self.lane.count(index)))
    }
}

/// Runs work of the driver, which has no time-out of its own, until the connect time-out or the deadline.
async fn bounded<T>(
    work: impl Future<Output = mysql_async::Result<T>>,
    what: &str,
    limits: Limits,
) -> mysql_async::Result<T> {
    let remaining = limits.deadline.saturating_duration_since(Instant::now());
    let limit = limits.connect_within(remaining);
    timeout(limit, work).await.map_err(|_| timed_out(format!("no answer to {what} within {limit:.3?}")))?
}

/// Polls once, without a task to wake.
pub(crate) fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
