//! Prepared statements: they stay prepared, and are prepared again where that is needed.

use mysql_async::prelude::Queryable as _;
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, Server, When};

use crate::support::{Ledger, executor_of_one, executor_of_one_for_any_text, fired, shared};

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
    let forgotten = Fault::ErrPacket {
        code: 1243,
        state: Some("HY000".into()),
        message: "Unknown prepared statement handler (1) given to mysqld_stmt_execute".into(),
        sequence: None,
    };
    proxy.rule(Rule::new(When::executes(&ledger.table), Place::Request(0), forgotten));
    exec.exec_drop(ledger.insert_param(), (2,)).await.expect("prepared and executed again");
    assert_eq!((fired(&proxy, 1).await, proxy.count(Kind::Prepare)), (1, 2));
    assert_eq!(ledger.values().await, [1, 2]);
}

// the speed that issue 2 asks for rests on this
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
    // a reset takes them away, on both sides
    exec.query_drop("SET @x = 1").await.expect("a statement that leaves something");
    exec.exec_drop(ledger.insert_param(), (6,)).await.expect("an insert");
    assert_eq!((proxy.count(Kind::Prepare), proxy.count(Kind::ResetConnection)), (2, 1));
    assert_eq!(ledger.values().await, [2, 3, 4, 5, 6, 6]);
}

// how many are kept is the user's choice, also when it is none
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
