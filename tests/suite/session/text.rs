//! An executor refuses a text that needs a session before anything is sent.

use futures_util::TryStreamExt as _;
use mysql_retry::{Annotate as _, Error, Executor, Outcome, Reason, Tx, TxOpts};
use mysql_retry_fixture::{Proxy, in_time};

use crate::support::{Ledger, assert_no_loss, executor_of_one, executor_of_one_for_any_text, shared, unique};

/// Texts that need a session, and what the error names as the reason.
#[rustfmt::skip]
const REFUSED: &[(&str, &str)] = &[
    ("START TRANSACTION", "BEGIN"), ("BEGIN", "BEGIN"), ("/* c */ begin work;", "BEGIN"), ("COMMIT", "COMMIT"), ("ROLLBACK", "COMMIT"),
    ("SAVEPOINT a", "SAVEPOINT"), ("RELEASE SAVEPOINT a", "SAVEPOINT"), ("XA START 'a'", "BEGIN"), ("SET autocommit = 0", "autocommit"),
    ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET TRANSACTION"), ("BEGIN; INSERT INTO LEDGER (n) VALUES (1)", "BEGIN"),
    ("SET @a = 1", "@name"), ("SELECT 1 INTO @a", "@name"), ("SELECT @a", "@name"), ("INSERT INTO LEDGER (n) VALUES (@a)", "@name"),
    ("SELECT @n := @n + 1 FROM LEDGER", "@name"), ("SET SESSION sql_mode = ''", "SET of"), ("SET NAMES utf8mb4", "SET of"),
    ("SET SESSION TRANSACTION READ ONLY", "SET of"), ("SET @@sort_buffer_size = 100000", "SET of"), ("SET ROLE NONE", "SET ROLE"), ("USE test", "USE"),
    ("LOCK TABLES LEDGER WRITE", "LOCK"), ("UNLOCK TABLES", "LOCK"), ("FLUSH TABLES WITH READ LOCK", "FLUSH"),
    ("SELECT GET_LOCK('a', 0)", "GET_LOCK"), ("DO RELEASE_LOCK('a')", "RELEASE_LOCK"), ("SELECT RELEASE_ALL_LOCKS()", "RELEASE_LOCK"),
    ("CREATE TEMPORARY TABLE t (a INT)", "temporary"), ("DROP TEMPORARY TABLE t", "temporary"),
    ("PREPARE s FROM 'SELECT 1'", "PREPARE"), ("EXECUTE s", "EXECUTE"), ("DEALLOCATE PREPARE s", "DEALLOCATE"), ("DROP PREPARE s", "PREPARE"),
    ("HANDLER LEDGER OPEN", "HANDLER"), ("HANDLER LEDGER READ FIRST", "HANDLER"),
    ("SELECT LAST_INSERT_ID()", "last_insert_id()"), ("INSERT INTO LEDGER (n) VALUES (LAST_INSERT_ID())", "LAST_INSERT_ID()"),
    ("SELECT @@last_insert_id", "LAST_INSERT_ID()"), ("SELECT @@session.identity", "LAST_INSERT_ID()"), ("SELECT FOUND_ROWS()", "FOUND_ROWS()"),
    ("SELECT ROW_COUNT()", "ROW_COUNT()"), ("SHOW WARNINGS", "SHOW WARNINGS"), ("SHOW ERRORS", "SHOW WARNINGS"), ("SELECT @@warning_count", "SHOW WARNINGS"),
    ("SELECT LASTVAL(s)", "LASTVAL"), ("SELECT PREVIOUS VALUE FOR s", "PREVIOUS VALUE"),
];

