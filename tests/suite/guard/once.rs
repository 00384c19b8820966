//! Exactly once: a token, written in the same transaction as the work.

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use mysql_retry::{Annotate as _, Delivery, Done, Error, Executor, Outcome, RetryPolicy, Token, TxOpts};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, Server, When};

use crate::{
    support::hooks::ms,
    support::{Ledger, in_time, pool_of, shared, unique},
};

/// An executor whose guard is a table of the test's own.
async fn guarded(opts: mysql_async::OptsBuilder) -> Executor {
    guarded_of(20, opts).await
}

async fn guarded_of(connections: usize, opts: mysql_async::OptsBuilder) -> Executor {
    let opts = pool_of(connections, opts);
    let exec = Executor::builder().guard_table(unique("guard")).build(opts).expect("good options");
    exec.create_guard_table().await.expect("created");
    exec
}

async fn insert(exec: &Executor, ledger: &Ledger<'_>, token: &str) -> Result<Done<u32>, Error> {
    in_time(
        exec.transaction(TxOpts::default(), |mut tx| {
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                Ok(tx.attempt())
            }
        })
        .exactly_once(token)
        .into_future(),
    )
    .await
}

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
                let exec = guarded(proxy.opts()).await;
                let ledger = Ledger::new(server).await;
                let case = format!("{when:?} {place:?} {fault:?} {keep_server}");
                proxy.rule(Rule { keep_server, ..Rule::new(when.clone(), place, fault) });
                let done = insert(&exec, &ledger, "a token").await;
                assert!(done.as_ref().is_ok_and(Done::is_now), "{case}: {done:?}");
                assert_eq!(ledger.rows().await, 1, "{case}");
                let again = insert(&exec, &ledger, "a token").await;
                assert_eq!(again.expect("an answer"), Done::Before { payload: None }, "{case}");
                assert_eq!(ledger.rows().await, 1, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_lost_commit_that_took_effect_returns_the_value_of_its_own_run() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = guarded(proxy.opts()).await;
    let ledger = Ledger::new(server).await;
    proxy.rule(Rule::new(When::text("COMMIT"), Place::AfterRequestWhenAnswered, Fault::Fin));
    assert_eq!(insert(&exec, &ledger, "t").await.expect("done"), Done::Now(1));
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_guard_s_own_questions_are_bounded_by_the_attempt_time_out() {
    let server = shared().await;
    for question in ["information_schema.TABLES", "SELECT owner"] {
        let proxy = Proxy::start(server).await;
        let policy = RetryPolicy::builder().attempt_timeout(ms(200)).build().expect("a good policy");
        let exec = guarded(proxy.opts()).await.with_policy(&policy);
        let ledger = Ledger::new(server).await;
        proxy.rule(Rule::new(When::text("COMMIT"), Place::AfterRequestWhenAnswered, Fault::Fin));
        proxy.rule(Rule::new(When::text(question), Place::Request(0), Fault::Silence));
        let done = insert(&exec, &ledger, "t").await;
        assert!(done.as_ref().is_ok_and(Done::is_now), "{question}: {done:?}");
        assert_eq!(ledger.rows().await, 1, "{question}");
        proxy.cut_all(Fault::Fin).await;
    }
}

#[tokio::test]
async fn a_lost_commit_that_did_not_reach_the_server_is_run_again() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = guarded(proxy.opts()).await;
    let ledger = Ledger::new(server).await;
    proxy.rule(Rule::new(When::text("COMMIT"), Place::Request(2), Fault::Fin));
    assert_eq!(insert(&exec, &ledger, "t").await.expect("done"), Done::Now(2));
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn sixteen_callers_with_one_token_do_the_work_once_and_all_learn_the_same() {
    let server = shared().await;
    let exec = guarded(server.opts()).await;
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
    let told = Done::Before { payload: Some(winners[0].to_le_bytes().to_vec()) };
    assert_eq!(all.iter().filter(|done| **done == told).count(), 15);
}

#[tokio::test]
async fn a_closure_that_fails_leaves_its_token_free() {
    let server = shared().await;
    let exec = guarded(server.opts()).await;
    let ledger = Ledger::new(server).await;
    let failed: Result<Done<()>, Error> =
        exec.transaction(TxOpts::default(), |mut tx| async move {
            tx.query_drop("SELECT * FROM no_such_table").await.map(drop)
        })
        .exactly_once("t")
        .await;
    assert_eq!(failed.expect_err("no such table").outcome(), Outcome::Failed);
    assert_eq!(insert(&exec, &ledger, "t").await.expect("done"), Done::Now(1));
}

#[tokio::test]
async fn a_statement_alone_can_be_guarded() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = guarded(proxy.opts()).await;
    let ledger = Ledger::new(server).await;
    let insert = ledger.insert_param().exactly_once(7);
    proxy.rule(Rule::new(When::text("COMMIT"), Place::AfterRequestWhenAnswered, Fault::Fin));
    let first = in_time(exec.exec_drop(insert.clone(), (5,))).await.expect("done");
    assert_eq!((first.affected_rows(), first.was_done_before()), (1, false));
    let again = in_time(exec.exec_drop(insert.clone(), (6,))).await.expect("done before");
    assert!(again.was_done_before());
    assert!(in_time(exec.query_drop("DO 0".exactly_once(7))).await.expect("the same token").was_done_before());
    assert_eq!(ledger.values().await, [5]);

    let error = exec.exec::<u32, _, _>(insert, (6,)).await.expect_err("rows cannot be had twice");
    assert!(error.is_config() && error.to_string().contains("exec_drop"), "{error}");
}

