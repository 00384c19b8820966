//! A server that refuses a statement as such has not executed it; a refusal inside of several statements proves nothing.

use mysql_retry::Outcome;
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When};

use crate::support::{Ledger, connection_id, executor_of_one, fired, shared, unique};

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
        proxy.rule(Rule::new(When::text("INSERT"), Place::Request(0), Fault::err_packet(code, message)));
        exec.query_drop(ledger.insert()).await.unwrap_or_else(|e| panic!("{code}: {e}"));
        // what a server reports about itself is probed beside the pool; on a slow machine more than once
        assert_eq!(exec.counters().probes > 0, matches!(code, 1047 | 1290 | 1836), "{code}");
        assert_ne!(connection_id(&exec).await, before, "{code}");
        assert_eq!((fired(&proxy, 1).await, exec.counters().resends), (1, 1), "{code}");
        assert_eq!(ledger.rows().await, 1, "{code}");
    }
}

// a refusal proves nothing in a text of several statements: the first one may have run
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
