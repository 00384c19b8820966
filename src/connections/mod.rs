//! The pool, and what is known of each of its connections.
//!
//! A connection is leased for one call: checked out alive, used, and given back, or closed if anything went wrong
//! with it. A lease that is dropped half-way (the caller's future was cancelled) closes its connection too: the
//! driver would hand the rows of the abandoned statement to the next one.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use mysql_async::{Opts, OptsBuilder, Pool, PoolOpts, prelude::Queryable};
use tokio::{
    sync::Semaphore,
    task::{unconstrained, yield_now},
    time::timeout,
};

use crate::{event::Listeners, guard::Table, policy::Settings};

mod lease;
mod orphans;
mod records;
mod session;
mod setup;
mod slot;

pub(crate) use lease::Lease;
use orphans::Orphans;
use records::{Condition, Records};
pub(crate) use session::{Fate, Session};
pub(crate) use setup::{Setup, SetupFailed};
pub(crate) use slot::{Rebuild, Slot, Standing, Trouble};

/// After so long without a returned connection the sockets of the idle ones are looked at anew.
const QUIET: Duration = Duration::from_micros(100);

/// How connections are kept.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// Ping a connection that has idled for at least this long before it is used; `None` never.
    pub(crate) ping_after: Option<Duration>,
    /// Retire a connection at this age; `None` never.
    pub(crate) max_age: Option<Duration>,
    /// Give up a reset after this time.
    pub(crate) reset_timeout: Duration,
    /// The table of the guard.
    pub(crate) guard: Table,
    pub(crate) setup: Setup,
}

/// What all clones of an executor share.
#[derive(Debug)]
pub(crate) struct Shared {
    pool: Pool,
    /// One permit for each connection that the pool may have. Waiting for a free connection happens here, so that
    /// the connect time-out does not run while a call is merely queued.
    permits: Semaphore,
    records: Arc<Records>,
    orphans: Orphans,
    /// When a connection last went back to the pool, in microseconds after `made`.
    last_return: AtomicU64,
    made: Instant,
    ping_after: Option<Duration>,
    reset_timeout: Duration,
    /// Host and port, or socket: for messages. No user, no password.
    pub(crate) address: String,
    /// A reset leaves a connection as a new one is. Not so where something is to run once on each new connection
    /// (`init`, `after_connect`): the driver's reset does not run that again.
    resettable: bool,
    /// An error of the driver's statement cache tells whether a statement had been prepared.
    pub(crate) caches_statements: bool,
    pub(crate) tls: bool,
    pub(crate) reads_local_files: bool,
    pub(crate) listeners: Listeners,
    setup: Setup,
    pub(crate) guard: Table,
    pub(crate) guard_is_good: AtomicBool,
    /// In milliseconds.
    pub(crate) longest_deadline: AtomicU64,
}

impl Shared {
    pub(crate) fn new(opts: Opts, keeping: Keeping, listeners: Listeners) -> Self {
        let constraints = opts.pool_opts().constraints();
        // an age that the options set is the driver's to keep
        let max_age = keeping.max_age.filter(|_| opts.pool_opts().abs_conn_ttl().is_none());
        let records = Arc::new(Records::new(constraints.max(), max_age));
        let resettable = opts.init().is_empty() && opts.after_connect().is_none();
        Shared {
            pool: Pool::new(pool_opts(&opts, &records)),
            permits: Semaphore::new(constraints.max().min(Semaphore::MAX_PERMITS)),
            records,
            orphans: Orphans::default(),
            last_return: AtomicU64::new(0),
            made: Instant::now(),
            ping_after: keeping.ping_after,
            reset_timeout: keeping.reset_timeout,
            address: address(&opts),
            resettable,
            caches_statements: opts.stmt_cache_size() > 0,
            tls: opts.ssl_opts().is_some(),
            // a callback may give a connection a handler of its own
            reads_local_files: opts.local_infile_handler().is_some() || opts.after_connect().is_some(),
            listeners,
            setup: keeping.setup,
            guard: keeping.guard,
            guard_is_good: AtomicBool::new(false),
            longest_deadline: AtomicU64::new(0),
        }
    }

    /// A policy with this deadline is used from now on.
    pub(crate) fn note_deadline(&self, deadline: Duration) {
        let millis = deadline.as_millis().try_into().unwrap_or(u64::MAX);
        self.longest_deadline.fetch_max(millis, Relaxed);
    }

    /// Closes the idle connections, and the others when their calls end. Nothing is handed out any more.
    pub(crate) async fn close(&self) -> mysql_async::Result<()> {
        self.permits.close();
        self.pool.clone().disconnect().await
    }

    /// A connection that was alive a moment ago, by `deadline`.
    pub(crate) async fn checkout(
        self: &Arc<Self>,
        now: Instant,
        deadline: Instant,
        settings: &Settings,
    ) -> mysql_async::Result<Lease> {
        self.permit(deadline).await?;
        let permit = Permit(self);
        // The pool's look at a socket sees what the runtime's I/O driver has told it. A task that kept its thread busy
        // with other work kept the driver from looking too; this lets it look. It costs nothing in a busy executor.
        if self.quiet(now) >= QUIET {
            yield_now().await;
        }
        // each turn either ends or closes a connection of the pool
        loop {
            let conn = self.connect(deadline, settings).await?;
            let mut lease = Lease::new(conn, self);
            if self.verify(&mut lease, now, deadline, settings).await? {
                permit.hand_over();
                return Ok(lease.with_permit());
            }
            lease.retire();
            self.listeners.counting.retired.add_one();
        }
    }

