//! Every method gives what the driver's method of that name gives for the same input.

use std::{borrow::Cow, sync::Arc};

use futures_util::TryStreamExt as _;
use mysql_async::{Conn, Params, Value, params, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Delivery, Executor, Statement, Unguarded};

use super::both;
use crate::support::{Ledger, executor, executor_of_one, shared, unique};

type Line = (i32, Option<String>, Option<f64>);

/// Three rows with NULLs.
const TEXT: &str = "SELECT 1 AS a, 'x' AS b, 1.5E0 AS c UNION ALL SELECT 2, NULL, NULL UNION ALL SELECT 3, '', -0.25E0";

const NO_ROWS: &str = "SELECT 1, 'x', 1.5E0 FROM DUAL WHERE FALSE";

const TWO_SETS: &str = "SELECT 1, 'x', 1.5E0; SELECT 9, 'second set', 9.5E0";

#[tokio::test]
async fn methods_for_text_return_what_the_drivers_return() {
    let (mut conn, exec) = both(shared().await).await;
    for sql in [TEXT, NO_ROWS, TWO_SETS, "DO 1"] {
        let rows: Vec<Line> = conn.query(sql).await.unwrap();
        assert_eq!(exec.query::<Line, _>(sql).await.unwrap(), rows, "{sql}");
        let first: Option<Line> = conn.query_first(sql).await.unwrap();
        assert_eq!(exec.query_first::<Line, _>(sql).await.unwrap(), first, "{sql}");
        let shown = |(a, b, _): Line| format!("{a} {b:?}");
        let mapped = conn.query_map(sql, shown).await.unwrap();
        assert_eq!(exec.query_map(sql, shown).await.unwrap(), mapped, "{sql}");
        let add = |sum: i32, (a, _, _): Line| sum * 10 + a;
        let folded = conn.query_fold(sql, 5, add).await.unwrap();
        assert_eq!(exec.query_fold(sql, 5, add).await.unwrap(), folded, "{sql}");
        exec.query_drop(sql).await.unwrap();
    }
    for sql in [TEXT, NO_ROWS] {
        let rows: Vec<Line> = conn.query_stream(sql).await.unwrap().try_collect().await.unwrap();
        let ours: Vec<Line> = exec.query_stream(sql).await.unwrap().try_collect().await.unwrap();
        assert_eq!(ours, rows, "{sql}");
    }
    let ours: Vec<Line> = exec.query_stream(TWO_SETS).await.unwrap().try_collect().await.unwrap();
    assert_eq!(ours, [(1, Some("x".to_owned()), Some(1.5))], "the first result set");
}

#[tokio::test]
async fn methods_for_prepared_statements_return_what_the_drivers_return() {
    let (mut conn, exec) = both(shared().await).await;
    let positional = "SELECT CAST(? AS SIGNED), CAST(? AS CHAR), CAST(? AS DOUBLE)";
    let named = "SELECT CAST(:a AS SIGNED), CAST(:b AS CHAR), CAST(:a AS DOUBLE)";
    let inputs: [(&str, Params); 5] = [
        (positional, (1, "x", 1.5).into()),
        (positional, (i64::from(i32::MIN), None::<String>, None::<f64>).into()),
        (positional, vec![Value::from(7), Value::NULL, Value::from(0.5_f32)].into()),
        (named, params! { "a" => 3, "b" => Some("ä'\\") }),
        (TEXT, Params::Empty),
    ];
    for (sql, params) in inputs {
        let p = || params.clone();
        let rows: Vec<Line> = conn.exec(sql, p()).await.unwrap();
        assert!(!rows.is_empty());
        assert_eq!(exec.exec::<Line, _, _>(sql, p()).await.unwrap(), rows, "{sql}");
        let first: Option<Line> = conn.exec_first(sql, p()).await.unwrap();
        assert_eq!(exec.exec_first::<Line, _, _>(sql, p()).await.unwrap(), first, "{sql}");
        let shown = |(a, b, _): Line| format!("{a} {b:?}");
        let mapped = conn.exec_map(sql, p(), shown).await.unwrap();
        assert_eq!(exec.exec_map(sql, p(), shown).await.unwrap(), mapped, "{sql}");
        let add = |sum: i64, (a, _, _): Line| sum * 10 + i64::from(a);
        let folded = conn.exec_fold(sql, p(), 5, add).await.unwrap();
        assert_eq!(exec.exec_fold(sql, p(), 5, add).await.unwrap(), folded, "{sql}");
        exec.exec_drop(sql, p()).await.unwrap();
        let rows: Vec<Line> = conn.exec_stream(sql, p()).await.unwrap().try_collect().await.unwrap();
        let ours: Vec<Line> = exec.exec_stream(sql, p()).await.unwrap().try_collect().await.unwrap();
        assert_eq!(ours, rows, "{sql}");
    }
}

