//! Policies without retries, and handles with different policies.

use mysql_retry::{Annotate as _, Disconnect, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When, in_time};

use crate::support::{Ledger, connection_id, executor_of_one, executor_via, io_kind, is_nobody_there, shared};

// case 17
#[tokio::test]
async fn without_retries_a_loss_surfaces_at_once_and_classified() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(Rule::reply_lost(When::text("SELECT 7")).times(2));
    let exec = executor_via(&proxy);
    let bare = exec.with_policy(&RetryPolicy::none());
    let error = in_time(bare.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!(error.disconnect(), Some(Disconnect::ServerLost), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!((error.attempts(), error.reason()), (1, Reason::SwitchedOff));
    assert_eq!(io_kind(&error), Some(std::io::ErrorKind::UnexpectedEof));
    // the other handle replays
    assert_eq!(in_time(exec.query_first("SELECT 7".idempotent())).await.expect("a replay"), Some(7));
    assert_eq!(proxy.rules_left(), [], "the second loss did not happen");
}

// case 17
#[tokio::test]
async fn without_retries_a_refused_connection_surfaces_at_once_and_classified() {
    let proxy = Proxy::start(shared().await).await;
    proxy.refuse(true).await;
    let exec = executor_via(&proxy).with_policy(&RetryPolicy::none());
    let error = in_time(exec.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!(error.disconnect(), Some(Disconnect::ServerGone), "{error}");
    assert_eq!(error.outcome(), Outcome::NotExecuted);
    assert_eq!((error.attempts(), error.reason()), (1, Reason::SwitchedOff));
    assert!(is_nobody_there(&error), "{error}");
}

// case 17, with a prepared statement
#[tokio::test]
async fn without_retries_the_verdict_is_the_same_and_surfaces_at_once() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts()).with_policy(&RetryPolicy::none());
    proxy.rule(Rule::new(When::Command(Kind::Prepare), Place::AfterRequest, Fault::Fin));
    let error = exec.exec_drop(ledger.insert_param().idempotent(), (1,)).await.expect_err("no retries");
    assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 1), "{error}");
    assert_eq!(error.reason(), Reason::SwitchedOff);
    proxy.rule(Rule::new(When::Command(Kind::Execute), Place::AfterRequest, Fault::Fin));
    let error = exec.exec_drop(ledger.insert_param().idempotent(), (1,)).await.expect_err("no retries");
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
    assert_eq!(error.reason(), Reason::SwitchedOff);
}

#[tokio::test]
async fn handles_with_different_policies_share_the_pool_and_the_counters() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let bare = exec.with_policy(&RetryPolicy::none());
    assert_eq!(connection_id(&exec).await, connection_id(&bare).await);
    let call = bare.query_drop("SELECT SLEEP(300) /* handles */");
    let kill = async { server.kill_connection(server.wait_until_running("/* handles */").await).await };
    let (result, ()) = in_time(async { tokio::join!(call, kill) }).await;
    assert!(result.unwrap_err().is_disconnect());
    assert_eq!(exec.counters(), bare.counters());
    assert_eq!(exec.counters().losses, 1);
}
