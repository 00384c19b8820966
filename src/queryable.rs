//! What executor, session and transaction have in common.

use std::future::Future;

use futures_core::Stream;
use mysql_async::{Params, prelude::FromRow};

use private::Runs;

use crate::{
    error::Result,
    executor::Executor,
    handle::Handle,
    result::QueryResult,
    session::{OpenTransaction, Session},
    statement::{Prepared, Unguarded},
    stream::SessionStream,
    transaction::Tx,
};

/// What has the statement methods: [`Executor`], `&Executor`, [`Session`], [`OpenTransaction`], [`Tx`]. For code that is generic
/// over them, as the driver's `Queryable` is for code that is generic over its connections.
///
/// ```
/// use mysql_retry::{Executor, Result, TxOpts, prelude::*};
///
/// async fn stock(conn: &mut impl Queryable, item: u64) -> Result<Option<u32>> {
///     conn.exec_first("SELECT stock FROM item WHERE id = ?".idempotent(), (item,)).await
/// }
///
/// # async fn f(mut exec: Executor) -> Result<()> {
/// let in_stock = stock(&mut exec, 7).await?;
/// let in_transaction = exec.transaction(TxOpts::default(), |mut tx| async move { stock(&mut tx, 7).await }).await?;
/// # Ok(()) }
/// ```
///
/// Its methods are those of the types, under the same names; they promise the same, and have the same errors. The `_drop`
/// methods return `()`, as the driver's do; what a statement has changed is told by [`query_iter`](Self::query_iter) and
/// [`exec_iter`](Self::exec_iter). The trait is sealed, and not object safe, as the driver's is not: take it as a type
/// parameter. The futures are `Send`.
pub trait Queryable: Runs {
    /// As [`Executor::query`].
    fn query<T, Q>(&mut self, statement: Q) -> impl Future<Output = Result<Vec<T>>> + Send
    where
        Q: Unguarded,
        T: FromRow + Send + 'static,
    {
        async move { self.handle(&statement).await?.query(statement).await }
    }

    /// As [`Executor::query_first`].
    fn query_first<T, Q>(&mut self, statement: Q) -> impl Future<Output = Result<Option<T>>> + Send
    where
        Q: Unguarded,
        T: FromRow + Send + 'static,
    {
        async move { self.handle(&statement).await?.query_first(statement).await }
    }

    /// As [`Executor::query_map`].
    fn query_map<T, F, Q, U>(&mut self, statement: Q, f: F) -> impl Future<Output = Result<Vec<U>>> + Send
    where
        Q: Unguarded,
        T: FromRow + Send + 'static,
        F: FnMut(T) -> U + Send,
        U: Send,
    {
        async move { Ok(self.query(statement).await?.into_iter().map(f).collect()) }
    }

    /// As [`Executor::query_fold`].
    fn query_fold<T, F, Q, U>(&mut self, statement: Q, init: U, f: F) -> impl Future<Output = Result<U>> + Send
    where
        Q: Unguarded,
        T: FromRow + Send + 'static,
        F: FnMut(U, T) -> U + Send,
        U: Send,
    {
        async move { self.handle(&statement).await?.query_fold(statement, init, f).await }
    }

    /// As [`Executor::query_drop`], without the summary.
    fn query_drop<Q>(&mut self, statement: Q) -> impl Future<Output = Result<()>> + Send
    where
        Q: Unguarded,
    {
        async move { self.handle(&statement).await?.query_drop(statement).await.map(drop) }
    }

    /// As [`Executor::query_iter`].
    fn query_iter<Q>(&mut self, statement: Q) -> impl Future<Output = Result<QueryResult>> + Send
    where
        Q: Unguarded,
    {
        async move { self.handle(&statement).await?.query_iter(statement).await }
    }

    /// As [`Executor::query_stream`].
    fn query_stream<T, Q>(
        &mut self,
        statement: Q,
    ) -> impl Future<Output = Result<impl Stream<Item = Result<T>> + Send + Unpin>> + Send
    where
        Q: Unguarded,
        T: Unpin + FromRow + Send + 'static,
    {
        async move { self.handle(&statement).await?.query_stream(statement).await.map(SessionStream::new) }
    }

    /// As [`Executor::prep`].
    fn prep<S>(&mut self, statement: S) -> impl Future<Output = Result<Prepared>> + Send
    where
        S: Unguarded,
    {
        async move { self.handle(&statement).await?.prep(statement).await }
    }

    /// Does nothing, and succeeds: each connection keeps what it has prepared, and closes the oldest of it
    /// (`stmt_cache_size`). It is here for code that closes its statements.
    fn close(&mut self, _: Prepared) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// As [`Executor::exec`].
    fn exec<T, S, P>(&mut self, statement: S, params: P) -> impl Future<Output = Result<Vec<T>>> + Send
    where
        S: Unguarded,
        P: Into<Params> + Send,
        T: FromRow + Send + 'static,
    {
        async move { self.handle(&statement).await?.exec(statement, params.into()).await }
    }

