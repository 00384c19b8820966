//! Runs the work of a case, and looks at the rows that it returns.

use futures_util::StreamExt as _;
use mysql_async::Row;
use mysql_retry::{Annotate as _, Error, Executor, Unguarded};

use crate::{
    case::Case,
    transfer,
    work::{Protocol, Work},
};

/// Runs the statement; what is wrong with its rows, if anything is.
pub async fn run(exec: &Executor, case: &Case) -> Result<Option<String>, Error> {
    match case.work {
        Work::Transfer(manner) => return transfer::run(exec, case.number, manner).await,
        Work::GuardedInsert(_) => return transfer::guarded_insert(exec, case).await,
        _ => {}
    }
    let sql = case.work.sql(case.number);
    if case.annotated { execute(exec, case, sql.idempotent()).await } else { execute(exec, case, sql).await }
}

async fn execute(exec: &Executor, case: &Case, sql: impl Unguarded) -> Result<Option<String>, Error> {
    let parameter = (case.work.parameter(),);
    match case.work {
        Work::Batch => exec.exec_batch(sql, (1..=3).map(|part: u32| (part,))).await.map(|()| None),
        Work::Stream(..) => stream(exec, case, sql).await,
        Work::InsertLong(Protocol::Prepared) => {
            let done = exec.exec_drop(sql, (Work::long_text(),)).await;
            done.map(|_| None)
        }
        Work::Select(..) => {
            let rows = if case.work.is_prepared() { exec.exec(sql, parameter).await } else { exec.query(sql).await };
            rows.map(|rows| wrong_rows(&rows, case.work.parameter()))
        }
        Work::Call(_) => {
            let rows = if case.work.is_prepared() { exec.exec(sql, parameter).await } else { exec.query(sql).await };
            rows.map(|rows| wrong_rows(&rows, crate::ledger::ROWS_OF_CALL))
        }
        Work::SelectLong(_) => {
            let rows = if case.work.is_prepared() { exec.exec(sql, parameter).await } else { exec.query(sql).await };
            rows.map(|rows| wrong_long_row(&rows, case.number))
        }
        Work::Insert(_)
        | Work::InsertKeyed(_)
        | Work::UpdateAdd(_)
        | Work::UpdateSet(_)
        | Work::Delete(_)
        | Work::Multi
        | Work::InsertLong(Protocol::Text)
        | Work::LocalInfile
        | Work::Transfer(_)
        | Work::GuardedInsert(_) => {
            let done =
                if case.work.is_prepared() { exec.exec_drop(sql, parameter).await } else { exec.query_drop(sql).await };
            done.map(|_| None)
        }
    }
}

/// Reads a stream to its end, or to its error: what came until then has to be right.
async fn stream(exec: &Executor, case: &Case, sql: impl Unguarded) -> Result<Option<String>, Error> {
    let wanted = case.work.parameter();
    let mut stream =
        if case.work.is_prepared() { exec.exec_stream(sql, (wanted,)).await? } else { exec.query_stream(sql).await? };
    let mut rows = Vec::new();
    while let Some(row) = stream.next().await {
        match row {
            Ok(row) => rows.push(row),
            Err(error) => {
                let delivered = u32::try_from(rows.len()).unwrap_or(u32::MAX);
                let wrong = wrong_rows(&rows, delivered);
                let told = error.rows_delivered() == u64::from(delivered);
                return if wrong.is_none() && told { Err(error) } else { Ok(Some(format!("{rows:?} before {error}"))) };
            }
        }
    }
    Ok(wrong_rows(&rows, wanted))
}

/// The rows are 1, 2, 3 ..
fn wrong_rows(rows: &[u32], wanted: u32) -> Option<String> {
    (!rows.iter().copied().eq(1..=wanted)).then(|| format!("{} rows instead of {wanted}: {rows:?}", rows.len()))
}

fn wrong_long_row(rows: &[Row], number: u32) -> Option<String> {
    let right = |row: &Row| {
        let long = row.get_opt::<Vec<u8>, _>(1).and_then(Result::ok);
        long == Some(Work::long_row()) && row.get_opt::<u32, _>(0) == Some(Ok(number))
    };
    (rows.len() != 1 || !rows.iter().all(right)).then(|| format!("{} rows, not the long one", rows.len()))
}
