//! Transactions that a session begins and ends by text.

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Error, Outcome, Reason, Session, StateKind};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When, in_time};

use crate::support::{HeldRow, Ledger, executor_of_one, session, shared, unique};

/// Runs a statement as text, or prepared.
async fn run(session: &mut Session, sql: &str, prepared: bool) -> Result<(), Error> {
    match prepared {
        true => in_time(session.exec_drop(sql, ())).await,
        false => in_time(session.query_drop(sql)).await,
    }
}

#[tokio::test]
async fn a_session_s_transaction_costs_no_round_trip_more() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    let ledger = Ledger::new(server).await;
    let mut session = session(&exec).await;
    let before = proxy.count(Kind::Query) + proxy.count(Kind::Ping);
    for begin in ["BEGIN", "/* c */ START TRANSACTION READ WRITE; -- c"] {
        session.query_drop(begin).await.expect("begun");
        session.query_drop(ledger.insert()).await.expect("inserted");
        assert_eq!(session.state().collect::<Vec<_>>(), [StateKind::Transaction]);
        session.query_drop("COMMIT /* c */").await.expect("committed");
        assert_eq!(session.state().count(), 0);
    }
    assert_eq!(proxy.count(Kind::Query) + proxy.count(Kind::Ping) - before, 6);
    assert_eq!(ledger.rows().await, 2);
}

#[tokio::test]
async fn case_47_ddl_that_fails_has_committed_what_came_before() {
    let server = shared().await;
    for prepared in [false, true] {
        let exec = executor_of_one(server.opts());
        let ledger = Ledger::new(server).await;
        let row = HeldRow::new(server).await;
        let mut session = session(&exec).await;
        session.query_drop("SET lock_wait_timeout = 1").await.expect("set");
        session.query_drop("BEGIN").await.expect("begun");
        session.query_drop(ledger.insert()).await.expect("inserted");
        let alter = format!("ALTER TABLE {} ADD COLUMN b INT", row.table);
        let error = run(&mut session, &alter, prepared).await.expect_err("the table is held");
        assert_eq!((error.outcome(), error.code()), (Outcome::Unknown, Some(1205)), "{error}");
        assert!(!session.state().any(|kind| kind == StateKind::Transaction));
        assert_eq!(ledger.rows().await, 1);
        let error = run(&mut session, "COMMIT", prepared).await.expect_err("it had ended");
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::TransactionEnded), "{error}");
        row.release().await;
    }
}

#[tokio::test]
async fn case_50_a_deadlock_s_victim_is_told_and_its_commit_does_not_pass() {
    let server = shared().await;
    for prepared in [false, true] {
        let exec = executor_of_one(server.opts());
        let (a, b) = (Ledger::new(server).await, Ledger::new(server).await);
        let table = unique("pair");
        server.query_drop(format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT)")).await;
        server.query_drop(format!("INSERT INTO {table} VALUES (1, 0), (2, 0)")).await;
        let mut session = session(&exec).await;
        let mut other = server.connect().await;
        session.query_drop("SET @kept = 1").await.expect("set");
        session.query_drop("BEGIN").await.expect("begun");
        session.query_drop(a.insert()).await.expect("inserted");
        session.query_drop(format!("UPDATE {table} SET v = 1 WHERE id = 1")).await.expect("updated");
        // the other transaction has changed more rows, so that the session is the victim
        other.query_drop("BEGIN").await.expect("begun");
        other.query_drop(format!("UPDATE {table} SET v = 2 WHERE id = 2")).await.expect("updated");
        for _ in 0..20 {
            other.query_drop(b.insert()).await.expect("inserted");
        }
        let waits = async {
            other.query_drop(format!("UPDATE {table} SET v = 2 WHERE id = 1")).await.expect("not the victim");
            other.query_drop("ROLLBACK").await.expect("rolled back");
        };
        let update = format!("UPDATE {table} SET v = 1 WHERE id = 2");
        let (victim, ()) = tokio::join!(run(&mut session, &update, prepared), in_time(waits));
        let error = victim.expect_err("a deadlock");
        assert_eq!(
            (error.code(), error.outcome(), error.reason()),
            (Some(1213), Outcome::NotExecuted, Reason::StateLost)
        );
        assert_eq!(error.lost_state().collect::<Vec<_>>(), [StateKind::Transaction], "{error}");
        assert_eq!(session.state().collect::<Vec<_>>(), [StateKind::UserVariables]);
        session.query_drop(a.insert()).await.expect("in autocommit mode");
        for _ in 0..2 {
            let error = run(&mut session, "COMMIT", prepared).await.expect_err("there is nothing to commit");
            assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::StateLost), "{error}");
        }
        session.query_drop("ROLLBACK").await.expect("the caller knows");
        session.query_drop("COMMIT").await.expect("of nothing");
        session.query_drop("BEGIN").await.expect("begun");
        session.query_drop(a.insert()).await.expect("inserted");
        run(&mut session, "COMMIT", prepared).await.expect("committed");
        assert_eq!(a.rows().await, 2);
        other.disconnect().await.expect("a goodbye");
    }
}

