//! The methods that run statements, as the driver's `Queryable` has them.

use std::{borrow::Cow, sync::Arc};

use mysql_async::{Params, TxOpts, prelude::FromRow};

use super::Executor;
use crate::{
    call::{
        Call,
        request::{All, Attempt, Batch, Exchange, First, Mismatch, Nothing, Opening, Ping, Prepared, Text},
    },
    error::Result,
    pool::Rider,
    savepoint, sql,
    statement::{Annotate, AsStatement, Token},
    stream::RowStream,
    summary::Summary,
    transaction::Tx,
};

/// Statements as text.
impl Executor {
    /// Runs a statement and collects the rows of its first result set.
    ///
    /// # Errors
    /// As for every method here: the [`outcome`](crate::Error::outcome) tells what became of the statement. It is
    /// [`Failed`](crate::Outcome::Failed) for what the bare driver would have returned on a healthy connection. Unlike
    /// the driver's method it does not panic on a row that does not fit `T`.
    pub async fn query<T, Q>(&self, query: Q) -> Result<Vec<T>>
    where
        Q: AsStatement,
        T: FromRow + Send + 'static,
    {
        let text = self.wire_text(query.text());
        let reading = Exchange::<_, All<T>>::new(text.request());
        let answer = converted(self.call(&query)?, reading).await?;
        text.answered(self);
        Ok(answer)
    }

    /// Runs a statement and returns the first row of its first result set.
    pub async fn query_first<T, Q>(&self, query: Q) -> Result<Option<T>>
    where
        Q: AsStatement,
        T: FromRow + Send + 'static,
    {
        let text = self.wire_text(query.text());
        let reading = Exchange::<_, First<T>>::new(text.request());
        let answer = converted(self.call(&query)?, reading).await?;
        text.answered(self);
        Ok(answer)
    }

    /// Runs a statement and maps each row of its first result set.
    ///
    /// `f` is called when all rows have arrived, so that it never sees a row of an attempt that failed.
    pub async fn query_map<T, F, Q, U>(&self, query: Q, f: F) -> Result<Vec<U>>
    where
        Q: AsStatement,
        T: FromRow + Send + 'static,
        F: FnMut(T) -> U + Send,
        U: Send,
    {
        let rows = self.query(query).await?;
        Ok(rows.into_iter().map(f).collect())
    }

    /// Runs a statement and folds the rows of its first result set to a single value.
    ///
    /// `f` is called when all rows have arrived, so that it never sees a row of an attempt that failed.
    pub async fn query_fold<T, F, Q, U>(&self, query: Q, init: U, f: F) -> Result<U>
    where
        Q: AsStatement,
        T: FromRow + Send + 'static,
        F: FnMut(U, T) -> U + Send,
        U: Send,
    {
        let rows = self.query(query).await?;
        Ok(rows.into_iter().fold(init, f))
    }

    /// Runs a statement and drops its rows. The [`Summary`] has the number of affected rows and the like.
    pub async fn query_drop<Q>(&self, query: Q) -> Result<Summary>
    where
        Q: AsStatement,
    {
        if let Some(token) = query.token() {
            return Box::pin(self.guarded(&query, None, token.clone())).await;
        }
        let text = self.wire_text(query.text());
        let reading = Exchange::<_, Nothing>::new(text.request());
        let summary = summarised(self.call(&query)?, reading).await?;
        text.answered(self);
        Ok(summary)
    }

    /// Runs a statement and streams the rows of its first result set.
    ///
    /// Until the first row has arrived the statement is replayed like any other; after that a loss surfaces, with the
    /// number of rows that had been handed out.
    pub async fn query_stream<T, Q>(&self, query: Q) -> Result<RowStream<T>>
    where
        T: Unpin + FromRow + Send + 'static,
        Q: AsStatement,
    {
        let text = self.wire_text(query.text());
        let mut call = self.call(&query)?;
        let (first, lease) = call.run_leased(Opening(text.request())).await?;
        let rows = RowStream::text(self.clone(), call.kept(), first, lease);
        text.answered(self);
        Ok(rows)
    }

