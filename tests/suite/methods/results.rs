//! `query_iter` and `exec_iter`: all that a statement returned, as the driver's `QueryResult` tells it.

use mysql_async::{Row, TxOpts, Value, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Error, Outcome, QueryResult};
use mysql_retry_fixture::{Fault, Flavour, Place, Proxy, Rule, When};

use super::both;
use crate::support::{Ledger, executor, executor_of_one, shared, unique};

/// What is told of the last statement: affected rows, id, warnings, information.
type Said = (u64, Option<u64>, u16, String);

/// Of one result: its columns, whether there is nothing more, what is said of it, its rows.
type Told = (Vec<String>, bool, Option<Said>, Vec<Vec<Value>>);

macro_rules! said {
    ($result:expr) => {
        ($result.affected_rows(), $result.last_insert_id(), $result.warnings(), $result.info().to_string())
    };
}

/// Reads a result, the driver's or ours, by the same methods.
macro_rules! told {
    ($result:expr) => {{
        let mut result = $result;
        let mut told: Vec<Told> = Vec::new();
        while let Some(columns) = result.columns() {
            assert_eq!(&columns[..], result.columns_ref());
            let names = columns.iter().map(|column| column.name_str().into_owned()).collect();
            // the driver has read no more than the columns of a result with rows
            let said = columns.is_empty().then(|| said!(result));
            let is_empty = result.is_empty();
            told.push((names, is_empty, said, result.map(Row::unwrap).await.expect("rows")));
        }
        assert!(result.is_empty() && result.columns_ref().is_empty());
        (told, said!(result))
    }};
}

#[tokio::test]
async fn results_are_told_as_the_driver_tells_them() {
    let server = shared().await;
    let (theirs, ours) = (Ledger::new(server).await, Ledger::new(server).await);
    let (mut conn, exec) = both(server).await;
    let mut session = exec.session().await.expect("a session");
    let procedure = unique("results");
    let body = "BEGIN SELECT 1 AS one UNION SELECT 2; SELECT 3 AS three; END";
    server.query_drop(format!("CREATE PROCEDURE {procedure}() {body}")).await;
    let call = format!("CALL {procedure}()");
    let text = [
        "SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, NULL",
        "SELECT 1 AS a, 'x' AS b FROM DUAL WHERE FALSE",
        "DO 1",
        "INSERT INTO {} (n) VALUES (1), (2), (3)",
        "UPDATE {} SET n = 9 WHERE n > 1",
        "SELECT 1/0 AS warns",
        "SELECT 1 AS a; SELECT 2 AS b, 3 AS c",
        "INSERT INTO {} (n) VALUES (4); SELECT n FROM {} WHERE n = 4; UPDATE {} SET n = 5 WHERE n = 4",
        &call,
    ];
    for sql in text {
        let (their_sql, our_sql) = (sql.replace("{}", &theirs.table), sql.replace("{}", &ours.table));
        let expected = told!(conn.query_iter(&their_sql).await.expect("executed"));
        assert_eq!(told!(exec.query_iter(our_sql).await.expect("executed")), expected, "{sql}");
        if !sql.contains(';') {
            let expected = told!(conn.exec_iter(&their_sql, ()).await.expect("executed"));
            let our_sql = sql.replace("{}", &ours.table);
            assert_eq!(told!(session.exec_iter(our_sql, ()).await.expect("executed")), expected, "prepared: {sql}");
        }
        assert_eq!(theirs.rows().await, ours.rows().await);
    }
}

#[tokio::test]
async fn rows_and_affected_rows_of_one_statement_are_told() {
    let server = shared().await;
    let (theirs, ours) = (Ledger::new(server).await, Ledger::new(server).await);
    let (mut conn, exec) = both(server).await;
    let sql = |table: &str| format!("INSERT INTO {table} (n) VALUES (1), (2) RETURNING id");
    let Ok(result) = conn.query_iter(sql(&theirs.table)).await else {
        return assert_eq!(server.flavour(), Flavour::MySql);
    };
    let expected = told!(result);
    assert_eq!(expected.0[0].3, [[Value::Bytes(b"1".into())], [Value::Bytes(b"2".into())]]);
    assert_eq!(told!(exec.query_iter(sql(&ours.table)).await.expect("executed")), expected);
}

