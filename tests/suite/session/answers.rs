//! What a session knows of its last statement, as the driver's connection does.

use mysql_retry::Executor;
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When, pool_of};

use crate::support::{Ledger, executor_of_one, shared};

#[tokio::test]
async fn a_session_tells_of_its_last_statement_what_the_drivers_connection_does() {
    let server: &Server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    let mut conn = exec.get_conn().await.expect("a session");
    let table = &ledger.table;
    conn.query_drop(format!("INSERT INTO {table} (n) VALUES (1), (2)")).await.expect("inserted");
    assert_eq!((conn.affected_rows(), conn.last_insert_id(), conn.get_warnings()), (2, Some(1), 0));
    assert_eq!(conn.info(), "Records: 2  Duplicates: 0  Warnings: 0");
    conn.query_drop(format!("UPDATE {table} SET n = 7 WHERE n = 2")).await.expect("updated");
    assert_eq!((conn.affected_rows(), conn.last_insert_id()), (1, None));
    let id: Option<u32> = conn.query_first("SELECT CONNECTION_ID()").await.expect("an id");
    assert!(id.is_some() && conn.id() == id, "{id:?} and {:?}", conn.id());
    conn.query_drop("SELECT * FROM no_such_table").await.expect_err("no such table");
    assert_eq!((conn.affected_rows(), conn.last_insert_id()), (0, None));
}

#[tokio::test]
async fn a_session_does_not_tell_of_another_callers_statement_on_its_connection() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = Executor::builder().build(pool_of(1, proxy.opts())).expect("good options");
    exec.query_drop(format!("INSERT INTO {} (n) VALUES (1), (2)", ledger.table)).await.expect("inserted");
    let mut conn = exec.get_conn().await.expect("a session");
    assert_eq!((conn.affected_rows(), conn.last_insert_id(), conn.info()), (0, None, String::new()));
    assert!(conn.id().is_some());
    conn.query_drop(ledger.insert()).await.expect("inserted");
    assert_eq!((conn.affected_rows(), conn.last_insert_id()), (1, Some(3)));
    proxy.rule(Rule::new(When::text("SELECT 7"), Place::AfterRequest, Fault::Fin));
    conn.query_drop("SELECT 7").await.expect_err("the connection was lost");
    assert_eq!((conn.affected_rows(), conn.last_insert_id(), conn.id()), (0, None, None));
}
