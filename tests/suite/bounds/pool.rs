//! The wait for a free connection of the pool.

use std::time::Duration;

use futures_util::{FutureExt as _, future::join_all};
use mysql_retry::{Annotate as _, Executor, Outcome, RetryPolicy, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When, in_time, ms, pool_of, until, until_counters};

use crate::support::{connection_id, connection_ids, every, executor_of_one, shared};

// case 15
#[tokio::test]
async fn a_call_that_finds_no_free_connection_by_its_deadline_says_so() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let busy = exec.connection().await.expect("a connection");
    // the connect time-out does not bound the wait for a free connection
    let policy = every(ms(50)).connect_timeout(ms(50)).deadline(ms(500)).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop("INSERT INTO t VALUES (1)")).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert!(error.is_busy() && !error.is_disconnect(), "{error}");
    assert_eq!(error.attempts(), 1, "{error}");
    assert!(error.is_deadline() && error.is_timeout(), "{error}");
    assert!(error.elapsed() >= ms(500), "{:?}", error.elapsed());
    assert!(error.to_string().contains("all 1 connections were in use"), "{error}");
    drop(busy);
    assert_eq!(exec.query_first::<u8, _>("SELECT 7").await.expect("a free connection"), Some(7));
}

#[tokio::test]
async fn a_call_waits_for_a_busy_connection_and_gets_it() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let busy = exec.connection().await.expect("a connection");
    let id = busy.id();
    let mut waiting = std::pin::pin!(connection_id(&exec));
    assert!(waiting.as_mut().now_or_never().is_none(), "the pool has one connection");
    drop(busy);
    assert_eq!(in_time(waiting).await, id);
}

#[tokio::test]
async fn closing_an_executor_ends_the_wait_for_a_connection() {
    let exec = executor_of_one(shared().await.opts());
    let busy = exec.connection().await.expect("a connection");
    let other = exec.clone();
    let mut waiting = std::pin::pin!(other.query_drop("INSERT INTO t VALUES (1)"));
    assert!(waiting.as_mut().now_or_never().is_none(), "the pool has one connection");
    let mut closing = std::pin::pin!(exec.close());
    assert!(closing.as_mut().now_or_never().is_none(), "a connection is on loan");
    let error = in_time(waiting).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 1), "{error}");
    assert!(!error.is_deadline() && !error.is_disconnect(), "{error}");
    drop(busy);
    in_time(closing).await.expect("closed");
    assert_eq!(other.ping().await.unwrap_err().attempts(), 1);
}

#[tokio::test]
async fn many_callers_share_one_connection_in_turn() {
    let exec = executor_of_one(shared().await.opts());
    let calls: Vec<_> = (0..50_u32)
        .map(|n| {
            let exec = exec.clone();
            tokio::spawn(
                async move { (n, exec.exec_first::<(u32, u32), _, _>("SELECT ?, CONNECTION_ID()", (n,)).await) },
            )
        })
        .collect();
    let id = connection_id(&exec).await;
    for call in calls {
        let (n, row) = in_time(call).await.expect("no panic");
        assert_eq!(row.expect("an answer"), Some((n, id)));
    }
}

#[tokio::test]
async fn case_66_a_nested_call_that_waits_for_its_own_caller_says_that_the_pool_is_busy() {
    let server = shared().await;
    let policy = RetryPolicy::builder().deadline(ms(300)).build().expect("valid");
    let exec = executor_of_one(server.opts()).with_policy(&policy);
    let stream = exec.query_stream::<u8, _>("SELECT 1 UNION SELECT 2".idempotent()).await.expect("a stream");
    let error = in_time(exec.query_drop("SELECT 1")).await.unwrap_err();
    assert!(error.is_busy() && error.is_deadline() && !error.is_disconnect(), "{error}");
    assert_eq!((error.outcome(), error.code()), (Outcome::NotExecuted, None), "{error}");
    assert!(error.to_string().contains("the pool is busy: all 1 connections"), "{error}");
    assert!(!error.to_string().contains("2006"), "{error}");
    drop(stream);

    let nested = exec.clone();
    let work = |_: Tx| {
        let nested = nested.clone();
        async move { nested.query_drop("SELECT 1").await }
    };
    let error = in_time(async { exec.transaction(TxOpts::default(), work).await }).await.unwrap_err();
    assert!(error.is_busy(), "{error}");
    assert_eq!(exec.counters().losses, 0);
}

