//! A transaction that was certainly rolled back is run again as a whole.

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Error, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time, ms};

use crate::support::{Ledger, executor, executor_via, shared, unique};

#[tokio::test]
async fn a_loss_at_any_statement_before_commit_runs_it_all_again() {
    let server = shared().await;
    let places = [
        (When::text("START TRANSACTION"), Place::Request(0)),
        (When::text("START TRANSACTION"), Place::AfterRequestWhenAnswered),
        (When::text("'first'"), Place::AfterRequest),
        (When::text("INSERT"), Place::Request(3)),
        (When::text("INSERT"), Place::AfterRequestWhenAnswered),
        (When::text("INSERT"), Place::AfterReply),
    ];
    for (when, place) in places {
        for keep_server in [false, true] {
            let proxy = Proxy::start(server).await;
            let exec = executor_via(&proxy);
            let ledger = Ledger::new(server).await;
            let runs = AtomicU32::new(0);
            exec.ping().await.expect("a connection");
            proxy.rule(Rule { keep_server, ..Rule::new(when.clone(), place, Fault::Fin) });
            let result: Result<(), Error> = in_time(
                exec.transaction(TxOpts::default(), |mut tx| {
                    let run = runs.fetch_add(1, Relaxed) + 1;
                    let insert = ledger.insert();
                    async move {
                        assert!(tx.attempt() >= run);
                        tx.query_drop("SELECT 'first'").await?;
                        tx.query_drop(insert).await?;
                        tx.query_drop("SELECT 'last'").await
                    }
                })
                .into_future(),
            )
            .await;
            result.unwrap_or_else(|error| panic!("{when:?} {place:?}: {error}"));
            assert_eq!(ledger.rows().await, 1, "{when:?} {place:?} {keep_server}");
            assert!(proxy.rules_left().is_empty());
            let counters = exec.counters();
            assert_eq!((counters.losses, counters.recovered, counters.gave_up), (1, 1, 0), "{when:?} {place:?}");
        }
    }
}

#[tokio::test]
async fn a_closure_that_takes_no_notice_of_the_loss_is_run_again_too() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    proxy.rule(Rule::reply_lost(When::text("INSERT")));
    let result: Result<u32, Error> = exec
        .transaction(TxOpts::default(), |mut tx| {
            let insert = ledger.insert();
            async move {
                let _ = tx.query_drop(insert.clone()).await;
                // after the loss nothing runs outside of the transaction
                let _ = tx.query_drop(insert).await;
                Ok(tx.attempt())
            }
        })
        .await;
    assert_eq!(result.expect("committed"), 2);
    assert_eq!(ledger.rows().await, 2);
}

#[tokio::test]
async fn a_closure_that_drops_a_statement_and_goes_on_is_run_again() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let result: Result<u32, Error> = in_time(
        exec.transaction(TxOpts::default(), |mut tx| {
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                if tx.attempt() == 1 {
                    let _ = tokio::time::timeout(ms(20), tx.query_drop("SELECT SLEEP(100)")).await;
                }
                Ok(tx.attempt())
            }
        })
        .into_future(),
    )
    .await;
    assert_eq!(result.expect("committed"), 2);
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_deadlock_s_victim_is_run_again() {
    let server = shared().await;
    let table = unique("pair");
    server.query_drop(format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT)")).await;
    server.query_drop(format!("INSERT INTO {table} VALUES (1, 0), (2, 0)")).await;
    let exec = executor(server);
    let barrier = tokio::sync::Barrier::new(2);
    let both = async |first: u32, second: u32| {
        let (table, barrier) = (&table, &barrier);
        let result: Result<u32, Error> = in_time(
            exec.transaction(TxOpts::default(), move |mut tx: Tx| async move {
                tx.exec_drop(format!("UPDATE {table} SET v = v + 1 WHERE id = ?"), (first,)).await?;
                if tx.attempt() == 1 {
                    barrier.wait().await;
                }
                tx.exec_drop(format!("UPDATE {table} SET v = v + 1 WHERE id = ?"), (second,)).await?;
                Ok(tx.attempt())
            })
            .into_future(),
        )
        .await;
        result.expect("committed")
    };
    let (one, other) = tokio::join!(both(1, 2), both(2, 1));
    assert_eq!(one.min(other), 1);
    assert_eq!(one.max(other), 2);
    let mut conn = server.connect().await;
    let values: Vec<i32> = conn.query(format!("SELECT v FROM {table} ORDER BY id")).await.expect("values");
    assert_eq!(values, [2, 2]);
    conn.disconnect().await.expect("a goodbye");
}