    /// Pings the server: gets a connection, checks it with a round trip, and puts it back.
    pub async fn ping(&self) -> Result<()> {
        // the text stands for what the ping is to the session: a read
        self.call_of_ours(&"DO 0".idempotent()).run(Ping).await
    }
}

/// Prepared statements.
impl Executor {
    /// Prepares and executes a statement, and collects the rows of its first result set.
    ///
    /// It takes the text, not a prepared `mysql_async::Statement`: that belongs to one connection. The driver keeps
    /// what it prepared on each connection.
    pub async fn exec<T, S, P>(&self, stmt: S, params: P) -> Result<Vec<T>>
    where
        S: AsStatement,
        P: Into<Params> + Send,
        T: FromRow + Send + 'static,
    {
        let text = stmt.text();
        let reading = Exchange::<_, All<T>>::new(self.prepared(&text, params.into()));
        converted(self.call(&stmt)?, reading).await
    }

    /// Prepares and executes a statement, and returns the first row of its first result set.
    pub async fn exec_first<T, S, P>(&self, stmt: S, params: P) -> Result<Option<T>>
    where
        S: AsStatement,
        P: Into<Params> + Send,
        T: FromRow + Send + 'static,
    {
        let text = stmt.text();
        let reading = Exchange::<_, First<T>>::new(self.prepared(&text, params.into()));
        converted(self.call(&stmt)?, reading).await
    }

    /// Prepares and executes a statement, and maps each row of its first result set.
    ///
    /// `f` is called when all rows have arrived, so that it never sees a row of an attempt that failed.
    pub async fn exec_map<T, S, P, U, F>(&self, stmt: S, params: P, f: F) -> Result<Vec<U>>
    where
        S: AsStatement,
        P: Into<Params> + Send,
        T: FromRow + Send + 'static,
        F: FnMut(T) -> U + Send,
        U: Send,
    {
        let rows = self.exec(stmt, params).await?;
        Ok(rows.into_iter().map(f).collect())
    }

    /// Prepares and executes a statement, and folds the rows of its first result set to a single value.
    ///
    /// `f` is called when all rows have arrived, so that it never sees a row of an attempt that failed.
    pub async fn exec_fold<T, S, P, U, F>(&self, stmt: S, params: P, init: U, f: F) -> Result<U>
    where
        S: AsStatement,
        P: Into<Params> + Send,
        T: FromRow + Send + 'static,
        F: FnMut(U, T) -> U + Send,
        U: Send,
    {
        let rows = self.exec(stmt, params).await?;
        Ok(rows.into_iter().fold(init, f))
    }

    /// Prepares and executes a statement, and drops its rows. The [`Summary`] has the number of affected rows and
    /// the like.
    pub async fn exec_drop<S, P>(&self, stmt: S, params: P) -> Result<Summary>
    where
        S: AsStatement,
        P: Into<Params> + Send,
    {
        if let Some(token) = stmt.token() {
            return Box::pin(self.guarded(&stmt, Some(params.into()), token.clone())).await;
        }
        let text = stmt.text();
        let reading = Exchange::<_, Nothing>::new(self.prepared(&text, params.into()));
        summarised(self.call(&stmt)?, reading).await
    }

    /// Executes a statement once for each item of `params`.
    ///
    /// A batch is several commands (on MariaDB, as few as fit): it is replayed only as a whole, and only if it is
    /// annotated as idempotent. If it fails, a part of it may be done, also where the outcome is
    /// [`Failed`](crate::Outcome::Failed): the rows before the one that the server said no to stay. It is
    /// [`NotExecuted`](crate::Outcome::NotExecuted) only if it failed at its first row.
    pub async fn exec_batch<S, P, I>(&self, stmt: S, params: I) -> Result<()>
    where
        S: AsStatement,
        I: IntoIterator<Item = P> + Send,
        I::IntoIter: Send,
        P: Into<Params> + Send,
    {
        let text = stmt.text();
        let batch = Batch {
            sql: &text,
            rows: params.into_iter().map(Into::into).collect(),
            cached: self.shared.caches_statements,
        };
        self.call(&stmt)?.run(batch).await
    }

