//! What a connection knows of its last statement (`LAST_INSERT_ID()`, `ROW_COUNT()` ..) is never asked of another connection.

use std::time::Duration;

use mysql_retry::{Annotate as _, Error, Executor, Outcome, Reason, Session, StateKind, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When, in_time, pool_of};

use crate::support::{Ledger, executor_of_one, shared};

/// A session on a pool of two, which has inserted a row; the other connection has inserted a row of another caller.
async fn with_a_parent(proxy: &Proxy, ledger: &Ledger<'_>) -> (Executor, Session) {
    let exec = Executor::new(pool_of(2, proxy.opts())).expect("good options");
    let mut session = exec.session().await.expect("a session");
    session.query_drop(ledger.insert()).await.expect("the parent");
    exec.query_drop(ledger.insert()).await.expect("another caller's row");
    (exec, session)
}

/// Kills the connection of the session, which its next statement finds out.
async fn end(server: &Server, session: &mut Session) {
    let id: Option<u32> = session.query_first("SELECT CONNECTION_ID()").await.expect("an answer");
    server.kill_connection(id.expect("a row")).await;
    server.wait_gone(id.expect("a row")).await;
}

#[track_caller]
fn assert_lost(error: &Error, what: StateKind) {
    assert_eq!((error.reason(), error.outcome()), (Reason::StateLost, Outcome::NotExecuted), "{error}");
    assert_eq!(error.lost_state().collect::<Vec<_>>(), [what], "{error}");
}

#[tokio::test]
async fn case_81_an_insert_id_that_was_lost_is_not_taken_from_another_connection() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let child = format!("INSERT INTO {} (n) VALUES (LAST_INSERT_ID())", ledger.table);
    for idle in [Duration::ZERO, Duration::from_millis(600)] {
        for annotated in [false, true] {
            let proxy = Proxy::start(server).await;
            let (_exec, mut session) = with_a_parent(&proxy, &ledger).await;
            assert_eq!(session.state().count(), 0, "an INSERT is no state that all would miss");
            end(server, &mut session).await;
            // after a pause a ping finds out, without one the statement does
            tokio::time::sleep(idle).await;
            let before = ledger.rows().await;
            let error = match annotated {
                false => in_time(session.query_drop(child.as_str())).await,
                true => in_time(session.query_drop(child.as_str().idempotent())).await,
            };
            let error = error.expect_err("nobody knows the id any more");
            if error.reason() != Reason::StateLost {
                // the statement may have been sent
                assert_eq!(
                    (error.outcome(), error.reason(), annotated),
                    (Outcome::Unknown, Reason::NotIdempotent, false),
                    "{error}"
                );
            } else {
                assert_eq!(error.lost_state().collect::<Vec<_>>(), [StateKind::InsertId], "{error}");
            }
            // the id stays lost, and other statements go on
            session.query_drop("DO 1").await.expect("another connection");
            assert_lost(&session.query_drop(child.as_str()).await.expect_err("still unknown"), StateKind::InsertId);
            assert_eq!(ledger.rows().await, before);
            session.query_drop(ledger.insert()).await.expect("a new parent");
            session.query_drop(child.as_str()).await.expect("its child");
            assert_eq!(ledger.rows().await, before + 2);
        }
    }
}

#[tokio::test]
async fn case_81_what_a_lost_connection_could_tell_is_not_told_by_another_one() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    for (text, what) in [
        ("SELECT LAST_INSERT_ID()", StateKind::InsertId),
        ("SELECT @@identity", StateKind::InsertId),
        ("SELECT ROW_COUNT()", StateKind::Diagnostics),
        ("SELECT FOUND_ROWS()", StateKind::Diagnostics),
        ("SHOW WARNINGS", StateKind::Diagnostics),
        ("SELECT @@warning_count", StateKind::Diagnostics),
    ] {
        let proxy = Proxy::start(server).await;
        let (_exec, mut session) = with_a_parent(&proxy, &ledger).await;
        // lost before it was sent
        proxy.rule(Rule::new(When::text(text), Place::Request(0), Fault::Fin));
        let error = in_time(session.query_drop(text.idempotent())).await.expect_err(text);
        assert_eq!(error.reason(), Reason::StateLost, "{text}: {error}");
        assert_eq!(error.lost_state().collect::<Vec<_>>(), [what], "{text}: {error}");
    }
}

#[tokio::test]
async fn case_81_a_session_that_asks_for_nothing_of_it_moves_on_in_silence() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let (_exec, mut session) = with_a_parent(&proxy, &ledger).await;
    end(server, &mut session).await;
    session.query_drop("SELECT 'neutral'".idempotent()).await.expect("another connection");
    // the new connection answers about the statement before, which it has executed
    assert_eq!(session.query_first("SELECT FOUND_ROWS()").await.expect("an answer"), Some(1));
    let both = format!("{}; SELECT LAST_INSERT_ID()", ledger.insert());
    session.query_drop(both).await.expect("it brings what it asks for");
}

#[tokio::test]
async fn case_81_a_transaction_of_a_session_knows_what_the_session_has_lost() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let (_exec, mut session) = with_a_parent(&proxy, &ledger).await;
    end(server, &mut session).await;
    session.query_drop("SELECT 1".idempotent()).await.expect("another connection");
    let (child, insert) = (&format!("INSERT INTO {} (n) VALUES (LAST_INSERT_ID())", ledger.table), &ledger.insert());
    let before = ledger.rows().await;
    let work = |mut tx: Tx| async move { tx.query_drop(child.as_str()).await };
    let error = session.transaction(TxOpts::default(), work).await.expect_err("nobody knows the id");
    assert_eq!(error.reason(), Reason::StateLost, "{error}");
    assert_eq!(ledger.rows().await, before);
    // the id of a row that a transaction inserted is known afterwards
    let work = |mut tx: Tx| async move { tx.query_drop(insert.as_str()).await };
    session.transaction(TxOpts::default(), work).await.expect("committed");
    session.query_drop(child.as_str()).await.expect("the child of that row");
    assert_eq!(ledger.rows().await, before + 2);
}

#[tokio::test]
async fn case_81_a_new_session_does_not_see_the_insert_id_of_the_one_before() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    let ask = "SELECT LAST_INSERT_ID()";
    let insert = &ledger.insert();
    exec.query_drop(insert.as_str()).await.expect("another caller's row");
    let mut session = exec.session().await.expect("a session");
    assert_eq!(session.query_first(ask).await.expect("an answer"), Some(0));
    session.query_drop(insert.as_str()).await.expect("a row");
    assert_eq!(session.query_first(ask).await.expect("an answer"), Some(2));
    // a transaction of the session knows what the session has inserted
    let work = |mut tx: Tx| async move { tx.query_first::<u64, _>(ask).await };
    assert_eq!(session.transaction(TxOpts::default(), work).await.expect("committed"), Some(2));
    drop(session);
    assert_eq!(exec.transaction(TxOpts::default(), work).await.expect("committed"), Some(0));
    let work = |mut tx: Tx| async move {
        tx.query_drop(insert.as_str()).await?;
        tx.query_first::<u64, _>(ask).await
    };
    assert_eq!(exec.transaction(TxOpts::default(), work).await.expect("committed"), Some(3));
}
