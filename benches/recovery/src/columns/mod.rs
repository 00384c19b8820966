//! Who is compared: each with the same load, the same size of the pool, and time-outs that outlive the longest outage.
//!
//! What each is told stands in its own file. A black hole is noticed by time-outs alone, and the driver has none: for the
//! others the call is wrapped in `tokio::time::timeout` of [`CALL_LIMIT`], which is what people do.

mod bare;
mod ours;
mod retry_loop;
#[cfg(feature = "sqlx")]
mod sqlx_pool;

use std::time::Duration;

use mysql_async::{Opts, OptsBuilder, PoolConstraints, PoolOpts};

/// Connections of each pool, where it is one.
pub(crate) const POOL_SIZE: usize = 32;

/// After this time a statement without an answer counts as lost.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Who may wait for the server waits for so long: longer than any outage.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const READ: &str = "SELECT v FROM t WHERE id = ?";
const WRITE: &str = "UPDATE t SET v = ? WHERE id = ?";

/// The user of all columns: without rights that would let it in where others are kept out.
pub(crate) const USER: &str = "app";
const DATABASE: &str = "test";

/// One of those that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Ours,
    Bare,
    RetryLoop,
    #[cfg(feature = "sqlx")]
    Sqlx,
}

/// How many connections a pool keeps, and has at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

/// TCP ports of 127.0.0.1 to reach the server at.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// Leads to whichever server is in charge.
    pub(crate) front: u16,
    /// Lead to one server each, in failovers; for who can choose by itself.
    pub(crate) targets: Option<Vec<u16>>,
    /// The share of the successes that may be replays, and how many may be before; for who knows of such a thing.
    pub(crate) budget: Option<(f64, u32)>,
    pub(crate) pool: Pool,
}

impl Way {
    /// To one server, with the budget that comes with the library.
    pub(crate) fn to(front: u16) -> Self {
        Way { front, targets: None, budget: None, pool: Pool { min: POOL_SIZE, max: POOL_SIZE } }
    }
}

/// A column at work. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Client {
    Ours(ours::Client),
    Bare(bare::Client),
    RetryLoop(retry_loop::Client),
    #[cfg(feature = "sqlx")]
    Sqlx(sqlx_pool::Client),
}

/// What became of a call; the error in words, for the report.
pub(crate) type Done = Result<(), String>;

impl Column {
    pub(crate) const ALL: &[Column] = &[
        Column::Ours,
        Column::Bare,
        Column::RetryLoop,
        #[cfg(feature = "sqlx")]
        Column::Sqlx,
    ];

    /// The name in `RECOVERY_COLUMNS`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Column::Ours => "ours",
            Column::Bare => "bare",
            Column::RetryLoop => "backoff",
            #[cfg(feature = "sqlx")]
            Column::Sqlx => "sqlx",
        }
    }

    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Column::Ours => "mysql-retry",
            Column::Bare => "bare pool",
            Column::RetryLoop => "backoff loop",
            #[cfg(feature = "sqlx")]
            Column::Sqlx => "sqlx pool",
        }
    }

    /// Whether it finds the new server of a failover by itself, so that nobody has to lead it there.
    pub(crate) fn knows_targets(self) -> bool {
        self == Column::Ours
    }

    /// Makes its pool; nothing is connected yet. To be called inside of the runtime that the calls are made on.
    pub(crate) fn client(self, way: &Way) -> Client {
        match self {
            Column::Ours => Client::Ours(ours::Client::new(way)),
            Column::Bare => Client::Bare(bare::Client::new(way)),
            Column::RetryLoop => Client::RetryLoop(retry_loop::Client::new(way)),
            #[cfg(feature = "sqlx")]
            Column::Sqlx => Client::Sqlx(sqlx_pool::Client::new(way)),
        }
    }
}

impl Client {
    /// Reads a row by its key.
    pub(crate) async fn read(&self, id: u32) -> Done {
        match self {
            Client::Ours(client) => client.read(id).await,
            Client::Bare(client) => client.read(id).await,
            Client::RetryLoop(client) => client.read(id).await,
            #[cfg(feature = "sqlx")]
            Client::Sqlx(client) => client.read(id).await,
        }
    }

    /// Writes a value to a row; once more would change nothing.
    pub(crate) async fn write(&self, id: u32, v: u64) -> Done {
        match self {
            Client::Ours(client) => client.write(id, v).await,
            Client::Bare(client) => client.write(id, v).await,
            Client::RetryLoop(client) => client.write(id, v).await,
            #[cfg(feature = "sqlx")]
            Client::Sqlx(client) => client.write(id, v).await,
        }
    }

    /// Runs a text that may run twice and throws its rows away: for the retry budget, which is about the two that retry.
    pub(crate) async fn run(&self, text: &str) -> Done {
        match self {
            Client::Ours(client) => client.run(text).await,
            Client::RetryLoop(client) => client.run(text).await,
            Client::Bare(_) => Err("it does not retry".to_owned()),
            #[cfg(feature = "sqlx")]
            Client::Sqlx(_) => Err("it does not retry".to_owned()),
        }
    }
}

/// Options of the driver for a pool.
fn pool_opts(port: u16, pool: Pool) -> Opts {
    let constraints = PoolConstraints::new(pool.min, pool.max).expect("not less than it keeps");
    opts(port).pool_opts(PoolOpts::default().with_constraints(constraints)).into()
}

/// Options of the driver for a connection without a pool.
pub(crate) fn held_opts(port: u16) -> Opts {
    opts(port).into()
}

fn opts(port: u16) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .prefer_socket(false)
        .user(Some(USER))
        .db_name(Some(DATABASE))
}
