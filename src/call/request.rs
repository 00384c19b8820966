//! One attempt: a request to the driver. A sink reads its reply.
//!
//! The methods of the executor are the combinations of a request (text, or prepared with parameters) and a sink
//! (all rows, the first row, a summary).

use std::{
    future::Future,
    marker::PhantomData,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use mysql_async::{
    BinaryProtocol, Conn, QueryResult, Row, Statement, TextProtocol,
    prelude::{Protocol, Queryable},
};

use super::{
    params::Parameters,
    sink::{Sink, next_row},
};
use crate::{
    classify::Stage,
    pool::{Record, Rider},
    savepoint,
};

/// How far an attempt has come. Seen from outside while it runs, and outlives its future, which a time-out may drop.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    preparing: AtomicBool,
    replying: AtomicBool,
    /// What was prepared, where the driver does not keep it.
    prepared: Mutex<Option<Statement>>,
}

impl Progress {
    pub(crate) fn stage(&self) -> Stage {
        if self.is_replying() {
            Stage::Reply
        } else if self.preparing.load(Relaxed) {
            Stage::Prepare
        } else {
            Stage::Command
        }
    }

    /// Whether the reply has begun.
    pub(crate) fn is_replying(&self) -> bool {
        self.replying.load(Relaxed)
    }

    fn prepares(&self, prepares: bool) {
        self.preparing.store(prepares, Relaxed);
    }

    /// The statement is to be closed after its use.
    fn close_later(&self, statement: Statement) {
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some(statement);
    }

    /// What was prepared, and is to be closed.
    pub(crate) fn take_prepared(&mut self) -> Option<Statement> {
        self.prepared.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn replies(&self) {
        self.replying.store(true, Relaxed);
    }
}

/// Something that can be run on a connection, again and again.
pub(crate) trait Attempt: Send {
    /// What a successful attempt yields.
    type Output: Send;

    /// How many bytes are sent, roughly.
    fn size(&self) -> usize;

    /// A lower bound for the length in bytes of the longest packet that is sent first.
    fn longest_packet(&self) -> usize;

    /// How many rows the caller has got of it. From then on it cannot be run again.
    fn rows_given(&self) -> u64 {
        0
    }

    /// Runs it once. `record` is what is known of the connection.
    fn run(
        &mut self,
        conn: &mut Conn,
        record: &Record,
        progress: &Progress,
    ) -> impl Future<Output = mysql_async::Result<Self::Output>> + Send;
}

/// Sends a statement.
pub(crate) trait Request: Send + Sync {
    type Protocol: Protocol;

    fn size(&self) -> usize;

    fn longest_packet(&self) -> usize;

    fn send<'c>(
        &'c mut self,
        conn: &'c mut Conn,
        record: &Record,
        progress: &Progress,
    ) -> impl Future<Output = mysql_async::Result<QueryResult<'c, 'static, Self::Protocol>>> + Send;
}

/// A statement as text.
pub(crate) struct Text<'q> {
    pub(crate) sql: &'q [u8],
    /// What is sent along with the caller's statement.
    pub(crate) rider: Rider,
}

impl Request for Text<'_> {
    type Protocol = TextProtocol;

    fn size(&self) -> usize {
        self.sql.len()
    }

    fn longest_packet(&self) -> usize {
        1 + self.sql.len()
    }

    async fn send<'c>(
        &'c mut self,
        conn: &'c mut Conn,
        _: &Record,
        _: &Progress,
    ) -> mysql_async::Result<QueryResult<'c, 'static, TextProtocol>> {
        if self.rider == Rider::CommitsApart {
            conn.query_drop(savepoint::RELEASE).await?;
        }
        let mut result = conn.query_iter(self.sql).await?;
        if self.rider == Rider::Commits {
            // the caller's is a COMMIT, which has no rows: an error of it shows here, and not as one of a reply that had begun
            for _ in 0..2 {
                while result.next().await?.is_some() {}
            }
        }
        Ok(result)
    }
}

/// A prepared statement with its parameters.
pub(crate) struct Prepared<'q> {
    pub(crate) sql: &'q [u8],
    pub(crate) params: Parameters,
    /// The driver keeps what it prepares.
    pub(crate) cached: bool,
}

