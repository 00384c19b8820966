//! Prepared statements stay prepared, and are prepared again where the server has forgotten them.

use futures_util::StreamExt as _;
use mysql_async::prelude::Queryable as _;
use mysql_retry::{Executor, Outcome, Result, RetryPolicy, prelude::Queryable};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, Server, When, in_time, pool_of};

use crate::support::{Ledger, executor, executor_of_one, executor_of_one_for_any_text, fired, shared};

// case 20
#[tokio::test]
async fn statements_are_prepared_again_after_a_restart_of_the_server() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    let exec = executor_of_one(server.opts());
    for rows in 1..=3 {
        exec.exec_drop(ledger.insert_param(), (rows,)).await.expect("an insert");
        let sum: Option<i32> = exec.exec_first("SELECT CAST(? AS SIGNED) + 1", (rows,)).await.expect("a sum");
        assert_eq!(sum, Some(rows + 1));
        assert_eq!(ledger.rows().await, rows as u64);
        server.restart().await;
    }
    assert_eq!(exec.counters().losses, 0);
}

// case 20
#[tokio::test]
async fn a_server_that_forgot_a_statement_is_no_error_to_the_caller() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    exec.exec_drop(ledger.insert_param(), (1,)).await.expect("an insert");
    let forgotten = Fault::err_packet(1243, "Unknown prepared statement handler (1) given to mysqld_stmt_execute");
    proxy.rule(Rule::new(When::executes(&ledger.table), Place::Request(0), forgotten));
    exec.exec_drop(ledger.insert_param(), (2,)).await.expect("prepared and executed again");
    assert_eq!((fired(&proxy, 1).await, proxy.count(Kind::Prepare)), (1, 2));
    assert_eq!(ledger.values().await, [1, 2]);
}

// without this each call would cost a round trip more
#[tokio::test]
async fn statements_stay_prepared_from_call_to_call() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts());
    for n in 1..=5 {
        exec.exec_drop(ledger.insert_param(), (n,)).await.expect("an insert");
        let text = format!("UPDATE {} SET n = n + 1 WHERE id = {n}", ledger.table);
        exec.query_drop(text).await.expect("an update");
        exec.ping().await.expect("an answer");
    }
    assert_eq!((proxy.count(Kind::Prepare), proxy.count(Kind::Execute)), (1, 5));
    assert_eq!((proxy.count(Kind::ResetConnection), proxy.accepted()), (0, 1));
    // a reset removes them, on both sides
    exec.query_drop("SET @x = 1").await.expect("a statement that leaves something");
    exec.exec_drop(ledger.insert_param(), (6,)).await.expect("an insert");
    assert_eq!((proxy.count(Kind::Prepare), proxy.count(Kind::ResetConnection)), (2, 1));
    assert_eq!((exec.counters().resends, proxy.accepted()), (0, 1));
    assert_eq!(ledger.values().await, [2, 3, 4, 5, 6, 6]);
}

// the driver closes those that were not asked for for the longest time, and does not say so
#[tokio::test]
async fn no_statement_is_executed_that_the_driver_may_have_closed() {
    for kept in 1..=4 {
        let proxy = Proxy::start(shared().await).await;
        let exec = executor_of_one(proxy.opts().stmt_cache_size(kept));
        let texts: Vec<String> = (0..6).map(|number| format!("SELECT ? + {number}")).collect();
        for turn in 0..200 {
            // runs of a few texts again and again, and others in between
            let number = if turn % 7 < 5 { turn % kept } else { turn * turn % texts.len() };
            let sum: Option<usize> = exec.exec_first(&texts[number], (turn,)).await.expect("a sum");
            assert_eq!(sum, Some(turn + number));
        }
        let counters = exec.counters();
        assert_eq!((proxy.count(Kind::Execute), counters.resends, proxy.accepted()), (200, 0, 1), "of {kept}");
        assert!(proxy.count(Kind::Prepare) < 150, "of {kept}: {}", proxy.count(Kind::Prepare));
    }
}

// the user chooses how many are kept, also none
#[tokio::test]
async fn statements_are_closed_again_where_none_are_kept() {
    let proxy = Proxy::start(shared().await).await;
    let exec = executor_of_one(proxy.opts().stmt_cache_size(0));
    for n in 0..3 {
        let answer: Option<i32> = exec.exec_first("SELECT ?", (n,)).await.expect("an answer");
        assert_eq!(answer, Some(n));
    }
    assert_eq!(proxy.count(Kind::Prepare), 3);
    let mut conn = exec.connection().await.expect("a connection");
    let own: Option<i32> = conn.exec_first("SELECT ?", (7,)).await.expect("an answer");
    assert_eq!(own, Some(7));
}

/// The number of prepared statements of the whole server.
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
        while let Some(row) = stream.next().await {
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
    assert_eq!(proxy.count(Kind::CloseStatement), 0);
    assert_eq!(proxy.count(Kind::Prepare), 1);
}

/// As a program of the driver's has it.
async fn filled(conn: &mut impl Queryable, ledger: &Ledger<'_>) -> Result<u64> {
    let insert = conn.prep(ledger.insert_param()).await?;
    for n in 0..3 {
        conn.exec_drop(&insert, (n,)).await?;
    }
    conn.close(insert).await?;
    Ok(3)
}

#[tokio::test]
async fn a_prepared_handle_is_a_text_that_any_connection_prepares_anew() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    let exec = executor(&server);
    let mut session = exec.session().await.expect("a session");
    let rows =
        filled(&mut &exec, &ledger).await.expect("filled") + filled(&mut session, &ledger).await.expect("filled");
    assert_eq!(ledger.rows().await, rows);

    let sum = exec.prep("SELECT CAST(? AS SIGNED) + 1 AS sum").await.expect("prepared").idempotent();
    assert_eq!((sum.num_params(), sum.num_columns(), &*sum.columns()[0].name_str()), (1, 1, "sum"));
    server.restart().await;
    for n in 1..3 {
        assert_eq!(exec.exec_first(&sum, (n,)).await.expect("a sum"), Some(n + 1));
    }
    assert_eq!(session.exec_first(sum.clone(), (7,)).await.expect("on another connection"), Some(8));

    let error = exec.prep("SELEKT 1").await.expect_err("no SQL");
    assert_eq!((error.outcome(), error.code()), (Outcome::Failed, Some(1064)), "{error}");
}

#[tokio::test]
async fn a_statement_is_prepared_again_where_the_answer_to_that_is_lost() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    proxy.rule(Rule::reply_lost(When::Command(Kind::Prepare)));
    let insert = in_time(exec.prep(ledger.insert_param())).await.expect("nothing was executed");
    exec.exec_drop(&insert, (1,)).await.expect("an insert");
    assert_eq!(ledger.rows().await, 1);
}
