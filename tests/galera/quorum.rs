//! A node that has lost the others, and takes no statements until it has them again.

use std::{future::IntoFuture as _, time::Duration};

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Done, Error, Outcome, RetryPolicy, TxOpts};
use mysql_retry_fixture::Cluster;

use crate::support::{Bank, cluster, in_time};

#[tokio::test]
async fn a_node_without_quorum_refuses_and_a_transaction_waits_for_the_quorum() {
    // the shared one says whether there is Galera, and is not to be disturbed
    if cluster().await.is_none() {
        return;
    }
    // it lives as long as the process, as the other one does
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start().await));
    let bank = Bank::open(cluster).await;
    let exec = bank.executor(cluster.node(0).opts());
    exec.ping().await.expect("a connection");
    let mut own = cluster.node(0).connect().await;

    cluster.node(1).freeze();
    cluster.node(2).freeze();
    in_time(async {
        loop {
            let status: Option<(String, String)> =
                own.query_first("SHOW STATUS LIKE 'wsrep_ready'").await.expect("a row");
            if status.is_some_and(|(_, ready)| ready == "OFF") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let transfer = |number: usize| {
        let bank = &bank;
        move |mut tx: mysql_retry::Tx| {
            let sql = bank.transfer(number);
            async move {
                for sql in sql {
                    tx.query_drop(sql).await?;
                }
                Ok::<_, Error>(())
            }
        }
    };
    let impatient = RetryPolicy::builder().deadline(Duration::from_millis(800)).build().expect("valid");
    let refused = exec.with_policy(&impatient).transaction(TxOpts::default(), transfer(1)).exactly_once("1").await;
    let error = refused.expect_err("nobody to commit with");
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");

    let patient = RetryPolicy::builder().deadline(Duration::from_secs(90)).build().expect("valid");
    let patient = exec.with_policy(&patient);
    let waiting = patient.transaction(TxOpts::default(), transfer(2)).exactly_once("2");
    let thaw = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.node(1).thaw();
        cluster.node(2).thaw();
    };
    let (done, ()) = in_time(async { tokio::join!(waiting.into_future(), thaw) }).await;
    assert_eq!(done.expect("done with the others"), Done::Now(()));
    let sql = format!("SELECT COUNT(*), MAX(n) FROM {}", bank.transfers());
    assert_eq!(own.query_first(sql).await.expect("an answer"), Some((1, 2)));
    own.disconnect().await.expect("a goodbye");
}
