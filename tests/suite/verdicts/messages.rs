//! What errors say, and what they keep to themselves.

use std::{error::Error as _, time::Instant};

use mysql_async::{Value, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Proxy, Rule, Server, When, in_time, ms};

use crate::support::{
    Ledger, PARAMETER, PASSWORD, assert_keeps_nothing_in_debug, assert_keeps_secrets, connection_id, executor,
    executor_of_one, shared, unique,
};

/// Makes a user with the secret password.
async fn user_on(server: &Server) -> String {
    let user = unique("user");
    server.create_user(&user, PASSWORD).await;
    user
}

#[tokio::test]
async fn a_lost_statement_shows_neither_password_nor_parameter() {
    let server = shared().await;
    let user = user_on(server).await;
    let proxy = Proxy::start(server).await;
    proxy.rule(Rule::reply_lost(When::executes("SELECT ?")).times(9));
    let opts = proxy.opts().user(Some(user)).pass(Some(PASSWORD));
    let exec = Executor::new(opts).expect("good options");
    for statement in ["SELECT ?".to_owned().idempotent(), "SELECT ? + 0".to_owned().idempotent()] {
        let error = in_time(exec.exec_drop(statement, (PARAMETER,))).await.unwrap_err();
        assert!(error.is_disconnect(), "{error}");
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert_keeps_secrets(&error);
    }
    assert_keeps_nothing_in_debug(&exec);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named_without_the_password() {
    let proxy = Proxy::start(shared().await).await;
    proxy.refuse(true).await;
    let opts = proxy.opts().user(Some("app")).pass(Some(PASSWORD));
    let policy = RetryPolicy::builder().deadline(ms(500)).build().expect("valid");
    let exec = Executor::new(opts).expect("good options");
    for policy in [policy, RetryPolicy::none()] {
        let exec = exec.with_policy(&policy);
        let error = in_time(exec.exec_drop("INSERT INTO t VALUES (?)", (PARAMETER,))).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        assert_keeps_secrets(&error);
        assert_keeps_nothing_in_debug(&exec);
    }
}

// case 34, in part
#[tokio::test]
async fn a_refused_login_surfaces_at_once_and_shows_no_password() {
    let server = shared().await;
    let user = user_on(server).await;
    let wrong = format!("{PASSWORD}-wrong");
    let exec = Executor::new(server.opts().user(Some(user)).pass(Some(wrong))).expect("good options");
    let error = in_time(exec.exec_drop("INSERT INTO t VALUES (?)", (PARAMETER,))).await.unwrap_err();
    assert_eq!((error.code(), error.attempts()), (Some(1045), 1), "{error}");
    assert_eq!(error.outcome(), Outcome::NotExecuted);
    assert!(!error.is_disconnect());
    assert_keeps_secrets(&error);
}

#[tokio::test]
async fn a_missed_deadline_shows_neither_password_nor_parameter() {
    let server = shared().await;
    let exec = Executor::new(server.opts().pass(Some(PASSWORD))).expect("good options");
    let exec = exec.with_deadline(Instant::now());
    let error = exec.exec_drop("INSERT INTO t VALUES (?)", (PARAMETER,)).await.unwrap_err();
    assert!(error.is_deadline(), "{error}");
    assert_keeps_secrets(&error);
}

#[tokio::test]
async fn errors_of_the_server_pass_through_untouched_and_keep_the_connection() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    ledger.fill(1).await;
    let duplicate = format!("INSERT INTO {0} SELECT * FROM {0}", ledger.table);
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    let mut bare = mysql_async::Conn::new(server.opts()).await.expect("a connection");
    let statements = [
        ("SELECT FROM dual", 1064, Some(Outcome::NotExecuted)),
        ("SELEC 1", 1064, None),
        (duplicate.as_str(), 1062, Some(Outcome::Failed)),
        ("SELECT * FROM no_such_table", 1146, Some(Outcome::Failed)),
        ("INSERT INTO no_such_table VALUES (1)", 1146, Some(Outcome::Failed)),
        ("SELECT no_such_column FROM dual", 1054, Some(Outcome::Failed)),
    ];
    for (sql, code, outcome) in statements {
        let drivers = bare.query_drop(sql).await.unwrap_err();
        for error in [
            exec.query_drop(sql).await.unwrap_err(),
            exec.query_drop(sql.idempotent()).await.unwrap_err(),
            exec.query_first::<Value, _>(sql).await.unwrap_err(),
            exec.exec_drop(sql, ()).await.unwrap_err(),
        ] {
            assert_eq!(error.to_string(), drivers.to_string(), "{sql}");
            assert_eq!((error.code(), error.attempts()), (Some(code), 1), "{sql}");
            assert_eq!(error.server_error().map(|e| e.code), Some(code), "{sql}");
            assert_eq!(error.reason(), Reason::NotALoss, "{sql}");
            assert!(!error.is_disconnect() && !error.is_refused() && !error.is_deadline(), "{sql}");
            assert!(!error.is_timeout() && !error.is_config() && !error.is_conversion(), "{sql}");
            let source = error.source().expect("a source").downcast_ref::<mysql_async::Error>();
            assert!(matches!(source, Some(mysql_async::Error::Server(_))), "{sql}: {source:?}");
            assert_eq!(source.expect("the driver's").to_string(), drivers.to_string(), "{sql}");
        }
        // preparing executes nothing, so that only the text form has the outcome of the statement
        if let Some(outcome) = outcome {
            assert_eq!(exec.query_drop(sql).await.unwrap_err().outcome(), outcome, "{sql}");
        }
    }
    bare.disconnect().await.expect("a goodbye");
    assert_eq!(connection_id(&exec).await, id, "the connection was not kept");
    assert_eq!((exec.counters().losses, exec.counters().gave_up), (0, 0));
}

#[tokio::test]
async fn the_drivers_error_can_be_taken_out() {
    let exec = executor(shared().await);
    let error = exec.query_drop("SELECT * FROM no_such_table").await.unwrap_err();
    let Some(mysql_async::Error::Server(server)) = error.into_driver_error() else {
        panic!("it was the server's");
    };
    assert_eq!(server.code, 1146);
}
