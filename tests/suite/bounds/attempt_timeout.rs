//! The attempt time-out cuts a statement that is running.

use std::time::Duration;

use mysql_retry::{Annotate as _, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Server, in_time, ms};

use crate::support::{Ledger, connection_id, every, executor, executor_of_one, shared};

#[tokio::test]
async fn an_attempt_time_out_cuts_a_plain_statement_and_does_not_send_it_again() {
    let exec = executor(shared().await);
    let policy = RetryPolicy::builder().attempt_timeout(ms(300)).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop("SELECT SLEEP(300)")).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(error.reason(), Reason::NotIdempotent);
    assert_eq!(error.attempts(), 1);
    assert!(error.is_timeout() && error.is_disconnect(), "{error}");
    assert!(error.elapsed() >= ms(300), "{:?}", error.elapsed());
    assert!(error.to_string().contains("no answer within 300ms"), "{error}");
    assert_eq!(exec.query_first::<u8, _>("SELECT 7").await.expect("the next statement"), Some(7));
}

#[tokio::test]
async fn attempt_time_outs_replay_an_idempotent_statement_as_often_as_allowed() {
    let exec = executor(shared().await);
    let policy = RetryPolicy::builder().attempt_timeout(ms(200)).max_replays(2).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop("SELECT SLEEP(300)".idempotent())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ReplaysExhausted, "{error}");
    assert_eq!((error.attempts(), exec.counters().replays), (3, 2));
    assert!(error.is_timeout(), "{error}");
    assert_eq!(exec.query_first::<u8, _>("SELECT 7").await.expect("the next statement"), Some(7));
}

// case 39
#[tokio::test]
async fn a_frozen_server_is_left_when_the_attempt_time_out_strikes_and_used_again_when_it_thaws() {
    let server = Server::start().await;
    let exec = executor(&server);
    exec.ping().await.expect("a server");
    let policy = every(ms(100)).attempt_timeout(ms(300)).connect_timeout(ms(300)).deadline(ms(2_000));
    server.freeze();
    let handle = exec.with_policy(&policy.build().expect("valid"));
    let error = in_time(handle.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    server.thaw();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert!(error.is_timeout() && error.is_deadline(), "{error}");
    assert!(error.attempts() > 1, "{error}");
    assert!(error.elapsed() < Duration::from_secs(20), "{:?}", error.elapsed());
    assert_eq!(in_time(exec.query_first::<u8, _>("SELECT 7")).await.expect("a thawed server"), Some(7));
}

// cases 14 and 39: what a frozen server executes when it thaws
#[tokio::test]
async fn a_time_out_is_certain_only_for_a_write_that_was_not_prepared_yet() {
    let server = Server::start().await;
    let (unprepared, sent) = (Ledger::new(&server).await, Ledger::new(&server).await);
    let exec = executor_of_one(server.opts());
    let policy = every(ms(100)).attempt_timeout(ms(300)).connect_timeout(ms(300)).deadline(ms(1_500));
    let handle = exec.with_policy(&policy.build().expect("valid"));
    let mut ids = Vec::new();
    for prepare in [true, false] {
        ids.push(connection_id(&exec).await);
        server.freeze();
        let error = if prepare {
            in_time(handle.exec_drop(unprepared.insert_param(), (1,))).await.unwrap_err()
        } else {
            in_time(handle.query_drop(sent.insert())).await.unwrap_err()
        };
        server.thaw();
        assert!(error.is_timeout(), "{error}");
        let (outcome, reason) =
            if prepare { (Outcome::NotExecuted, Reason::Deadline) } else { (Outcome::Unknown, Reason::NotIdempotent) };
        assert_eq!((error.outcome(), error.reason()), (outcome, reason), "{error}");
    }
    for id in ids {
        server.wait_gone(id).await;
    }
    assert_eq!(unprepared.rows().await, 0, "NotExecuted was wrong");
    assert!(sent.rows().await <= 1);
}
