//! A closure is run again for an error of the program's own.

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mysql_retry::{Done, Error, Outcome, RetryPolicy, TxOpts};
use mysql_retry_fixture::{Proxy, Rule, When, in_time, ms};

use crate::support::{Ledger, every, executor, executor_via, executor_with_guard, shared, unique};

/// An error type as programs have it.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("a conflict")]
    Conflict,
    #[error(transparent)]
    Database(#[from] Error),
}

fn is_conflict(error: &Failed) -> bool {
    matches!(error, Failed::Conflict)
}

#[tokio::test]
async fn it_is_run_until_it_succeeds_and_what_failed_leaves_nothing() {
    let server = shared().await;
    let exec = executor_with_guard(server.opts()).await.with_policy(&every(ms(10)).build().expect("valid"));
    let ledger = Ledger::new(server).await;
    let runs = AtomicU32::new(0);
    let work = |mut tx: mysql_retry::Tx| {
        let (ledger, runs) = (&ledger, &runs);
        async move {
            tx.query_drop(ledger.insert()).await?;
            if runs.fetch_add(1, Relaxed) % 3 < 2 { Err(Failed::Conflict) } else { Ok(tx.attempt()) }
        }
    };
    let attempt = in_time(exec.transaction(TxOpts::default(), work).run_again_if(is_conflict).into_future()).await;
    assert_eq!(attempt.expect("the third run"), 3);
    assert_eq!((ledger.rows().await, runs.load(Relaxed)), (1, 3));
    assert_eq!(exec.counters().recovered, 1);

    let token = unique("token");
    let guarded = || exec.transaction(TxOpts::default(), work).run_again_if(is_conflict).exactly_once(token.as_str());
    assert_eq!(in_time(guarded().into_future()).await.expect("the third run"), Done::Now(3));
    assert!(!in_time(guarded().into_future()).await.expect("done before").is_now());
    assert_eq!((ledger.rows().await, runs.load(Relaxed)), (2, 6));
}

#[tokio::test]
async fn the_policy_ends_it_with_the_program_s_own_error() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let patient = every(ms(200)).deadline(ms(4_000)).build().expect("valid");
    for (policy, again) in [(patient, true), (RetryPolicy::none(), false)] {
        let exec = executor(server).with_policy(&policy);
        let runs = AtomicU32::new(0);
        let work = |mut tx: mysql_retry::Tx| {
            runs.fetch_add(1, Relaxed);
            let ledger = &ledger;
            async move {
                tx.query_drop(ledger.insert()).await?;
                Err::<(), _>(Failed::Conflict)
            }
        };
        let result = in_time(exec.transaction(TxOpts::default(), work).run_again_if(is_conflict).into_future()).await;
        assert!(matches!(result, Err(Failed::Conflict)), "{result:?}");
        assert_eq!(runs.load(Relaxed) > 1, again);
    }
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn it_is_not_run_again_where_something_is_left() {
    let server = shared().await;
    let exec = executor(server);
    let table = unique("kept");
    server.query_drop(format!("CREATE TABLE {table} (n INT) ENGINE = MyISAM")).await;
    let runs = AtomicU32::new(0);
    let work = |mut tx: mysql_retry::Tx| {
        runs.fetch_add(1, Relaxed);
        let insert = format!("INSERT INTO {table} VALUES (1)");
        async move {
            tx.query_drop(insert).await?;
            Err::<(), _>(Failed::Conflict)
        }
    };
    let result = exec.transaction(TxOpts::default(), work).run_again_if(is_conflict).await;
    assert!(matches!(result, Err(Failed::Conflict)), "{result:?}");
    assert_eq!(runs.load(Relaxed), 1);
    assert_eq!(server.query_first::<u64>(format!("SELECT COUNT(*) FROM {table}")).await, Some(1));
}

#[tokio::test]
async fn a_lost_commit_is_none_of_its_business() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    proxy.rule(Rule::reply_lost(When::text("COMMIT")));
    let work = |mut tx: mysql_retry::Tx| {
        let ledger = &ledger;
        async move { tx.query_drop(ledger.insert()).await.map_err(Failed::from) }
    };
    let result = in_time(exec.transaction(TxOpts::default(), work).run_again_if(|_| true).into_future()).await;
    let Err(Failed::Database(error)) = result else { panic!("{result:?}") };
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(ledger.rows().await, 1);
}