    /// As [`Executor::exec_first`].
    fn exec_first<T, S, P>(&mut self, statement: S, params: P) -> impl Future<Output = Result<Option<T>>> + Send
    where
        S: Unguarded,
        P: Into<Params> + Send,
        T: FromRow + Send + 'static,
    {
        async move { self.handle(&statement).await?.exec_first(statement, params.into()).await }
    }

    /// As [`Executor::exec_map`].
    fn exec_map<T, S, P, U, F>(&mut self, statement: S, params: P, f: F) -> impl Future<Output = Result<Vec<U>>> + Send
    where
        S: Unguarded,
        P: Into<Params> + Send,
        T: FromRow + Send + 'static,
        F: FnMut(T) -> U + Send,
        U: Send,
    {
        async move { Ok(self.exec(statement, params).await?.into_iter().map(f).collect()) }
    }

    /// As [`Executor::exec_fold`].
    fn exec_fold<T, S, P, U, F>(
        &mut self,
        statement: S,
        params: P,
        init: U,
        f: F,
    ) -> impl Future<Output = Result<U>> + Send
    where
        S: Unguarded,
        P: Into<Params> + Send,
        T: FromRow + Send + 'static,
        F: FnMut(U, T) -> U + Send,
        U: Send,
    {
        async move { self.handle(&statement).await?.exec_fold(statement, params.into(), init, f).await }
    }

    /// As [`Executor::exec_drop`], without the summary.
    fn exec_drop<S, P>(&mut self, statement: S, params: P) -> impl Future<Output = Result<()>> + Send
    where
        S: Unguarded,
        P: Into<Params> + Send,
    {
        async move { self.handle(&statement).await?.exec_drop(statement, params.into()).await.map(drop) }
    }

    /// As [`Executor::exec_iter`].
    fn exec_iter<S, P>(&mut self, statement: S, params: P) -> impl Future<Output = Result<QueryResult>> + Send
    where
        S: Unguarded,
        P: Into<Params> + Send,
    {
        async move { self.handle(&statement).await?.exec_iter(statement, params.into()).await }
    }

    /// As [`Executor::exec_batch`].
    fn exec_batch<S, P, I>(&mut self, statement: S, params: I) -> impl Future<Output = Result<()>> + Send
    where
        S: Unguarded,
        I: IntoIterator<Item = P> + Send,
        I::IntoIter: Send,
        P: Into<Params> + Send,
    {
        async move { self.handle(&statement).await?.exec_batch(statement, params.into_iter().map(Into::into)).await }
    }

    /// As [`Executor::exec_stream`].
    fn exec_stream<T, S, P>(
        &mut self,
        statement: S,
        params: P,
    ) -> impl Future<Output = Result<impl Stream<Item = Result<T>> + Send + Unpin>> + Send
    where
        S: Unguarded,
        P: Into<Params> + Send,
        T: Unpin + FromRow + Send + 'static,
    {
        async move { self.handle(&statement).await?.exec_stream(statement, params.into()).await.map(SessionStream::new) }
    }
}

impl Queryable for Executor {}
impl Queryable for &Executor {}
impl Queryable for Session {}
impl Queryable for OpenTransaction<'_> {}
impl Queryable for Tx {}
impl<H: Queryable> Queryable for &mut H {}

mod private {
    use super::*;

    /// Has a handle that runs a statement, and may refuse it.
    pub trait Runs: Send {
        fn handle<'a, Q: Unguarded>(&'a mut self, statement: &Q) -> impl Future<Output = Result<&'a Handle>> + Send;
    }

    impl Runs for Executor {
        async fn handle<'a, Q: Unguarded>(&'a mut self, _: &Q) -> Result<&'a Handle> {
            Ok(&self.handle)
        }
    }

    impl Runs for &Executor {
        async fn handle<'a, Q: Unguarded>(&'a mut self, _: &Q) -> Result<&'a Handle> {
            Ok(&self.handle)
        }
    }

    impl Runs for Session {
        async fn handle<'a, Q: Unguarded>(&'a mut self, statement: &Q) -> Result<&'a Handle> {
            self.statements(statement).await
        }
    }

    impl Runs for OpenTransaction<'_> {
        async fn handle<'a, Q: Unguarded>(&'a mut self, statement: &Q) -> Result<&'a Handle> {
            self.statements(statement).await
        }
    }

    impl Runs for Tx {
        async fn handle<'a, Q: Unguarded>(&'a mut self, statement: &Q) -> Result<&'a Handle> {
            self.statements(statement).await
        }
    }

    impl<H: Queryable> Runs for &mut H {
        async fn handle<'a, Q: Unguarded>(&'a mut self, statement: &Q) -> Result<&'a Handle> {
            (**self).handle(statement).await
        }
    }
}
