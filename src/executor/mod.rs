//! The executor: what users hold instead of a pool.

use std::{
    convert::identity,
    fmt,
    time::{Duration, Instant},
};

use mysql_async::{Opts, TxOpts};

use crate::{
    call::request::Untouched,
    connection::Connection,
    driver::timed_out,
    error::{Error, Result},
    event::Counters,
    handle::Handle,
    methods::statement_methods,
    policy::RetryPolicy,
    pool::End,
    session::{self, OpenTransaction, Session},
    statement::AsStatement,
    stream::RowStream,
    summary::Summary,
    transaction::{self, Transaction, Tx},
};

mod builder;
mod guard;

pub use builder::ExecutorBuilder;

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
/// Each call may run on another connection, so a text that depends on session state is refused before anything is sent:
/// `SET` of a session's or user's variable, `USE`, `BEGIN` and `COMMIT`, locks, temporary tables, a read of `@name` or
/// `LAST_INSERT_ID()`. Run it on a [`session`](Executor::session) or in a [`transaction`](Executor::transaction); the id of
/// an inserted row is in the [`Summary`](crate::Summary::last_insert_id). A text that brings what it needs runs: `BEGIN; ..;
/// COMMIT`, `SET @a = 1; SELECT @a`. [`ExecutorBuilder::allow_session_text`] lets all through. What a statement leaves behind is
/// reset before the connection is used again.
///
/// Like the driver's pool, an executor belongs to one tokio runtime, the one on which it is first used; that needs
/// its I/O and its timers enabled.
#[derive(Clone)]
pub struct Executor {
    pub(crate) handle: Handle,
}

impl Executor {
    /// An executor with the default policy, for whatever `mysql_async::Pool::new` takes: a URL, `OptsBuilder`,
    /// `Opts`. Nothing is connected yet.
    ///
    /// # Errors
    /// The options are invalid, for example a malformed URL.
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
    pub fn builder() -> ExecutorBuilder {
        ExecutorBuilder::default()
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
        Executor { handle: self.handle.with_policy(policy) }
    }

