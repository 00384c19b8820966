//! A write is refused because something is read-only, and does not wait, or does not wait any longer.

use std::{sync::Arc, time::Duration};

use mysql_retry::{Event, Executor, Outcome, Reason, RetryPolicy, Tx, TxOpts};
use mysql_retry_fixture::{Proxy, Server, in_time, ms, pool_of};

use super::{as_app, create_app, set_read_only};
use crate::support::{Ledger, connection_id, every, executor, patient, recording, shared, unique};

#[tokio::test]
async fn a_policy_without_retries_does_not_wait_for_a_read_only_server() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    create_app(&server).await;
    set_read_only(&server, true).await;
    let exec = Executor::builder().policy(patient()).build(as_app(server.opts())).expect("good options");
    let bare = exec.with_policy(&RetryPolicy::none());
    // the first one by the server, the others by what is known of it
    for _ in 0..3 {
        let error = in_time(bare.query_drop(ledger.insert())).await.unwrap_err();
        assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::SwitchedOff), "{error}");
        assert!(error.is_refused() && !error.is_disconnect(), "{error}");
        assert_eq!((error.code(), error.attempts()), (Some(1290), 1), "{error}");
    }
    assert_eq!(in_time(bare.query_first("SELECT 7")).await.expect("a read"), Some(7));
    assert_eq!((ledger.rows().await, exec.counters().outages), (0, 1));
    set_read_only(&server, false).await;
    in_time(exec.query_drop(ledger.insert())).await.expect("it takes writes");
}

// The deadline ends the wait for another connection; the error is still the refusal, which made that wait necessary.
#[tokio::test]
async fn a_refusal_is_what_is_told_where_no_other_connection_was_had_in_time() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    create_app(&server).await;
    set_read_only(&server, true).await;
    let proxy = Arc::new(Proxy::start(&server).await);
    let policy = RetryPolicy::builder().deadline(ms(500)).build().expect("valid");
    let path = proxy.clone();
    let hook = move |event: &Event<'_>| {
        if let Event::Back { .. } = event {
            path.black_hole(true);
        }
    };
    let builder = Executor::builder().policy(policy).accept_read_only(true).on_event(hook);
    let exec = builder.build(as_app(proxy.opts())).expect("good options");
    let error = in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::Deadline), "{error}");
    assert!(error.is_refused() && !error.is_disconnect() && error.code() == Some(1290), "{error}");
    assert!(error.attempts() > 1 && error.to_string().contains("refused the statement"), "{error}");
}

#[tokio::test]
async fn a_server_that_stays_read_only_is_named_at_the_deadline() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    create_app(&server).await;
    set_read_only(&server, true).await;
    let opts = as_app(server.opts());
    let policy = every(ms(1_000)).deadline(ms(1_900)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(opts).expect("good options");
    let error = in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert_eq!(error.code(), Some(1290), "{error}");
    assert!(error.is_refused() && error.is_deadline() && !error.is_disconnect(), "{error}");
    assert!(error.attempts() > 1, "{error}");
    assert!(error.elapsed() < Duration::from_secs(20), "{:?}", error.elapsed());
    assert!(error.to_string().contains("refused the statement"), "{error}");
    assert_eq!(ledger.rows().await, 0);
}

// 1290 is also the number for other options, which do not concern other statements
#[tokio::test]
async fn a_statement_that_another_option_forbids_is_no_outage() {
    let server = Server::builder().flag("--secure-file-priv=/usr").start().await;
    let (exec, events) = recording(Executor::builder().policy(patient()), pool_of(1, server.opts()));
    let before = in_time(connection_id(&exec)).await;
    let file = std::env::temp_dir().join(unique("mysql-retry-outfile"));
    let error = in_time(exec.query_drop(format!("SELECT 1 INTO OUTFILE '{}'", file.display()))).await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Some(1290), Reason::NotALoss), "{error}");
    assert_eq!((events.recorded(), exec.counters().outages), (vec![], 0));
    assert_eq!(in_time(connection_id(&exec)).await, before, "its connection was dropped");
}

#[tokio::test]
async fn case_55_a_caller_s_own_read_only_transaction_is_no_outage() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor(server);
    let mut opts = TxOpts::new();
    opts.with_readonly(true);
    let work = |mut tx: Tx| {
        let sql = ledger.insert();
        async move { tx.query_drop(sql).await }
    };
    let error = in_time(async { exec.transaction(opts, work).await }).await.unwrap_err();
    assert_eq!((error.server_error().map(|it| it.code), error.outcome()), (Some(1792), Outcome::Failed), "{error}");

    let mut session = exec.session().await.expect("a session");
    session.query_drop("SET SESSION TRANSACTION READ ONLY").await.expect("set");
    let error = in_time(session.query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!((error.server_error().map(|it| it.code), error.outcome()), (Some(1792), Outcome::Failed), "{error}");
    assert_eq!((exec.counters().outages, ledger.rows().await), (0, 0));
}