impl Request for Prepared<'_> {
    type Protocol = BinaryProtocol;

    fn size(&self) -> usize {
        self.sql.len() + self.params.size()
    }

    fn longest_packet(&self) -> usize {
        (1 + self.sql.len()).max(self.params.size())
    }

    async fn send<'c>(
        &'c mut self,
        conn: &'c mut Conn,
        record: &Record,
        progress: &Progress,
    ) -> mysql_async::Result<QueryResult<'c, 'static, BinaryProtocol>> {
        let statement = prepare((&mut *conn, record), self.sql, self.cached, progress).await?;
        conn.exec_iter(statement, self.params.for_an_attempt()).await
    }
}

/// Prepares a statement, or takes it from the driver's cache, as a step of its own: what fails here has not been executed.
///
/// What the driver does not keep in its cache would stay at the server for the life of the connection, and is closed.
pub(super) async fn prepare(
    (conn, record): (&mut Conn, &Record),
    sql: &[u8],
    cached: bool,
    progress: &Progress,
) -> mysql_async::Result<Statement> {
    if let Some(statement) = record.statement(sql) {
        return Ok(statement);
    }
    progress.prepares(true);
    record.note_preparing();
    let statement = conn.prep(sql).await?;
    progress.prepares(false);
    match cached {
        true => record.note_statement(sql, &statement, conn.opts().stmt_cache_size()),
        false => progress.close_later(statement.clone()),
    }
    Ok(statement)
}

/// A request and a sink: one attempt.
pub(crate) struct Exchange<R, S> {
    pub(crate) request: R,
    sink: PhantomData<fn() -> S>,
}

impl<R, S> Exchange<R, S> {
    pub(crate) fn new(request: R) -> Self {
        Exchange { request, sink: PhantomData }
    }
}

impl<R: Request, S: Sink> Attempt for Exchange<R, S> {
    type Output = S::Output;

    fn size(&self) -> usize {
        self.request.size()
    }

    fn longest_packet(&self) -> usize {
        self.request.longest_packet()
    }

    async fn run(&mut self, conn: &mut Conn, record: &Record, progress: &Progress) -> mysql_async::Result<S::Output> {
        let result = self.request.send(conn, record, progress).await?;
        progress.replies();
        S::drain(result).await
    }
}

/// A statement is prepared, and not executed.
pub(crate) struct Preparing<'q> {
    pub(crate) sql: &'q [u8],
    /// As for [`Prepared`].
    pub(crate) cached: bool,
}

impl Attempt for Preparing<'_> {
    type Output = Statement;

    fn size(&self) -> usize {
        self.sql.len()
    }

    fn longest_packet(&self) -> usize {
        1 + self.sql.len()
    }

    async fn run(&mut self, conn: &mut Conn, record: &Record, progress: &Progress) -> mysql_async::Result<Statement> {
        let statement = prepare((conn, record), self.sql, self.cached, progress).await?;
        // Its answer has the status flags, which are false in that to a preparation (seen on MariaDB 10.11). Whatever happens to
        // it, nothing was executed.
        progress.prepares(true);
        conn.ping().await?;
        progress.prepares(false);
        Ok(statement)
    }
}

/// `COM_PING`.
pub(crate) struct Ping;

impl Attempt for Ping {
    type Output = ();

    fn size(&self) -> usize {
        0
    }

    fn longest_packet(&self) -> usize {
        0
    }

    async fn run(&mut self, conn: &mut Conn, _: &Record, _: &Progress) -> mysql_async::Result<()> {
        conn.ping().await
    }
}

/// No command: the call only needs a connection.
pub(crate) struct Untouched;

impl Attempt for Untouched {
    type Output = ();

    fn size(&self) -> usize {
        0
    }

    fn longest_packet(&self) -> usize {
        0
    }

    async fn run(&mut self, _: &mut Conn, _: &Record, _: &Progress) -> mysql_async::Result<()> {
        Ok(())
    }
}

/// Opens a stream: sends the request and reads up to the first row.
pub(crate) struct Opening<R>(pub(crate) R);

impl<R: Request> Attempt for Opening<R> {
    type Output = Option<Row>;

    fn size(&self) -> usize {
        self.0.size()
    }

    fn longest_packet(&self) -> usize {
        self.0.longest_packet()
    }

    async fn run(&mut self, conn: &mut Conn, record: &Record, progress: &Progress) -> mysql_async::Result<Option<Row>> {
        let result = self.0.send(conn, record, progress).await?;
        progress.replies();
        next_row(result).await
    }
}
