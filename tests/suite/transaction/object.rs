//! A transaction as an object, which its owner ends.

use mysql_retry::{
    Annotate as _, Executor, IsolationLevel, OpenTransaction, Outcome, Reason, Result, StateKind, TxOpts,
    prelude::Queryable,
};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time, ms};

use crate::support::{Ledger, cut, executor, executor_of_one, executor_via, register, session, shared, unique, value};

async fn begun(exec: &Executor) -> OpenTransaction<'static> {
    in_time(exec.start_transaction(TxOpts::default())).await.expect("begun")
}

#[tokio::test]
async fn it_is_committed_or_rolled_back_and_tells_of_its_statements_as_the_driver_s_does() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let mut tx = begun(&exec).await;
    tx.query_drop(ledger.insert()).await.expect("inserted");
    tx.exec_drop(ledger.insert_param(), (2,)).await.expect("inserted");
    assert_eq!((tx.affected_rows(), tx.last_insert_id(), tx.get_warnings()), (1, Some(2), 0));
    assert_eq!(tx.id(), tx.query_first("SELECT CONNECTION_ID()").await.expect("an id"));
    assert_eq!(ledger.rows().await, 0, "nobody else sees it");
    tx.commit().await.expect("committed");
    assert_eq!(ledger.values().await, [1, 2]);

    let mut tx = begun(&exec).await;
    tx.query_drop(ledger.insert()).await.expect("inserted");
    tx.rollback().await.expect("rolled back");
    assert_eq!(ledger.rows().await, 2);
    assert_eq!(exec.counters().resets, 0, "nothing is left on the connection");
}

#[tokio::test]
async fn it_is_begun_as_its_options_say() {
    let server = shared().await;
    let exec = executor(server);
    let table = register(server).await;
    let mut opts = TxOpts::new();
    opts.with_isolation_level(IsolationLevel::ReadCommitted);
    let mut tx = exec.start_transaction(opts).await.expect("begun");
    let read = format!("SELECT v FROM {table}");
    assert_eq!(tx.query_first(&read).await.expect("a row"), Some(0));
    server.query_drop(format!("UPDATE {table} SET v = 7")).await;
    assert_eq!(tx.query_first(&read).await.expect("a row"), Some(7), "what others have committed is seen");
    tx.commit().await.expect("committed");

    let mut opts = TxOpts::new();
    opts.with_readonly(true);
    let mut tx = exec.start_transaction(opts).await.expect("begun");
    let error = tx.query_drop(format!("UPDATE {table} SET v = 8")).await.expect_err("it only reads");
    assert_eq!((error.outcome(), error.code()), (Outcome::Failed, Some(1792)), "{error}");
}

#[tokio::test]
async fn a_dropped_one_is_rolled_back_and_holds_nobody_up() {
    let server = shared().await;
    let exec = executor(server);
    let table = register(server).await;
    let mut session = session(&exec).await;
    let update = format!("UPDATE {table} SET v = v + 1 WHERE id = 1");
    for _ in 0..3 {
        let mut tx = session.start_transaction(TxOpts::default()).await.expect("begun");
        tx.query_drop(&update).await.expect("updated");
        drop(tx);
        in_time(exec.query_drop(&update)).await.expect("the row is free");
    }
    session.query_drop(&update).await.expect("the session had no state, and goes on");
    assert_eq!(value(server, &table).await, 4);

    let mut tx = session.start_transaction(TxOpts::default()).await.expect("begun");
    tx.query_drop(&update).await.expect("updated");
    let slow = tx.query_drop("SELECT SLEEP(600)");
    assert!(tokio::time::timeout(ms(300), slow).await.is_err(), "it sleeps");
    drop(tx);
    in_time(exec.query_drop(&update)).await.expect("the row is free");
    session.query_drop(&update).await.expect("the session goes on");
    assert_eq!(value(server, &table).await, 6);
}

#[tokio::test]
async fn a_session_with_state_is_told_what_went_with_a_dropped_one() {
    let server = shared().await;
    let exec = executor(server);
    let mut session = session(&exec).await;
    session.query_drop("SET @kept = 1").await.expect("set");
    drop(session.start_transaction(TxOpts::default()).await.expect("begun"));
    let error = session.query_drop("DO 0").await.expect_err("the variable is gone");
    assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::StateLost), "{error}");
    assert_eq!(error.lost_state().collect::<Vec<_>>(), [StateKind::UserVariables], "{error}");
    session.query_drop("DO 0").await.expect("it begins anew");
}

