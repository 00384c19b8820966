//! What real servers report beside the usual, and what became of the statement.

use std::time::Duration;

use mysql_async::{Conn, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Executor, Outcome, RetryPolicy, TxOpts};
use mysql_retry_fixture::{Fault, Flavour, Kind, Place, Proxy, Rule, Server, When};

use crate::{
    support::hooks::ms,
    support::{Ledger, all_wait, executor, executor_of_one, in_time, pool_of, shared, unique},
};

/// A server where a lock is waited for one second, and where InnoDB and MyISAM may be mixed.
async fn impatient() -> Server {
    let builder = Server::builder().flag("--innodb-lock-wait-timeout=1");
    // MySQL 9.7 refuses the mixture where transactions have ids
    let builder = match shared().await.flavour() {
        Flavour::MySql => builder.flag("--gtid-mode=OFF").flag("--enforce-gtid-consistency=OFF"),
        Flavour::MariaDb => builder,
    };
    builder.start().await
}

/// Holds the row with this id of a table until the connection is dropped.
async fn hold(server: &Server, table: &str, id: u32) -> Conn {
    let mut conn = server.connect().await;
    conn.query_drop("BEGIN").await.expect("begun");
    conn.query_drop(format!("UPDATE {table} SET n = n + 1 WHERE id = {id}")).await.expect("held");
    conn
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
    let _held = hold(&server, &source.table, 3).await;
    let exec = executor(&server);
    let replace = format!("CREATE OR REPLACE TABLE old AS SELECT * FROM {} FOR UPDATE", source.table);
    let error = in_time(exec.query_drop(replace)).await.unwrap_err();
    assert_eq!((error.code(), error.outcome(), error.attempts()), (Some(1205), Outcome::Failed, 1), "{error}");
    let there: Option<String> = server.query_first("SHOW TABLES LIKE 'old'").await;
    assert_eq!(there, None, "the server has changed: this test shows nothing any more");
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
    let _held = hold(&server, &source.table, 3).await;
    let exec = executor(&server);
    for (target, kept) in [("kept", 2), ("logged", 4)] {
        let insert = format!("INSERT INTO {target} SELECT id, n FROM {} ORDER BY id FOR UPDATE", source.table);
        let error = in_time(exec.query_drop(insert)).await.unwrap_err();
        assert_eq!((error.code(), error.outcome(), error.attempts()), (Some(1205), Outcome::Failed, 1), "{error}");
        let rows: Option<u64> = server.query_first("SELECT COUNT(*) FROM kept").await;
        assert_eq!(rows, Some(kept), "{target}");
    }
    // what is rolled back without a trace is sent again
    server.query_drop("CREATE TABLE plain (id INT PRIMARY KEY, n INT) ENGINE=InnoDB").await;
    let insert = format!("INSERT INTO plain SELECT id, n FROM {} FOR UPDATE", source.table);
    let once = RetryPolicy::builder().deadline(ms(1_500)).build().expect("valid");
    let error = in_time(exec.with_policy(&once).query_drop(insert)).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (Some(1205), Outcome::NotExecuted), "{error}");
    assert!(error.attempts() > 1, "{error}");
}