#[tokio::test]
async fn a_call_returns_its_first_result_set_and_leaves_a_clean_connection() {
    let server = shared().await;
    let procedure = unique("two_sets");
    let body = "BEGIN SELECT 1 UNION SELECT 2; SELECT 3; END";
    server.query_drop(format!("CREATE PROCEDURE {procedure}() {body}")).await;
    let exec = executor_of_one(server.opts());
    let call = format!("CALL {procedure}()");
    for _ in 0..2 {
        assert_eq!(exec.query::<i32, _>(&call).await.unwrap(), [1, 2]);
        assert_eq!(exec.query_first::<i32, _>(&call).await.unwrap(), Some(1));
        assert_eq!(exec.exec::<i32, _, _>(&call, ()).await.unwrap(), [1, 2]);
        assert_eq!(exec.exec_first::<i32, _, _>(&call, ()).await.unwrap(), Some(1));
        let streamed: Vec<i32> = exec.query_stream::<i32, _>(&call).await.unwrap().try_collect().await.unwrap();
        assert_eq!(streamed, [1, 2]);
        let streamed: Vec<i32> = exec.exec_stream::<i32, _, _>(&call, ()).await.unwrap().try_collect().await.unwrap();
        assert_eq!(streamed, [1, 2]);
        exec.query_drop(&call).await.unwrap();
        assert_eq!(exec.query_first::<i32, _>("SELECT 7").await.unwrap(), Some(7));
    }
    assert_eq!(exec.counters().losses, 0);
}

#[tokio::test]
async fn a_summary_says_what_is_read_off_the_drivers_connection() {
    let server = shared().await;
    let (theirs, ours) = (Ledger::new(server).await, Ledger::new(server).await);
    for found_rows in [false, true] {
        let opts = server.opts().client_found_rows(found_rows);
        let mut conn = Conn::new(opts.clone()).await.expect("a connection");
        let exec = executor_of_one(opts);
        let statements = [
            "INSERT INTO {} (n) VALUES (1), (2), (3)",
            "UPDATE {} SET n = 3 WHERE n > 1",
            "UPDATE {} SET n = 9 WHERE n > 100",
            "INSERT IGNORE INTO {} (id, n) VALUES (1, 1), (NULL, 5)",
            "REPLACE INTO {} (id, n) VALUES (2, 8)",
            "SELECT 1/0 FROM {}",
            "SELECT CAST('x' AS SIGNED) FROM {}",
            "DELETE FROM {} WHERE id > 2",
            "DELETE FROM {}",
        ];
        for prepared in [false, true] {
            for sql in statements {
                let (their_sql, our_sql) = (sql.replace("{}", &theirs.table), sql.replace("{}", &ours.table));
                let summary = if prepared {
                    conn.exec_drop(their_sql, ()).await.unwrap();
                    exec.exec_drop(our_sql, ()).await.unwrap()
                } else {
                    conn.query_drop(their_sql).await.unwrap();
                    exec.query_drop(our_sql).await.unwrap()
                };
                let said = (summary.affected_rows(), summary.last_insert_id(), summary.warnings(), summary.info());
                let info = conn.info();
                let read = (conn.affected_rows(), conn.last_insert_id(), conn.get_warnings(), &*info);
                assert_eq!(said, read, "{sql}, prepared: {prepared}, found rows: {found_rows}");
            }
        }
    }
    let summary = executor(server).query_drop(format!("INSERT INTO {} (n) VALUES (1), (2)", ours.table)).await.unwrap();
    assert_eq!(summary.affected_rows(), 2);
    assert!(summary.last_insert_id().is_some_and(|id| id > 0));
    assert_eq!(summary.info(), "Records: 2  Duplicates: 0  Warnings: 0");
}

