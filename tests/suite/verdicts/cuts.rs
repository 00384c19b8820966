//! Wherever an insert is cut or refused, the verdict is true: `NotExecuted` is a proof.

use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Executor, Outcome, RetryPolicy};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When};

use crate::support::{
    Events, Ledger, Told, connection_id, executor_of_one, executor_via, fired, in_time, pool_of, settle, shared, unique,
};

// cases 11, 12, 14
#[tokio::test]
async fn wherever_an_insert_is_cut_the_verdict_is_true() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let sql = ledger.insert();
    let whole = 4 + 1 + sql.len();
    let mut executed = 0;
    for fault in [Fault::Fin, Fault::Rst] {
        for place in (0..=whole).map(Place::Request).chain([Place::AfterRequest, Place::AfterReply]) {
            let proxy = Proxy::start(server).await;
            let exec = executor_via(&proxy);
            proxy.rule(Rule::new(When::text(&sql), place, fault.clone()));
            let result = exec.query_drop(&*sql).await;
            settle(server, &proxy, exec).await;
            let now = ledger.rows().await;
            let rows = now - executed;
            executed = now;
            let shown = format!("{place:?} {fault:?}: {rows} rows, {result:?}");
            match result.map_err(|error| error.outcome()) {
                Ok(_) => assert_eq!(rows, 1, "{shown}"),
                Err(Outcome::NotExecuted) => assert_eq!(rows, 0, "{shown}"),
                Err(Outcome::Unknown) => assert!(rows <= 1, "{shown}"),
                Err(Outcome::Failed) => panic!("nothing was said by a server: {shown}"),
            }
            // and the cut was where it was meant to be
            if matches!(place, Place::Request(n) if n < whole) {
                assert!(rows == 0 || exec_was_resent(&proxy), "{shown}");
            }
        }
    }
    assert!(executed >= 2, "the cuts after the reply came too late to harm");
}

fn exec_was_resent(proxy: &Proxy) -> bool {
    proxy.count(Kind::Query) > 2 && proxy.accepted() > 1
}

// cases 11, 12, 14
#[tokio::test]
async fn wherever_a_prepared_insert_is_cut_the_verdict_is_true() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let sql = ledger.insert_param();
    let places = (0..40).map(Place::Request).chain((0..12).map(Place::Reply)).chain([Place::AfterRequest]);
    let mut executed = 0;
    for place in places {
        for when in [When::text(&sql), When::executes(&sql)] {
            let proxy = Proxy::start(server).await;
            let exec = executor_via(&proxy);
            proxy.rule(Rule::new(when.clone(), place, Fault::Fin));
            let result = exec.exec_drop(&*sql, (1,)).await;
            settle(server, &proxy, exec).await;
            let now = ledger.rows().await;
            let rows = now - executed;
            executed = now;
            let shown = format!("{when:?} {place:?}: {rows} rows, {result:?}");
            assert!(result.is_ok() || when != When::text(&sql), "lost while preparing: {shown}");
            match result.map_err(|error| error.outcome()) {
                Ok(_) => assert_eq!(rows, 1, "{shown}"),
                Err(Outcome::NotExecuted) => assert_eq!(rows, 0, "{shown}"),
                Err(Outcome::Unknown) => assert!(rows <= 1, "{shown}"),
                Err(Outcome::Failed) => panic!("nothing was said by a server: {shown}"),
            }
        }
    }
}

fn error_packet(code: u16, message: &str) -> Fault {
    Fault::ErrPacket { code, state: Some("HY000".into()), message: message.into(), sequence: None }
}

// case 12
#[tokio::test]
async fn an_insert_that_the_server_refused_is_sent_to_another_connection_and_runs_once() {
    let server = shared().await;
    let refusals = [
        (1047, "WSREP has not yet prepared node for application use"),
        (1290, "The MySQL server is running with the --read-only option so it cannot execute this statement"),
        (1836, "Running in read-only mode"),
        (4031, "The client was disconnected by the server because of inactivity."),
        (1243, "Unknown prepared statement handler (1) given to mysqld_stmt_execute"),
    ];
    for (code, message) in refusals {
        let ledger = Ledger::new(server).await;
        let proxy = Proxy::start(server).await;
        let exec = executor_of_one(proxy.opts());
        let before = connection_id(&exec).await;
        proxy.rule(Rule::new(When::text("INSERT"), Place::Request(0), error_packet(code, message)));
        exec.query_drop(ledger.insert()).await.unwrap_or_else(|e| panic!("{code}: {e}"));
        // what the server says of itself is asked again, beside the pool: on a slow machine more than once
        assert_eq!(exec.counters().probes > 0, matches!(code, 1047 | 1290 | 1836), "{code}");
        assert_ne!(connection_id(&exec).await, before, "{code}");
        assert_eq!((fired(&proxy, 1).await, exec.counters().resends), (1, 1), "{code}");
        assert_eq!(ledger.rows().await, 1, "{code}");
    }
}

// what is a proof for one statement is none for several: the first may have run
#[tokio::test]
async fn a_refusal_in_a_text_of_several_statements_is_no_proof() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let procedure = unique("refuses");
    let insert = ledger.insert();
    let refuse = "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'running with the --read-only option'";
    server.query_drop(format!("CREATE PROCEDURE {procedure}() BEGIN {insert}; {refuse}; END")).await;
    let exec = executor_of_one(server.opts());
    let call = format!("CALL {procedure}()");
    let texts = [call.clone(), format!("SELECT 1; {call}"), format!("{insert}; {refuse}")];
    for sql in &texts {
        let before = ledger.rows().await;
        let error = exec.query_drop(sql.as_str()).await.expect_err(sql);
        assert!(error.is_refused(), "{error}");
        assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{sql}: {error}");
        assert_eq!(ledger.rows().await, before + 1, "{sql}");
    }
    let error = exec.exec_drop(call, ()).await.expect_err("refused");
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
    assert_eq!(ledger.rows().await, 4);
}

// the server rolled the whole statement back: it had no effect, and runs when the lock is free
#[tokio::test]
async fn an_update_that_met_a_lock_time_out_is_sent_again_and_runs_once() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    ledger.fill(1).await;
    let mut holder = server.connect().await;
    holder.query_drop(format!("BEGIN; UPDATE {} SET n = 2", ledger.table)).await.expect("a lock");
    let events = Events::default();
    let exec = Executor::builder()
        .on_event(events.hook())
        .build(pool_of(1, server.opts().setup(vec!["SET innodb_lock_wait_timeout = 1"])))
        .expect("good options");
    let update = format!("UPDATE {} SET n = n + 10", ledger.table);
    let none = exec.with_policy(&RetryPolicy::none());
    let error = none.query_drop(update.as_str()).await.expect_err("a lock time-out");
    assert_eq!((error.code(), error.outcome()), (Some(1205), Outcome::NotExecuted), "{error}");
    let release = async {
        let scheduled = |told: &Told| matches!(told, Told::Scheduled { outcome: Outcome::NotExecuted, .. });
        while !events.told().iter().any(scheduled) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        holder.disconnect().await.expect("a goodbye");
    };
    let (result, ()) = in_time(async { tokio::join!(exec.query_drop(update.as_str()), release) }).await;
    assert_eq!(result.expect("an update").affected_rows(), 1);
    assert_eq!(ledger.values().await, [11]);
    assert_eq!(exec.counters().losses, 0, "no connection was lost");
}
