//! A statement that the server has rolled back, after a deadlock or a lock time-out, is sent again.

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Executor, Outcome, Reason, RetryPolicy, Summary};
use mysql_retry_fixture::{
    Flavour, Recorded, Server, in_time, ms, pool_of,
    wait::{PATIENCE, until_true},
};

use crate::support::{Ledger, executor, recording, shared};

/// Makes one statement of an executor the victim of a deadlock. Returns its result, and the two values to which both the statement
/// and a transaction have added.
async fn deadlock(server: &Server, exec: &Executor) -> (mysql_retry::Result<Summary>, Vec<i32>) {
    let ledger = Ledger::new(server).await;
    let table = &ledger.table;
    ledger.fill(200).await;
    let ids: Vec<i32> = {
        let mut conn = server.connect().await;
        let ids = conn.query(format!("SELECT id FROM {table} ORDER BY id LIMIT 2")).await.expect("the ids");
        conn.disconnect().await.expect("a goodbye");
        ids
    };
    let (first, second) = (ids[0], ids[1]);
    // the transaction has changed more rows than the statement, so that the server picks the statement as the victim
    let mut other = server.connect().await;
    other.query_drop("START TRANSACTION").await.expect("a transaction");
    other.query_drop(format!("UPDATE {table} SET n = n + 100 WHERE id >= {second}")).await.expect("many rows");
    let call = exec.query_drop(format!("UPDATE {table} SET n = n + 1 WHERE id <= {second} ORDER BY id"));
    let against = async {
        wait_for_lock_wait(server, table).await;
        other.query_drop(format!("UPDATE {table} SET n = n + 100 WHERE id = {first}")).await.expect("not the victim");
        other.query_drop("COMMIT").await.expect("not the victim");
        other.disconnect().await.expect("a goodbye");
    };
    let (result, ()) = in_time(async { tokio::join!(call, against) }).await;
    let values = ledger.values().await;
    (result, values[..2].to_vec())
}

/// Waits until an update of a table waits for a row lock.
async fn wait_for_lock_wait(server: &Server, table: &str) {
    let update = format!("UPDATE {table} SET n = n + 1");
    until_true(PATIENCE, ms(10), async || {
        // information_schema.innodb_trx is refreshed only every 0.1 s
        let status: Option<(String, String, String)> = server.query_first("SHOW ENGINE INNODB STATUS").await;
        let (_, _, status) = status.expect("a row");
        let waits = |trx: &str| trx.contains("LOCK WAIT") && trx.contains(&update);
        status.split("---TRANSACTION").any(waits)
    })
    .await;
}

#[tokio::test]
async fn a_statement_that_was_the_victim_of_a_deadlock_is_sent_again_and_executed_once() {
    let server = shared().await;
    let exec = executor(server);
    let (result, values) = deadlock(server, &exec).await;
    assert_eq!(result.expect("it was sent again").affected_rows(), 2);
    assert_eq!(values, [1 + 101, 2 + 101]);
    assert_eq!(exec.counters().resends, 1, "there was no deadlock");
}

#[tokio::test]
async fn a_deadlock_surfaces_where_the_policy_says_so() {
    let server = shared().await;
    let policy = RetryPolicy::builder().resend_rolled_back(false).build().expect("valid");
    let exec = executor(server).with_policy(&policy);
    let (result, values) = deadlock(server, &exec).await;
    let error = result.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (Some(1213), Outcome::NotExecuted), "{error}");
    assert_eq!((error.attempts(), error.reason()), (1, Reason::SwitchedOff));
    assert!(!error.is_disconnect());
    assert_eq!(values, [1 + 100, 2 + 100]);
}

