//! What the tests share: servers, executors, and ways to count what really happened.

pub mod hooks;

use std::{
    fmt::Write as _,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use mysql_async::{OptsBuilder, PoolConstraints, PoolOpts};
use mysql_retry::{Classification, Event, Executor, Outcome, Unavailable, Unfenced};
use mysql_retry_fixture::{Proxy, Server};
use tokio::sync::OnceCell;

/// Longer than anything in these tests takes; only a test that would hang for ever meets it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The server of all tests that do not disturb their server. Each has tables of its own on it.
pub async fn shared() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(Server::start).await
}

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An executor on a server, over the transport of this run.
pub fn executor(server: &Server) -> Executor {
    Executor::new(server.opts()).expect("good options")
}

/// An executor on a server, through a proxy.
pub fn executor_via(proxy: &Proxy) -> Executor {
    Executor::new(proxy.opts()).expect("good options")
}

/// The options with a pool of at most so many connections.
pub fn pool_of(connections: usize, opts: OptsBuilder) -> OptsBuilder {
    let constraints = PoolConstraints::new(1, connections).expect("at least one connection");
    opts.pool_opts(PoolOpts::default().with_constraints(constraints))
}

/// The same, and the pool keeps so many when they idle. (Else it keeps one.)
pub fn pool_that_keeps(kept: usize, connections: usize, opts: OptsBuilder) -> OptsBuilder {
    let constraints = PoolConstraints::new(kept, connections).expect("no more than there are");
    opts.pool_opts(PoolOpts::default().with_constraints(constraints))
}

/// Makes so many connections.
pub async fn warm_up(exec: &Executor, connections: usize) {
    let meeting = (0..connections).map(|_| exec.query_drop("SELECT SLEEP(0.4)"));
    for met in in_time(join_all(meeting)).await {
        met.expect("a connection");
    }
}

/// An executor with one connection, so that what is left on it meets the next caller.
pub fn executor_of_one(opts: OptsBuilder) -> Executor {
    Executor::new(pool_of(1, opts)).expect("good options")
}

/// The same, for texts that an executor refuses otherwise, because they need a session.
pub fn executor_of_one_for_any_text(opts: OptsBuilder) -> Executor {
    Executor::builder().allow_session_text(true).build(pool_of(1, opts)).expect("good options")
}

/// The server's id of a connection of the executor; of the only one if its pool has one.
pub async fn connection_id(exec: &Executor) -> u32 {
    let id = exec.query_first("SELECT CONNECTION_ID()").await.expect("an answer");
    id.expect("a row")
}

/// Nothing was lost, not even in silence: nothing had to be sent twice.
pub fn assert_no_loss(exec: &Executor) {
    let counters = exec.counters();
    assert_eq!((counters.losses, counters.resends, counters.replays), (0, 0, 0), "{counters:?}");
}

/// Waits for what has to come, and fails instead of hanging for ever.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("a test that hangs")
}

/// Waits until so many calls wait for the end of an outage.
pub async fn all_wait(exec: &Executor, calls: u64) {
    in_time(async {
        while exec.counters().waiting != calls {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Waits until nothing that the executor ever sent can still run.
pub async fn settle(server: &Server, proxy: &Proxy, exec: Executor) {
    exec.close().await.expect("closed");
    for (_, id) in proxy.server_ids() {
        server.wait_gone(id).await;
    }
}

/// Waits until so many faults have happened, and returns how many there were. (A client may see one before it is counted.)
pub async fn fired(proxy: &Proxy, at_least: usize) -> usize {
    proxy.wait_fired(at_least).await;
    proxy.fired()
}

/// A table of a test's own, `(id INT AUTO_INCREMENT PRIMARY KEY, n INT)`, that counts what the server executed.
pub struct Ledger<'s> {
    server: &'s Server,
    pub table: String,
}

impl<'s> Ledger<'s> {
    /// An empty table in the database `test`.
    pub async fn new(server: &'s Server) -> Self {
        let table = unique("ledger");
        server.query_drop(format!("CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)")).await;
        Ledger { server, table }
    }

    /// A statement that adds one row each time that it runs.
    pub fn insert(&self) -> String {
        format!("INSERT INTO {} (n) VALUES (1)", self.table)
    }

    /// The same with a parameter.
    pub fn insert_param(&self) -> String {
        format!("INSERT INTO {} (n) VALUES (?)", self.table)
    }

    /// Puts rows with n = 1, 2, 3 .. there.
    pub async fn fill(&self, rows: usize) {
        let mut sql = format!("INSERT INTO {} (n) VALUES ", self.table);
        for n in 1..=rows {
            let comma = if n == 1 { "" } else { ", " };
            write!(sql, "{comma}({n})").expect("a string takes everything");
        }
        self.server.query_drop(sql).await;
    }

    /// The number of rows: how often inserts were executed.
    pub async fn rows(&self) -> u64 {
        self.server.query_first(format!("SELECT COUNT(*) FROM {}", self.table)).await.expect("a row")
    }

    /// The values of n in the order of the ids.
    pub async fn values(&self) -> Vec<i32> {
        use mysql_async::prelude::Queryable as _;
        let mut conn = self.server.connect().await;
        let values = conn.query(format!("SELECT n FROM {} ORDER BY id", self.table)).await;
        conn.disconnect().await.expect("a goodbye");
        values.expect("the values")
    }
}

/// An [`Event`], kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    Lost { classification: Classification, connection_id: Option<u32>, attempt: u32 },
    Scheduled { after: Duration, outcome: Outcome, attempt: u32 },
    Replayed { attempt: u32, connection_id: u32 },
    Unfenced { why: Unfenced, attempt: u32 },
    Recovered { attempts: u32 },
    GaveUp,
    Down { why: Unavailable },
    Probing { number: u64 },
    Back { waiting: u64 },
    Moved,
}

/// Writes down the events of an executor.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<Told>>>);

impl Events {
    /// A hook for [`Builder::on_event`](mysql_retry::Builder::on_event).
    pub fn hook(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let told = self.0.clone();
        move |event| {
            let event = match *event {
                Event::ConnectionLost { classification, connection_id, attempt, .. } => {
                    Told::Lost { classification, connection_id, attempt }
                }
                Event::RetryScheduled { after, outcome, attempt, .. } => Told::Scheduled { after, outcome, attempt },
                Event::Replayed { attempt, connection_id, .. } => Told::Replayed { attempt, connection_id },
                Event::Unfenced { why, attempt, .. } => Told::Unfenced { why, attempt },
                Event::Recovered { attempts, .. } => Told::Recovered { attempts },
                Event::GaveUp { .. } => Told::GaveUp,
                Event::Down { why, .. } => Told::Down { why },
                Event::Probing { number, .. } => Told::Probing { number },
                Event::Back { waiting, .. } => Told::Back { waiting },
                Event::Moved { .. } => Told::Moved,
                _ => panic!("an event that the tests do not know: {event:?}"),
            };
            told.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        }
    }

    /// What was told so far.
    pub fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
