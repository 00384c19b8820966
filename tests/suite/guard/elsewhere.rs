//! The COMMIT of guarded work is lost on one server, and the next attempt goes to another one.
//!
//! Two independent servers stand in for the nodes of a cluster that have not replicated yet.

use std::future::IntoFuture as _;

use mysql_retry::{Done, Error, Outcome, TxOpts};
use mysql_retry_fixture::{Proxy, Rule, Server, When, in_time};

use crate::support::{Ledger, executor_with_guard, shared};

/// Loses the reply to COMMIT at the first server, and goes on at the second. There the transaction ends with one more statement, `last`.
async fn goes_on_elsewhere(last: &'static str) -> Result<Done<u32>, Error> {
    let (first, second) = (shared().await, Server::start().await);
    let proxy = Proxy::start(first).await;
    let exec = executor_with_guard(proxy.opts()).await;
    second.query_drop(exec.guard_ddl()).await;
    let ledger = Ledger::new(first).await;
    ledger.create_on(&second).await;
    proxy.rule(Rule::reply_lost(When::text("COMMIT")));
    let transaction = exec
        .transaction(TxOpts::default(), |mut tx| {
            proxy.point_at(&second);
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                if tx.attempt() > 1 {
                    tx.query_drop(last).await?;
                }
                Ok::<_, Error>(tx.attempt())
            }
        })
        .exactly_once("t");
    let done = in_time(transaction.into_future()).await;
    assert_eq!(ledger.rows().await, 1, "the lost COMMIT took effect");
    done
}

#[tokio::test]
async fn a_token_that_is_free_on_another_server_proves_nothing() {
    let error = goes_on_elsewhere("SELECT * FROM no_such_table").await.expect_err("no such table");
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
}

#[tokio::test]
async fn a_commit_on_another_server_is_that_of_its_own_run() {
    assert_eq!(goes_on_elsewhere("DO 0").await.expect("committed there"), Done::Now(2));
}