#[tokio::test]
async fn a_statement_that_waited_too_long_for_a_lock_is_sent_again_and_executed_once() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    ledger.fill(1).await;
    let mut holder = server.connect().await;
    holder.query_drop(format!("BEGIN; UPDATE {} SET n = n + 100", ledger.table)).await.expect("the lock");
    let (sender, mut classified) = tokio::sync::mpsc::unbounded_channel();
    let policy = RetryPolicy::builder().classify_with(move |error, table| {
        let _ = sender.send(error.to_string());
        table
    });
    let opts = pool_of(1, server.opts().setup(vec!["SET SESSION innodb_lock_wait_timeout = 1"]));
    let (exec, events) = recording(Executor::builder().policy(policy.build().expect("valid")), opts);
    let update = format!("UPDATE {} SET n = n + 10", ledger.table);
    let bare = exec.with_policy(&RetryPolicy::none());
    let error = in_time(bare.query_drop(update.as_str())).await.expect_err("a lock time-out");
    assert_eq!((error.code(), error.outcome()), (Some(1205), Outcome::NotExecuted), "{error}");
    let release = async {
        let is_scheduled =
            |event: &Recorded| matches!(event, Recorded::Scheduled { outcome: Outcome::NotExecuted, .. });
        events.wait_for(is_scheduled).await;
        holder.query_drop("COMMIT").await.expect("a commit");
        holder.disconnect().await.expect("a goodbye");
    };
    let (result, ()) = in_time(async { tokio::join!(exec.query_drop(update.as_str()), release) }).await;
    assert_eq!(result.expect("it was sent again").affected_rows(), 1);
    assert!(classified.try_recv().expect("it was classified").contains("1205"));
    assert_eq!(ledger.values().await, [111]);
    assert_eq!(exec.counters().losses, 0, "no connection was lost");
}

/// A server with a lock wait time-out of one second, on which a statement may write to InnoDB and MyISAM.
async fn impatient() -> Server {
    let builder = Server::builder().flag("--innodb-lock-wait-timeout=1");
    // MySQL 9.7 refuses such a statement while transactions have GTIDs
    let builder = match shared().await.flavour() {
        Flavour::MySql => builder.flag("--gtid-mode=OFF").flag("--enforce-gtid-consistency=OFF"),
        Flavour::MariaDb => builder,
    };
    builder.start().await
}

#[tokio::test]
async fn case_48_a_lock_wait_time_out_under_ddl_is_not_called_not_executed() {
    if shared().await.flavour() == Flavour::MySql {
        return; // it has no CREATE OR REPLACE TABLE
    }
    let server = impatient().await;
    let source = Ledger::new(&server).await;
    source.fill(3).await;
    server.query_drop("CREATE TABLE old (a INT)").await;
    let _held = server.lock_row(&source.table, 3).await;
    let exec = executor(&server);
    let replace = format!("CREATE OR REPLACE TABLE old AS SELECT * FROM {} FOR UPDATE", source.table);
    let error = in_time(exec.query_drop(replace)).await.unwrap_err();
    assert_eq!((error.code(), error.outcome(), error.attempts()), (Some(1205), Outcome::Failed, 1), "{error}");
    let there: Option<String> = server.query_first("SHOW TABLES LIKE 'old'").await;
    assert_eq!(there, None, "the server no longer drops the old table first: the test is void");
}

#[tokio::test]
async fn case_49_rows_that_no_rollback_takes_away_are_not_written_again() {
    let server = impatient().await;
    let source = Ledger::new(&server).await;
    source.fill(3).await;
    server.query_drop("CREATE TABLE kept (id INT, n INT) ENGINE=MyISAM").await;
    server.query_drop("CREATE TABLE logged (id INT PRIMARY KEY, n INT) ENGINE=InnoDB").await;
    server
        .query_drop("CREATE TRIGGER log AFTER INSERT ON logged FOR EACH ROW INSERT INTO kept VALUES (NEW.id, 0)")
        .await;
    let _held = server.lock_row(&source.table, 3).await;
    let exec = executor(&server);
    for (target, kept) in [("kept", 2), ("logged", 4)] {
        let insert = format!("INSERT INTO {target} SELECT id, n FROM {} ORDER BY id FOR UPDATE", source.table);
        let error = in_time(exec.query_drop(insert)).await.unwrap_err();
        assert_eq!((error.code(), error.outcome(), error.attempts()), (Some(1205), Outcome::Failed, 1), "{error}");
        let rows: Option<u64> = server.query_first("SELECT COUNT(*) FROM kept").await;
        assert_eq!(rows, Some(kept), "{target}");
    }
    // a statement that is rolled back as a whole is sent again
    server.query_drop("CREATE TABLE plain (id INT PRIMARY KEY, n INT) ENGINE=InnoDB").await;
    let insert = format!("INSERT INTO plain SELECT id, n FROM {} FOR UPDATE", source.table);
    let once = RetryPolicy::builder().deadline(ms(1_500)).build().expect("valid");
    let error = in_time(exec.with_policy(&once).query_drop(insert)).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (Some(1205), Outcome::NotExecuted), "{error}");
    assert!(error.attempts() > 1, "{error}");
}