#[tokio::test]
async fn a_pool_whose_connections_all_went_dark_recovers_once_new_ones_work() {
    const POOL: usize = 3;
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let policy = RetryPolicy::builder().deadline(ms(30_000)).attempt_timeout(ms(5_000)).connect_timeout(ms(500));
    let policy = policy.build().expect("valid");
    for idle in [true, false] {
        let builder = Executor::builder().policy(policy.clone()).ping_after(Duration::ZERO);
        let exec = builder.allow_session_text(true).build(pool_of(POOL, proxy.opts())).expect("good options");
        let meeting = "SELECT CONNECTION_ID() FROM (SELECT SLEEP(0.4)) AS nap".idempotent();
        let all = async || {
            let calls = (0..POOL).map(|_| exec.query_first::<u32, _>(meeting));
            join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>()
        };
        let before = in_time(all()).await.expect("answers");
        if !idle {
            // they have to be reset while the path is dark
            proxy.rule(Rule::new(When::Command(Kind::ResetConnection), Place::Request(0), Fault::Silence).times(POOL));
            let dirty = (0..POOL).map(|_| exec.query_drop("SET @n = (SELECT SLEEP(0.4))"));
            for done in in_time(join_all(dirty)).await {
                done.expect("set");
            }
            proxy.wait_fired(1).await;
        }
        proxy.go_dark().await;
        // the old connections stay dark
        proxy.black_hole(false);
        let after = in_time(all()).await.expect("answers on new connections");
        assert!(after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
        let again = in_time(all()).await.expect("answers");
        assert_eq!(again.len(), POOL);
        proxy.clear_rules();
        exec.close().await.expect("closed");
    }
}

#[tokio::test]
async fn the_gauges_show_what_is_open_and_what_idles_and_whether_the_server_is_up() {
    let proxy = Proxy::start(shared().await).await;
    let exec = Executor::new(pool_of(4, proxy.opts())).expect("good options");
    assert!(exec.is_up());
    assert_eq!((exec.counters().connections, exec.counters().idle), (0, 0));
    connection_ids(&exec, 3).await;
    until_counters(&exec, |it| (it.connections, it.idle) == (3, 3)).await;
    let borrowed = exec.connection().await.expect("a connection");
    until_counters(&exec, |it| it.connections - it.idle == 1).await;
    drop(borrowed);

    proxy.refuse(true).await;
    proxy.cut_all(Fault::Fin).await;
    let mut waits = std::pin::pin!(exec.query_drop("DO 0"));
    until(|| {
        assert!(waits.as_mut().now_or_never().is_none(), "nobody is there");
        !exec.is_up()
    })
    .await;
    proxy.refuse(false).await;
    in_time(waits).await.expect("it is back");
    assert!(exec.is_up());
}

#[tokio::test]
async fn connections_above_the_minimum_serve_the_calls_that_come_soon_and_are_closed_later() {
    const OPEN: usize = 6;
    let server = shared().await;
    let exec = Executor::new(pool_of(OPEN, server.opts())).expect("good options");
    let open = connection_ids(&exec, OPEN).await;
    // longer than a connection waits for the next caller outside of the driver's pool
    tokio::time::sleep(ms(50)).await;
    let again = connection_ids(&exec, OPEN).await;
    assert!(again.iter().all(|id| open.contains(id)), "a login for nothing: {again:?}, after {open:?}");
    let left = async || server.connection_ids().await.iter().filter(|id| open.contains(id)).count();
    in_time(async {
        while left().await > 1 {
            tokio::time::sleep(ms(100)).await;
        }
    })
    .await;
    assert!(open.contains(&connection_id(&exec).await), "the minimum is kept");
}