#[tokio::test]
async fn everything_that_the_driver_takes_as_a_query_is_taken() {
    async fn check<S: Unguarded>(exec: &Executor, make: impl Fn() -> S) {
        assert_eq!(exec.query_first::<i32, _>(make()).await.unwrap(), Some(7));
        assert_eq!(exec.exec_first::<i32, _, _>(make(), ()).await.unwrap(), Some(7));
    }
    const SQL: &str = "SELECT 7";
    const ANNOTATED: Statement = Statement::new(SQL).idempotent();
    const PLAIN: Statement = Statement::new(SQL);
    let exec = executor(shared().await);
    let (string, bytes) = (SQL.to_owned(), SQL.as_bytes().to_vec());
    check(&exec, || SQL).await;
    check(&exec, || string.clone()).await;
    check(&exec, || &string).await;
    check(&exec, || Box::<str>::from(SQL)).await;
    check(&exec, || Arc::<str>::from(SQL)).await;
    check(&exec, || Cow::Borrowed(SQL)).await;
    check(&exec, || Cow::<str>::Owned(string.clone())).await;
    check(&exec, || SQL.as_bytes()).await;
    check(&exec, || bytes.clone()).await;
    check(&exec, || &bytes).await;
    check(&exec, || Box::<[u8]>::from(SQL.as_bytes())).await;
    check(&exec, || Arc::<[u8]>::from(SQL.as_bytes())).await;
    check(&exec, || Cow::Borrowed(SQL.as_bytes())).await;
    check(&exec, || PLAIN).await;
    check(&exec, || ANNOTATED).await;
    check(&exec, || &ANNOTATED).await;
    check(&exec, || string.clone().idempotent()).await;
    check(&exec, || (&string).idempotent()).await;
    check(&exec, || bytes.clone().idempotent()).await;
    check(&exec, || Cow::Borrowed(SQL).idempotent()).await;
    let error = exec.query_drop("SELECT nonsense".idempotent()).await.expect_err("no such column");
    assert_eq!((error.delivery(), error.code()), (Delivery::AtLeastOnce, Some(1054)));
}

#[tokio::test]
async fn an_executor_and_its_futures_go_wherever_a_task_goes() {
    fn anywhere<T: Clone + Send + Sync + 'static>(value: &T) -> T {
        value.clone()
    }
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    let sql = ledger.insert_param();
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let (exec, sql) = (anywhere(&exec), sql.clone());
            tokio::spawn(async move {
                exec.exec_drop(sql.as_str(), (n,)).await?;
                exec.exec_batch(sql.as_str(), [(n,), (n,)]).await?;
                exec.ping().await?;
                let doubled = exec.query_map(format!("SELECT {n}"), |n: i32| 2 * n).await?;
                let folded = exec.exec_fold("SELECT ?", (n,), 1, |sum, n: i32| sum + n).await?;
                let streamed: Vec<i32> =
                    exec.query_stream::<i32, _>(format!("SELECT {n}")).await?.try_collect().await?;
                let mut conn = exec.connection().await?;
                let own: Option<i32> = conn.query_first(format!("SELECT {n}")).await.expect("an answer");
                assert_eq!((doubled, folded, streamed, own), (vec![2 * n], n + 1, vec![n], Some(n)));
                mysql_retry::Result::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("no error");
    }
    assert_eq!(ledger.rows().await, 60);
}

#[tokio::test]
async fn an_executor_works_on_a_runtime_of_many_threads_too() {
    let server = shared().await;
    let url = server.url();
    let done = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let exec = Executor::from_url(url).expect("a good URL");
            let tasks: Vec<_> = (0..50)
                .map(|n| {
                    let exec = exec.clone();
                    tokio::spawn(async move { exec.exec_first::<i32, _, _>("SELECT ?", (n,)).await })
                })
                .collect();
            for (n, task) in (0..).zip(tasks) {
                assert_eq!(task.await.expect("no panic").expect("an answer"), Some(n));
            }
            exec.close().await.expect("closed");
        });
    });
    done.join().expect("no panic");
}