#[tokio::test]
async fn case_55_transactions_that_are_read_only_by_default_are_waited_for() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    let variable = match (server.flavour(), server.version()) {
        (Flavour::MariaDb, (..=10, _, _)) => "tx_read_only",
        _ => "transaction_read_only",
    };
    server.query_drop(format!("SET GLOBAL {variable} = 1")).await;
    let policy = RetryPolicy::builder().deadline(Duration::from_secs(50)).build().expect("valid");
    let builder = Executor::builder().policy(policy).probe_interval(ms(30));
    let exec = builder.build(server.opts()).expect("good options");
    let insert = tokio::spawn({
        let (exec, sql) = (exec.clone(), ledger.insert());
        async move { exec.query_drop(sql).await }
    });
    all_wait(&exec, 1).await;
    assert_eq!(in_time(exec.query_first::<u8, _>("SELECT 7")).await.expect("a read goes on"), Some(7));
    let mut conn = server.connect().await;
    conn.query_drop("SET SESSION TRANSACTION READ WRITE").await.expect("for this connection");
    conn.query_drop(format!("SET GLOBAL {variable} = 0")).await.expect("writable");
    in_time(insert).await.expect("no panic").expect("written");
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn case_55_a_caller_s_own_read_only_transaction_is_no_outage() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor(server);
    let mut opts = TxOpts::new();
    opts.with_readonly(true);
    let work = |mut tx: mysql_retry::Tx| {
        let sql = ledger.insert();
        async move { tx.query_drop(sql).await }
    };
    let error = in_time(async { exec.transaction(opts, work).await }).await.unwrap_err();
    assert_eq!((error.server_error().map(|it| it.code), error.outcome()), (Some(1792), Outcome::Failed), "{error}");

    let mut session = exec.session().await.expect("a session");
    session.query_drop("SET SESSION TRANSACTION READ ONLY").await.expect("set");
    let error = in_time(session.query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!((error.server_error().map(|it| it.code), error.outcome()), (Some(1792), Outcome::Failed), "{error}");
    assert_eq!((exec.counters().outages, ledger.rows().await), (0, 0));
}

#[tokio::test]
async fn case_56_a_statement_that_never_heals_ends() {
    const VIEWS: usize = 700;
    let builder = Server::builder().flag("--table-definition-cache=400").flag("--table-open-cache=400");
    let server = builder.start().await;
    let mut conn = server.connect().await;
    conn.query_drop("CREATE TABLE base (a INT)").await.expect("created");
    for n in 0..VIEWS {
        conn.query_drop(format!("CREATE VIEW v{n} AS SELECT {n} AS a FROM base")).await.expect("created");
    }
    let union: Vec<String> = (0..VIEWS).map(|n| format!("SELECT a FROM v{n}")).collect();
    let exec = executor(&server);
    for _ in 0..2 {
        match in_time(exec.exec_drop(union.join(" UNION ALL "), ())).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.server_error().map(|it| it.code), Some(1615), "{error}");
                assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 4), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn case_57_what_is_refused_while_preparing_is_not_executed() {
    let server = Server::builder().flag("--max-prepared-stmt-count=3").start().await;
    let ledger = Ledger::new(&server).await;
    let mut full = server.connect().await;
    let mut prepared = Vec::new();
    for n in 0..3 {
        prepared.push(full.prep(format!("SELECT {n}")).await.expect("prepared"));
    }
    for cache in [0, 32] {
        let exec = Executor::new(pool_of(1, server.opts().stmt_cache_size(cache))).expect("good options");
        let error = in_time(exec.exec_drop(ledger.insert_param(), (1,))).await.unwrap_err();
        assert_eq!((error.code(), error.outcome()), (Some(1461), Outcome::NotExecuted), "{error}");
        let exec = Executor::new(pool_of(1, shared().await.opts().stmt_cache_size(cache))).expect("good options");
        let error = in_time(exec.exec_drop("INSERT INTO no_such_table VALUES (?)", (1,))).await.unwrap_err();
        assert_eq!((error.code(), error.outcome()), (Some(1146), Outcome::NotExecuted), "{error}");
        assert_eq!(exec.counters().losses, 0);
    }
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn case_62_a_broken_init_connect_surfaces_at_once() {
    let server = Server::start().await;
    server.query_drop("CREATE USER app@'%' IDENTIFIED BY 'app-pass'").await;
    server.query_drop("GRANT ALL ON test.* TO app@'%'").await;
    server.query_drop("SET GLOBAL init_connect = 'SELECT * FROM test.no_such_table'").await;
    let exec = Executor::new(server.opts().user(Some("app")).pass(Some("app-pass"))).expect("good options");
    let error = in_time(exec.query_drop("SELECT 1")).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 1), "{error}");
    assert!(error.to_string().contains("init_connect"), "{error}");
    assert_eq!((exec.counters().probes, exec.counters().outages), (0, 0));
}

