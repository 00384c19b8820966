//! Sessions: one connection for several statements, and what becomes of its state when it is lost.

use futures_util::StreamExt as _;
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, Session, StateKind};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When, in_time, ms, pool_of};

use crate::support::{Ledger, executor_of_one, executor_of_one_for_any_text, executor_via, session, shared, unique};

async fn id(session: &mut Session) -> u32 {
    session.query_first("SELECT CONNECTION_ID()").await.expect("an answer").expect("a row")
}

#[tokio::test]
async fn statements_of_a_session_share_one_connection_and_what_is_on_it() {
    let exec = Executor::new(shared().await.opts()).expect("good options");
    let mut session = session(&exec).await;
    let first = id(&mut session).await;
    session.query_drop("SET @answer = 42").await.expect("set");
    session.query_drop("CREATE TEMPORARY TABLE mine (a INT)").await.expect("created");
    session.exec_batch("INSERT INTO mine VALUES (?)", [(1,), (2,)]).await.expect("inserted");
    assert_eq!(session.exec::<i32, _, _>("SELECT a FROM mine ORDER BY a", ()).await.expect("rows"), [1, 2]);
    let rows = session.query_stream::<i32, _>("SELECT a FROM mine ORDER BY a").await.expect("a stream");
    assert_eq!(rows.map(|row| row.expect("a row")).collect::<Vec<_>>().await, [1, 2]);
    assert_eq!(session.query_first::<i32, _>("SELECT @answer").await.expect("an answer"), Some(42));
    assert_eq!(id(&mut session).await, first);
    assert_eq!(session.state().collect::<Vec<_>>(), [StateKind::UserVariables, StateKind::TemporaryTables]);
}

#[tokio::test]
async fn a_dropped_session_gives_its_connection_back_as_a_new_one_is() {
    let exec = executor_of_one_for_any_text(shared().await.opts());
    let mut session = session(&exec).await;
    let first = id(&mut session).await;
    session.query_drop("SET @answer = 42").await.expect("set");
    drop(session);
    let next: Option<(u32, Option<i32>)> =
        in_time(exec.query_first("SELECT CONNECTION_ID(), @answer")).await.expect("an answer");
    assert_eq!(next, Some((first, None)));
}

#[tokio::test]
async fn a_session_without_state_goes_on_as_an_executor_does() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let mut session = session(&exec).await;
    let first = id(&mut session).await;
    proxy.rule(Rule::new(When::text("'goes on'"), Place::AfterRequest, Fault::Fin));
    let answer = in_time(session.query_first::<String, _>("SELECT 'goes on'".idempotent())).await;
    assert_eq!(answer.expect("replayed").as_deref(), Some("goes on"));
    assert_ne!(id(&mut session).await, first);
}

