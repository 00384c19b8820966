//! Statements that run themselves: `"..".with(params).first(&exec)`.

use std::future::Future;

use mysql_async::{Params, prelude::FromRow};

use crate::{error::Result, queryable::Queryable, result::QueryResult, statement::Unguarded};

/// A statement, as text or [with parameters](WithParams::with), that runs on an [`Executor`](crate::Executor), a
/// [`Session`](crate::Session) or a [`Tx`](crate::Tx), as the driver's trait of that name.
///
/// ```
/// use mysql_retry::prelude::*;
///
/// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
/// let names: Vec<String> = "SELECT name FROM item".idempotent().fetch(&exec).await?;
/// let stock: Option<u32> = "SELECT stock FROM item WHERE id = ?".idempotent().with((7,)).first(&exec).await?;
///
/// let mut session = exec.session().await?;
/// "SET @tenant = 7".ignore(&mut session).await?;
/// # Ok(()) }
/// ```
///
/// What runs is [`query_iter`](Queryable::query_iter), or [`exec_iter`](Queryable::exec_iter) for parameters, with its promises
/// and errors.
pub trait Query: private::Sealed + Send + Sized {
    /// Runs the statement and returns all that it returned.
    fn run<C>(self, conn: C) -> impl Future<Output = Result<QueryResult>> + Send
    where
        C: Queryable;

    /// The first row of the first result.
    fn first<T, C>(self, conn: C) -> impl Future<Output = Result<Option<T>>> + Send
    where
        T: FromRow + Send + 'static,
        C: Queryable;

    /// The rows of the first result.
    fn fetch<T, C>(self, conn: C) -> impl Future<Output = Result<Vec<T>>> + Send
    where
        T: FromRow + Send + 'static,
        C: Queryable;

    /// Folds the rows of the first result to a single value.
    fn reduce<T, U, F, C>(self, conn: C, init: U, f: F) -> impl Future<Output = Result<U>> + Send
    where
        T: FromRow + Send + 'static,
        F: FnMut(U, T) -> U + Send,
        U: Send,
        C: Queryable,
    {
        async move { Ok(self.fetch(conn).await?.into_iter().fold(init, f)) }
    }

    /// Maps the rows of the first result.
    fn map<T, U, F, C>(self, conn: C, f: F) -> impl Future<Output = Result<Vec<U>>> + Send
    where
        T: FromRow + Send + 'static,
        F: FnMut(T) -> U + Send,
        U: Send,
        C: Queryable,
    {
        async move { Ok(self.fetch(conn).await?.into_iter().map(f).collect()) }
    }

    /// Runs the statement and drops its rows.
    fn ignore<C>(self, conn: C) -> impl Future<Output = Result<()>> + Send
    where
        C: Queryable;
}

impl<Q: Unguarded> Query for Q {
    async fn run<C>(self, mut conn: C) -> Result<QueryResult>
    where
        C: Queryable,
    {
        conn.query_iter(self).await
    }

    async fn first<T, C>(self, mut conn: C) -> Result<Option<T>>
    where
        T: FromRow + Send + 'static,
        C: Queryable,
    {
        conn.query_first(self).await
    }

    async fn fetch<T, C>(self, mut conn: C) -> Result<Vec<T>>
    where
        T: FromRow + Send + 'static,
        C: Queryable,
    {
        conn.query(self).await
    }

    async fn ignore<C>(self, mut conn: C) -> Result<()>
    where
        C: Queryable,
    {
        conn.query_drop(self).await
    }
}

/// A statement and its parameters, made by [`WithParams::with`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryWithParams<Q, P> {
    /// The statement.
    pub query: Q,
    /// Its parameters; for a [batch](BatchQuery::batch), those of each execution.
    pub params: P,
}

/// Adds parameters to a text, annotated or not.
pub trait WithParams: Unguarded + Sized {
    /// The statement with these parameters. It is prepared where it runs.
    fn with<P>(self, params: P) -> QueryWithParams<Self, P> {
        QueryWithParams { query: self, params }
    }
}

impl<Q: Unguarded> WithParams for Q {}

impl<Q, P> Query for QueryWithParams<Q, P>
where
    Q: Unguarded,
    P: Into<Params> + Send,
{
    async fn run<C>(self, mut conn: C) -> Result<QueryResult>
    where
        C: Queryable,
    {
        conn.exec_iter(self.query, self.params).await
    }

    async fn first<T, C>(self, mut conn: C) -> Result<Option<T>>
    where
        T: FromRow + Send + 'static,
        C: Queryable,
    {
        conn.exec_first(self.query, self.params).await
    }

    async fn fetch<T, C>(self, mut conn: C) -> Result<Vec<T>>
    where
        T: FromRow + Send + 'static,
        C: Queryable,
    {
        conn.exec(self.query, self.params).await
    }

    async fn ignore<C>(self, mut conn: C) -> Result<()>
    where
        C: Queryable,
    {
        conn.exec_drop(self.query, self.params).await
    }
}

/// A statement that is executed once for each of its parameters.
pub trait BatchQuery: private::Sealed {
    /// Executes it, as [`Executor::exec_batch`](crate::Executor::exec_batch) does.
    fn batch<C>(self, conn: C) -> impl Future<Output = Result<()>> + Send
    where
        C: Queryable;
}

impl<Q, I, P> BatchQuery for QueryWithParams<Q, I>
where
    Q: Unguarded,
    I: IntoIterator<Item = P> + Send,
    I::IntoIter: Send,
    P: Into<Params> + Send,
{
    async fn batch<C>(self, mut conn: C) -> Result<()>
    where
        C: Queryable,
    {
        conn.exec_batch(self.query, self.params).await
    }
}

mod private {
    pub trait Sealed {}
    impl<Q: super::Unguarded> Sealed for Q {}
    impl<Q, P> Sealed for super::QueryWithParams<Q, P> {}
}
