//! Locks and transactions end with the statement that took them.

use mysql_async::prelude::Queryable as _;
use mysql_retry_fixture::{Server, in_time};

use crate::support::{Ledger, executor_of_one_for_any_text, shared, unique};

/// Changes the first row and adds one, on another connection: waits as long as a lock is held.
async fn write_elsewhere(server: &Server, ledger: &Ledger<'_>) {
    in_time(server.query_drop(format!("UPDATE {} SET n = n + 10 WHERE id = 1", ledger.table))).await;
    in_time(server.query_drop(ledger.insert())).await;
}

#[tokio::test]
async fn table_locks_end_with_the_statement_that_took_them() {
    let server = shared().await;
    let exec = executor_of_one_for_any_text(server.opts());
    for way in 0..3 {
        let ledger = Ledger::new(server).await;
        ledger.fill(1).await;
        let lock = format!("LOCK TABLES {} WRITE", ledger.table);
        match way {
            0 => drop(exec.query_drop(lock).await.expect("a lock")),
            1 => drop(exec.query_drop(format!("SELECT 1; {lock}")).await.expect("a lock")),
            _ => exec.connection().await.expect("a connection").query_drop(lock).await.expect("a lock"),
        }
        write_elsewhere(server, &ledger).await;
        assert_eq!(ledger.values().await, [11, 1]);
    }
}

#[tokio::test]
async fn a_user_lock_ends_with_the_statement_that_took_it() {
    let server = shared().await;
    let exec = executor_of_one_for_any_text(server.opts());
    for way in 0..3 {
        let name = unique("lock");
        let get = format!("SELECT GET_LOCK('{name}', 0)");
        let got: Option<i32> = match way {
            0 => exec.query_first(get).await.expect("a lock"),
            1 => exec.exec_first(get, ()).await.expect("a lock"),
            _ => exec.connection().await.expect("a connection").query_first(get).await.expect("a lock"),
        };
        assert_eq!(got, Some(1));
        let elsewhere = server.query_first::<i32>(format!("SELECT GET_LOCK('{name}', 600)"));
        assert_eq!(in_time(elsewhere).await, Some(1));
    }
}

#[tokio::test]
async fn a_transaction_that_is_left_open_is_rolled_back_and_holds_no_locks() {
    let server = shared().await;
    let exec = executor_of_one_for_any_text(server.opts());
    let procedure = unique("begins");
    for way in 0..5 {
        let ledger = Ledger::new(server).await;
        ledger.fill(1).await;
        let (insert, table) = (ledger.insert(), &ledger.table);
        let update = format!("UPDATE {table} SET n = 7 WHERE id = 1");
        match way {
            0 => drop(exec.query_drop(format!("BEGIN; {insert}; {update}")).await.expect("a transaction")),
            1 => drop(exec.query_drop(format!("SET autocommit = 0; {insert}; {update}")).await.expect("a transaction")),
            2 => {
                let body = format!("BEGIN START TRANSACTION; {insert}; {update}; END");
                server.query_drop(format!("CREATE PROCEDURE {procedure}() {body}")).await;
                exec.exec_drop(format!("CALL {procedure}()"), ()).await.expect("a transaction");
            }
            3 => {
                let mut conn = exec.connection().await.expect("a connection");
                conn.query_drop("START TRANSACTION").await.expect("a transaction");
                conn.exec_drop(insert, ()).await.expect("an insert");
                conn.query_drop(update).await.expect("an update");
            }
            _ => {
                let mut conn = exec.connection().await.expect("a connection");
                conn.query_drop("SET autocommit = 0").await.expect("a mode");
                conn.query_drop(insert).await.expect("an insert");
                conn.query_drop(update).await.expect("an update");
            }
        }
        write_elsewhere(server, &ledger).await;
        assert_eq!(ledger.values().await, [11, 1], "way {way}");
        // the next caller is in no transaction either
        exec.query_drop(ledger.insert()).await.expect("an insert");
        assert_eq!(ledger.rows().await, 3, "way {way}");
    }
}

#[tokio::test]
async fn begin_by_itself_does_not_swallow_the_next_callers_insert() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one_for_any_text(server.opts());
    for (rows, begin) in (1..).zip(["BEGIN", "START TRANSACTION", "SET autocommit = 0", "begin work"]) {
        exec.query_drop(begin).await.expect(begin);
        exec.query_drop(ledger.insert()).await.expect("an insert");
        assert_eq!(ledger.rows().await, rows, "after {begin}");
    }
}

// COM_RESET_CONNECTION leaves the current database as it is
#[tokio::test]
async fn the_current_database_is_the_one_of_the_options_again_for_the_next_caller() {
    let server = shared().await;
    let gone = unique("gone");
    for database in [Some("test"), None] {
        let exec = executor_of_one_for_any_text(server.opts().db_name(database));
        for way in 0..4 {
            match way {
                0 => drop(exec.query_drop("USE mysql").await.expect("used")),
                1 => drop(exec.query_drop("SELECT 1; USE mysql").await.expect("used")),
                2 => {
                    let sql = format!("CREATE DATABASE {gone}; USE {gone}; DROP DATABASE {gone}");
                    exec.query_drop(sql).await.expect("used and dropped");
                }
                _ => exec.connection().await.expect("a connection").query_drop("USE mysql").await.expect("used"),
            }
            let current: Option<Option<String>> =
                in_time(exec.query_first("SELECT DATABASE()")).await.expect("an answer");
            assert_eq!(current.expect("a row").as_deref(), database, "way {way}");
        }
    }
}
