//! Servers and paths that say nothing: whatever stage they fall silent at, the time-outs end the call, and nothing leaks.

use std::time::{Duration, Instant};

use mysql_retry::{Annotate as _, Executor, Outcome, RetryPolicy};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, Server, When};

use crate::{
    support::hooks::{Losses, ms},
    support::{Ledger, connection_id, in_time, pool_of, shared, unique},
};

const DEADLINE: Duration = ms(2_000);
const ATTEMPT: Duration = ms(1_000);
/// A slow machine gets so much longer. What does not end by then hangs.
const SLACK: Duration = ms(15_000);

fn hasty() -> RetryPolicy {
    let policy = RetryPolicy::builder().deadline(DEADLINE).attempt_timeout(ATTEMPT).connect_timeout(ms(500));
    policy.build().expect("valid")
}

/// An executor with one connection and time-outs; each connection is pinged before it is used again.
fn exec_of_one(proxy: &Proxy) -> Executor {
    let builder = Executor::builder().policy(hasty()).ping_after(Duration::ZERO).allow_session_text(true);
    builder.build(pool_of(1, proxy.opts())).expect("good options")
}

/// Makes the connection, however long that takes.
pub async fn connected(exec: &Executor) -> u32 {
    in_time(connection_id(&exec.with_policy(&RetryPolicy::default()))).await
}

/// Waits for a call, which has to end by the deadline and one attempt time-out.
async fn bounded<T>(call: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let ended = in_time(call).await;
    let took = started.elapsed();
    assert!(took < DEADLINE + ATTEMPT + SLACK, "it took {took:?}");
    ended
}

/// After the silence the only connection of the pool can be had again, and answers for itself.
pub async fn assert_usable(proxy: &Proxy, exec: &Executor) {
    proxy.clear_rules();
    proxy.heal().await;
    let exec = exec.with_policy(&RetryPolicy::default());
    for n in 0..3 {
        let text = format!("SELECT {n}");
        assert_eq!(in_time(exec.query_first::<i32, _>(&text)).await.expect("an answer"), Some(n));
        let prepared = in_time(exec.exec_first::<i32, _, _>("SELECT ?", (n,))).await;
        assert_eq!(prepared.expect("an answer"), Some(n));
    }
}

/// Silence at each place where a connection is made, checked or used for a text, for every try.
#[tokio::test]
async fn silence_at_any_stage_of_a_text_is_ended_in_time_and_leaks_nothing() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    ledger.fill(3_000).await;
    let sql = format!("SELECT id, n FROM {} ORDER BY id", ledger.table);
    let new = [
        (When::Connect, Place::Request(0)),
        (When::Greeting, Place::Reply(0)),
        (When::Greeting, Place::Reply(20)),
        (When::Login, Place::Request(0)),
        (When::Login, Place::AfterRequest),
        (When::text("wait_timeout"), Place::Request(0)),
        (When::text("wait_timeout"), Place::AfterRequest),
    ];
    let any = [
        (When::Command(Kind::Ping), Place::AfterRequest),
        (When::text(&sql), Place::Request(0)),
        (When::text(&sql), Place::Request(7)),
        (When::text(&sql), Place::AfterRequest),
        (When::text(&sql), Place::Reply(1)),
        (When::text(&sql), Place::Reply(9_000)),
    ];
    let scenes = new.into_iter().map(|scene| (true, scene)).chain(any.into_iter().map(|scene| (false, scene)));
    let scene = async |(fresh, (when, place)): (bool, (When, Place))| {
        let proxy = Proxy::start(server).await;
        let exec = exec_of_one(&proxy);
        if !fresh {
            connected(&exec).await;
        }
        proxy.rule(Rule::new(when.clone(), place, Fault::Silence).times(1_000));
        let result = bounded(exec.query::<(u32, u32), _>(sql.as_str().idempotent())).await;
        // only the ping of an old connection is made up for by a new one
        match result {
            Ok(rows) => {
                assert!(matches!(when, When::Command(Kind::Ping)), "{when:?} {place:?}");
                assert_eq!(rows.len(), 3_000);
            }
            Err(error) => assert!(error.is_disconnect(), "{when:?} {place:?}: {error}"),
        }
        assert!(proxy.fired() > 0, "{when:?} {place:?}");
        assert_usable(&proxy, &exec).await;
    };
    futures_util::future::join_all(scenes.map(scene)).await;
}

#[tokio::test]
async fn silence_at_any_stage_of_a_prepared_statement_is_ended_in_time_and_leaks_nothing() {
    let server = shared().await;
    let scenes = [
        (When::Command(Kind::Prepare), Place::Request(3)),
        (When::Command(Kind::Prepare), Place::AfterRequest),
        (When::Command(Kind::Prepare), Place::Reply(5)),
        (When::executes("SELECT ? + 40"), Place::Request(0)),
        (When::executes("SELECT ? + 40"), Place::AfterRequest),
        (When::executes("SELECT ? + 40"), Place::Reply(30)),
    ];
    let scene = async |(when, place): (When, Place)| {
        let proxy = Proxy::start(server).await;
        let exec = exec_of_one(&proxy);
        connected(&exec).await;
        proxy.rule(Rule::new(when.clone(), place, Fault::Silence).times(1_000));
        let error = bounded(exec.exec_drop("SELECT ? + 40".idempotent(), (2,))).await.unwrap_err();
        assert!(error.is_disconnect(), "{when:?} {place:?}: {error}");
        assert_usable(&proxy, &exec).await;
    };
    futures_util::future::join_all(scenes.map(scene)).await;
}