    /// Prepares and executes a statement, and streams the rows of its first result set.
    ///
    /// Until the first row has arrived the statement is replayed like any other; after that a loss surfaces, with the
    /// number of rows that had been handed out.
    pub async fn exec_stream<T, Q, P>(&self, stmt: Q, params: P) -> Result<RowStream<T>>
    where
        T: Unpin + FromRow + Send + 'static,
        Q: AsStatement,
        P: Into<Params> + Send,
    {
        let text = stmt.text();
        let mut call = self.call(&stmt)?;
        let opening = Opening(self.prepared(&text, params.into()));
        let (first, lease) = call.run_leased(opening).await?;
        Ok(RowStream::binary(self.clone(), call.kept(), first, lease))
    }

    /// A guarded statement: a transaction of its own.
    async fn guarded(&self, statement: &impl AsStatement, params: Option<Params>, token: Token) -> Result<Summary> {
        let sql: Arc<[u8]> = statement.text().into_owned().into();
        if let Some(refusal) = self.refusal(sql::read(&sql)) {
            return Err(refusal);
        }
        let work = |mut tx: Tx| {
            let (sql, params) = (sql.to_vec(), params.clone());
            async move { tx.run(sql, params).await }
        };
        let done = self.transaction(TxOpts::default(), work).exactly_once(token).await?;
        Ok(done.now().unwrap_or_else(Summary::done_before))
    }

    /// Runs a statement without a guard, prepared if there are parameters.
    pub(crate) async fn run_unguarded(&self, sql: &[u8], params: Option<Params>) -> Result<Summary> {
        let call = self.call(&sql)?;
        match params {
            Some(params) => summarised(call, Exchange::<_, Nothing>::new(self.prepared(sql, params))).await,
            None => summarised(call, Exchange::<_, Nothing>::new(Text { sql, is_led: false })).await,
        }
    }

    /// What is sent for a text: with what watches over the transactions of a session, where it begins or commits one.
    fn wire_text<'q>(&self, text: Cow<'q, [u8]>) -> WireText<'q> {
        let rider = self.slot.as_ref().map_or(Rider::None, |slot| slot.rider());
        let text = match rider {
            Rider::None => text,
            Rider::Begins(end) => [&text[..end], b"; ", savepoint::SET.as_bytes()].concat().into(),
            Rider::Commits => [savepoint::RELEASE.as_bytes(), b"; ", &text].concat().into(),
        };
        WireText { text, rider }
    }

    fn prepared<'q>(&self, sql: &'q [u8], params: Params) -> Prepared<'q> {
        Prepared { sql, params, cached: self.shared.caches_statements }
    }
}

/// A text as it is sent.
struct WireText<'q> {
    text: Cow<'q, [u8]>,
    rider: Rider,
}

impl WireText<'_> {
    fn request(&self) -> Text<'_> {
        Text { sql: &self.text, is_led: self.rider == Rider::Commits }
    }

    /// All of it was executed.
    fn answered(&self, exec: &Executor) {
        if let (Rider::Begins(_), Some(slot)) = (self.rider, &exec.slot) {
            slot.note_savepoint();
        }
    }
}

async fn converted<T, A>(mut call: Call<'_>, attempt: A) -> Result<T>
where
    A: Attempt<Output = std::result::Result<T, Mismatch>>,
{
    call.run(attempt).await?.map_err(|mismatch| call.mismatch(mismatch))
}

async fn summarised<A>(mut call: Call<'_>, attempt: A) -> Result<Summary>
where
    A: Attempt<Output = ()>,
{
    let ((), lease) = call.run_leased(attempt).await?;
    let summary = Summary::of(lease.connection());
    lease.finish(call.leaves());
    Ok(summary)
}
