//! One address that statements can go to, and the pool of connections to what answers there.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mysql_async::{Conn, Metrics, Opts, OptsBuilder, Pool, PoolOpts};

use super::records::Records;
use crate::meter::Meters;

/// A server, or a proxy in front of several.
pub(crate) struct Target {
    /// The user's options. Connections beside the pool are made with these.
    pub(crate) opts: Opts,
    pub(super) pool: Pool,
    metrics: Arc<Metrics>,
    pub(super) size: usize,
    pub(crate) records: Arc<Records>,
    pub(super) meters: Meters,
    /// Host and port, or socket: for messages. No user, no password.
    pub(crate) address: String,
    /// Whether a reset leaves a connection as a new one is. It does not where something runs once on each new connection
    /// (`init`, `after_connect`): the driver's reset does not run that again.
    pub(super) resettable: bool,
    /// Whether its connections may go from one caller to the next without the driver's pool.
    pub(super) is_laned: bool,
    made: Instant,
    /// A connection that has idled since before this time, in microseconds after `made`, was idle during an outage.
    doubted: AtomicU64,
}

impl Target {
    pub(super) fn new(opts: Opts, max_age: Option<Duration>) -> Self {
        let size = opts.pool_opts().constraints().max();
        // the driver itself keeps an age that the options set
        let max_age = max_age.filter(|_| opts.pool_opts().abs_conn_ttl().is_none());
        let records = Arc::new(Records::new(size, max_age));
        let pool = Pool::new(pool_opts(&opts, &records));
        Target {
            metrics: pool.metrics(),
            pool,
            size,
            records,
            meters: Meters::new(&opts),
            address: address(&opts),
            resettable: opts.init().is_empty() && opts.after_connect().is_none(),
            is_laned: opts.pool_opts().abs_conn_ttl().is_none(),
            opts,
            made: Instant::now(),
            doubted: AtomicU64::new(0),
        }
    }

    /// Whether a connection idles in the pool, dead or alive.
    pub(super) fn has_idle(&self) -> bool {
        self.idle() > 0
    }

    /// A new connection, for a probe: of the pool, if that has room, so that a call can have it afterwards.
    pub(super) fn probing(&self) -> impl Future<Output = mysql_async::Result<Conn>> + Send + use<> {
        let has_room = !self.has_idle() && !self.is_complete();
        let (pool, opts, records) = (self.pool.clone(), self.opts.clone(), self.records.clone());
        async move {
            if has_room {
                let conn = pool.get_conn().await?;
                // one that was returned meanwhile shows nothing
                if records.is_new(&conn) {
                    return Ok(conn);
                }
            }
            Conn::new(opts).await
        }
    }

    /// How many connections there are, also those that are being made or closed.
    pub(super) fn open(&self) -> usize {
        self.metrics.connection_count.load(Relaxed)
    }

    /// How many of them idle in the pool, dead or alive.
    pub(super) fn idle(&self) -> usize {
        self.metrics.connections_in_pool.load(Relaxed)
    }

    /// Whether the pool has its maximum of connections: a call that needs one waits for the return of another.
    pub(super) fn is_complete(&self) -> bool {
        self.open() >= self.size
    }

    /// Notes an outage: connections that are idle now are pinged before they are used.
    pub(crate) fn doubt(&self) {
        self.doubted.store(self.micros(Instant::now()), Relaxed);
    }

    /// Whether a connection that has idled since then was idle during an outage.
    pub(super) fn is_doubtful(&self, since: Instant) -> bool {
        let doubted = self.doubted.load(Relaxed);
        doubted != 0 && self.micros(since) <= doubted
    }

    fn micros(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.made).as_micros().try_into().unwrap_or(u64::MAX)
    }
}

/// The driver's pool keeps what is not used for this long: the task of [`trim`](super::tasks::trim) closes it sooner.
const FOR_LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// The pool's options: those of the user, but without the pool's own reset of returned connections, and with a record of
/// each new connection. That reset costs a round trip and the statement cache, and never ends on a dead path.
fn pool_opts(opts: &Opts, records: &Arc<Records>) -> OptsBuilder {
    let mut pool_opts: PoolOpts = opts.pool_opts().clone().with_reset_connection(false);
    if pool_opts.inactive_connection_ttl().is_zero() {
        // it would close each connection above its minimum at once, and the next call would log in again
        pool_opts = pool_opts.with_inactive_connection_ttl(FOR_LONG).with_ttl_check_interval(FOR_LONG);
    }
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