#[tokio::test]
async fn case_66_a_nested_call_that_waits_for_its_own_caller_says_that_the_pool_is_busy() {
    let server = shared().await;
    let policy = RetryPolicy::builder().deadline(ms(300)).build().expect("valid");
    let exec = executor_of_one(server.opts()).with_policy(&policy);
    let stream = exec.query_stream::<u8, _>("SELECT 1 UNION SELECT 2".idempotent()).await.expect("a stream");
    let error = in_time(exec.query_drop("SELECT 1")).await.unwrap_err();
    assert!(error.is_busy() && error.is_deadline() && !error.is_disconnect(), "{error}");
    assert_eq!((error.outcome(), error.code()), (Outcome::NotExecuted, None), "{error}");
    assert!(error.to_string().contains("the pool is busy: all 1 connections"), "{error}");
    assert!(!error.to_string().contains("2006"), "{error}");
    drop(stream);

    let nested = exec.clone();
    let work = |_: mysql_retry::Tx| {
        let nested = nested.clone();
        async move { nested.query_drop("SELECT 1").await }
    };
    let error = in_time(async { exec.transaction(TxOpts::default(), work).await }).await.unwrap_err();
    assert!(error.is_busy(), "{error}");
    assert_eq!(exec.counters().losses, 0);
}

#[tokio::test]
async fn case_69_a_text_that_the_client_does_not_send_says_which_limit() {
    let server = shared().await;
    let (proxy, ledger) = (Proxy::start(server).await, Ledger::new(server).await);
    let exec = executor_of_one(proxy.opts().max_allowed_packet(Some(2_000)));
    exec.ping().await.expect("a server");
    let long = "x".repeat(3_000);
    let (text, prepared) =
        (format!("{} /* {long} */", ledger.insert()), format!("{} /* {long} */", ledger.insert_param()));
    let before = proxy.commands().into_iter().filter(|seen| seen.kind != Kind::Quit).count();
    let errors = [
        in_time(exec.query_drop(text.as_str())).await.unwrap_err(),
        in_time(exec.query_drop(text.idempotent())).await.unwrap_err(),
        in_time(exec.exec_drop(prepared, (1,))).await.unwrap_err(),
        in_time(exec.exec_drop(ledger.insert_param(), (long,))).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 1), "{error}");
        let says = error.to_string();
        assert!(says.contains("max_allowed_packet of this client (2000 bytes"), "{says}");
        assert!(!error.is_disconnect() && !says.contains("xxx"), "{says}");
    }
    let inserts = proxy.commands().into_iter().filter(|seen| matches!(seen.kind, Kind::Query | Kind::Execute)).count();
    assert!(before > 0 && inserts > 0);
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn case_75_preparing_proves_nothing_where_the_server_runs_stored_functions() {
    let server = shared().await;
    let (proxy, ledger) = (Proxy::start(server).await, Ledger::new(server).await);
    let function = unique("noting");
    let body = format!("BEGIN INSERT INTO {} (n) VALUES (a); RETURN a; END", ledger.table);
    server
        .query_drop(format!("CREATE FUNCTION {function}(a INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA {body}"))
        .await;
    for text in [
        format!("SELECT ROW({function}(1), 2) = ROW(1, 2)"),
        format!("SELECT INTERVAL({function}(1), 2, 3)"),
        format!("SELECT STR_TO_DATE({function}(1), '%d')"),
    ] {
        let before = ledger.rows().await;
        let exec = executor_of_one(proxy.opts());
        exec.ping().await.expect("a server");
        proxy.rule(Rule::new(When::Command(Kind::Prepare), Place::AfterRequestWhenAnswered, Fault::Fin));
        let result = in_time(exec.exec_first::<u8, _, _>(text.as_str(), ())).await;
        let runs = ledger.rows().await - before;
        match result {
            Ok(_) => assert_eq!(runs, 1, "{text}"),
            Err(error) => {
                assert_eq!(error.outcome(), Outcome::Unknown, "{text}: {runs} runs: {error}");
                assert!(runs <= 1, "{text}: {runs} runs");
            }
        }
    }
}
