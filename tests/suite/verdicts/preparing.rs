//! What fails while a statement is prepared was not executed, unless the server runs parts of it then.

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Executor, Outcome};
use mysql_retry_fixture::{Kind, Proxy, Rule, Server, When, in_time, pool_of};

use crate::support::{Ledger, executor, executor_of_one, shared, unique};

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
        proxy.rule(Rule::reply_lost(When::Command(Kind::Prepare)));
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
