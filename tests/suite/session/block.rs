//! A block of a session that is idempotent as a whole is run again from its start.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use mysql_retry::{Error, Executor, Outcome, Reason, RetryPolicy, Session, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time};

use crate::support::{Ledger, cut, executor_of_one, executor_via, shared, unique};

/// A temporary table, filled and read.
async fn total(exec: &Executor, runs: &AtomicU32) -> Result<Option<u32>, Error> {
    exec.idempotent_session(|mut session: Session| async move {
        runs.fetch_add(1, Relaxed);
        session.query_drop("CREATE TEMPORARY TABLE chosen (n INT)").await?;
        session.exec_drop("INSERT INTO chosen VALUES (?), (?)", (40, 2)).await?;
        session.query_first("SELECT CAST(SUM(n) AS UNSIGNED) FROM chosen").await
    })
    .await
}

#[tokio::test]
async fn whichever_statement_is_lost_the_block_begins_anew() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    let rules = [
        Rule::new(When::text("CREATE TEMPORARY"), Place::AfterRequest, Fault::Fin),
        Rule::new(When::executes("INTO chosen"), Place::Request(0), Fault::Fin),
        Rule::reply_lost(When::executes("INTO chosen")),
        Rule::new(When::text("FROM chosen"), Place::Reply(3), Fault::Rst),
    ];
    for rule in rules {
        let shown = format!("{rule:?}");
        let (runs, before) = (AtomicU32::new(0), exec.counters());
        proxy.rule(rule);
        assert_eq!(in_time(total(&exec, &runs)).await.expect("run again"), Some(42), "{shown}");
        let after = exec.counters();
        assert_eq!((runs.load(Relaxed), after.recovered - before.recovered), (2, 1), "{shown}");
        assert_eq!(
            (after.replays - before.replays, after.unfenced, after.gave_up - before.gave_up),
            (1, 0, 1),
            "{shown}"
        );
    }
    // the table is gone with its session
    assert_eq!(in_time(total(&exec, &AtomicU32::new(0))).await.expect("nothing is lost"), Some(42));
}

#[tokio::test]
async fn the_statement_of_the_lost_run_is_not_at_work_when_the_next_one_begins() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let mark = unique("block");
    let runs = AtomicU32::new(0);
    proxy.rule(Rule::new(When::text(mark.clone()), Place::AfterRequest, Fault::Fin).keep_server());
    let still_there = in_time(exec.idempotent_session(|mut session| {
        let (mark, runs) = (&mark, &runs);
        async move {
            if runs.fetch_add(1, Relaxed) == 0 {
                session.query_drop(format!("DO SLEEP(60) /* {mark} */")).await?;
            }
            let other =
                "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE ? AND id <> CONNECTION_ID()";
            session.exec_first::<u32, _, _>(other, (format!("%{mark}%"),)).await
        }
    }))
    .await;
    assert_eq!(still_there.expect("run again"), Some(0));
    assert_eq!((runs.load(Relaxed), exec.counters().unfenced), (2, 0));
}

#[tokio::test]
async fn a_commit_that_is_lost_in_it_runs_it_again() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    for by_object in [false, true] {
        let runs = AtomicU32::new(0);
        proxy.rule(Rule::reply_lost(When::text("COMMIT")));
        let block = |mut session: Session| {
            let (runs, replace) = (&runs, format!("REPLACE INTO {} (id, n) VALUES (7, 7)", ledger.table));
            async move {
                runs.fetch_add(1, Relaxed);
                if by_object {
                    let mut tx = session.start_transaction(TxOpts::default()).await?;
                    tx.query_drop(replace).await?;
                    return tx.commit().await;
                }
                let replace = &replace;
                let work = |mut tx: mysql_retry::Tx| async move { tx.query_drop(replace).await };
                session.transaction(TxOpts::default(), work).await
            }
        };
        in_time(exec.idempotent_session(block)).await.expect("run again");
        assert_eq!((runs.load(Relaxed), ledger.rows().await), (2, 1), "as an object: {by_object}");
    }
}

#[tokio::test]
async fn an_error_without_a_loss_is_the_callers() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let runs = AtomicU32::new(0);
    let failed = exec.idempotent_session(|mut session| {
        runs.fetch_add(1, Relaxed);
        async move { session.query_drop("SELECT * FROM no_such_table").await }
    });
    let error = in_time(failed).await.expect_err("no such table");
    assert_eq!((error.code(), error.outcome(), runs.load(Relaxed)), (Some(1146), Outcome::Failed, 1), "{error}");
}

#[tokio::test]
async fn without_retries_the_loss_surfaces_and_nothing_is_known_of_the_block() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts()).with_policy(&RetryPolicy::none());
    proxy.rule(cut("FROM chosen"));
    let runs = AtomicU32::new(0);
    let error = in_time(total(&exec, &runs)).await.expect_err("not run again");
    assert_eq!(
        (error.outcome(), error.reason(), runs.load(Relaxed)),
        (Outcome::Unknown, Reason::SwitchedOff, 1),
        "{error}"
    );
    assert!(
        error.is_disconnect() && error.to_string().contains("the connection of a block of statements was lost"),
        "{error}"
    );
}

#[tokio::test]
async fn the_replays_of_the_policy_bound_it() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let policy = RetryPolicy::builder().max_replays(2).build().expect("valid");
    let exec = executor_of_one(proxy.opts()).with_policy(&policy);
    proxy.rule(cut("FROM chosen").times(usize::MAX));
    let (runs, ids) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    let error = in_time(exec.idempotent_session(|mut session| {
        let (runs, ids) = (&runs, &ids);
        async move {
            runs.fetch_add(1, Relaxed);
            ids.lock().expect("no panic").push(session.id());
            session.query_drop("CREATE TEMPORARY TABLE chosen (n INT)").await?;
            session.query_first::<u32, _>("SELECT n FROM chosen").await
        }
    }))
    .await
    .expect_err("lost each time");
    assert_eq!((error.reason(), error.attempts(), runs.load(Relaxed)), (Reason::ReplaysExhausted, 3, 3), "{error}");
    let mut ids = ids.into_inner().expect("no panic");
    ids.dedup();
    assert_eq!(ids.len(), 3, "each run has a connection of its own");
}
