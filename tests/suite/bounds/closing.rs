//! The end of an executor is bounded by its caller.

use mysql_retry_fixture::{Server, in_time, ms};

use crate::support::{executor, executor_of_one, shared};

#[tokio::test]
async fn case_91_closing_ends_in_time_while_the_server_is_frozen() {
    let server = Server::start().await;
    let exec = executor(&server);
    let busy = exec.clone();
    let report = tokio::spawn(async move { busy.query_drop("SELECT SLEEP(100)").await });
    server.wait_until_running("SELECT SLEEP(100)").await;
    exec.ping().await.expect("an idle connection");
    server.freeze();
    let error = in_time(exec.close_within(ms(300))).await.expect_err("a connection is in use");
    assert!(
        error.is_timeout() && error.to_string().contains("not all connections were closed within 300ms"),
        "{error}"
    );
    report.abort();
    server.thaw();
}

#[tokio::test]
async fn case_91_what_is_in_use_when_closing_ends_goes_on_and_nothing_new_begins() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let mut session = exec.session().await.expect("a session");
    let other = exec.clone();
    in_time(exec.close_within(ms(50))).await.expect_err("the session is open");
    assert_eq!(session.query_first::<u8, _>("SELECT 1").await.expect("its connection is open"), Some(1));
    let error = in_time(other.query_drop("DO 0")).await.expect_err("closed");
    assert!(!error.is_timeout(), "{error}");
    drop(session);
    in_time(other.close_within(ms(60_000))).await.expect("all connections are closed");
}