/// Texts that bring what they need, or need nothing. All of them succeed on every server.
#[rustfmt::skip]
const RUN: &[&str] = &[
    "SELECT @n := @n + 1 FROM LEDGER, (SELECT @n := 0) z", "BEGIN; INSERT INTO LEDGER (n) VALUES (1); COMMIT", "BEGIN; DELETE FROM LEDGER; ROLLBACK",
    "SET @a = 1; SELECT @a", "SET @n = 0; UPDATE LEDGER SET n = (@n := @n + 1)", "LOCK TABLES LEDGER WRITE; INSERT INTO LEDGER (n) VALUES (2); UNLOCK TABLES",
    "SELECT GET_LOCK('case 82', 0); SELECT 1; DO RELEASE_LOCK('case 82')", "CREATE TEMPORARY TABLE tmp (a INT); INSERT INTO tmp VALUES (1); DROP TEMPORARY TABLE tmp",
    "DROP TEMPORARY TABLE IF EXISTS tmp", "INSERT INTO LEDGER (n) VALUES (3); SELECT LAST_INSERT_ID()", "UPDATE LEDGER SET n = 4; SELECT ROW_COUNT()",
    "PREPARE s FROM 'SELECT 1'; EXECUTE s; DEALLOCATE PREPARE s", "UPDATE LEDGER SET n = LAST_INSERT_ID(n + 1) LIMIT 1",
    "INSERT INTO LEDGER (id, n) VALUES (1, 1) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)", "SELECT 1; SHOW WARNINGS",
    "SELECT @@version, @@global.max_connections, @@session.wait_timeout", "SET GLOBAL max_connect_errors = 100", "SHOW VARIABLES LIKE 'version'",
    "SELECT IS_FREE_LOCK('case 82')", "SET SESSION TRANSACTION READ ONLY; SELECT 1", "SELECT DATABASE()", "XA RECOVER", "FLUSH STATUS",
];

fn is_refused(error: &Error) -> bool {
    error.is_config() && error.outcome() == Outcome::NotExecuted && error.attempts() == 0 && !error.is_disconnect()
}

#[tokio::test]
async fn case_82_text_that_needs_a_session_is_refused_before_anything_is_sent() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    for (text, seen) in REFUSED {
        let text = text.replace("LEDGER", &ledger.table);
        let error = exec.query_drop(text.as_str()).await.expect_err(&text);
        let message = error.to_string();
        assert!(is_refused(&error), "{text}: {error:?}");
        assert!(
            message.contains(seen) && message.contains("session()") && message.contains("transaction()"),
            "{text}: {error}"
        );
        // with any annotation
        assert!(is_refused(&exec.query_drop(text.as_str().idempotent()).await.expect_err(&text)), "{text}");
        assert!(is_refused(&exec.query_drop(text.exactly_once("case 82")).await.expect_err("refused")));
    }
    assert_eq!((proxy.accepted(), ledger.rows().await), (0, 0), "no connection was made");
    assert_eq!(exec.counters().losses, 0);
}

#[tokio::test]
async fn case_82_no_method_of_an_executor_runs_text_that_needs_a_session() {
    let proxy = Proxy::start(shared().await).await;
    let exec = executor_of_one(proxy.opts());
    let text = "SELECT @a";
    let errors = [
        exec.query::<u64, _>(text).await.map(drop),
        exec.query_first::<u64, _>(text).await.map(drop),
        exec.query_map(text, |n: u64| n).await.map(drop),
        exec.query_fold(text, 0, |sum, n: u64| sum + n).await.map(drop),
        exec.query_drop(text).await.map(drop),
        exec.query_stream::<u64, _>(text).await.map(drop),
        exec.exec::<u64, _, _>(text, ()).await.map(drop),
        exec.exec_first::<u64, _, _>(text, ()).await.map(drop),
        exec.exec_map(text, (), |n: u64| n).await.map(drop),
        exec.exec_fold(text, (), 0, |sum, n: u64| sum + n).await.map(drop),
        exec.exec_drop(text, ()).await.map(drop),
        exec.exec_stream::<u64, _, _>(text, ()).await.map(drop),
        exec.exec_batch("INSERT INTO t VALUES (@a, ?)", [(1,), (2,)]).await,
    ];
    for (method, error) in errors.into_iter().enumerate() {
        assert!(is_refused(&error.expect_err("it needs a session")), "method {method}");
    }
    assert_eq!(proxy.accepted(), 0);
}