#[tokio::test]
async fn an_insert_that_is_killed_and_commits_all_the_same_is_done_once() {
    // MySQL 9.7 commits it, MariaDB rolls it back
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = guarded(proxy.opts()).await;
    let ledger = Ledger::new(server).await;
    let sql = format!("INSERT INTO {} (n) SELECT SLEEP(1)", ledger.table);
    proxy.rule(Rule::new(When::text("SLEEP"), Place::AfterRequest, Fault::Fin).keep_server());
    let summary = in_time(exec.query_drop(sql.exactly_once(Token::random()))).await.expect("done");
    assert!(!summary.was_done_before());
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn what_cannot_work_is_refused_and_says_what_to_do() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = Executor::builder().guard_table(unique("guard")).build(server.opts()).expect("good options");
    let error = insert(&exec, &ledger, "t").await.expect_err("no table");
    assert!(error.is_config() && error.to_string().contains("create_guard_table()"), "{error}");

    let guard = unique("guard");
    server
        .query_drop(exec.guard_ddl().replace("ENGINE=InnoDB", "ENGINE=MyISAM").replace(guard_name(&exec), &guard))
        .await;
    let exec = Executor::builder().guard_table(&guard).build(server.opts()).expect("good options");
    let error = insert(&exec, &ledger, "t").await.expect_err("MyISAM");
    assert!(error.is_config() && error.to_string().contains("ENGINE=InnoDB"), "{error}");

    let exec = guarded(server.opts()).await;
    let error = insert(&exec, &ledger, &"x".repeat(256)).await.expect_err("too long");
    assert!(error.is_config() && error.to_string().contains("256 bytes"), "{error}");

    for text in ["CREATE TABLE never (a INT)", "COMMIT", "SET autocommit = 0", "BEGIN"] {
        let refused: Result<Done<()>, Error> = exec
            .transaction(TxOpts::default(), |mut tx| async move { tx.query_drop(text).await.map(drop) })
            .exactly_once("t")
            .await;
        let error = refused.expect_err(text);
        assert!(error.is_config(), "{text}: {error}");
    }
    let nested: Result<(), Error> = exec
        .transaction(TxOpts::default(), |mut tx| async move { tx.query_drop("DO 0".exactly_once("t")).await.map(drop) })
        .await;
    assert!(nested.expect_err("nested").is_config());
    assert_eq!(ledger.rows().await, 0);
}

/// The name in the DDL, between its backquotes.
fn guard_name(exec: &Executor) -> &str {
    // the name is as long as the process
    let ddl: &'static str = exec.guard_ddl().leak();
    ddl.split('`').nth(1).expect("a name")
}

