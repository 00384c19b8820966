//! Code that is generic over executor, session and transaction, and statements that run themselves.

use futures_util::TryStreamExt as _;
use mysql_retry::{Error, Outcome, QueryWithParams, Result, TxOpts, prelude::*};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When};

use crate::support::{Ledger, executor, executor_of_one, shared};

const ROWS: &str = "SELECT 1 UNION SELECT 2";
const PARAM: &str = "SELECT ? UNION SELECT 9";

/// All methods of the trait, as a user's helper would call them.
async fn everything(conn: &mut impl Queryable, table: &str) -> Result<()> {
    assert_eq!(conn.query::<u8, _>(ROWS).await?, [1, 2]);
    assert_eq!(conn.query_first(ROWS).await?, Some(1));
    assert_eq!(conn.query_map(ROWS, |n: u8| n + 1).await?, [2, 3]);
    assert_eq!(conn.query_fold(ROWS, 4, |sum, n: u8| sum + n).await?, 7);
    assert_eq!(conn.query_iter(ROWS).await?.collect_and_drop::<u8>().await?, [1, 2]);
    assert_eq!(conn.query_stream::<u8, _>(ROWS).await?.try_collect::<Vec<_>>().await?, [1, 2]);
    assert_eq!(conn.exec::<u8, _, _>(PARAM, (1,)).await?, [1, 9]);
    assert_eq!(conn.exec_first(PARAM, (1,)).await?, Some(1));
    assert_eq!(conn.exec_map(PARAM, (1,), |n: u8| n + 1).await?, [2, 10]);
    assert_eq!(conn.exec_fold(PARAM, (1,), 4, |sum, n: u8| sum + n).await?, 14);
    assert_eq!(conn.exec_stream::<u8, _, _>(PARAM, (1,)).await?.try_collect::<Vec<_>>().await?, [1, 9]);
    assert_eq!(conn.exec_iter(format!("INSERT INTO {table} (n) VALUES (?)"), (7,)).await?.affected_rows(), 1);
    conn.exec_batch(format!("INSERT INTO {table} (n) VALUES (?)"), [(8,), (9,)]).await?;
    conn.query_drop(format!("INSERT INTO {table} (n) VALUES (1)")).await?;
    // as the tail of a function that returns `()`
    conn.exec_drop(format!("INSERT INTO {table} (n) VALUES (?)"), (2,)).await
}

/// The same for statements that run themselves.
async fn by_themselves(mut conn: impl Queryable, table: &str) -> Result<()> {
    assert_eq!(ROWS.idempotent().fetch::<u8, _>(&mut conn).await?, [1, 2]);
    assert_eq!(ROWS.first(&mut conn).await?, Some(1));
    assert_eq!(ROWS.map(&mut conn, |n: u8| n + 1).await?, [2, 3]);
    assert_eq!(ROWS.reduce(&mut conn, 4, |sum, n: u8| sum + n).await?, 7);
    assert_eq!(ROWS.run(&mut conn).await?.collect_and_drop::<u8>().await?, [1, 2]);
    assert_eq!(PARAM.with((1,)).fetch::<u8, _>(&mut conn).await?, [1, 9]);
    assert_eq!(PARAM.idempotent().with((1,)).first(&mut conn).await?, Some(1));
    assert_eq!(PARAM.with((1,)).map(&mut conn, |n: u8| n + 1).await?, [2, 10]);
    assert_eq!(PARAM.with((1,)).reduce(&mut conn, 4, |sum, n: u8| sum + n).await?, 14);
    let insert = format!("INSERT INTO {table} (n) VALUES (?)");
    assert_eq!(insert.as_str().with((7,)).run(&mut conn).await?.affected_rows(), 1);
    insert.as_str().with([(8,), (9,)]).batch(&mut conn).await?;
    format!("INSERT INTO {table} (n) VALUES (1)").ignore(&mut conn).await?;
    QueryWithParams { query: insert, params: (2,) }.ignore(conn).await
}

#[tokio::test]
async fn a_helper_that_is_generic_takes_executor_session_and_transaction() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let table = ledger.table.as_str();
    let mut exec = executor(server);
    let mut session = exec.session().await.expect("a session");
    everything(&mut exec, table).await.expect("an executor");
    everything(&mut &exec, table).await.expect("a shared executor");
    everything(&mut session, table).await.expect("a session");
    by_themselves(&exec, table).await.expect("a shared executor");
    by_themselves(exec.clone(), table).await.expect("an executor");
    by_themselves(&mut session, table).await.expect("a session");
    let both = exec.transaction(TxOpts::default(), |mut tx| async move {
        everything(&mut tx, table).await?;
        by_themselves(&mut tx, table).await
    });
    both.await.expect("a transaction");
    assert_eq!(ledger.rows().await, 8 * 5);
    let spawned = tokio::spawn(async move { "SELECT 7".first::<u8, _>(exec).await });
    assert_eq!(spawned.await.expect("it is Send").expect("a row"), Some(7));
}

#[tokio::test]
async fn through_the_trait_each_type_refuses_what_it_refuses_by_itself() {
    async fn refused(mut conn: impl Queryable, sql: &str) -> Error {
        let error = conn.query_drop(sql).await.expect_err(sql);
        assert_eq!((error.is_config(), error.outcome()), (true, Outcome::NotExecuted), "{error}");
        error
    }
    let exec = executor(shared().await);
    let error = refused(&exec, "SET @a = 1").await;
    assert_eq!(error.to_string(), exec.query_drop("SET @a = 1").await.unwrap_err().to_string());
    let mut session = exec.session().await.expect("a session");
    "SET @a = 1".ignore(&mut session).await.expect("a session has state");
    assert_eq!("SELECT @a".first(&mut session).await.expect("a row"), Some(1));
    let committed = exec.transaction(TxOpts::default(), |mut tx| async move {
        refused(&mut tx, "COMMIT").await;
        Ok::<_, Error>(())
    });
    committed.await.expect("nothing was sent");
}

#[tokio::test]
async fn what_is_annotated_is_replayed_through_the_trait_too() {
    let proxy = Proxy::start(shared().await).await;
    let exec = executor_of_one(proxy.opts());
    for turn in 0..2 {
        proxy.rule(Rule::new(When::text("'cut'"), Place::AfterRequest, Fault::Fin));
        let text = "SELECT 'cut'".idempotent();
        let row: Option<String> =
            if turn == 0 { text.first(&exec).await } else { text.with(()).first(&exec).await }.expect("replayed");
        assert_eq!(row.as_deref(), Some("cut"));
        assert_eq!(exec.counters().recovered, turn + 1);
    }
    proxy.rule(Rule::new(When::text("'cut'"), Place::AfterRequest, Fault::Fin));
    let error = "SELECT 'cut'".ignore(&exec).await.expect_err("not annotated");
    assert_eq!(error.outcome(), Outcome::Unknown);
}
