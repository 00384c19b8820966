//! An executor that only reads, over replicas.

use mysql_retry::{Annotate as _, Outcome, RetryPolicy};
use mysql_retry_fixture::{
    Events, Pair,
    failover::{in_time, until_true},
    ms,
};

use crate::support::builder;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_that_accepts_replicas_goes_from_one_to_the_other_and_back() {
    let pair = Pair::start().await;
    pair.first().query_drop("CREATE TABLE t (n INT NOT NULL)").await;
    pair.first().query_drop("INSERT INTO t VALUES (7)").await;
    pair.catch_up(1).await;
    pair.demote(0).await;
    let events = Events::default();
    let exec =
        builder(&events).accept_read_only(true).build_targets([pair.opts(0), pair.opts(1)]).expect("good options");
    let read = async || -> (u32, u32) {
        let row = in_time(exec.query_first("SELECT n, @@server_id FROM t".idempotent())).await;
        row.expect("a replica answers").expect("a row")
    };
    assert_eq!(read().await, (7, 1));
    pair.first().kill().await;
    for _ in 0..20 {
        assert_eq!(read().await, (7, 2));
    }
    assert_eq!(events.moves(), [(pair.first().address(), pair.second().address())]);

    // a write is refused, within the deadline
    let soon = RetryPolicy::builder().deadline(ms(600)).build().expect("valid");
    let error = in_time(exec.with_policy(&soon).query_drop("INSERT INTO t VALUES (8)")).await.expect_err("read-only");
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert!(error.is_refused(), "{error}");
    assert_eq!(read().await, (7, 2), "and reads go on");

    pair.start_as_replica(0).await;
    until_true(async || read().await == (7, 1)).await;
    assert_eq!(exec.counters().gave_up, 1);
}
