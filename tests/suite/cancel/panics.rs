//! Closures, hooks and classifications of the caller's that panic.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use futures_util::FutureExt as _;
use mysql_retry::{Event, Executor, Fault, RetryPolicy, Statement};
use mysql_retry_fixture::{Proxy, Rule, When, in_time, pool_of};

use super::polls::{ROWS, assert_right};
use crate::support::{executor_of_one, shared};

/// Runs a call that has to panic.
async fn panics(call: impl Future) {
    let ended = in_time(AssertUnwindSafe(call).catch_unwind()).await;
    assert!(ended.is_err(), "it was to panic");
}

#[tokio::test]
async fn a_panic_in_a_closure_poisons_nothing() {
    let exec = executor_of_one(shared().await.opts());
    for k in 0..3 {
        panics(exec.query_map(ROWS, |n: i32| {
            if n == 2 {
                panic!("the caller's")
            }
        }))
        .await;
        assert_right(&exec, "query_map", k).await;
        panics(exec.exec_map("SELECT ?", (1,), |_: i32| panic!("the caller's"))).await;
        assert_right(&exec, "exec_map", k).await;
        panics(exec.query_fold(ROWS, 0, |_, _: i32| -> i32 { panic!("the caller's") })).await;
        assert_right(&exec, "query_fold", k).await;
        panics(exec.exec_fold("SELECT ?", (1,), 0, |_, _: i32| -> i32 { panic!("the caller's") })).await;
        assert_right(&exec, "exec_fold", k).await;
    }
}

type IsWanted = fn(&Event<'_>) -> bool;

/// The events that make the hook panic, one after the other.
const EVENTS: [(&str, IsWanted); 5] = [
    ("lost", |event| matches!(event, Event::ConnectionLost { .. })),
    ("scheduled", |event| matches!(event, Event::RetryScheduled { .. })),
    ("replayed", |event| matches!(event, Event::Replayed { .. })),
    ("recovered", |event| matches!(event, Event::Recovered { .. })),
    ("gave up", |event| matches!(event, Event::GaveUp { .. })),
];

#[tokio::test]
async fn a_hook_that_panics_fails_its_call_and_the_executor_goes_on() {
    let server = shared().await;
    for (k, (wanted, is_wanted)) in EVENTS.into_iter().enumerate() {
        for way in ["text", "prepared", "stream"] {
            let proxy = Proxy::start(server).await;
            let armed = Arc::new(AtomicBool::new(true));
            let panics = armed.clone();
            let hook = move |event: &Event<'_>| {
                if is_wanted(event) && panics.swap(false, SeqCst) {
                    panic!("the hook of a test, at '{wanted}'");
                }
            };
            // with one connection, so that a lost connection or a lost place in the pool would be missed
            let exec = Executor::builder().on_event(hook).build(pool_of(1, proxy.opts())).expect("good options");
            let lost = if way == "prepared" { When::executes("SELECT 7") } else { When::text("SELECT 7") };
            proxy.rule(Rule::reply_lost(lost));
            // a plain statement is given up
            let statement = Statement::new("SELECT 7");
            let statement = if wanted == "gave up" { statement } else { statement.idempotent() };
            let caller = exec.clone();
            let call = tokio::spawn(async move {
                match way {
                    "text" => caller.query_drop(statement).await.map(drop),
                    "prepared" => caller.exec_drop(statement, ()).await.map(drop),
                    _ => caller.query_stream::<u8, _>(statement).await.map(drop),
                }
            });
            let panicked = in_time(call).await.expect_err("the panic reaches the caller");
            assert!(panicked.is_panic(), "{wanted}, {way}: {panicked}");
            assert!(!armed.load(SeqCst), "{wanted}, {way}");
            assert_right(&exec, wanted, k).await;
        }
    }
}

#[tokio::test]
async fn a_classification_that_panics_fails_its_call_and_the_executor_goes_on() {
    let exec = Executor::new(pool_of(1, shared().await.opts())).expect("good options");
    let policy = RetryPolicy::builder()
        .classify_with(|_, table| {
            assert_ne!(table.fault(), Fault::Other, "the classification of a test panics");
            table
        })
        .build()
        .expect("valid");
    let handle = exec.with_policy(&policy);
    let call = tokio::spawn(async move { handle.query_drop("SELEC 1").await });
    assert!(in_time(call).await.expect_err("the panic reaches the caller").is_panic());
    assert_eq!(in_time(exec.query_first::<u8, _>("SELECT 8")).await.expect("the next statement"), Some(8));
}