// The savepoint's statements go with the caller's, and are not the caller's.
#[tokio::test]
async fn a_transaction_by_text_has_the_results_of_its_own_statements() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let mut session = executor(server).session().await.expect("a session");
    for sql in ["BEGIN", &ledger.insert(), "COMMIT"] {
        let mut result = session.query_iter(sql).await.expect("executed");
        assert!(result.is_empty() && result.columns().is_some(), "{sql}");
        assert_eq!(result.affected_rows(), u64::from(sql.starts_with("INSERT")), "{sql}");
        assert_eq!(result.map(drop).await.expect("no rows"), []);
        assert_eq!(result.columns(), None, "{sql} has one result");
    }
    assert_eq!(ledger.rows().await, 1);
    let inserted = executor(server).transaction(TxOpts::default(), |mut tx| {
        let insert = ledger.insert();
        async move { Ok::<_, Error>(tx.query_iter(insert).await?.affected_rows()) }
    });
    assert_eq!(inserted.await.expect("committed"), 1);
}

#[tokio::test]
async fn each_method_takes_the_rows_of_one_result() {
    let exec = executor(shared().await);
    let mut result = exec.query_iter(WITH_FIVE).await.expect("executed");
    assert_eq!(result.collect::<u8>().await.unwrap(), [1, 2]);
    assert_eq!(result.try_collect::<u8>().await.unwrap(), [Ok(3)]);
    let mut seen = Vec::new();
    result.for_each(|row| seen.push(row.get::<u8, _>("n"))).await.unwrap();
    assert_eq!(seen, [Some(4)]);
    assert_eq!(result.map(|row| row.len()).await.unwrap(), [1]);
    assert_eq!(result.reduce(1, |sum, n: u8| sum + n).await.unwrap(), 7);
    assert!(result.is_empty());
    assert!(result.collect::<u8>().await.unwrap().is_empty());
    result.drop_result().await.unwrap();

    let first = async || exec.query_iter(WITH_FIVE).await.expect("executed");
    assert_eq!(first().await.collect_and_drop::<u8>().await.unwrap(), [1, 2]);
    assert_eq!(first().await.try_collect_and_drop::<u8>().await.unwrap(), [Ok(1), Ok(2)]);
    assert_eq!(first().await.map_and_drop(|row| row.len()).await.unwrap(), [1, 1]);
    assert_eq!(first().await.reduce_and_drop(0, |sum, n: u8| sum + n).await.unwrap(), 3);
    let mut rows = 0;
    first().await.for_each_and_drop(|_| rows += 1).await.unwrap();
    assert_eq!(rows, 2);
}

const WITH_FIVE: &str = "SELECT 1 AS n UNION SELECT 2; SELECT 3 AS n; SELECT 4 AS n; SELECT 5 AS n; SELECT 6 AS n";

#[tokio::test]
async fn a_row_that_does_not_fit_is_an_error_of_the_call() {
    let exec = executor(shared().await);
    let mut result = exec.query_iter("SELECT 'x'; SELECT 7").await.expect("executed");
    let error = result.collect::<u8>().await.expect_err("no number");
    assert!(error.is_conversion() && error.to_string().contains("u8"), "{error}");
    assert_eq!(result.collect::<u8>().await.expect("the next one is there"), [7]);
    let bad = exec.query_iter("SELECT 'x'").await.expect("executed").try_collect_and_drop::<u8>().await.unwrap();
    assert!(bad[0].is_err());
    let sum =
        exec.exec_iter("SELECT ?", ("x",)).await.expect("executed").reduce_and_drop(0, |sum, n: u8| sum + n).await;
    assert!(sum.unwrap_err().is_conversion());
}

#[tokio::test]
async fn nothing_is_seen_of_results_that_were_lost_in_the_middle() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    let sql = "SELECT 1 AS n; SELECT 2 AS n";
    let lost = || proxy.rule(Rule::new(When::text(sql), Place::LastResult, Fault::Fin));
    lost();
    let mut result: QueryResult = exec.query_iter(sql.idempotent()).await.expect("replayed");
    let rows = (result.collect::<u8>().await.unwrap(), result.collect::<u8>().await.unwrap());
    assert_eq!(rows, (vec![1], vec![2]));
    assert_eq!(exec.counters().replays, 1);
    lost();
    let error = exec.query_iter(sql).await.expect_err("not annotated");
    assert_eq!(error.outcome(), Outcome::Unknown);
    let error = exec.query_iter("SELECT 1; SELECT * FROM no_such_table").await.expect_err("no such table");
    assert_eq!(error.outcome(), Outcome::Failed);
}
