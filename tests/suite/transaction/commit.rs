//! A transaction is committed as a whole, and a COMMIT that is lost is never sent twice.

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mysql_retry::{Annotate as _, Error, IsolationLevel, Outcome, Reason, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time, ms};

use crate::support::{Ledger, executor, executor_via, shared};

#[tokio::test]
async fn what_the_closure_did_is_committed_and_its_value_returned() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let insert = ledger.insert();
    // the closure borrows from its surroundings
    let value: Result<u64, Error> = exec
        .transaction(TxOpts::default(), |mut tx| {
            let insert = &insert;
            async move {
                assert_eq!(tx.attempt(), 1);
                tx.query_drop(insert).await?;
                tx.exec_drop(insert, ()).await?;
                Ok(tx.affected_rows())
            }
        })
        .await;
    assert_eq!(value.expect("committed"), 1);
    assert_eq!(ledger.rows().await, 2);
    // the connection went back without a reset
    assert_eq!(exec.counters().resets, 0);
}

#[tokio::test]
async fn a_transaction_can_run_on_a_task_of_its_own() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let insert = ledger.insert();
    let task = tokio::spawn(async move {
        exec.transaction(TxOpts::default(), |mut tx| {
            let insert = insert.clone();
            async move { tx.query_drop(insert).await }
        })
        .await
    });
    task.await.expect("no panic").expect("committed");
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_unknown_and_not_run_again() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    let runs = AtomicU32::new(0);
    proxy.rule(Rule::reply_lost(When::text("COMMIT")));
    let result: Result<(), Error> = exec
        .transaction(TxOpts::default(), |mut tx| {
            runs.fetch_add(1, Relaxed);
            let insert = ledger.insert().idempotent();
            async move { tx.query_drop(insert).await }
        })
        .await;
    let error = result.expect_err("nobody knows");
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::CommitLost), "{error}");
    assert!(error.to_string().contains("the transaction may have been committed"), "{error}");
    assert_eq!((runs.load(Relaxed), ledger.rows().await), (1, 1));
}

#[tokio::test]
async fn a_commit_that_was_not_sent_is_run_again() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let result: Result<u32, Error> = in_time(
        exec.transaction(TxOpts::default(), |mut tx| {
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                let attempt = tx.attempt();
                if attempt == 1 {
                    let id: Option<u32> = tx.query_first("SELECT CONNECTION_ID()").await?;
                    server.kill_connection(id.expect("a row")).await;
                    server.wait_gone(id.expect("a row")).await;
                    // after this pause the connection is pinged before it is used
                    tokio::time::sleep(ms(600)).await;
                    tx.query_drop("SELECT 1").await?;
                }
                Ok(attempt)
            }
        })
        .into_future(),
    )
    .await;
    assert_eq!(result.expect("committed"), 2);
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn the_isolation_level_and_the_access_mode_hold_on_each_run() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let mut opts = TxOpts::default();
    opts.with_isolation_level(IsolationLevel::Serializable).with_readonly(true);
    let ledger = Ledger::new(server).await;
    proxy.rule(Rule::new(When::text("'once'"), Place::AfterRequest, Fault::Fin));
    let result: Result<u32, Error> = exec
        .transaction(opts, |mut tx| {
            let insert = ledger.insert();
            async move {
                tx.query_drop("SELECT 'once'").await?;
                let error = tx.query_drop(insert).await.expect_err("read only");
                assert_eq!(error.code(), Some(1792), "{error}");
                Ok(tx.attempt())
            }
        })
        .await;
    assert_eq!(result.expect("committed"), 2);
    let begins = proxy.commands().into_iter().filter(|seen| {
        let text = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION READ ONLY; SAVEPOINT ";
        seen.text.as_ref().is_some_and(|sent| sent.starts_with(text))
    });
    assert_eq!(begins.count(), 2);
}
