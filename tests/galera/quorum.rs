//! A node that has lost the others refuses all statements until it has them again.

use std::future::IntoFuture as _;

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Done, Outcome, RetryPolicy, TxOpts};
use mysql_retry_fixture::{failover::in_time, ms};

use crate::support::{Bank, give_quorum_back, own_cluster, take_quorum};

#[tokio::test]
async fn a_node_without_quorum_refuses_and_a_transaction_waits_for_the_quorum() {
    let Some(cluster) = own_cluster().await else { return };
    let bank = Bank::open(cluster).await;
    let exec = bank.executor(cluster.node(0).opts());
    exec.ping().await.expect("a connection");
    let mut own = cluster.node(0).connect().await;
    take_quorum(cluster, &mut own).await;
    let transfer = |number: usize| {
        let bank = &bank;
        move |mut tx: mysql_retry::Tx| async move { bank.make_transfer(&mut tx, number).await }
    };
    let impatient = RetryPolicy::builder().deadline(ms(800)).build().expect("valid");
    let refused = exec.with_policy(&impatient).transaction(TxOpts::default(), transfer(1)).exactly_once("1").await;
    let error = refused.expect_err("nobody to commit with");
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");

    let patient = RetryPolicy::builder().deadline(ms(90_000)).build().expect("valid");
    let patient = exec.with_policy(&patient);
    let waiting = patient.transaction(TxOpts::default(), transfer(2)).exactly_once("2");
    let thaw = async {
        tokio::time::sleep(ms(500)).await;
        give_quorum_back(cluster);
    };
    let (done, ()) = in_time(async { tokio::join!(waiting.into_future(), thaw) }).await;
    assert_eq!(done.expect("done with the others"), Done::Now(()));
    let sql = format!("SELECT COUNT(*), MAX(n) FROM {}", bank.transfers());
    assert_eq!(own.query_first(sql).await.expect("an answer"), Some((1, 2)));
    own.disconnect().await.expect("a goodbye");
}
