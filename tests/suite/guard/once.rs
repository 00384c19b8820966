//! Guarded work is done once, whatever is lost and however often it is called.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mysql_retry::{Annotate as _, Done, Error, Executor, Outcome, RetryPolicy, Token, TxOpts};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When, in_time, ms, pool_of};

use super::insert_once;
use crate::support::{Ledger, executor_with_guard, shared, unique};

#[tokio::test]
async fn whatever_is_lost_the_work_is_done_once() {
    let server = shared().await;
    let whens = ["START TRANSACTION", "INSERT INTO ledger", "COMMIT"].map(When::text);
    let places = [
        Place::Request(0),
        Place::Request(3),
        Place::AfterRequest,
        Place::AfterRequestWhenAnswered,
        Place::Reply(1),
        Place::AfterReply,
    ];
    for when in whens {
        for place in places {
            for (fault, keep_server) in [(Fault::Fin, false), (Fault::Rst, false), (Fault::Fin, true)] {
                let proxy = Proxy::start(server).await;
                let exec = executor_with_guard(proxy.opts()).await;
                let ledger = Ledger::new(server).await;
                let case = format!("{when:?} {place:?} {fault:?} {keep_server}");
                proxy.rule(Rule { keep_server, ..Rule::new(when.clone(), place, fault) });
                let done = insert_once(&exec, &ledger, "a token").await;
                assert!(done.as_ref().is_ok_and(Done::is_now), "{case}: {done:?}");
                assert_eq!(ledger.rows().await, 1, "{case}");
                let again = insert_once(&exec, &ledger, "a token").await;
                assert!(matches!(again, Ok(Done::Before { payload: None, .. })), "{case}: {again:?}");
                assert_eq!(ledger.rows().await, 1, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_lost_commit_that_took_effect_returns_the_value_of_its_own_run() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_with_guard(proxy.opts()).await;
    let ledger = Ledger::new(server).await;
    proxy.rule(Rule::reply_lost(When::text("COMMIT")));
    assert_eq!(insert_once(&exec, &ledger, "t").await.expect("done"), Done::Now(1));
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_lost_commit_that_did_not_reach_the_server_is_run_again() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_with_guard(proxy.opts()).await;
    let ledger = Ledger::new(server).await;
    proxy.rule(Rule::new(When::text("COMMIT"), Place::Request(2), Fault::Fin));
    assert_eq!(insert_once(&exec, &ledger, "t").await.expect("done"), Done::Now(2));
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn an_insert_that_is_killed_and_commits_all_the_same_is_done_once() {
    // MySQL 9.7 commits it, MariaDB rolls it back
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_with_guard(proxy.opts()).await;
    let ledger = Ledger::new(server).await;
    let sql = format!("INSERT INTO {} (n) SELECT SLEEP(1)", ledger.table);
    proxy.rule(Rule::new(When::text("SLEEP"), Place::AfterRequest, Fault::Fin).keep_server());
    let summary = in_time(exec.query_drop(sql.exactly_once(Token::random()))).await.expect("done");
    assert!(!summary.was_done_before());
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn sixteen_callers_with_one_token_do_the_work_once_and_all_learn_the_same() {
    let server = shared().await;
    let exec = executor_with_guard(server.opts()).await;
    let ledger = Ledger::new(server).await;
    let runs = AtomicU32::new(0);
    let caller = async |number: u32| {
        let done: Result<Done<u32>, Error> = exec
            .transaction(TxOpts::default(), |mut tx| {
                runs.fetch_add(1, Relaxed);
                let insert = ledger.insert();
                async move {
                    tx.query_drop(insert).await?;
                    tokio::time::sleep(ms(20)).await;
                    Ok(number)
                }
            })
            .exactly_once("one")
            .payload(|number| number.to_le_bytes().to_vec())
            .await;
        done.expect("an answer")
    };
    let all = in_time(futures_util::future::join_all((0..16).map(caller))).await;
    let winners: Vec<u32> = all.iter().filter_map(|done| done.clone().now()).collect();
    assert_eq!((winners.len(), runs.load(Relaxed), ledger.rows().await), (1, 1, 1));
    let stored = winners[0].to_le_bytes().to_vec();
    let is_told = |done: &&Done<u32>| matches!(done, Done::Before { payload: Some(payload), .. } if *payload == stored);
    assert_eq!(all.iter().filter(is_told).count(), 15);
}

#[tokio::test]
async fn a_closure_that_fails_leaves_its_token_free() {
    let server = shared().await;
    let exec = executor_with_guard(server.opts()).await;
    let ledger = Ledger::new(server).await;
    let failed: Result<Done<()>, Error> = exec
        .transaction(TxOpts::default(), |mut tx| async move { tx.query_drop("SELECT * FROM no_such_table").await })
        .exactly_once("t")
        .await;
    assert_eq!(failed.expect_err("no such table").outcome(), Outcome::Failed);
    assert_eq!(insert_once(&exec, &ledger, "t").await.expect("done"), Done::Now(1));
}

#[tokio::test]
async fn a_statement_alone_can_be_guarded() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_with_guard(proxy.opts()).await;
    let ledger = Ledger::new(server).await;
    let insert = ledger.insert_param().exactly_once(7);
    proxy.rule(Rule::reply_lost(When::text("COMMIT")));
    let first = in_time(exec.exec_drop(insert.clone(), (5,))).await.expect("done");
    assert_eq!((first.affected_rows(), first.was_done_before()), (1, false));
    let again = in_time(exec.exec_drop(insert, (6,))).await.expect("done before");
    assert!(again.was_done_before());
    assert!(in_time(exec.query_drop("DO 0".exactly_once(7))).await.expect("the same token").was_done_before());
    assert_eq!(ledger.values().await, [5]);
}

#[tokio::test]
async fn a_program_that_ended_after_its_commit_learns_from_the_token_that_it_committed() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let table = unique("guard");
    let executor = |opts| Executor::builder().guard_table(&table).build(opts).expect("good options");
    let ledger = Ledger::new(server).await;
    let ended = executor(proxy.opts());
    ended.create_guard_table().await.expect("created");
    proxy.rule(Rule::new(When::text("COMMIT"), Place::AfterRequestWhenAnswered, Fault::Silence));
    tokio::select! {
        done = insert_once(&ended, &ledger, "t") => panic!("without a reply: {done:?}"),
        () = proxy.wait_fired(1) => drop(ended),
    }
    let again = insert_once(&executor(server.opts()), &ledger, "t").await;
    assert!(matches!(again, Ok(Done::Before { payload: None, .. })), "{again:?}");
    assert_eq!(ledger.rows().await, 1);
    proxy.cut_all(Fault::Fin).await;
}

#[tokio::test]
async fn a_guard_s_own_questions_are_bounded_by_the_attempt_time_out() {
    let server = shared().await;
    for question in ["information_schema.TABLES", "SELECT owner"] {
        let proxy = Proxy::start(server).await;
        let policy = RetryPolicy::builder().attempt_timeout(ms(200)).build().expect("a good policy");
        let exec = executor_with_guard(proxy.opts()).await.with_policy(&policy);
        let ledger = Ledger::new(server).await;
        proxy.rule(Rule::reply_lost(When::text("COMMIT")));
        proxy.rule(Rule::new(When::text(question), Place::Request(0), Fault::Silence));
        let done = insert_once(&exec, &ledger, "t").await;
        assert!(done.as_ref().is_ok_and(Done::is_now), "{question}: {done:?}");
        assert_eq!(ledger.rows().await, 1, "{question}");
        proxy.cut_all(Fault::Fin).await;
    }
}

#[tokio::test]
async fn a_guard_costs_no_round_trip_more_than_the_transaction_without() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_with_guard(pool_of(1, proxy.opts())).await;
    let ledger = Ledger::new(server).await;
    insert_once(&exec, &ledger, "warm").await.expect("done");
    let before = proxy.count(Kind::Query);
    let plain: Result<(), Error> = exec
        .transaction(TxOpts::default(), |mut tx| {
            let sql = ledger.insert();
            async move { tx.query_drop(sql).await }
        })
        .await;
    plain.expect("done");
    let unguarded = proxy.count(Kind::Query) - before;
    insert_once(&exec, &ledger, "t").await.expect("done");
    assert_eq!(proxy.count(Kind::Query) - before - unguarded, unguarded);
}
