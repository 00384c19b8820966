//! Guarded work that cannot be done, and what its errors say.

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mysql_retry::{Delivery, Done, Error, Executor, Outcome, RetryPolicy, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When, in_time, ms, pool_of};

use super::insert_once;
use crate::support::{Ledger, executor_with_guard, shared, unique};

#[tokio::test]
async fn what_cannot_work_is_refused_and_says_what_to_do() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = Executor::builder().guard_table(unique("guard")).build(server.opts()).expect("good options");
    let error = insert_once(&exec, &ledger, "t").await.expect_err("no table");
    assert!(error.is_config() && error.to_string().contains("create_guard_table()"), "{error}");

    let guard = unique("guard");
    server
        .query_drop(exec.guard_ddl().replace("ENGINE=InnoDB", "ENGINE=MyISAM").replace(&guard_name(&exec), &guard))
        .await;
    let exec = Executor::builder().guard_table(&guard).build(server.opts()).expect("good options");
    let error = insert_once(&exec, &ledger, "t").await.expect_err("MyISAM");
    assert!(error.is_config() && error.to_string().contains("ENGINE=InnoDB"), "{error}");

    let exec = executor_with_guard(server.opts()).await;
    let error = insert_once(&exec, &ledger, &"x".repeat(256)).await.expect_err("too long");
    assert!(error.is_config() && error.to_string().contains("256 bytes"), "{error}");

    for text in ["CREATE TABLE never (a INT)", "COMMIT", "SET autocommit = 0", "BEGIN"] {
        let refused: Result<Done<()>, Error> = exec
            .transaction(TxOpts::default(), |mut tx| async move { tx.query_drop(text).await })
            .exactly_once("t")
            .await;
        let error = refused.expect_err(text);
        assert!(error.is_config(), "{text}: {error}");
    }
    assert_eq!(ledger.rows().await, 0);
}

/// The name of the guard's table: in the DDL, between backquotes.
fn guard_name(exec: &Executor) -> String {
    exec.guard_ddl().split('`').nth(1).expect("a name").to_owned()
}

#[tokio::test]
async fn a_read_only_server_is_said_to_be_one() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    server.create_user("app", "").await;
    server.query_drop("SET GLOBAL read_only = 1").await;
    let policy = RetryPolicy::builder().deadline(ms(500)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(server.opts().user(Some("app"))).expect("good options");
    let error = insert_once(&exec, &ledger, "t").await.expect_err("read only, and no table");
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
}

#[tokio::test]
async fn an_error_says_that_the_token_can_tell() {
    let server = Server::start().await;
    let proxy = Proxy::start(&server).await;
    let exec = executor_with_guard(pool_of(1, proxy.opts())).await;
    let ledger = Ledger::new(&server).await;
    let policy = RetryPolicy::builder().deadline(ms(1_500)).build().expect("valid");
    insert_once(&exec, &ledger, "warm").await.expect("done");
    proxy.rule(Rule::new(When::text("COMMIT"), Place::AfterRequestWhenAnswered, Fault::Refuse));
    let error = insert_once(&exec.with_policy(&policy), &ledger, "t").await.expect_err("nobody is there");
    assert_eq!((error.outcome(), error.delivery()), (Outcome::Unknown, Delivery::ExactlyOnce), "{error}");
    assert!(error.to_string().contains("call again with the same token"), "{error}");
    proxy.refuse(false).await;
    let again = insert_once(&exec, &ledger, "t").await;
    assert!(matches!(again, Ok(Done::Before { payload: None, .. })), "{again:?}");
    assert_eq!(ledger.rows().await, 2);
}

#[tokio::test]
async fn no_token_and_no_payload_is_in_a_message() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_with_guard(proxy.opts()).await;
    let policy = RetryPolicy::builder().attempt_timeout(ms(200)).max_replays(0).build().expect("valid");
    let exec = exec.with_policy(&policy);
    let ledger = Ledger::new(server).await;
    insert_once(&exec, &ledger, "warm").await.expect("done");
    // 736563726574 is the hexadecimal form of the token
    for when in ["START TRANSACTION", "COMMIT"] {
        proxy.rule(Rule::new(When::text(when), Place::Request(0), Fault::Silence));
        let done = exec
            .transaction(TxOpts::default(), |mut tx| {
                let insert = ledger.insert();
                async move { tx.query_drop(insert).await }
            })
            .exactly_once("secret")
            .payload(|_| b"secret".to_vec());
        let error: Error = in_time(done.into_future()).await.expect_err("silence");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("secret") && !text.contains("736563726574"), "{when}: {text}");
        }
        assert!(error.is_timeout(), "{when}: {error}");
    }
}

#[tokio::test]
async fn case_54_an_error_before_commit_is_that_error() {
    let server = shared().await;
    let guard = unique("guard");
    let exec = Executor::builder().guard_table(&guard).build(pool_of(1, server.opts())).expect("good options");
    exec.create_guard_table().await.expect("created");
    let database = unique("other");
    server.query_drop(format!("CREATE DATABASE {database}")).await;
    let ledger = Ledger::new(server).await;
    // `USE` in the closure does not redirect the guard's statements
    for token in ["one", "two"] {
        let work = |mut tx: Tx| {
            let (insert, using) = (ledger.insert(), format!("USE {database}"));
            async move {
                tx.query_drop(insert).await?;
                tx.query_drop(using).await
            }
        };
        let done = exec.transaction(TxOpts::default(), work).exactly_once(token).payload(|_| b"x".to_vec());
        assert_eq!(in_time(done.into_future()).await.expect("done"), Done::Now(()));
    }
    assert_eq!(ledger.rows().await, 2);
    let before = |result: Result<Done<()>, Error>| match result.expect("done before") {
        Done::Before { payload, .. } => payload,
        Done::Now(()) => panic!("done again"),
    };
    let nothing = |_: Tx| async { Ok::<_, Error>(()) };
    assert_eq!(before(exec.transaction(TxOpts::default(), nothing).exactly_once("one").await), Some(b"x".to_vec()));

    // an error in place of the answer to the statement that notes the payload
    for (code, state) in [(1142, "42000"), (1146, "42S02")] {
        let proxy = Proxy::start(server).await;
        let exec = executor_with_guard(proxy.opts()).await;
        let ledger = Ledger::new(server).await;
        let runs = AtomicU32::new(0);
        let message = "no".to_owned();
        let answer = Fault::Answer { code, state: Some(state.into()), message };
        proxy.rule(Rule::new(When::text("SET payload"), Place::Request(0), answer).times(9));
        let work = |mut tx: Tx| {
            runs.fetch_add(1, Relaxed);
            let insert = ledger.insert();
            async move { tx.query_drop(insert).await }
        };
        let done = exec.transaction(TxOpts::default(), work).exactly_once("t").payload(|_| b"x".to_vec());
        let error = in_time(done.into_future()).await.expect_err("an error");
        assert_eq!((error.outcome(), error.code()), (Outcome::NotExecuted, Some(code)), "{error}");
        assert_eq!((runs.load(Relaxed), ledger.rows().await), (1, 0), "{error}");
    }
}
