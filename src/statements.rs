//! Statements on a handle: how each kind is sent, and what is read of its reply.

use std::borrow::Cow;

use mysql_async::{Params, prelude::FromRow};

use crate::{
    call::{
        Call,
        batch::{Batch, Rows},
        folding::Folding,
        params::Parameters,
        request::{Attempt, Exchange, Opening, Ping, Prepared, Preparing, Request, Text},
        sink::{All, Everything, First, Mismatch, Nothing, ResultSet},
    },
    error::Result,
    handle::Handle,
    pool::{End, Rider},
    result::QueryResult,
    savepoint,
    statement::{self, Annotate as _, AsStatement, Delivery},
    stream::RowStream,
    summary::Summary,
};

/// As text.
impl Handle {
    pub(crate) async fn query<T: FromRow + Send + 'static>(&self, statement: impl AsStatement) -> Result<Vec<T>> {
        let text = self.wire_text(statement.text());
        let rows = converted(&mut self.call(&statement)?, &mut Exchange::<_, All<T>>::new(text.request())).await?;
        text.answered(self);
        Ok(rows)
    }

    pub(crate) async fn query_first<T: FromRow + Send + 'static>(
        &self,
        statement: impl AsStatement,
    ) -> Result<Option<T>> {
        let text = self.wire_text(statement.text());
        let row = converted(&mut self.call(&statement)?, &mut Exchange::<_, First<T>>::new(text.request())).await?;
        text.answered(self);
        Ok(row)
    }

    pub(crate) async fn query_fold<T, U, F>(&self, statement: impl AsStatement, init: U, fold: F) -> Result<U>
    where
        T: FromRow + Send + 'static,
        U: Send,
        F: FnMut(U, T) -> U + Send,
    {
        let text = self.wire_text(statement.text());
        let mut call = self.call(&statement)?;
        let value = folded(&mut call, text.request(), init, fold).await?;
        text.answered(self);
        Ok(value)
    }

    pub(crate) async fn query_drop(&self, statement: impl AsStatement) -> Result<Summary> {
        let text = self.wire_text(statement.text());
        let summary = summarised(&mut self.call(&statement)?, &mut Exchange::<_, Nothing>::new(text.request())).await?;
        text.answered(self);
        Ok(summary)
    }

    pub(crate) async fn query_iter(&self, statement: impl AsStatement) -> Result<QueryResult> {
        let text = self.wire_text(statement.text());
        let mut call = self.call(&statement)?;
        let sets = call.run(&mut Exchange::<_, Everything>::new(text.request())).await?;
        text.answered(self);
        Ok(QueryResult::new(self.clone(), call.kept(), text.own(sets)))
    }

    pub(crate) async fn query_stream<T>(&self, statement: impl AsStatement) -> Result<RowStream<T>> {
        let text = self.wire_text(statement.text());
        let mut call = self.call(&statement)?;
        let (first, lease) = call.run_leased(&mut Opening(text.request())).await?;
        let rows = RowStream::text(self.clone(), call.kept(), first, lease);
        text.answered(self);
        Ok(rows)
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        // the call reads this text as a read of the session; a ping is sent instead
        self.call_of_ours(&"DO 0".idempotent()).run(&mut Ping).await
    }

    /// What is sent for a text. Where the text begins or commits a transaction of a session, the savepoint's statements are
    /// added.
    fn wire_text<'q>(&self, text: Cow<'q, [u8]>) -> WireText<'q> {
        let rider = self.slot().map_or(Rider::None, |slot| slot.rider());
        let text = match rider {
            Rider::None | Rider::CommitsApart => text,
            Rider::Begins(end) => [&text[..end], b"; ", savepoint::SET.as_bytes()].concat().into(),
            Rider::Commits => [savepoint::RELEASE.as_bytes(), b"; ", &text].concat().into(),
        };
        WireText { text, rider }
    }
}

/// Prepared.
impl Handle {
    pub(crate) async fn exec<T>(&self, statement: impl AsStatement, params: Params) -> Result<Vec<T>>
    where
        T: FromRow + Send + 'static,
    {
        let text = statement.text();
        converted(&mut self.call(&statement)?, &mut Exchange::<_, All<T>>::new(self.prepared(&text, params))).await
    }

    pub(crate) async fn exec_first<T>(&self, statement: impl AsStatement, params: Params) -> Result<Option<T>>
    where
        T: FromRow + Send + 'static,
    {
        let text = statement.text();
        converted(&mut self.call(&statement)?, &mut Exchange::<_, First<T>>::new(self.prepared(&text, params))).await
    }

