//! Locks and transactions end with the statement that took them, and set-up holds on every connection.

use mysql_async::prelude::Queryable;
use mysql_retry_fixture::{Kind, Proxy, Server};

use crate::support::{Ledger, connection_id, executor_of_one_for_any_text, in_time, shared, unique};

/// Adds a row and changes the first one, on a connection of its own: waits for as long as somebody holds a lock.
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

#[tokio::test]
async fn a_borrowed_connection_whose_future_was_dropped_is_not_used_again() {
    let server = shared().await;
    let exec = executor_of_one_for_any_text(server.opts());
    let mark = unique("dropped");
    let mut conn = exec.connection().await.expect("a connection");
    let id = conn.id();
    tokio::select! {
        done = conn.query_drop(format!("SELECT SLEEP(2), '{mark}'")) => panic!("it was to be dropped: {done:?}"),
        running = server.wait_until_running(&mark) => assert_eq!(running, id),
    }
    drop(conn);
    let answer: Option<i32> = in_time(exec.query_first("SELECT 7")).await.expect("an answer");
    assert_eq!(answer, Some(7));
    assert_ne!(connection_id(&exec).await, id);
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

/// Asks twice for what the set-up has set, with a caller in between who sets something else.
async fn tags(exec: &mysql_retry::Executor) -> [Option<String>; 2] {
    const TAG: &str = "SELECT @tag";
    let first = in_time(exec.query_first(TAG)).await.expect("an answer");
    in_time(exec.query_drop("SET @tag = 'of another caller'")).await.expect("another caller");
    let second = in_time(exec.query_first(TAG)).await.expect("an answer");
    [first.expect("a row"), second.expect("a row")]
}

fn both(tag: &str) -> [Option<String>; 2] {
    [Some(tag.to_owned()), Some(tag.to_owned())]
}

// the driver's reset runs it again
#[tokio::test]
async fn a_setup_statement_holds_for_every_caller_on_a_connection_that_is_reset() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts().setup(vec!["SET @tag = 'setup'"]));
    assert_eq!(tags(&exec).await, both("setup"));
    connection_id(&exec).await;
    assert_eq!((proxy.accepted(), proxy.count(Kind::ResetConnection)), (1, 3));
}

// the driver's reset does not run it again
#[tokio::test]
async fn an_init_statement_holds_for_every_caller_because_connections_are_replaced() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts().init(vec!["SET @tag = 'init'"]));
    assert_eq!(tags(&exec).await, both("init"));
    connection_id(&exec).await;
    assert_eq!((proxy.accepted(), proxy.count(Kind::ResetConnection)), (4, 0));
    for _ in 0..3 {
        exec.query_drop("SELECT 1").await.expect("an answer");
    }
    assert_eq!(proxy.accepted(), 4, "and stay where nothing was left");
}

#[tokio::test]
async fn an_after_connect_callback_holds_for_every_caller_because_connections_are_replaced() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let opts = proxy.opts().after_connect(|conn| Box::pin(async move { conn.query_drop("SET @tag = 'hook'").await }));
    let exec = executor_of_one_for_any_text(opts);
    assert_eq!(tags(&exec).await, both("hook"));
    connection_id(&exec).await;
    assert_eq!((proxy.accepted(), proxy.count(Kind::ResetConnection)), (4, 0));
}
