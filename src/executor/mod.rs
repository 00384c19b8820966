//! The executor: what users hold instead of a pool.

use std::{fmt, sync::Arc, time::Instant};

use mysql_async::Opts;

use crate::{
    attempt::Untouched,
    call::{Call, Facts},
    connection::Connection,
    connections::Shared,
    error::Result,
    event::Counters,
    policy::RetryPolicy,
    span::CallSpan,
    statement::AsStatement,
};

mod builder;
mod methods;

pub use builder::Builder;

/// Runs statements on a pool of connections, and keeps them running when connections get lost.
///
/// Made once, from the same options as a `mysql_async::Pool`; cheap to clone, and shared by all clones. Its methods
/// have the names, the argument order and the conversions of the driver's `Queryable`:
///
/// ```no_run
/// use mysql_retry::{Annotate, Executor};
///
/// # async fn f() -> mysql_retry::Result<()> {
/// let exec = Executor::from_url("mysql://app:secret@db.example/shop")?;
///
/// // delivered at most once: sent again only while it is proved that the server did not execute it
/// exec.exec_drop("INSERT INTO visit (page) VALUES (?)", ("home",)).await?;
///
/// // delivered at least once: replayed until it succeeds or the policy ends
/// let pages: Vec<String> = exec.query("SELECT DISTINCT page FROM visit".idempotent()).await?;
/// # Ok(()) }
/// ```
///
/// Each call may run on another connection, so statements must not depend on session state (user variables, `SET`,
/// `USE`, temporary tables, locks, transactions, `LAST_INSERT_ID()`); what a statement leaves behind is reset before
/// the connection is used again. Text that takes part in state belongs on a [`connection`](Executor::connection).
///
/// Like the driver's pool, an executor belongs to one tokio runtime, the one on which it is first used; that needs
/// its I/O and its timers enabled.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
    policy: RetryPolicy,
    until: Option<Instant>,
}

impl Executor {
    /// An executor with the default policy, for whatever `mysql_async::Pool::new` takes: a URL, `OptsBuilder`,
    /// `Opts`. Nothing is connected yet.
    ///
    /// # Errors
    /// The options make no sense, say a malformed URL.
    pub fn new<O>(opts: O) -> Result<Self>
    where
        Opts: TryFrom<O>,
        <Opts as TryFrom<O>>::Error: std::error::Error,
    {
        Executor::builder().build(opts)
    }

    /// An executor with the default policy, for a URL such as `mysql://user:password@host:3306/database`.
    ///
    /// # Errors
    /// The URL is malformed or has a parameter that the driver does not know.
    pub fn from_url(url: impl AsRef<str>) -> Result<Self> {
        Executor::builder().build_url(url.as_ref())
    }

    /// Begins an executor with a policy, checks and listeners of your own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The same executor with another policy. Cheap: connections, counters and the hook are shared.
    ///
    /// ```
    /// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// use mysql_retry::RetryPolicy;
    ///
    /// exec.with_policy(&RetryPolicy::none()).query_drop("ANALYZE TABLE visit").await?;
    /// # Ok(()) }
    /// ```
    pub fn with_policy(&self, policy: &RetryPolicy) -> Self {
        Executor { shared: self.shared.clone(), policy: policy.clone(), until: self.until }
    }

    /// The same executor for work that has to end by a certain time, say that of a request: calls are bounded by
    /// `deadline` as well as by the policy's own. A call after it sends nothing.
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        Executor { until: Some(self.until.map_or(deadline, |until| until.min(deadline))), ..self.clone() }
    }

    /// The policy of this handle.
    pub fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// What has happened since the executor was made, over all its clones.
    pub fn counters(&self) -> Counters {
        self.shared.listeners.counting.read()
    }

    /// Borrows a raw connection of the driver, verified alive, for what the executor does not cover.
    ///
    /// What is done on it is outside this library's contract: nothing is retried or classified. Getting it is inside:
    /// the policy's deadline and delays hold. It is reset and goes back to the pool when dropped.
    ///
    /// # Errors
    /// As for a statement that could not be sent.
    pub async fn connection(&self) -> Result<Connection> {
        let ((), lease) = self.call(&"").run_leased(Untouched).await?;
        Ok(Connection::new(lease))
    }

    /// A call whose attempt is ready at once: for the bench.
    #[doc(hidden)]
    pub async fn ready(&self, statement: impl AsStatement) -> Result<()> {
        self.call(&statement).run(Untouched).await
    }

    /// Closes all connections, after the calls that are under way. Calls made afterwards fail.
    ///
    /// Waits for borrowed connections and open streams. Dropping the last clone closes the idle connections too.
    ///
    /// # Errors
    /// The driver reports one; the connections are gone all the same.
    pub async fn close(self) -> Result<()> {
        let call = self.call(&"");
        self.shared.close().await.map_err(|error| call.closing_failed(error))
    }

    /// Goes on with a call whose facts were kept.
    pub(crate) fn resume(&self, facts: Facts, span: CallSpan) -> Call<'_> {
        Call::resume(&self.shared, &self.policy, facts, span)
    }

    fn call<'c>(&'c self, statement: &impl AsStatement) -> Call<'c> {
        Call::new(&self.shared, &self.policy, self.until, &statement.text(), statement.delivery())
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("address", &self.shared.address)
            .field("policy", &self.policy)
            .field("until", &self.until)
            .field("listeners", &self.shared.listeners)
            .finish_non_exhaustive()
    }
}