    pub(crate) async fn exec_fold<T, U, F>(
        &self,
        statement: impl AsStatement,
        params: Params,
        init: U,
        fold: F,
    ) -> Result<U>
    where
        T: FromRow + Send + 'static,
        U: Send,
        F: FnMut(U, T) -> U + Send,
    {
        let text = statement.text();
        folded(&mut self.call(&statement)?, self.prepared(&text, params), init, fold).await
    }

    pub(crate) async fn exec_drop(&self, statement: impl AsStatement, params: Params) -> Result<Summary> {
        let text = statement.text();
        summarised(&mut self.call(&statement)?, &mut Exchange::<_, Nothing>::new(self.prepared(&text, params))).await
    }

    pub(crate) async fn exec_iter(&self, statement: impl AsStatement, params: Params) -> Result<QueryResult> {
        let text = statement.text();
        let mut call = self.call(&statement)?;
        let sets = call.run(&mut Exchange::<_, Everything>::new(self.prepared(&text, params))).await?;
        Ok(QueryResult::new(self.clone(), call.kept(), sets))
    }

    pub(crate) async fn exec_batch(
        &self,
        statement: impl AsStatement,
        rows: impl Iterator<Item = Params> + Send,
    ) -> Result<()> {
        let text = statement.text();
        let rows = Rows::new(rows, statement.delivery() == Delivery::AtMostOnce);
        let mut batch = Batch { sql: &text, rows, cached: self.shared.caches_statements };
        self.call(&statement)?.run(&mut batch).await
    }

    pub(crate) async fn exec_stream<T>(&self, statement: impl AsStatement, params: Params) -> Result<RowStream<T>> {
        let text = statement.text();
        let mut call = self.call(&statement)?;
        let (first, lease) = call.run_leased(&mut Opening(self.prepared(&text, params))).await?;
        Ok(RowStream::binary(self.clone(), call.kept(), first, lease))
    }

    pub(crate) async fn prep(&self, statement: impl AsStatement) -> Result<statement::Prepared> {
        let text = statement.text();
        let mut preparing = Preparing { sql: &text, cached: self.shared.caches_statements };
        let driver = self.call(&statement)?.run(&mut preparing).await?;
        Ok(statement::Prepared::new(&text, statement.delivery(), driver))
    }

    fn prepared<'q>(&self, sql: &'q [u8], params: Params) -> Prepared<'q> {
        Prepared { sql, params: Parameters::new(params), cached: self.shared.caches_statements }
    }

    /// Runs a statement of this crate, or of exactly-once work: prepared if there are parameters, else as text.
    pub(crate) async fn run(&self, sql: &[u8], params: Option<Params>) -> Result<Summary> {
        match params {
            Some(params) => self.exec_drop(sql, params).await,
            None => {
                let text = Text { sql, rider: Rider::None };
                summarised(&mut self.call(&sql)?, &mut Exchange::<_, Nothing>::new(text)).await
            }
        }
    }
}

/// A text as it is sent.
struct WireText<'q> {
    text: Cow<'q, [u8]>,
    rider: Rider,
}

impl WireText<'_> {
    fn request(&self) -> Text<'_> {
        Text { sql: &self.text, rider: self.rider }
    }

    /// The results of the caller's statement.
    fn own(&self, mut sets: Vec<ResultSet>) -> Vec<ResultSet> {
        if let Rider::Begins(_) = self.rider {
            sets.truncate(1);
        }
        sets
    }

    /// All of it was executed.
    fn answered(&self, handle: &Handle) {
        if let (Rider::Begins(_), Some(slot)) = (self.rider, handle.slot()) {
            slot.note_savepoint();
        }
    }
}

// What is large is passed by reference: each function on the way would have a place of its own for it, and to move a future means to
// copy all of them.

async fn converted<T, A>(call: &mut Call<'_>, attempt: &mut A) -> Result<T>
where
    A: Attempt<Output = std::result::Result<T, Mismatch>>,
{
    call.run(attempt).await?.map_err(|mismatch| call.mismatch(mismatch))
}

/// Takes the rows as they arrive, or, where the statement may be run again, when all have arrived.
async fn folded<R, T, U, F>(call: &mut Call<'_>, request: R, init: U, fold: F) -> Result<U>
where
    R: Request,
    T: FromRow + Send + 'static,
    U: Send,
    F: FnMut(U, T) -> U + Send,
{
    if call.may_run_twice() {
        let rows = converted(call, &mut Exchange::<_, All<T>>::new(request)).await?;
        return Ok(rows.into_iter().fold(init, fold));
    }
    converted(call, &mut Folding::new(request, init, fold)).await
}

async fn summarised<A>(call: &mut Call<'_>, attempt: &mut A) -> Result<Summary>
where
    A: Attempt<Output = ()>,
{
    let ((), lease) = call.run_leased(attempt).await?;
    let summary = Summary::of(lease.connection());
    lease.end(End::Answered(call.leaves()));
    Ok(summary)
}