#[tokio::test]
async fn state_that_was_lost_is_reported_before_anything_runs_without_it() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    for statement in [ledger.insert().idempotent(), "SELECT 'after it'".to_owned().idempotent()] {
        let mut session = session(&exec).await;
        session.query_drop("SET @answer = 42").await.expect("set");
        session.query_drop("CREATE TEMPORARY TABLE mine (a INT)").await.expect("created");
        proxy.rule(Rule::new(When::text(statement.sql()), Place::Request(0), Fault::Fin));
        let error = in_time(session.query_drop(&statement)).await.expect_err("the state is gone");
        assert_eq!(error.reason(), Reason::StateLost, "{error}");
        assert_eq!(error.lost_state().collect::<Vec<_>>(), [StateKind::UserVariables, StateKind::TemporaryTables]);
        assert!(error.to_string().contains("lost with the connection: user variables, temporary tables"), "{error}");
        assert_eq!(error.attempts(), 1);
        // after it was reported, the session begins anew
        assert_eq!(session.state().count(), 0);
        assert_eq!(session.query_first::<Option<i32>, _>("SELECT @answer").await.expect("an answer"), Some(None));
    }
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn a_loss_that_nobody_saw_is_reported_by_the_next_statement() {
    let server = shared().await;
    let exec = Executor::new(server.opts()).expect("good options");
    let ledger = Ledger::new(server).await;
    let mut session = session(&exec).await;
    let lock = unique("lock");
    session.query_drop(format!("SELECT GET_LOCK('{lock}', 0)")).await.expect("locked");
    // the connection is dropped with the statement's future
    assert!(tokio::time::timeout(ms(50), session.query_drop("SELECT SLEEP(100)")).await.is_err());
    let error = session.query_drop(ledger.insert()).await.expect_err("the lock is gone");
    assert_eq!((error.reason(), error.outcome()), (Reason::StateLost, Outcome::NotExecuted), "{error}");
    assert_eq!(error.lost_state().collect::<Vec<_>>(), [StateKind::UserLocks]);
    assert_eq!(ledger.rows().await, 0);
    session.query_drop(ledger.insert()).await.expect("the caller knows");
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_session_that_idled_past_wait_timeout_writes_once() {
    let server = Server::builder().flag("--wait-timeout=1").start().await;
    let exec = Executor::new(server.opts()).expect("good options");
    let ledger = Ledger::new(&server).await;
    let mut plain = session(&exec).await;
    let mut with_state = session(&exec).await;
    let first = id(&mut plain).await;
    with_state.query_drop("SET @answer = 42").await.expect("set");
    server.wait_gone(first).await;
    server.wait_gone(with_state_id(&server).await).await;
    in_time(plain.query_drop(ledger.insert())).await.expect("sent on another connection");
    let error = in_time(with_state.query_drop(ledger.insert())).await.expect_err("the variable is gone");
    assert_eq!((error.reason(), error.outcome()), (Reason::StateLost, Outcome::NotExecuted), "{error}");
    assert_eq!(ledger.rows().await, 1);
}

/// The id of any session that is left.
async fn with_state_id(server: &Server) -> u32 {
    server.connection_ids().await.first().copied().unwrap_or(u32::MAX)
}

#[tokio::test]
async fn a_transaction_that_has_ended_is_no_state() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = Executor::new(pool_of(2, proxy.opts())).expect("good options");
    let ledger = Ledger::new(server).await;
    let mut session = session(&exec).await;
    session.query_drop("BEGIN").await.expect("begun");
    session.query_drop(ledger.insert()).await.expect("inserted");
    assert_eq!(session.state().collect::<Vec<_>>(), [StateKind::Transaction]);
    session.query_drop("COMMIT").await.expect("committed");
    assert_eq!(session.state().count(), 0);

    session.query_drop("BEGIN").await.expect("begun");
    session.query_drop(ledger.insert()).await.expect("inserted");
    proxy.rule(Rule::new(When::text("SELECT 'in it'"), Place::AfterRequest, Fault::Fin));
    let error = in_time(session.query_drop("SELECT 'in it'".idempotent())).await.expect_err("the transaction is gone");
    assert_eq!(error.lost_state().collect::<Vec<_>>(), [StateKind::Transaction], "{error}");
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn case_78_that_a_session_was_read_only_is_told_when_it_is_lost() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    let mut session = in_time(exec.session()).await.expect("a session");
    for text in ["SET SESSION TRANSACTION READ ONLY", "BEGIN", "SELECT 1", "COMMIT"] {
        session.query_drop(text).await.expect("begun");
    }
    assert_eq!(session.state().collect::<Vec<_>>(), [StateKind::SessionVariables]);
    proxy.cut_all(Fault::Fin).await;
    let error = in_time(session.query_drop(ledger.insert())).await.expect_err("it was read-only");
    assert_eq!(error.lost_state().collect::<Vec<_>>(), [StateKind::SessionVariables], "{error}");
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn a_session_that_can_be_rebuilt_goes_on_by_itself() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = Executor::new(pool_of(2, proxy.opts())).expect("good options");
    let ledger = Ledger::new(server).await;
    let mut session = session(&exec).await;
    session.query_drop("SET @n = 7").await.expect("set");
    session.on_reconnect(|mut session| async move { session.query_drop("SET @n = 8").await });
    // an unannotated write that was not sent, and a read that was
    for when in [Place::Request(0), Place::AfterRequest] {
        proxy.rule(Rule::new(When::text("'rebuilt'"), when, Fault::Fin));
        let read = "SELECT @n, 'rebuilt'".idempotent();
        let answer = in_time(session.query_first::<(i32, String), _>(read)).await.expect("rebuilt");
        assert_eq!(answer, Some((8, "rebuilt".into())));
    }
    // a write that may have run surfaces, and the session is rebuilt all the same
    proxy.rule(Rule::reply_lost(When::text(&ledger.table)));
    let write = format!("INSERT INTO {} (n) SELECT @n", ledger.table);
    let error = in_time(session.query_drop(&write)).await.expect_err("nobody knows");
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::NotIdempotent), "{error}");
    in_time(session.query_drop(&write)).await.expect("rebuilt");
    assert_eq!(ledger.values().await, [8, 8]);
}

#[tokio::test]
async fn a_rebuilding_that_fails_fails_the_statement() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    let mut session = session(&exec).await;
    session.query_drop("SET @n = 7").await.expect("set");
    session.on_reconnect(|mut session| async move { session.query_drop("SELECT nonsense").await });
    proxy.cut_all(Fault::Fin).await;
    for _ in 0..2 {
        let error = in_time(session.query_drop(ledger.insert())).await.expect_err("it cannot be rebuilt");
        if error.to_string().contains("could not be rebuilt") {
            assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        } else {
            // the loss itself, where the statement is the first to see it
            assert_eq!(error.reason(), Reason::NotIdempotent, "{error}");
        }
    }
    assert_eq!(ledger.rows().await, 0);
}
