//! What errors say, what they keep to themselves, and which ones are the driver's own (CASES.md 6).

use std::{error::Error as _, time::Instant};

use mysql_async::{Value, params, prelude::Queryable as _};
use mysql_retry::{Annotate, Error, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When};

use crate::{
    support::hooks::ms,
    support::{Ledger, connection_id, executor, executor_of_one, in_time, shared, unique},
};

const PASSWORD: &str = "hunter2-Passw0rd";
const PARAMETER: &str = "s3cret-parameter";

/// Creates a user of its own name with the secret password.
async fn user_on(server: &Server) -> String {
    let user = unique("user");
    server.query_drop(format!("CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'")).await;
    server.query_drop(format!("GRANT ALL ON test.* TO {user}@'%'")).await;
    user
}

fn assert_keeps_secrets(error: &Error) {
    let mut shown = format!("{error}\n{error:?}\n{error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        shown = format!("{shown}\n{cause}");
        source = cause.source();
    }
    for secret in [PASSWORD, PARAMETER] {
        assert!(!shown.contains(secret), "{secret} in\n{shown}");
        // as the Debug form of bytes
        let bytes = format!("{:?}", secret.as_bytes());
        let bytes = bytes.trim_matches(['[', ']']);
        assert!(!shown.replace(['\n', ' '], "").contains(&bytes.replace(' ', "")), "the bytes of {secret} in\n{shown}");
    }
}

