//! The closure's own error, its panic, and its handle.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mysql_retry::{Error, Outcome, Reason, Tx, TxOpts};
use mysql_retry_fixture::in_time;

use crate::support::{Ledger, Own, executor, executor_of_one, shared};

#[tokio::test]
async fn the_closure_s_own_error_rolls_back_and_comes_back_untouched() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let runs = AtomicU32::new(0);
    let result: Result<(), Own> = exec
        .transaction(TxOpts::default(), |mut tx| {
            runs.fetch_add(1, Relaxed);
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                Err(Own::Refused(7))
            }
        })
        .await;
    assert!(matches!(result, Err(Own::Refused(7))));
    assert_eq!((runs.load(Relaxed), ledger.rows().await), (1, 0));
}

#[tokio::test]
async fn a_panic_rolls_back_and_goes_on() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let ledger = Ledger::new(server).await;
    let insert = ledger.insert();
    let of_task = exec.clone();
    let task = tokio::spawn(async move {
        of_task
            .transaction(TxOpts::default(), |mut tx| {
                let insert = insert.clone();
                async move {
                    tx.query_drop(insert).await?;
                    panic!("on purpose");
                    #[allow(unreachable_code)]
                    Ok::<(), Error>(())
                }
            })
            .await
    });
    assert!(task.await.expect_err("a panic").is_panic());
    // the only connection of the pool is free, and the row is not locked any more
    in_time(exec.query_drop(format!("UPDATE {} SET n = 2", ledger.table))).await.expect("updated");
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn a_handle_that_outlives_its_transaction_does_nothing() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let result: Result<Tx, Error> = exec.transaction(TxOpts::default(), |tx| async move { Ok(tx) }).await;
    let mut tx = result.expect("committed");
    let error = tx.query_drop(ledger.insert()).await.expect_err("it is over");
    assert_eq!((error.reason(), error.outcome()), (Reason::InTransaction, Outcome::NotExecuted), "{error}");
    assert_eq!(ledger.rows().await, 0);
}
