//! What a statement leaves in its session is gone before another caller gets the connection.
//!
//! All executors here have one connection, so that the next caller gets it.

use mysql_async::{Value, prelude::Queryable as _};
use mysql_retry::Executor;
use mysql_retry_fixture::{Flavour, Kind, Proxy, Server, in_time};

use crate::support::{Ledger, executor_of_one_for_any_text, shared, unique};

/// A statement that leaves something behind, and a probe that shows it.
struct Dirt {
    sql: String,
    probe: String,
}

fn dirt(sql: impl Into<String>, probe: impl Into<String>) -> Dirt {
    Dirt { sql: sql.into(), probe: probe.into() }
}

/// A statement for each kind of session state, with tables and routines of its own.
async fn all_dirt(server: &Server) -> Vec<Dirt> {
    let ledger = Ledger::new(server).await;
    ledger.fill(1).await;
    let (table, lock) = (&ledger.table, unique("own"));
    let (procedure, function) = (unique("sets"), unique("sets"));
    server.query_drop(format!("CREATE PROCEDURE {procedure}() SET @x = 5")).await;
    let body = "RETURNS INT DETERMINISTIC NO SQL BEGIN SET @x = 5; RETURN 1; END";
    server.query_drop(format!("CREATE FUNCTION {function}() {body}")).await;
    let x = "SELECT @x";
    let isolation = match (server.flavour(), server.version()) {
        (Flavour::MariaDb, (..11, ..)) => "SELECT @@tx_isolation",
        (Flavour::MariaDb | Flavour::MySql, _) => "SELECT @@transaction_isolation",
    };
    let mut all = vec![
        dirt("SET @x = 5", x),
        dirt("set @x := 5, @y = 6", x),
        dirt("SELECT 5 INTO @x", x),
        dirt("SELECT @x := 5", x),
        dirt(format!("UPDATE {table} SET n = (@x := 5)"), x),
        dirt(format!("CALL {procedure}()"), x),
        dirt(format!("SELECT {function}()"), x),
        dirt(format!("SELECT n FROM {table} WHERE `{function}`() = 1"), x),
        dirt("/*!40101 SET @x = 5 */", x),
        dirt("/* SELECT */ SET @x = 5", x),
        dirt("SELECT 1; SET @x = 5", x),
        dirt("SET SESSION group_concat_max_len = 77", "SELECT @@group_concat_max_len"),
        dirt("SET group_concat_max_len = 77", "SELECT @@group_concat_max_len"),
        dirt("SET @@local.group_concat_max_len = 77", "SELECT @@group_concat_max_len"),
        dirt("SET NAMES latin1", "SELECT @@character_set_results"),
        dirt("SET CHARACTER SET latin1", "SELECT @@character_set_client"),
        dirt("SET time_zone = '+05:00'", "SELECT @@time_zone"),
        dirt("SET sql_mode = 'ANSI_QUOTES'", "SELECT @@sql_mode"),
        dirt("SET autocommit = 0", "SELECT @@autocommit"),
        dirt("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED", isolation),
        dirt(format!("CREATE TEMPORARY TABLE {table} (n INT)"), format!("SELECT COUNT(*) FROM {table}")),
        dirt("PREPARE own FROM 'SELECT 5'", "EXECUTE own"),
        dirt(format!("HANDLER {table} OPEN"), format!("HANDLER {table} READ FIRST")),
        dirt("SELECT LAST_INSERT_ID(77)", "SELECT LAST_INSERT_ID()"),
        dirt(format!("SELECT GET_LOCK('{lock}', 0)"), format!("SELECT IS_USED_LOCK('{lock}') = CONNECTION_ID()")),
    ];
    match server.flavour() {
        Flavour::MariaDb => all.extend([
            dirt("BEGIN NOT ATOMIC SET @x = 5; END", x),
            dirt("EXECUTE IMMEDIATE 'SET @x = 5'", x),
            dirt("/*M! SET @x = 5 */", x),
        ]),
        Flavour::MySql => all.push(dirt("SET LOCAL sql_safe_updates = 1", "SELECT @@sql_safe_updates")),
    }
    all
}

/// The answer to a probe: the first row's values, or the server's error.
type Answer = Result<Option<Vec<Value>>, u16>;

async fn ask(conn: &mut mysql_async::Conn, probe: &str) -> Answer {
    match conn.query_first::<mysql_async::Row, _>(probe).await {
        Ok(row) => Ok(row.map(mysql_async::Row::unwrap)),
        Err(mysql_async::Error::Server(error)) => Err(error.code),
        Err(error) => panic!("{probe}: {error}"),
    }
}