#[tokio::test]
async fn silence_in_a_reset_holds_the_connection_no_longer_than_the_connect_time_out() {
    let server = shared().await;
    for place in [Place::Request(0), Place::AfterRequest] {
        let proxy = Proxy::start(server).await;
        let exec = exec_of_one(&proxy);
        let id = connected(&exec).await;
        proxy.rule(Rule::new(When::Command(Kind::ResetConnection), place, Fault::Silence).times(1_000));
        let exec = exec.with_policy(&RetryPolicy::builder().connect_timeout(ms(500)).build().expect("valid"));
        in_time(exec.query_drop("SET @left_behind = 1")).await.expect("set");
        proxy.wait_fired(1).await;
        let next = in_time(exec.with_policy(&RetryPolicy::default()).query_first("SELECT CONNECTION_ID()")).await;
        assert_ne!(next.expect("an answer"), Some(id));
        assert_usable(&proxy, &exec).await;
    }
}

#[tokio::test]
async fn a_black_hole_is_an_error_in_time() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    proxy.black_hole(true);
    let exec = exec_of_one(&proxy);
    let error = bounded(exec.query_drop("INSERT INTO nowhere VALUES (1)")).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert!(error.is_deadline() && error.is_timeout() && error.attempts() > 1, "{error}");
    proxy.black_hole(false);
    assert_usable(&proxy, &exec).await;
}

#[tokio::test]
async fn without_a_connect_time_out_the_deadline_ends_the_wait_for_a_greeting() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    proxy.black_hole(true);
    let policy = RetryPolicy::builder().deadline(DEADLINE).connect_timeout(None).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(pool_of(1, proxy.opts())).expect("good options");
    let error = bounded(exec.ping()).await.unwrap_err();
    assert!(error.is_deadline() && error.is_timeout(), "{error}");
    proxy.black_hole(false);
    assert_usable(&proxy, &exec).await;
}

#[tokio::test]
async fn a_frozen_server_is_an_error_in_time_before_a_statement_and_under_it() {
    let server = Server::start().await;
    let proxy = Proxy::start(&server).await;
    // nothing connected; a connection that idles; a statement that runs
    for stage in ["connect", "idle", "running"] {
        let (hook, mut losses) = Losses::listen();
        let ping_after = (stage != "running").then_some(Duration::ZERO);
        let builder = Executor::builder().policy(hasty()).ping_after(ping_after).on_event(hook);
        let exec = builder.build(pool_of(1, proxy.opts())).expect("good options");
        let mark = unique(stage);
        if stage == "connect" {
            server.freeze();
        } else {
            connected(&exec).await;
        }
        if stage == "idle" {
            server.freeze();
        }
        let freeze = async {
            if stage == "running" {
                // if the machine was too slow for that, it is another stage
                tokio::select! {
                    _ = server.wait_until_running(&mark) => server.freeze(),
                    () = losses.wait_for(1) => server.freeze(),
                }
            }
        };
        let sql = format!("SELECT SLEEP(600), '{mark}'").idempotent();
        let (result, ()) = tokio::join!(bounded(exec.query_drop(sql)), freeze);
        let error = result.unwrap_err();
        let outcome = if stage == "running" { Outcome::Unknown } else { Outcome::NotExecuted };
        assert_eq!(error.outcome(), outcome, "{stage}: {error}");
        server.thaw();
        assert_usable(&proxy, &exec).await;
    }
}

#[tokio::test]
async fn a_statement_that_runs_past_the_deadline_returns_its_rows() {
    let server = shared().await;
    let policy = RetryPolicy::builder().deadline(ms(1_000)).build().expect("valid");
    let exec = Executor::builder().build(pool_of(1, server.opts())).expect("good options");
    connected(&exec).await;
    let (started, exec) = (Instant::now(), exec.with_policy(&policy));
    let row: Vec<(i32, i32)> = in_time(exec.query("SELECT SLEEP(2), 7")).await.expect("not cut");
    assert_eq!(row, [(0, 7)]);
    assert!(started.elapsed() > ms(1_500));
    let row: Vec<(i32, i32)> = in_time(exec.exec("SELECT SLEEP(2), ?", (8,))).await.expect("not cut");
    assert_eq!(row, [(0, 8)]);
}

#[tokio::test]
async fn a_pool_whose_connections_all_went_dark_recovers_once_new_ones_work() {
    const POOL: usize = 3;
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let policy = hasty().to_builder().deadline(ms(30_000)).attempt_timeout(ms(5_000)).build().expect("valid");
    for idle in [true, false] {
        let builder = Executor::builder().policy(policy.clone()).ping_after(Duration::ZERO);
        let exec = builder.allow_session_text(true).build(pool_of(POOL, proxy.opts())).expect("good options");
        let meeting = "SELECT CONNECTION_ID() FROM (SELECT SLEEP(0.4)) AS nap".idempotent();
        let all = async || {
            let calls = (0..POOL).map(|_| exec.query_first::<u32, _>(meeting));
            futures_util::future::join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>()
        };
        let before = in_time(all()).await.expect("answers");
        if !idle {
            // they have to be reset, in the dark
            proxy.rule(Rule::new(When::Command(Kind::ResetConnection), Place::Request(0), Fault::Silence).times(POOL));
            let dirty = (0..POOL).map(|_| exec.query_drop("SET @n = (SELECT SLEEP(0.4))"));
            for done in in_time(futures_util::future::join_all(dirty)).await {
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
