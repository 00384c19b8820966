mod elsewhere;
mod errors;
mod once;
mod statements;
mod table;

use std::future::IntoFuture as _;

use mysql_retry::{Done, Error, Executor, TxOpts};
use mysql_retry_fixture::in_time;

use crate::support::Ledger;

/// Inserts one row, guarded with this token. Returns the number of the run that was committed.
async fn insert_once(exec: &Executor, ledger: &Ledger<'_>, token: &str) -> Result<Done<u32>, Error> {
    let transaction = exec.transaction(TxOpts::default(), |mut tx| {
        let insert = ledger.insert();
        async move {
            tx.query_drop(insert).await?;
            Ok(tx.attempt())
        }
    });
    in_time(transaction.exactly_once(token).into_future()).await
}
