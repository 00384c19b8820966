//! All that a statement returned.

use std::{collections::VecDeque, fmt, sync::Arc};

use mysql_async::{Column, FromRowError, Row, prelude::FromRow};

use crate::{
    call::{
        Facts,
        sink::{ResultSet, convert},
    },
    error::Result,
    handle::Handle,
    span::CallSpan,
    summary::Summary,
};

/// The results of a statement, made by [`Executor::query_iter`](crate::Executor::query_iter) and
/// [`Executor::exec_iter`](crate::Executor::exec_iter). It has the methods of the driver's `QueryResult`.
///
/// A text of several statements, and a procedure, have several results. One of them is the current one, at first the first;
/// each method that takes its rows goes on to the next.
///
/// ```
/// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
/// let mut result = exec.query_iter("SELECT id FROM item; SELECT name, stock FROM item").await?;
/// let ids: Vec<u64> = result.collect().await?;
/// for column in result.columns_ref() {
///     println!("{}", column.name_str());
/// }
/// let stock: Vec<(String, u32)> = result.collect_and_drop().await?;
/// # Ok(()) }
/// ```
///
/// All rows of all results are in memory from the beginning, so that nothing is seen of an attempt that failed. The methods
/// do no I/O; they are `async` because the driver's are. An error of theirs says that a row does not fit the type that was
/// asked for, where the driver's panic.
pub struct QueryResult {
    handle: Handle,
    kept: (Facts, CallSpan),
    /// From the current one on.
    sets: VecDeque<ResultSet>,
    /// Of the last one, when there is no current one any more.
    last: Summary,
}

impl QueryResult {
    pub(crate) fn new(handle: Handle, kept: (Facts, CallSpan), sets: Vec<ResultSet>) -> Self {
        QueryResult { handle, kept, sets: sets.into(), last: Summary::default() }
    }

    /// Whether there are no more results, or only one that cannot have rows, as that of an UPDATE.
    pub fn is_empty(&self) -> bool {
        self.columns_ref().is_empty() && self.sets.len() < 2
    }

    /// The number of rows that were changed, deleted or inserted. As for the methods below, it is that of the current result,
    /// or of the last one if all were taken; of a result with rows that another one follows it is not known.
    pub fn affected_rows(&self) -> u64 {
        self.summary().affected_rows()
    }

    /// The value that an `AUTO_INCREMENT` column got; for several rows inserted at once, that of the first.
    pub fn last_insert_id(&self) -> Option<u64> {
        self.summary().last_insert_id()
    }

    /// The number of warnings.
    pub fn warnings(&self) -> u16 {
        self.summary().warnings()
    }

    /// The server's information about the statement; often empty.
    pub fn info(&self) -> &str {
        self.summary().info()
    }

    /// The columns of the current result, also if it has no rows. Empty if it cannot have any.
    pub fn columns_ref(&self) -> &[Column] {
        self.sets.front().map_or(&[], |set| &set.columns)
    }

    /// The columns of the current result; `None` if all results were taken.
    pub fn columns(&self) -> Option<Arc<[Column]>> {
        self.sets.front().map(|set| set.columns.clone())
    }

    /// Takes the rows of the current result.
    ///
    /// # Errors
    /// A row does not fit `R`.
    pub async fn collect<R>(&mut self) -> Result<Vec<R>>
    where
        R: FromRow + Send + 'static,
    {
        self.take().into_iter().map(|row| self.fit(row)).collect()
    }

    /// [`collect`](Self::collect), and drops the other results.
    ///
    /// # Errors
    /// As `collect`.
    pub async fn collect_and_drop<R>(mut self) -> Result<Vec<R>>
    where
        R: FromRow + Send + 'static,
    {
        self.collect().await
    }

    /// Takes the rows of the current result; one that does not fit `R` is an error of its own.
    ///
    /// # Errors
    /// None, as for all methods that convert no rows: the driver's return a `Result`.
    pub async fn try_collect<R>(&mut self) -> Result<Vec<std::result::Result<R, FromRowError>>>
    where
        R: FromRow + Send + 'static,
    {
        Ok(self.take().into_iter().map(R::from_row_opt).collect())
    }

    /// [`try_collect`](Self::try_collect), and drops the other results.
    ///
    /// # Errors
    /// None.
    pub async fn try_collect_and_drop<R>(mut self) -> Result<Vec<std::result::Result<R, FromRowError>>>
    where
        R: FromRow + Send + 'static,
    {
        self.try_collect().await
    }

    /// Calls `f` with each row of the current result.
    ///
    /// # Errors
    /// None.
    pub async fn for_each<F>(&mut self, f: F) -> Result<()>
    where
        F: FnMut(Row),
    {
        self.take().into_iter().for_each(f);
        Ok(())
    }

    /// [`for_each`](Self::for_each), and drops the other results.
    ///
    /// # Errors
    /// None.
    pub async fn for_each_and_drop<F>(mut self, f: F) -> Result<()>
    where
        F: FnMut(Row),
    {
        self.for_each(f).await
    }

    /// Maps each row of the current result.
    ///
    /// # Errors
    /// None.
    pub async fn map<F, U>(&mut self, f: F) -> Result<Vec<U>>
    where
        F: FnMut(Row) -> U,
    {
        Ok(self.take().into_iter().map(f).collect())
    }

    /// [`map`](Self::map), and drops the other results.
    ///
    /// # Errors
    /// None.
    pub async fn map_and_drop<F, U>(mut self, f: F) -> Result<Vec<U>>
    where
        F: FnMut(Row) -> U,
    {
        self.map(f).await
    }

    /// Folds the rows of the current result to a single value.
    ///
    /// # Errors
    /// A row does not fit `T`. `f` has been called for those before it.
    pub async fn reduce<T, F, U>(&mut self, init: U, mut f: F) -> Result<U>
    where
        F: FnMut(U, T) -> U,
        T: FromRow + Send + 'static,
    {
        self.take().into_iter().try_fold(init, |value, row| Ok(f(value, self.fit(row)?)))
    }

    /// [`reduce`](Self::reduce), and drops the other results.
    ///
    /// # Errors
    /// As `reduce`.
    pub async fn reduce_and_drop<T, F, U>(mut self, init: U, f: F) -> Result<U>
    where
        F: FnMut(U, T) -> U,
        T: FromRow + Send + 'static,
    {
        self.reduce(init, f).await
    }

    /// Drops all results. Nothing has to be read for that, so that it is the same as to drop the value.
    ///
    /// # Errors
    /// None.
    pub async fn drop_result(self) -> Result<()> {
        Ok(())
    }

    fn summary(&self) -> &Summary {
        self.sets.front().map_or(&self.last, |set| &set.summary)
    }

    /// The rows of the current result, and goes on to the next.
    fn take(&mut self) -> Vec<Row> {
        let Some(set) = self.sets.pop_front() else { return Vec::new() };
        self.last = set.summary;
        set.rows
    }

    fn fit<T: FromRow>(&self, row: Row) -> Result<T> {
        convert(row).map_err(|mismatch| {
            let (facts, span) = &self.kept;
            self.handle.resume(*facts, span.clone()).mismatch(mismatch)
        })
    }
}

impl fmt::Debug for QueryResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<usize> = self.sets.iter().map(|set| set.rows.len()).collect();
        f.debug_struct("QueryResult").field("rows", &rows).field("summary", self.summary()).finish_non_exhaustive()
    }
}