#[tokio::test]
async fn after_a_loss_nothing_of_it_runs_and_it_is_not_committed() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    let mut session = session(&exec).await;
    for rolls_back in [false, true] {
        let mut tx = session.start_transaction(TxOpts::default()).await.expect("begun");
        tx.query_drop(ledger.insert()).await.expect("inserted");
        proxy.rule(Rule::new(When::text("'lost'"), Place::AfterRequest, Fault::Fin));
        let lost = tx.query_drop("SELECT 'lost'".idempotent()).await.expect_err("the connection is lost");
        assert!(lost.is_disconnect(), "{lost}");
        for _ in 0..2 {
            let error = tx.query_drop(ledger.insert().idempotent()).await.expect_err("it would be in autocommit mode");
            assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::StateLost), "{error}");
        }
        if rolls_back {
            tx.rollback().await.expect("that is what has become of it");
        } else {
            let error = tx.commit().await.expect_err("it is gone");
            assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::StateLost), "{error}");
        }
        assert_eq!(ledger.rows().await, 0);
    }
    let mut tx = session.start_transaction(TxOpts::default()).await.expect("begun");
    tx.query_drop(ledger.insert()).await.expect("inserted");
    tx.commit().await.expect("committed");
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_lost_answer_to_commit_is_unknown_and_to_the_beginning_costs_nothing() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    proxy.rule(cut("START TRANSACTION"));
    let mut tx = begun(&exec).await;
    tx.query_drop(ledger.insert()).await.expect("inserted");
    proxy.rule(Rule::reply_lost(When::text("COMMIT")));
    let error = in_time(tx.commit()).await.expect_err("the answer is lost");
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(ledger.rows().await, 1, "it was executed, once");
}

#[tokio::test]
async fn what_begins_or_ends_a_transaction_is_refused_in_it() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let ledger = Ledger::new(server).await;
    let mut session = session(&exec).await;
    session.query_drop("BEGIN").await.expect("begun");
    let error = session.start_transaction(TxOpts::default()).await.expect_err("one is open");
    assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 0), "{error}");
    session.query_drop("ROLLBACK").await.expect("rolled back");
    let mut tx = session.start_transaction(TxOpts::default()).await.expect("begun");
    tx.query_drop(ledger.insert()).await.expect("inserted");
    for text in ["COMMIT", "ROLLBACK", "BEGIN", "START TRANSACTION"] {
        let error = tx.query_drop(text).await.expect_err(text);
        assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 0), "{error}");
        assert!(error.to_string().contains("`commit()`"), "{error}");
    }
    tx.query_drop("SAVEPOINT a").await.expect("set");
    tx.query_drop(ledger.insert()).await.expect("inserted");
    tx.query_drop("ROLLBACK TO a").await.expect("a part");
    tx.commit().await.expect("committed");
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn one_that_a_statement_has_ended_runs_nothing_more_and_says_so() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let name = unique("proc");
    server.query_drop(format!("CREATE PROCEDURE {name}() BEGIN ROLLBACK; END")).await;
    let ddl = format!("CREATE TABLE {} (a INT)", unique("ddl"));
    for (text, commits) in [(format!("CALL {name}()"), false), (ddl, true)] {
        let exec = executor(server);
        let mut tx = begun(&exec).await;
        tx.query_drop(&text).await.expect("executed");
        let error = tx.query_drop(ledger.insert()).await.expect_err("it would be in autocommit mode");
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        match tx.commit().await {
            Ok(()) => assert!(commits, "{text}"),
            Err(error) => {
                assert!(!commits, "{text}: {error}");
                assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::TransactionEnded), "{error}");
            }
        }
        assert_eq!(ledger.rows().await, 0);
    }
}

/// Code that is generic takes it.
async fn answer(conn: &mut impl Queryable) -> Result<Option<u64>> {
    conn.query_first("SELECT 7").await
}

#[tokio::test]
async fn generic_code_runs_in_it() {
    let exec = executor(shared().await);
    let mut tx = begun(&exec).await;
    assert_eq!(answer(&mut tx).await.expect("an answer"), Some(7));
    tx.rollback().await.expect("rolled back");
}
