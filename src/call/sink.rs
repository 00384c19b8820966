//! How the reply of an attempt is read.
//!
//! A sink keeps rows to itself until the reply has ended well, so that nothing outside ever sees a row of an attempt that
//! failed.

use std::{any::type_name, future::Future, marker::PhantomData, sync::Arc};

use mysql_async::{
    Column, QueryResult, Row,
    prelude::{FromRow, Protocol},
};

use crate::summary::Summary;

/// Reads a reply to its end.
pub(crate) trait Sink: Send {
    type Output: Send;

    fn drain<P: Protocol>(
        result: QueryResult<'_, 'static, P>,
    ) -> impl Future<Output = mysql_async::Result<Self::Output>> + Send;
}

/// A row does not fit the type that was asked for. The statement itself has succeeded.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) wanted: &'static str,
}

/// Converts a row; unlike the driver's `from_row` it does not panic.
#[inline]
pub(crate) fn convert<T: FromRow>(row: Row) -> Result<T, Mismatch> {
    T::from_row_opt(row).map_err(|_| Mismatch { wanted: type_name::<T>() })
}

/// All rows of the first result set.
pub(crate) struct All<T>(PhantomData<fn() -> T>);

impl<T: FromRow + Send + 'static> Sink for All<T> {
    type Output = Result<Vec<T>, Mismatch>;

    async fn drain<P: Protocol>(mut result: QueryResult<'_, 'static, P>) -> mysql_async::Result<Self::Output> {
        let rows = result
            .reduce(Ok(Vec::new()), |rows: Self::Output, row: Row| {
                let mut rows = rows?;
                rows.push(convert(row)?);
                Ok(rows)
            })
            .await?;
        result.drop_result().await?;
        Ok(rows)
    }
}

/// The first row of the first result set.
pub(crate) struct First<T>(PhantomData<fn() -> T>);

impl<T: FromRow + Send + 'static> Sink for First<T> {
    type Output = Result<Option<T>, Mismatch>;

    async fn drain<P: Protocol>(mut result: QueryResult<'_, 'static, P>) -> mysql_async::Result<Self::Output> {
        let first = result.next().await?;
        result.drop_result().await?;
        Ok(first.map(convert).transpose())
    }
}

/// One result of a statement.
pub(crate) struct ResultSet {
    /// Empty for a result that has no rows, as that of an UPDATE.
    pub(crate) columns: Arc<[Column]>,
    pub(crate) rows: Vec<Row>,
    pub(crate) summary: Summary,
}

/// All results, one after another; at least one.
pub(crate) struct Everything;

impl Sink for Everything {
    type Output = Vec<ResultSet>;

    async fn drain<P: Protocol>(mut result: QueryResult<'_, 'static, P>) -> mysql_async::Result<Vec<ResultSet>> {
        let mut sets = Vec::new();
        while let Some(columns) = result.columns() {
            // behind a result the driver goes on to the next one, and to its summary
            let before = columns.is_empty().then(|| Summary::of_result(&result));
            let mut rows = Vec::new();
            while let Some(row) = result.next().await? {
                rows.push(row);
            }
            let summary = match before {
                Some(before) => before,
                None if result.columns().is_none() => Summary::of_result(&result),
                None => Summary::default(),
            };
            sets.push(ResultSet { columns, rows, summary });
        }
        // a statement that failed has no columns either
        result.next().await?;
        if sets.is_empty() {
            // the request has read it
            sets.push(ResultSet { columns: Arc::default(), rows: Vec::new(), summary: Summary::of_result(&result) });
        }
        Ok(sets)
    }
}

/// No rows.
pub(crate) struct Nothing;

impl Sink for Nothing {
    type Output = ();

    async fn drain<P: Protocol>(result: QueryResult<'_, 'static, P>) -> mysql_async::Result<()> {
        result.drop_result().await
    }
}

/// The next row of the first result set; at its end everything behind it is read too.
pub(crate) async fn next_row<P: Protocol>(mut result: QueryResult<'_, 'static, P>) -> mysql_async::Result<Option<Row>> {
    // Hidden in the driver's documentation, but public. The driver's own streams cannot give their connection back.
    let row = result.next().await?;
    if row.is_none() {
        result.drop_result().await?;
    }
    Ok(row)
}