#[tokio::test]
async fn a_read_only_server_is_said_to_be_one() {
    let server = Server::start().await;
    let exec = guarded(server.opts()).await;
    let ledger = Ledger::new(&server).await;
    server.query_drop("CREATE USER app IDENTIFIED BY ''").await;
    server.query_drop("GRANT ALL ON test.* TO app").await;
    server.query_drop("SET GLOBAL read_only = 1").await;
    drop(exec);
    let policy = RetryPolicy::builder().deadline(ms(500)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(server.opts().user(Some("app"))).expect("good options");
    let error = insert(&exec, &ledger, "t").await.expect_err("read only, and no table");
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
}

#[tokio::test]
async fn old_tokens_are_purged_and_young_ones_are_not() {
    let server = shared().await;
    let guard = unique("guard");
    let exec = Executor::builder().guard_table(&guard).build(server.opts()).expect("good options");
    exec.create_guard_table().await.expect("created");
    let ledger = Ledger::new(server).await;
    for token in ["old", "young"] {
        insert(&exec, &ledger, token).await.expect("done");
    }
    server.query_drop(format!("UPDATE {guard} SET created = NOW() - INTERVAL 2 HOUR WHERE token = 'old'")).await;
    assert_eq!(exec.purge_guard(Duration::from_secs(3600)).await.expect("purged"), 1);
    assert!(!insert(&exec, &ledger, "young").await.expect("before").is_now());
    assert!(insert(&exec, &ledger, "old").await.expect("again").is_now());

    let error = exec.purge_guard(Duration::from_secs(29)).await.expect_err("within the deadline");
    assert!(error.is_config(), "{error}");
    let patient = RetryPolicy::builder().deadline(Duration::from_secs(4000)).build().expect("valid");
    let _ = exec.with_policy(&patient);
    exec.purge_guard(Duration::from_secs(3600)).await.expect_err("within another deadline");
}

#[tokio::test]
async fn a_guard_costs_no_round_trip_more_than_the_transaction_without() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = guarded_of(1, proxy.opts()).await;
    let ledger = Ledger::new(server).await;
    insert(&exec, &ledger, "warm").await.expect("done");
    let before = proxy.count(Kind::Query);
    let plain: Result<(), Error> = exec
        .transaction(TxOpts::default(), |mut tx| {
            let sql = ledger.insert();
            async move { tx.query_drop(sql).await.map(drop) }
        })
        .await;
    plain.expect("done");
    let unguarded = proxy.count(Kind::Query) - before;
    insert(&exec, &ledger, "t").await.expect("done");
    assert_eq!(proxy.count(Kind::Query) - before - unguarded, unguarded);
}

#[tokio::test]
async fn an_error_says_that_the_token_can_tell() {
    let server = Server::start().await;
    let proxy = Proxy::start(&server).await;
    let exec = guarded_of(1, proxy.opts()).await;
    let ledger = Ledger::new(&server).await;
    let policy = RetryPolicy::builder().deadline(ms(1_500)).build().expect("valid");
    insert(&exec, &ledger, "warm").await.expect("done");
    proxy.rule(Rule::new(When::text("COMMIT"), Place::AfterRequestWhenAnswered, Fault::Refuse));
    let error = insert(&exec.with_policy(&policy), &ledger, "t").await.expect_err("nobody is there");
    assert_eq!((error.outcome(), error.delivery()), (Outcome::Unknown, Delivery::ExactlyOnce), "{error}");
    assert!(error.to_string().contains("call again with the same token"), "{error}");
    proxy.refuse(false).await;
    assert_eq!(insert(&exec, &ledger, "t").await.expect("an answer"), Done::Before { payload: None });
    assert_eq!(ledger.rows().await, 2);
}

#[tokio::test]
async fn no_token_and_no_payload_is_in_a_message() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = guarded(proxy.opts()).await;
    let policy = RetryPolicy::builder().attempt_timeout(ms(200)).max_replays(0).build().expect("valid");
    let exec = exec.with_policy(&policy);
    let ledger = Ledger::new(server).await;
    insert(&exec, &ledger, "warm").await.expect("done");
    // 736563726574 is its hexadecimal form
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