#[tokio::test]
async fn case_51_a_commit_after_a_loss_that_was_reported_is_no_ok() {
    let server = shared().await;
    for (prepared, rebuilt) in [(false, false), (true, false), (false, true)] {
        let proxy = Proxy::start(server).await;
        let exec = executor_of_one(proxy.opts());
        let ledger = Ledger::new(server).await;
        let mut session = session(&exec).await;
        if rebuilt {
            session.on_reconnect(|mut session| async move { session.query_drop("SET @a = 1").await });
        }
        session.query_drop("BEGIN").await.expect("begun");
        session.query_drop(ledger.insert()).await.expect("inserted");
        proxy.rule(Rule::new(When::text("'lost'"), Place::AfterRequest, Fault::Fin));
        let _ = run(&mut session, "SELECT 'lost'", false).await.expect_err("the connection is lost");
        session.query_drop(ledger.insert()).await.expect("in autocommit mode");
        let error = run(&mut session, "COMMIT", prepared).await.expect_err("the transaction is gone");
        assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::StateLost), "{error}");
        assert_eq!(error.lost_state().collect::<Vec<_>>(), [StateKind::Transaction], "{error}");
        assert_eq!(proxy.commands().iter().filter(|seen| seen.text.as_deref() == Some("COMMIT")).count(), 0);
        run(&mut session, "ROLLBACK", prepared).await.expect("the caller knows");
        run(&mut session, "COMMIT", prepared).await.expect("of nothing");
        assert_eq!(ledger.rows().await, 1);
    }
}

#[tokio::test]
async fn case_50_stored_code_that_ends_the_transaction_is_noticed_before_commit() {
    let server = shared().await;
    let inserted = Ledger::new(server).await;
    for body in ["ROLLBACK;", "COMMIT;", "COMMIT; START TRANSACTION;", "ROLLBACK; START TRANSACTION;"] {
        let name = unique("proc");
        server.query_drop(format!("CREATE PROCEDURE {name}() BEGIN {body} END")).await;
        for prepared in [false, true] {
            let exec = executor_of_one(server.opts());
            let mut session = session(&exec).await;
            session.query_drop("BEGIN").await.expect("begun");
            session.query_drop(inserted.insert()).await.expect("inserted");
            run(&mut session, &format!("CALL {name}()"), prepared).await.expect("called");
            let error = run(&mut session, "COMMIT", false).await.expect_err(body);
            assert_eq!(
                (error.outcome(), error.reason()),
                (Outcome::Unknown, Reason::TransactionEnded),
                "{body} {error}"
            );
            assert!(!session.state().any(|kind| kind == StateKind::Transaction), "{body}");
            // and the session goes on
            session.query_drop("BEGIN").await.expect("begun");
            session.query_drop("COMMIT").await.expect("committed");
        }
    }
}

#[tokio::test]
async fn what_ends_a_transaction_by_its_text_does_not_spoil_the_next_commit() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let ledger = Ledger::new(server).await;
    let mut session = session(&exec).await;
    let table = unique("ddl");
    let ddl = format!("CREATE TABLE {table} (a INT)");
    for between in ["COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "BEGIN", "COMMIT; BEGIN", "SAVEPOINT a", ddl.as_str()] {
        session.query_drop("BEGIN").await.expect("begun");
        session.query_drop(ledger.insert()).await.expect("inserted");
        session.query_drop(between).await.expect(between);
        session.query_drop(ledger.insert()).await.expect("inserted");
        session.query_drop("COMMIT").await.unwrap_or_else(|error| panic!("{between}: {error}"));
    }
    assert_eq!(ledger.rows().await, 11);
}
