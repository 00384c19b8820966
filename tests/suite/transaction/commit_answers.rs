//! COMMIT is answered with an error by a relay: in place of the server's answer, or after it.

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mysql_retry::{Error, Outcome, RetryPolicy, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time, pool_of};

use crate::support::{Ledger, executor_with_guard, shared};

/// How a transaction ended: with its number of attempts, or with an outcome and a message.
struct Ended {
    attempts: Result<u32, (Outcome, String)>,
    rows: u64,
    runs: u32,
}

async fn commit_answered(
    (code, state, message): (u16, &str, &str),
    place: Place,
    guarded: bool,
    policy: Option<RetryPolicy>,
) -> Ended {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_with_guard(pool_of(2, proxy.opts())).await;
    let exec = policy.map_or(exec.clone(), |policy| exec.with_policy(&policy));
    let ledger = Ledger::new(server).await;
    let runs = AtomicU32::new(0);
    let answer = Fault::Answer { code, state: Some(state.into()), message: message.into() };
    proxy.rule(Rule::new(When::text("COMMIT"), place, answer));
    let work = |mut tx: Tx| {
        runs.fetch_add(1, Relaxed);
        let insert = ledger.insert();
        async move {
            tx.query_drop(insert).await?;
            Ok::<_, Error>(tx.attempt())
        }
    };
    let transaction = exec.transaction(TxOpts::default(), work);
    let result = match guarded {
        true => in_time(transaction.exactly_once("t").into_future()).await.map(|done| done.now().expect("done now")),
        false => in_time(transaction.into_future()).await,
    };
    let attempts = result.map_err(|error| (error.outcome(), error.to_string()));
    assert!(proxy.rules_left().is_empty(), "the fault did not happen");
    Ended { attempts, rows: ledger.rows().await, runs: runs.load(Relaxed) }
}

const CONFLICTS: [(u16, &str, &str); 4] = [
    (3101, "40000", "Plugin instructed the server to rollback the current transaction."),
    (1180, "HY000", "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT"),
    (1412, "HY000", "Table definition has changed, please retry transaction"),
    (4567, "40999", "a conflict that nobody has heard of"),
];

#[tokio::test]
async fn case_52_a_conflict_at_commit_is_run_again() {
    for conflict in CONFLICTS {
        for guarded in [false, true] {
            let seen = commit_answered(conflict, Place::Request(0), guarded, None).await;
            assert_eq!((&seen.attempts, seen.rows, seen.runs), (&Ok(2), 1, 2), "{conflict:?} {guarded}");
        }
    }
}

#[tokio::test]
async fn case_95_a_conflict_at_commit_is_not_worded_as_a_loss() {
    for conflict in CONFLICTS {
        for guarded in [false, true] {
            let none = Some(RetryPolicy::none());
            let seen = commit_answered(conflict, Place::Request(0), guarded, none).await;
            let (outcome, message) = seen.attempts.expect_err("no other run");
            assert_eq!((outcome, seen.rows), (Outcome::NotExecuted, 0), "{conflict:?} {guarded}: {message}");
            assert!(message.contains(conflict.2) && !message.contains("2013"), "{message}");
        }
    }
}

#[tokio::test]
async fn case_52_an_answer_after_the_commit_is_no_proof() {
    for answer in [(1105, "HY000", "who knows"), (1062, "23000", "Duplicate entry"), (1142, "42000", "denied")] {
        for place in [Place::AfterRequestWhenAnswered, Place::LastResult] {
            let seen = commit_answered(answer, place, false, None).await;
            let (outcome, message) = seen.attempts.expect_err("it may have been committed");
            assert_eq!((outcome, seen.rows, seen.runs), (Outcome::Unknown, 1, 1), "{answer:?} {place:?}: {message}");
            // a token finds out
            let seen = commit_answered(answer, place, true, None).await;
            assert_eq!((seen.attempts, seen.rows), (Ok(1), 1), "{answer:?} {place:?}");
        }
    }
}

#[tokio::test]
async fn case_52_an_answer_in_place_of_the_commit_leaves_nothing_open() {
    for guarded in [false, true] {
        let answer = (1142, "42000", "COMMIT command denied");
        let seen = commit_answered(answer, Place::Request(0), guarded, None).await;
        let (outcome, message) = seen.attempts.expect_err("denied");
        assert_eq!((outcome, seen.rows, seen.runs), (Outcome::NotExecuted, 0, 1), "{message}");
        assert!(message.contains("denied"), "{message}");
    }
}
