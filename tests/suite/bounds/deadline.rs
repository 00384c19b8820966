//! The deadline ends waiting and retrying; it does not cut a statement that is running.

use std::{io, time::Instant};

use mysql_retry::{Annotate as _, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Proxy, Rule, When, in_time, ms};

use crate::support::{blocking_until, every, executor_of_one, io_kind, is_nobody_there, recording, shared};

// cases 18, 15
#[tokio::test]
async fn with_any_number_of_replays_the_deadline_ends_a_statement_that_loses_its_connection_each_time() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(Rule::reply_lost(When::text("SELECT 7")).times(1_000_000));
    let (exec, events) = recording(Executor::builder(), proxy.opts());
    // at once, then after 8, 64, 512 and 4096 ms; the next delay is longer than the deadline
    let policy = every(ms(1)).max_delay(ms(1_000_000)).multiplier(8.0).max_replays(u32::MAX).deadline(ms(30_000));
    let handle = exec.with_policy(&policy.build().expect("valid"));
    let error = in_time(handle.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Deadline), "{error}");
    assert_eq!(error.attempts(), 6, "{error}: {events:?}");
}

// case 15: the deadline passes between two attempts
#[tokio::test]
async fn a_deadline_that_passes_before_a_replay_keeps_the_loss_and_its_cause() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    proxy.rule(Rule::reply_lost(When::text("SELECT 7")));
    let until = Instant::now() + ms(3_000);
    let exec = Executor::builder().on_event(blocking_until(until)).build(proxy.opts()).expect("good options");
    let error = exec.with_deadline(until).query_drop("SELECT 7".idempotent()).await.unwrap_err();
    assert_eq!(error.attempts(), 1, "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(error.is_deadline());
    assert_eq!(io_kind(&error), Some(io::ErrorKind::UnexpectedEof), "the driver's error is gone: {error}");
    assert_eq!(error.code(), Some(2013), "{error}");
    let text = error.to_string();
    assert!(text.contains("connection closed"), "the last cause is missing: {text}");
    assert!(!text.contains("before the statement could be sent"), "it was sent: {text}");
}

// cases 15, 32: the same with a server that is down
#[tokio::test]
async fn a_deadline_that_passes_while_the_server_is_down_says_which_server_is_gone() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    proxy.refuse(true).await;
    let until = Instant::now() + ms(1_000);
    let exec = Executor::builder()
        .policy(every(ms(10)).build().expect("valid"))
        .on_event(blocking_until(until))
        .build(proxy.opts())
        .expect("good options");
    let error = exec.with_deadline(until).query_drop("SELECT 7").await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert!(error.is_deadline() && is_nobody_there(&error), "{error}");
    assert_eq!(error.code(), Some(2006), "{error}");
    assert!(error.to_string().contains(&proxy.address()), "{error}");
}

#[tokio::test]
async fn a_statement_that_runs_past_the_deadline_returns_its_rows() {
    let exec = executor_of_one(shared().await.opts());
    in_time(exec.ping()).await.expect("a server");
    let exec = exec.with_policy(&RetryPolicy::builder().deadline(ms(1_000)).build().expect("valid"));
    let begun = Instant::now();
    let row: Vec<(i32, i32)> = in_time(exec.query("SELECT SLEEP(2.5), 7")).await.expect("not cut");
    assert_eq!(row, [(0, 7)]);
    assert!(begun.elapsed() >= ms(2_400), "it was cut after {:?}", begun.elapsed());
    let row: Vec<(i32, i32)> = in_time(exec.exec("SELECT SLEEP(2), ?", (8,))).await.expect("not cut");
    assert_eq!(row, [(0, 8)]);
}

// case 15
#[tokio::test]
async fn an_expired_deadline_sends_nothing() {
    let proxy = Proxy::start(shared().await).await;
    let exec = Executor::new(proxy.opts()).expect("good options");
    let late = || exec.with_deadline(Instant::now());
    let before_connecting = late().query_drop("INSERT INTO t VALUES (1)").await.unwrap_err();
    assert_eq!(proxy.accepted(), 0, "it connected");
    exec.ping().await.expect("a server");
    let (connections, commands) = (proxy.accepted(), proxy.commands());
    let errors = [
        before_connecting,
        late().query_drop("INSERT INTO t VALUES (1)").await.unwrap_err(),
        late().exec_drop("INSERT INTO t VALUES (?)", (1,)).await.unwrap_err(),
        late().ping().await.unwrap_err(),
        late().connection().await.unwrap_err(),
        // the earlier of two deadlines counts
        late().with_deadline(Instant::now() + ms(60_000)).ping().await.unwrap_err(),
    ];
    assert_eq!(proxy.accepted(), connections, "it connected");
    assert_eq!(proxy.commands(), commands, "it sent something");
    for error in errors {
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        assert_eq!(error.attempts(), 0, "{error}");
        assert!(error.is_deadline() && !error.is_disconnect(), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("the deadline passed before the statement could be sent"), "{text}");
    }
}