#[tokio::test]
async fn case_82_text_that_brings_what_it_needs_runs() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    for text in RUN {
        let text = text.replace("LEDGER", &ledger.table);
        in_time(exec.query_drop(text.as_str())).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    let summary = exec.query_drop(format!("UPDATE {} SET n = LAST_INSERT_ID(77) LIMIT 1", ledger.table)).await;
    assert_eq!(summary.expect("updated").last_insert_id(), Some(77));
}

#[tokio::test]
async fn case_82_a_session_a_transaction_and_an_executor_that_was_asked_to_run_it() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let mut session = executor_of_one(server.opts()).session().await.expect("a session");
    session.query_drop("SET @a = 7").await.expect("set");
    assert_eq!(session.query_first("SELECT @a").await.expect("an answer"), Some(7));
    let exec = executor_of_one(server.opts());
    let (insert, ask) = (&ledger.insert(), "SELECT LAST_INSERT_ID() > 0");
    let work = |mut tx: Tx| async move {
        tx.query_drop(insert.as_str()).await?;
        tx.query_first::<bool, _>(ask).await
    };
    assert_eq!(exec.transaction(TxOpts::default(), work).await.expect("committed"), Some(true));
    let exec = executor_of_one_for_any_text(server.opts());
    exec.query_drop("SET @a = 7").await.expect("let through");
    let rows: Vec<Option<i32>> =
        exec.query_stream::<Option<i32>, _>("SELECT @a").await.expect("a stream").try_collect().await.expect("rows");
    assert_eq!(rows, [None], "reset in between, as ever");
}

/// Asserts the server's own error 1243. It would mean that the server has forgotten a statement if the driver had prepared it.
#[track_caller]
fn assert_unknown(error: &Error, text: &str) {
    let seen = (error.code(), error.attempts(), error.reason());
    assert_eq!(seen, (Some(1243), 1, Reason::NotALoss), "{text}: {error}");
    assert_eq!(error.server_error().map(|it| it.code), Some(1243), "{text}: {error}");
    assert!(!error.is_disconnect(), "{text}: {error}");
}

// cases 6 and 67
#[tokio::test]
async fn case_67_a_name_that_was_never_prepared_surfaces_at_once() {
    let server = shared().await;
    let exec = executor_of_one_for_any_text(server.opts());
    let mut session = exec.session().await.expect("a session");
    for text in
        ["DEALLOCATE PREPARE nosuch", "DROP PREPARE nosuch", "EXECUTE nosuch", "/* c */ deallocate prepare nosuch;"]
    {
        for annotated in [false, true] {
            let error = match annotated {
                false => in_time(session.query_drop(text)).await,
                true => in_time(session.query_drop(text.idempotent())).await,
            };
            assert_unknown(&error.expect_err(text), text);
        }
    }
    drop(session);
    for text in ["DEALLOCATE PREPARE nosuch", "DROP PREPARE nosuch", "EXECUTE nosuch"] {
        let error = in_time(exec.query_drop(text.idempotent())).await.expect_err(text);
        assert_unknown(&error, text);
    }
    assert_no_loss(&exec);
}

#[tokio::test]
async fn case_79_a_blank_before_the_parenthesis_makes_it_a_call_of_a_stored_function() {
    let server = shared().await;
    let database = unique("case_79");
    let admin = Executor::new(server.opts()).expect("good options");
    admin.query_drop(format!("CREATE DATABASE {database}")).await.expect("created");
    for name in ["now", "max", "count", "substr", "json_arrayagg", "session_user"] {
        let function = format!(
            "CREATE FUNCTION {database}.`{name}` (a INT) RETURNS INT DETERMINISTIC NO SQL BEGIN SET @x = 7; RETURN a; END"
        );
        admin.query_drop(function).await.expect("created");
        let exec = executor_of_one_for_any_text(server.opts().db_name(Some(&database)));
        for gap in [" ", "/**/", " -- c\n", "\n"] {
            let call = format!("SELECT {name}{gap}(1)");
            assert_eq!(exec.query_first(call.as_str()).await.expect("an answer"), Some(1), "{call}");
            assert_eq!(exec.query_first("SELECT @x").await.expect("an answer"), Some(None::<i32>), "{call}");
        }
    }
    admin.query_drop(format!("DROP DATABASE {database}")).await.expect("dropped");
}