    /// The same executor for work that has to end by a certain time, for example an HTTP request: calls are bounded by
    /// `deadline` as well as by the deadline of the policy. A call after `deadline` sends nothing.
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        Executor { handle: self.handle.with_deadline(deadline) }
    }

    /// The policy of this handle.
    pub fn policy(&self) -> &RetryPolicy {
        &self.handle.policy
    }

    /// What has happened since the executor was made, over all its clones.
    pub fn counters(&self) -> Counters {
        let shared = &self.handle.shared;
        let (open, in_use) = shared.usage();
        Counters {
            waiting: shared.outage.waiting(),
            connections: open as u64,
            idle: open.saturating_sub(in_use) as u64,
            budget_left: shared.budget_left(),
            ..shared.listeners.counting.read()
        }
    }

    /// Whether connections can be had, as far as the executor knows: `false` from the call that finds out that the server is down
    /// ([`Event::Down`](crate::Event::Down)) to the probe that is let in. Sends nothing: see [`ping`](Self::ping).
    pub fn is_up(&self) -> bool {
        !self.handle.shared.outage.is_down()
    }

    /// Borrows a raw connection of the driver, verified alive, for what the executor does not cover.
    ///
    /// What is done on it is neither retried nor classified. Getting it is: the deadline and the delays of the policy apply.
    /// It is reset and returned to the pool when it is dropped.
    ///
    /// # Errors
    /// As for a statement that could not be sent.
    pub async fn connection(&self) -> Result<Connection> {
        let mut call = self.handle.call_for_a_connection();
        loop {
            let ((), mut lease) = call.run_leased(&mut Untouched).await?;
            // its last insert id, for example, is that of another caller
            if lease.forget_callers(call.limits()).await {
                return Ok(Connection::new(lease));
            }
            lease.end(End::Broken);
        }
    }

    /// Pins a connection: a session, whose statements all run there. See [`Session`].
    ///
    /// # Errors
    /// As for a statement that could not be sent.
    pub async fn session(&self) -> Result<Session> {
        Session::begin(&self.handle).await
    }

    /// Runs a block of statements on a session of its own, and the whole block again from its start, on another connection, when it
    /// has failed and its connection was lost: for work that needs a session and may run twice as a whole.
    ///
    /// ```
    /// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// let total: Option<u64> = exec
    ///     .idempotent_session(|mut session| async move {
    ///         session.query_drop("CREATE TEMPORARY TABLE chosen SELECT id, price FROM item WHERE stock = 0").await?;
    ///         session.query_drop("DELETE FROM chosen WHERE price > 100").await?;
    ///         session.query_first("SELECT SUM(price) FROM chosen").await
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The statements need no annotation: each is sent again alone only where that is safe. Before the block runs again, the lost
    /// session is killed and seen gone, as before a replay of a statement. The policy bounds the reruns as it bounds replays, and the
    /// retry budget does.
    ///
    /// # Errors
    /// The closure's own error, unchanged, if no connection was lost in the run that returned it. After a loss that ends the call, an
    /// error of this crate's with the outcome [`Unknown`](crate::Outcome::Unknown).
    pub async fn idempotent_session<F, Fut, T, E>(&self, work: F) -> std::result::Result<T, E>
    where
        F: FnMut(Session) -> Fut + Send,
        Fut: Future<Output = std::result::Result<T, E>> + Send,
        T: Send,
        E: From<Error> + Send,
    {
        session::block::run(&self.handle, work).await
    }

    /// [`session`](Self::session), under the name that the driver's pool has for it, so that
    /// `let mut conn = pool.get_conn().await?` stays as it is.
    ///
    /// ```
    /// # async fn f(pool: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// let mut conn = pool.get_conn().await?;
    /// conn.query_drop("INSERT INTO item (name) VALUES ('lamp')").await?;
    /// println!("{:?}, {} row", conn.last_insert_id(), conn.affected_rows());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for a statement that could not be sent.
    pub async fn get_conn(&self) -> Result<Session> {
        self.session().await
    }

    /// Begins a transaction that the caller ends, on a connection of its own, as the method of that name of the driver's pool does.
    /// Nothing runs it again: prefer [`transaction`](Self::transaction).
    ///
    /// # Errors
    /// As for a statement.
    pub async fn start_transaction(&self, opts: TxOpts) -> Result<OpenTransaction<'static>> {
        OpenTransaction::with(self.session().await?, &opts).await
    }

    /// Runs a transaction: begins it, runs `work`, and commits if that returns `Ok`.
    ///
    /// ```
    /// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// use mysql_retry::TxOpts;
    ///
    /// let (from, to, amount) = (1, 2, 100);
    /// let left: Option<i64> = exec
    ///     .transaction(TxOpts::default(), |mut tx| async move {
    ///         tx.exec_drop("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, from)).await?;
    ///         tx.exec_drop("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, to)).await?;
    ///         tx.exec_first("SELECT balance FROM account WHERE id = ?", (from,)).await
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The closure may run several times, so it must do nothing that a rollback does not undo. It is run again from its
    /// start, on another connection, when the transaction was certainly rolled back: the connection was lost before
    /// COMMIT was sent, a deadlock (1213), a lock wait time-out (1205) that the closure returns as an error. The policy
    /// bounds that; the isolation level and the access mode are those asked for each time. If the closure ignores
    /// the error of a statement and returns `Ok`, its other statements are committed, unless the server rolled back the
    /// transaction with that error: then the closure is run again, or the error is returned.
    ///
    /// It borrows what it uses: [what the compiler says](crate::docs::moving#what-the-compiler-says) if it does not. An error of the
    /// program's own can ask for another run: [`run_again_if`](Transaction::run_again_if).
    ///
    /// `Ok` means that all of the closure's work was committed, together. On a new connection a savepoint that is set where
    /// the transaction begins and released where it is committed shows that it is the same transaction. It costs no round
    /// trip, but the server executes two more statements. After 16 complete transactions on a connection, the server's
    /// status flags replace it, unless the server is a Galera node. From then on the savepoint is set, with a round trip of
    /// its own, only before a statement that may end the transaction: `CALL`, DDL, a text of several statements with one of
    /// these. `BEGIN`, `COMMIT` and `ROLLBACK` (not `ROLLBACK TO`) as text are refused before they are sent.
    ///
    /// # Errors
    /// The closure's own error rolls the transaction back and is returned unchanged. An error of this crate is converted by
    /// `From`; its outcome is that of the whole transaction. A COMMIT whose reply was lost is
    /// [`Unknown`](crate::Outcome::Unknown), and the closure is not run again. So is every loss after a statement that may
    /// have committed (DDL, stored code), and a transaction that was ended in the middle, also if the closure returned `Ok`
    /// ([`Reason::TransactionEnded`](crate::Reason::TransactionEnded)): what came before may be committed. Changes to tables
    /// without transactions (MyISAM) cannot be rolled back: after a rollback that left some of them, the closure is not run
    /// again ([`Reason::NotRolledBack`](crate::Reason::NotRolledBack)).
    pub fn transaction<'a, F, Fut, T, E>(&self, opts: TxOpts, work: F) -> Transaction<'a, F, T, E>
    where
        F: FnMut(Tx) -> Fut + Send + 'a,
        Fut: Future<Output = std::result::Result<T, E>> + Send + 'a,
        E: From<Error>,
    {
        Transaction::new(self.handle.clone(), opts, work)
    }

    /// Pings the server: gets a connection, checks it with a round trip, and puts it back.
    ///
    /// # Errors
    /// As for a statement.
    pub async fn ping(&self) -> Result<()> {
        self.handle.ping().await
    }

    /// Closes all connections, after the calls that are under way. Calls made afterwards fail.
    ///
    /// It waits for borrowed connections, open streams, and a server that does not answer: see
    /// [`close_within`](Executor::close_within). Dropping the last clone closes the idle connections too.
    ///
    /// # Errors
    /// The driver reported an error; the connections are closed anyway.
    pub async fn close(self) -> Result<()> {
        let call = self.handle.call_for_a_connection();
        self.handle.shared.close().await.map_err(|error| call.closing_failed(error))
    }

    /// The same as [`close`](Executor::close), and ends after `limit` at the latest.
    ///
    /// What is under way then goes on, and its connections are closed when it ends.
    ///
    /// # Errors
    /// As `close`; or `limit` has passed, which is [`Error::is_timeout`].
    pub async fn close_within(self, limit: Duration) -> Result<()> {
        let call = self.handle.call_for_a_connection();
        let closing = tokio::time::timeout(limit, self.handle.shared.close()).await;
        let late = || timed_out(format!("not all connections were closed within {limit:?}"));
        closing.unwrap_or_else(|_| Err(late())).map_err(|error| call.closing_failed(error))
    }
}

statement_methods!(
    Executor,
    [&self],
    |self, statement| &self.handle,
    AsStatement,
    transaction::query_drop,
    transaction::exec_drop,
    Summary,
    identity,
    "The [`Summary`](crate::Summary) has the number of affected rows and the like.",
    RowStream<T>,
    identity
);

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Executor").field(&self.handle).finish()
    }
}
