//! What a session knows of its last statement, as the driver's connection does.

use mysql_retry::{Annotate as _, Error, Executor, Session, Token, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When, pool_of};

use crate::support::{Ledger, executor_of_one, executor_with_guard, shared};

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

#[tokio::test]
async fn a_transaction_tells_of_its_last_statement() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    let table = &ledger.table;
    // what an earlier caller of the connection was told
    exec.query_drop(format!("INSERT INTO {table} (n) VALUES (1), (2)")).await.expect("inserted");
    let told = exec
        .transaction(TxOpts::default(), |mut tx| async move {
            let before = (tx.affected_rows(), tx.last_insert_id());
            tx.query_drop(format!("INSERT INTO {table} (n) VALUES (3)")).await?;
            let id: Option<u32> = tx.query_first("SELECT CONNECTION_ID()").await?;
            assert_eq!(tx.id(), id);
            tx.exec_drop(format!("UPDATE {table} SET n = n + ?"), (1,)).await?;
            Ok::<_, Error>((before, tx.affected_rows(), tx.info()))
        })
        .await
        .expect("committed");
    assert_eq!(told, ((0, None), 3, "Rows matched: 3  Changed: 3  Warnings: 0".to_owned()));
}

/// The tail of the function is the driver's.
async fn insert_once(conn: &mut Session, ledger: &Ledger<'_>, token: &str) -> mysql_retry::Result<()> {
    conn.query_drop(ledger.insert().exactly_once(Token::from(token))).await
}

#[tokio::test]
async fn a_session_tells_of_a_guarded_statement_and_not_of_the_commit_behind_it() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_with_guard(server.opts()).await;
    let mut conn = exec.get_conn().await.expect("a session");
    insert_once(&mut conn, &ledger, "a").await.expect("inserted");
    let told = |conn: &Session| (conn.affected_rows(), conn.last_insert_id(), conn.was_done_before());
    assert_eq!(told(&conn), (1, Some(1), false));
    insert_once(&mut conn, &ledger, "a").await.expect("it was there");
    assert_eq!(told(&conn), (0, None, true));
    conn.query_drop(ledger.insert()).await.expect("inserted");
    assert_eq!(told(&conn), (1, Some(2), false));
}
