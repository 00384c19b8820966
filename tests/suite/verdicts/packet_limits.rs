//! What the server takes, and what it keeps.

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Executor, Outcome, RetryPolicy};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When};

use crate::support::{Ledger, executor_of_one, in_time, pool_of, shared};

// a server takes packets up to the size of its buffer, which is larger here than the limit
#[tokio::test]
async fn case_68_a_statement_that_a_server_takes_in_spite_of_its_limit_may_have_been_executed() {
    let server = Server::builder().flag("--max-allowed-packet=1024").start().await;
    let ledger = Ledger::new(&server).await;
    let proxy = Proxy::start(&server).await;
    let exec = executor_of_one(proxy.opts().max_allowed_packet(Some(16 << 20)));
    proxy.rule(Rule::new(When::text(&ledger.table), Place::AfterRequestWhenAnswered, Fault::Fin));
    let insert = format!("{} /* {} */", ledger.insert(), "x".repeat(5_000));
    let error = in_time(exec.query_drop(insert)).await.expect_err("its reply was lost");
    assert_eq!(ledger.rows().await, 1);
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
}

async fn prepared(server: &Server) -> u64 {
    let mut conn = server.connect().await;
    let (_, count): (String, u64) =
        conn.query_first("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'").await.expect("an answer").expect("a row");
    conn.disconnect().await.expect("a goodbye");
    count
}

#[tokio::test]
async fn case_83_without_a_statement_cache_nothing_stays_prepared_at_the_server() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    let builder = Executor::builder().policy(RetryPolicy::none());
    let exec = builder.build(pool_of(1, server.opts().stmt_cache_size(0))).expect("good options");
    for n in 0..10 {
        in_time(exec.exec_drop(ledger.insert_param(), (n,))).await.expect("inserted");
        let row: Option<i32> = in_time(exec.exec_first(format!("SELECT {n} + ?"), (1,))).await.expect("a row");
        assert_eq!(row, Some(n + 1));
        in_time(exec.exec_batch(ledger.insert_param(), [(1,), (2,)])).await.expect("inserted");
        // refused while it is executed
        in_time(exec.exec_drop(format!("INSERT INTO {} (id, n) VALUES (1, ?)", ledger.table), (1,)))
            .await
            .expect_err("a duplicate");
        let mut stream = in_time(exec.exec_stream::<i32, _, _>("SELECT ? UNION SELECT 2", (1,))).await.expect("rows");
        while let Some(row) = futures_util::StreamExt::next(&mut stream).await {
            row.expect("a row");
        }
        let mut session = in_time(exec.session()).await.expect("a session");
        session.exec_drop("DO ?", (n,)).await.expect("done");
    }
    assert_eq!(exec.counters().resets, 0, "a reset closes them too");
    // a statement is closed without a reply: the next command of the same connection comes after it
    in_time(exec.ping()).await.expect("a server");
    assert_eq!(prepared(&server).await, 0);
    assert_eq!(server.connection_ids().await.len(), 1, "all on one connection");
}

#[tokio::test]
async fn case_83_with_a_statement_cache_statements_stay_prepared() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    for _ in 0..3 {
        in_time(exec.exec_drop("SELECT ?", (1,))).await.expect("a row");
    }
    assert_eq!(proxy.count(mysql_retry_fixture::Kind::CloseStatement), 0);
    assert_eq!(proxy.count(mysql_retry_fixture::Kind::Prepare), 1);
}
