//! Reads without an annotation, under a policy that replays them.

use mysql_retry::{Delivery, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Proxy, Rule, When, pool_of};

use crate::support::{Ledger, shared, unique};

#[tokio::test]
async fn what_certainly_only_reads_is_replayed_where_the_policy_says_so_and_nothing_else_is() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let function = unique("writes");
    let insert = ledger.insert();
    server
        .query_drop(format!("CREATE FUNCTION {function}() RETURNS INT MODIFIES SQL DATA BEGIN {insert}; RETURN 1; END"))
        .await;
    let policy = RetryPolicy::builder().replay_reads(true).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(pool_of(1, proxy.opts())).expect("good options");
    let table = &ledger.table;
    let reads = [
        "SELECT 7".to_owned(),
        format!("SELECT COUNT(*) FROM {table}"),
        format!("WITH all_of AS (SELECT * FROM {table}) SELECT * FROM all_of"),
        "SHOW TABLES".to_owned(),
        "SELECT 1 AS updated_at".to_owned(),
    ];
    for (replays, text) in (1..).zip(&reads) {
        proxy.rule(Rule::reply_lost(When::text(text)));
        let rows: Result<Vec<mysql_async::Row>, _> = exec.query(text).await;
        assert!(rows.is_ok() && exec.counters().replays == replays, "{text}: {rows:?} {:?}", exec.counters());
    }
    let writes = [
        ledger.insert(),
        format!("SELECT {function}()"),
        format!("SELECT 1; {}", ledger.insert()),
        format!("SELECT * FROM {table} FOR/* */update"),
        format!("SELECT * FROM {table} LOCK IN SHARE MODE"),
    ];
    for text in &writes {
        proxy.rule(Rule::reply_lost(When::text(text)));
        let error = exec.query_drop(text).await.expect_err(text);
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::NotIdempotent), "{text}: {error}");
        assert_eq!(error.delivery(), Delivery::AtMostOnce, "{text}");
    }
    assert_eq!(exec.counters().replays, reads.len() as u64);
    assert_eq!(ledger.rows().await, 3);
}

#[tokio::test]
async fn a_read_is_not_replayed_without_being_asked_for() {
    let proxy = Proxy::start(shared().await).await;
    let exec = Executor::builder().build(pool_of(1, proxy.opts())).expect("good options");
    proxy.rule(Rule::reply_lost(When::text("SELECT 7")));
    let error = exec.query_drop("SELECT 7").await.expect_err("a lost reply");
    assert_eq!(error.reason(), Reason::NotIdempotent, "{error}");
}
