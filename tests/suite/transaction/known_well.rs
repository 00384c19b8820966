//! A connection on which many transactions were whole is known well: its next transactions are watched by the status flags, with a
//! savepoint only before a statement that may end the transaction.

use std::future::IntoFuture as _;

use mysql_retry::{Done, Error, Executor, Outcome, Tx, TxOpts};
use mysql_retry_fixture::{Kind, Proxy, Server, in_time, make_known_well, pool_of};

use crate::support::{Ledger, executor_of_one, executor_with_guard, shared, unique};

/// An executor of one connection, which is new or known well.
async fn executor(server: &Server, known: bool) -> Executor {
    let exec = executor_with_guard(pool_of(1, server.opts())).await;
    if known {
        make_known_well(&exec).await.expect("committed");
    }
    exec
}

/// For each text that reached the server, whether the savepoint is in it.
fn savepoints(proxy: &Proxy, from: usize) -> Vec<bool> {
    let all = proxy.commands();
    let texts = all.iter().skip(from).filter(|seen| seen.kind == Kind::Query);
    texts.map(|seen| seen.text.as_ref().is_some_and(|text| text.contains("mysql_retry_begun"))).collect()
}

#[tokio::test]
async fn a_savepoint_costs_nothing_once_a_connection_is_known_well() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    let ledger = Ledger::new(server).await;
    let procedure = unique("neutral");
    server.query_drop(format!("CREATE PROCEDURE {procedure}() DO 0")).await;
    let run = async |sql: String| {
        let before = proxy.commands().len();
        let done: Result<(), Error> = exec
            .transaction(TxOpts::default(), |mut tx| {
                let sql = sql.clone();
                async move { tx.query_drop(sql).await }
            })
            .await;
        done.expect("committed");
        savepoints(&proxy, before)
    };
    exec.ping().await.expect("a connection");
    // in the text that begins and in the text that commits, without a round trip more
    assert_eq!(run(ledger.insert()).await, [true, false, true]);
    make_known_well(&exec).await.expect("committed");
    assert_eq!(run(ledger.insert()).await, [false, false, false]);
    // a CALL may do anything, so that the savepoint is set before it
    assert_eq!(run(format!("CALL {procedure}()")).await, [false, true, false, true]);
    // (the connection may be reset in between)
    assert!(!run(ledger.insert()).await.contains(&true));
    assert_eq!(ledger.rows().await, 3);
}

/// Texts that end the transaction; some begin another one.
async fn endings(server: &Server, insert: &str) -> Vec<String> {
    let mut endings = vec![
        "COMMIT; START TRANSACTION".to_owned(),
        "ROLLBACK; BEGIN".to_owned(),
        "DO 0; COMMIT AND CHAIN".to_owned(),
        format!("CREATE TABLE {} (a INT)", unique("ddl")),
        "SET autocommit = 1".to_owned(),
        "PREPARE p FROM 'COMMIT'; EXECUTE p; START TRANSACTION".to_owned(),
    ];
    for body in [
        "COMMIT; START TRANSACTION;",
        "ROLLBACK; START TRANSACTION;",
        "COMMIT AND CHAIN;",
        "SAVEPOINT mysql_retry_begun; COMMIT; START TRANSACTION;",
        "ROLLBACK;",
        &format!("{insert}; COMMIT;"),
        "SET completion_type = 1; COMMIT; SET completion_type = 0;",
    ] {
        let name = unique("ending");
        server.query_drop(format!("CREATE PROCEDURE {name}() BEGIN {body} END")).await;
        endings.push(format!("CALL {name}()"));
    }
    endings
}

#[tokio::test]
async fn what_ends_a_transaction_is_noticed_on_a_connection_that_is_known_well() {
    let server = shared().await;
    let aside = Ledger::new(server).await;
    for text in endings(server, &aside.insert()).await {
        for known in [false, true] {
            for guarded in [false, true] {
                let exec = executor(server, known).await;
                let ledger = Ledger::new(server).await;
                let case = format!("{text:?}, known {known}, guarded {guarded}");
                let work = |mut tx: Tx| {
                    let (insert, text) = (ledger.insert(), text.clone());
                    async move {
                        tx.query_drop(&insert).await?;
                        tx.query_drop(text).await?;
                        tx.query_drop(insert).await
                    }
                };
                let transaction = exec.transaction(TxOpts::default(), work);
                let done = match guarded {
                    true => in_time(transaction.exactly_once("t").into_future()).await,
                    false => in_time(transaction.into_future()).await.map(Done::Now),
                };
                let rows = ledger.rows().await;
                match done {
                    // on some servers `SET autocommit = 1` changes nothing where it is on
                    Ok(_) => assert_eq!(rows, 2, "{case}: not whole"),
                    Err(error) if error.outcome() == Outcome::NotExecuted => assert_eq!(rows, 0, "{case}: {error}"),
                    Err(_) => assert!(rows <= 1, "{case}: {rows} rows"),
                }
                // nothing is left open to the next caller
                exec.query_drop(ledger.insert()).await.expect("inserted");
                assert_eq!(ledger.rows().await, rows + 1, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_whose_transaction_was_not_whole_is_not_known_well_any_more() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    let procedure = unique("ending");
    server.query_drop(format!("CREATE PROCEDURE {procedure}() BEGIN COMMIT; START TRANSACTION; END")).await;
    make_known_well(&exec).await.expect("committed");
    let work = |mut tx: Tx| {
        let call = format!("CALL {procedure}()");
        async move { tx.query_drop(call).await }
    };
    let error = exec.transaction(TxOpts::default(), work).await.expect_err("not whole");
    assert_eq!(error.outcome(), Outcome::Unknown);
    let before = proxy.commands().len();
    exec.transaction(TxOpts::default(), |_| async { Ok::<_, Error>(()) }).await.expect("committed");
    assert!(savepoints(&proxy, before).contains(&true));
}