#[tokio::test]
async fn a_lost_statement_shows_neither_password_nor_parameter() {
    let server = shared().await;
    let user = user_on(server).await;
    let proxy = Proxy::start(server).await;
    proxy.rule(Rule::new(When::executes("SELECT ?"), Place::AfterRequestWhenAnswered, Fault::Fin).times(9));
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

fn assert_keeps_nothing_in_debug(exec: &Executor) {
    let shown = format!("{exec:?} {exec:#?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
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

// CASES.md 34, in part
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

// CASES.md 6
#[tokio::test]
async fn a_callers_mistake_is_no_loss_and_is_not_repeated() {
    let exec = executor(shared().await);
    let errors = [
        exec.exec_drop("SELECT ?".idempotent(), (PARAMETER, PARAMETER)).await.unwrap_err(),
        exec.exec_drop("SELECT ?, ?".idempotent(), (PARAMETER,)).await.unwrap_err(),
        exec.exec_drop("SELECT :wanted".idempotent(), params! { "given" => PARAMETER }).await.unwrap_err(),
        exec.exec_drop("SELECT :wanted, ?".idempotent(), params! { "wanted" => PARAMETER }).await.unwrap_err(),
    ];
    for error in errors {
        assert!(!error.is_disconnect() && !error.is_conversion(), "{error}");
        assert_eq!((error.attempts(), error.reason()), (1, Reason::NotALoss), "{error}");
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        assert!(matches!(error.driver_error(), Some(mysql_async::Error::Driver(_))), "{error}");
        assert_keeps_secrets(&error);
    }
    assert_eq!(exec.counters().losses, 0);
    assert_eq!(exec.query_first::<u8, _>("SELECT 7").await.expect("the next statement"), Some(7));
}

// CASES.md 6
#[tokio::test]
async fn a_row_that_does_not_fit_names_the_type_and_not_the_value() {
    let exec = executor_of_one(shared().await.opts());
    let id = connection_id(&exec).await;
    let sql = "SELECT CAST(? AS CHAR)".idempotent();
    let errors = [
        exec.exec_first::<u32, _, _>(sql, (PARAMETER,)).await.unwrap_err(),
        exec.exec::<u32, _, _>(sql, (PARAMETER,)).await.unwrap_err(),
        exec.exec_map(sql, (PARAMETER,), |n: u32| n).await.unwrap_err(),
        exec.query_first::<u32, _>(format!("SELECT '{PARAMETER}'").idempotent()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.is_conversion() && !error.is_disconnect(), "{error}");
        assert_eq!((error.attempts(), error.outcome()), (1, Outcome::Unknown));
        let text = error.to_string();
        assert!(text.contains("the statement was executed") && text.contains("u32"), "{text}");
        assert_keeps_secrets(&error);
    }
    assert_eq!(connection_id(&exec).await, id, "the connection is as good as before");
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
        ("SELECT FROM dual", 1064, Outcome::NotExecuted),
        (duplicate.as_str(), 1062, Outcome::Failed),
        ("SELECT * FROM no_such_table", 1146, Outcome::Failed),
        ("SELECT no_such_column FROM dual", 1054, Outcome::Failed),
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
            assert_eq!(source.expect("the driver's").to_string(), drivers.to_string(), "{sql}");
        }
        // preparing executes nothing, so that only the text form shows what is known of the statement
        assert_eq!(exec.query_drop(sql).await.unwrap_err().outcome(), outcome, "{sql}");
    }
    bare.disconnect().await.expect("a goodbye");
    assert_eq!(connection_id(&exec).await, id, "the connection was not kept");
    assert_eq!((exec.counters().losses, exec.counters().gave_up), (0, 0));
}

#[tokio::test]
async fn an_error_after_a_lost_attempt_says_unknown_whatever_it_is() {
    let server = shared().await;
    let table = unique("unique_n");
    server.query_drop(format!("CREATE TABLE {table} (n INT PRIMARY KEY)")).await;
    let proxy = Proxy::start(server).await;
    proxy.rule(Rule::new(When::text("INSERT"), Place::AfterRequestWhenAnswered, Fault::Fin));
    let exec = Executor::new(proxy.opts()).expect("good options");
    // annotated wrongly: its second execution meets the row of its first
    let error = in_time(exec.query_drop(format!("INSERT INTO {table} VALUES (1)").idempotent())).await.unwrap_err();
    assert_eq!((error.code(), error.attempts()), (Some(1062), 2), "{error}");
    assert!(error.to_string().contains("an earlier attempt was lost"), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(!error.is_disconnect());
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

fn bad_options() -> [(String, &'static str); 7] {
    let url = |text: &str| format!("mysql://root:{PASSWORD}@localhost{text}");
    [
        ("no url at all".into(), ""),
        (String::new(), ""),
        (format!("http://root:{PASSWORD}@localhost/"), "http"),
        (url(":99999/"), "port"),
        (url("/?no_such_parameter=1"), "no_such_parameter"),
        (url("/?pool_min=many"), "pool_min"),
        (url("/?pool_min=20&pool_max=10"), "pool"),
    ]
}

// no runtime around: nothing is connected, nothing is spawned
#[test]
fn bad_options_are_an_error_that_says_what_is_wrong() {
    for (url, word) in bad_options() {
        let errors = [
            Executor::new(url.as_str()).unwrap_err(),
            Executor::from_url(&url).unwrap_err(),
            Executor::builder().build(url.as_str()).unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_config() && !error.is_disconnect(), "{url}: {error}");
            assert_eq!((error.attempts(), error.outcome()), (0, Outcome::NotExecuted), "{url}");
            let text = error.to_string();
            assert!(text.starts_with("the connection ") && text.contains(word), "{url}: {text}");
            assert_keeps_secrets(&error);
        }
    }
}

#[test]
fn an_executor_can_be_made_and_dropped_without_a_runtime() {
    let exec = Executor::from_url(format!("mysql://root:{PASSWORD}@localhost/")).expect("good options");
    assert_keeps_nothing_in_debug(&exec);
    drop(exec.clone());
    drop(exec);
}

#[test]
fn a_maximum_age_of_zero_is_refused() {
    let error = Executor::builder().max_age(ms(0)).build("mysql://root@localhost/").unwrap_err();
    assert!(error.is_config(), "{error}");
    assert!(error.to_string().contains("max_age is 0"), "{error}");
}