    /// How long no connection has gone back to the pool.
    fn quiet(&self, now: Instant) -> Duration {
        let last_return = Duration::from_micros(self.last_return.load(Relaxed));
        now.saturating_duration_since(self.made).saturating_sub(last_return)
    }

    fn note_return(&self, now: Instant) {
        let micros = now.saturating_duration_since(self.made).as_micros();
        self.last_return.store(micros.try_into().unwrap_or(u64::MAX), Relaxed);
    }

    /// A session was left with a statement under way: ends it, in the background.
    pub(crate) fn abandon(self: &Arc<Self>, session: Session) {
        Orphans::add(self, session);
    }

    async fn permit(&self, deadline: Instant) -> mysql_async::Result<()> {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout_at(deadline.into(), self.permits.acquire())
                .await
                .map_err(|_| timed_out("no connection of the pool became free".into()))?
                .map_err(|_| mysql_async::DriverError::PoolDisconnected)?,
        };
        permit.forget();
        Ok(())
    }

    async fn connect(&self, deadline: Instant, settings: &Settings) -> mysql_async::Result<mysql_async::Conn> {
        // Unconstrained: when a task has used up its share of tokio's cooperative budget, the pool's check of an idle
        // socket would take 'not now' for 'alive' (TCP), or leak the slot if it is then cancelled (unix socket).
        let mut connecting = pin!(unconstrained(self.pool.get_conn()));
        // An idle connection is there at once, or as soon as the pool's task has taken it back from the call before:
        // no timer is set up for that.
        for _ in 0..2 {
            if let Poll::Ready(conn) = poll_fn(|cx| Poll::Ready(connecting.as_mut().poll(cx))).await {
                return conn;
            }
            yield_now().await;
        }
        bounded(connecting, "connect", deadline, settings).await
    }

    /// Whether the connection is fit for use. An error is one of a new connection; an old one is just replaced.
    async fn verify(
        &self,
        lease: &mut Lease,
        now: Instant,
        deadline: Instant,
        settings: &Settings,
    ) -> mysql_async::Result<bool> {
        match self.records.condition(lease.connection(), now) {
            Condition::Over => Ok(false),
            Condition::Idle(idle) if self.ping_after.is_some_and(|limit| idle >= limit) => {
                Ok(bounded(lease.conn().ping(), "ping", deadline, settings).await.is_ok())
            }
            Condition::Idle(_) => Ok(true),
            Condition::New => {
                let asking = session::introduce(lease.conn());
                let introduction = bounded(asking, "check of a new connection", deadline, settings).await?;
                bounded(self.setup.run(lease.conn()), "set-up", deadline, settings).await?;
                self.records.introduce(lease.connection(), introduction);
                Ok(true)
            }
        }
    }
}

/// A permit of the pool that is released unless it was handed over to a lease.
struct Permit<'a>(&'a Shared);

impl Permit<'_> {
    fn hand_over(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.permits.add_permits(1);
    }
}

/// The pool's options: the user's, but without the pool's own reset of returned connections (a round trip and the
/// statement cache each time, and it hangs for ever in a black hole), and with a record of each new connection.
fn pool_opts(opts: &Opts, records: &Arc<Records>) -> OptsBuilder {
    let pool_opts: PoolOpts = opts.pool_opts().clone().with_reset_connection(false);
    // zero: off. The driver would look at the clock several times for each call; the idle limit is kept here
    let conn_ttl = opts.conn_ttl().unwrap_or(Duration::ZERO);
    let users_callback = opts.after_connect();
    let records = records.clone();
    OptsBuilder::from_opts(opts.clone()).pool_opts(pool_opts).conn_ttl(conn_ttl).after_connect(move |conn| {
        records.insert_new(conn);
        match &users_callback {
            Some(callback) => callback(conn),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    })
}

fn address(opts: &Opts) -> String {
    match opts.socket() {
        Some(path) => path.to_owned(),
        None => format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port()),
    }
}

/// Runs a piece of driver work that has no time-out of its own, until the connect time-out or the deadline.
async fn bounded<T>(
    work: impl Future<Output = mysql_async::Result<T>>,
    what: &str,
    deadline: Instant,
    settings: &Settings,
) -> mysql_async::Result<T> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    let limit = settings.connect_timeout.map_or(remaining, |limit| limit.min(remaining));
    timeout(limit, work).await.map_err(|_| timed_out(format!("no answer to {what} within {limit:.3?}")))?
}

/// A time-out of ours, in the driver's error type, so that one table classifies everything.
pub(crate) fn timed_out(message: String) -> mysql_async::Error {
    io::Error::new(io::ErrorKind::TimedOut, message).into()
}

/// Polls once, without a task to wake.
pub(crate) fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