async fn ask_executor(exec: &Executor, probe: &str) -> Answer {
    match exec.query_first::<mysql_async::Row, _>(probe).await {
        Ok(row) => Ok(row.map(mysql_async::Row::unwrap)),
        Err(error) => Err(error.server_error().unwrap_or_else(|| panic!("{probe}: {error}")).code),
    }
}

/// The answer of a new connection.
async fn clean_answer(server: &Server, probe: &str) -> Answer {
    let mut conn = mysql_async::Conn::new(server.opts()).await.expect("a connection");
    let answer = ask(&mut conn, probe).await;
    conn.disconnect().await.expect("a goodbye");
    answer
}

/// What the next caller saw.
#[derive(Default)]
struct Leaks(Vec<String>);

impl Leaks {
    fn note(&mut self, sql: &str, answer: Answer, clean: Answer) {
        if answer != clean {
            self.0.push(format!("after {sql}: {answer:?} in place of {clean:?}"));
        }
    }

    fn assert_none(&self) {
        assert!(self.0.is_empty(), "{:#?}", self.0);
    }
}

#[tokio::test]
async fn each_probe_shows_what_its_statement_leaves() {
    let server = shared().await;
    for Dirt { sql, probe } in all_dirt(server).await {
        let clean = clean_answer(server, &probe).await;
        let mut conn = mysql_async::Conn::new(server.opts()).await.expect("a connection");
        conn.query_drop(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_ne!(ask(&mut conn, &probe).await, clean, "{sql} leaves nothing: a bad test");
        let id = conn.id();
        conn.disconnect().await.expect("a goodbye");
        server.wait_gone(id).await;
    }
}

#[tokio::test]
async fn a_statement_as_text_leaves_nothing_to_the_next_caller() {
    let server = shared().await;
    let exec = executor_of_one_for_any_text(server.opts());
    let mut leaks = Leaks::default();
    for Dirt { sql, probe } in all_dirt(server).await {
        let clean = clean_answer(server, &probe).await;
        exec.query_drop(sql.as_str()).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        leaks.note(&sql, in_time(ask_executor(&exec, &probe)).await, clean);
    }
    leaks.assert_none();
}

#[tokio::test]
async fn a_prepared_statement_leaves_nothing_to_the_next_caller() {
    let server = shared().await;
    let exec = executor_of_one_for_any_text(server.opts());
    let (mut prepared, mut leaks) = (0, Leaks::default());
    for Dirt { sql, probe } in all_dirt(server).await {
        let clean = clean_answer(server, &probe).await;
        match exec.exec_drop(sql.as_str(), ()).await {
            Ok(_) => prepared += 1,
            // some statements cannot be prepared (1295), nor can several in one text (1064)
            Err(error) => assert!(matches!(error.code(), Some(1295 | 1064)), "{sql}: {error}"),
        }
        leaks.note(&sql, in_time(ask_executor(&exec, &probe)).await, clean);
    }
    leaks.assert_none();
    assert!(prepared >= 12, "only {prepared} of the statements could be prepared");
    let insert = format!("INSERT INTO {} (n) VALUES (@x := ?)", Ledger::new(server).await.table);
    exec.exec_batch(insert, [(1,), (2,)]).await.expect("a batch");
    assert_eq!(ask_executor(&exec, "SELECT @x").await, Ok(Some(vec![Value::NULL])));
}

#[tokio::test]
async fn a_borrowed_connection_leaves_nothing_to_the_next_caller() {
    let server = shared().await;
    let exec = executor_of_one_for_any_text(server.opts());
    let mut leaks = Leaks::default();
    for Dirt { sql, probe } in all_dirt(server).await {
        let clean = clean_answer(server, &probe).await;
        let mut conn = exec.connection().await.expect("a connection");
        conn.query_drop(sql.as_str()).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        drop(conn);
        leaks.note(&sql, in_time(ask_executor(&exec, &probe)).await, clean);
    }
    leaks.assert_none();
}

#[tokio::test]
async fn no_method_leaves_anything_to_the_next_caller() {
    use futures_util::TryStreamExt as _;
    let server = shared().await;
    let exec = executor_of_one_for_any_text(server.opts());
    const SQL: &str = "SELECT @x := 5";
    for method in 0..13 {
        match method {
            0 => drop(exec.query::<i32, _>(SQL).await.unwrap()),
            1 => drop(exec.query_first::<i32, _>(SQL).await.unwrap()),
            2 => drop(exec.query_map(SQL, |n: i32| n).await.unwrap()),
            3 => drop(exec.query_fold(SQL, 0, |sum, n: i32| sum + n).await.unwrap()),
            4 => drop(exec.query_drop(SQL).await.unwrap()),
            5 => drop(exec.query_stream::<i32, _>(SQL).await.unwrap().try_collect::<Vec<_>>().await.unwrap()),
            6 => drop(exec.query_stream::<i32, _>(SQL).await.unwrap()),
            7 => drop(exec.exec::<i32, _, _>(SQL, ()).await.unwrap()),
            8 => drop(exec.exec_first::<i32, _, _>(SQL, ()).await.unwrap()),
            9 => drop(exec.exec_map(SQL, (), |n: i32| n).await.unwrap()),
            10 => drop(exec.exec_fold(SQL, (), 0, |sum, n: i32| sum + n).await.unwrap()),
            11 => drop(exec.exec_stream::<i32, _, _>(SQL, ()).await.unwrap().try_collect::<Vec<_>>().await.unwrap()),
            _ => drop(exec.exec_stream::<i32, _, _>(SQL, ()).await.unwrap()),
        }
        let left: Option<Option<i32>> = in_time(exec.query_first("SELECT @x")).await.unwrap();
        assert_eq!(left, Some(None), "method {method}");
    }
}

#[tokio::test]
async fn a_statement_that_failed_half_way_leaves_nothing_to_the_next_caller() {
    let server = shared().await;
    let procedure = unique("fails");
    let body = "BEGIN SET @x = 5; SIGNAL SQLSTATE '45000'; END";
    server.query_drop(format!("CREATE PROCEDURE {procedure}() {body}")).await;
    let exec = executor_of_one_for_any_text(server.opts());
    let call = format!("CALL {procedure}()");
    for sql in [call.as_str(), "SET @x = 5; SELECT nonsense", "SET autocommit = 0; BEGIN; SELECT nonsense"] {
        exec.query_drop(sql).await.expect_err(sql);
        let left: Option<(Option<i32>, i32)> = in_time(exec.query_first("SELECT @x, @@autocommit")).await.unwrap();
        assert_eq!(left, Some((None, 1)), "after {sql}");
    }
    exec.exec_drop(call, ()).await.expect_err("a signal");
    assert_eq!(in_time(ask_executor(&exec, "SELECT @x")).await, Ok(Some(vec![Value::NULL])));
}

#[tokio::test]
async fn statements_that_leave_nothing_cause_no_reset() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let (table, other) = (&ledger.table, unique("other"));
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts());
    let neutral = [
        format!("INSERT INTO {table} (n) VALUES (1), (2) ON DUPLICATE KEY UPDATE n = VALUES(n)"),
        format!("REPLACE INTO {table} (id, n) VALUES (1, 5)"),
        format!("UPDATE {table} SET n = COALESCE(n, 0) + 1 WHERE id IN (1, 2)"),
        format!("SELECT COUNT(*), MAX(n), CONCAT('a', NOW()) FROM {table} WHERE n > 0 GROUP BY id ORDER BY 2 LIMIT 1"),
        format!("WITH few AS (SELECT n FROM {table}) SELECT n FROM few UNION SELECT 1"),
        format!("DELETE FROM {table} WHERE CONCAT('#', n) = '@x := 5'"),
        format!("SHOW COLUMNS FROM {table}"),
        format!("EXPLAIN SELECT 1 FROM {table}"),
        format!("SELECT n FROM {table} FOR UPDATE"),
        format!("CREATE TABLE {other} (a INT PRIMARY KEY, b VARCHAR(9) DEFAULT 'x')"),
        format!("TRUNCATE TABLE {other}"),
        format!("DROP TABLE {other}"),
        "SELECT 'SET @x = 5' -- SET @x = 5".to_owned(),
    ];
    for sql in &neutral {
        exec.query_drop(sql.as_str()).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        exec.ping().await.expect("an answer");
    }
    exec.query_drop("SELECT nonsense").await.expect_err("no such column");
    exec.query_drop(format!("INSERT INTO {table} (id, n) VALUES (1, 1)")).await.expect_err("a duplicate");
    assert_eq!((proxy.count(Kind::ResetConnection), exec.counters().resets), (0, 0));
    assert_eq!(proxy.accepted(), 1);
}
