//! With an attempt time-out no call outlives its deadline by more than that time-out, wherever a path falls silent.

use std::time::Duration;

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Executor, Outcome, RetryPolicy};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When, in_time, ms, pool_of};

use super::lateness::{on_time, timed};
use crate::support::{Ledger, connection_id, cut, shared, unique};

pub(super) const ATTEMPT: Duration = ms(400);

/// Just after the end of the first attempt, so that a replay begins before it.
pub(super) const DEADLINE: Duration = ms(425);

/// Connect time-outs before the deadline, after it, and none; delays within the deadline and beyond it.
pub(super) fn policies() -> [RetryPolicy; 4] {
    let policy = || RetryPolicy::builder().deadline(DEADLINE).attempt_timeout(ATTEMPT);
    [
        policy().connect_timeout(ms(150)),
        policy().connect_timeout(None),
        policy().connect_timeout(ms(60_000)),
        policy().connect_timeout(ms(100)).initial_delay(ms(60_000)).max_delay(ms(60_000)).jitter(0.0),
    ]
    .map(|builder| builder.build().expect("valid"))
}

/// An executor with one connection, which is pinged before it is used again.
fn exec_of_one(proxy: &Proxy, policy: &RetryPolicy) -> Executor {
    let builder = Executor::builder().policy(policy.clone()).ping_after(Duration::ZERO);
    builder.allow_session_text(true).build(pool_of(1, proxy.opts())).expect("good options")
}

/// How long a call with this result may take: a statement that was never sent has to end by the deadline.
fn limit<T>(result: &mysql_retry::Result<T>) -> Duration {
    let not_sent = result.as_ref().is_err_and(|error| error.outcome() == Outcome::NotExecuted);
    if not_sent { DEADLINE } else { DEADLINE + ATTEMPT }
}

/// Makes the connection, however long that takes, and returns its id.
pub(super) async fn connected(exec: &Executor) -> u32 {
    in_time(connection_id(&exec.with_policy(&RetryPolicy::default()))).await
}

/// Asserts that after the silence the only connection of the pool is free again, and gives each statement its own answer.
pub(super) async fn assert_usable(proxy: &Proxy, exec: &Executor) {
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

/// The call that meets the silence.
#[derive(Clone, Copy, Debug)]
enum Call {
    Text,
    Prepared,
    Batch,
    Stream,
    Ping,
    Loan,
}

const ALL: [Call; 6] = [Call::Text, Call::Prepared, Call::Batch, Call::Stream, Call::Ping, Call::Loan];

async fn run(exec: &Executor, call: Call, sql: &str) -> mysql_retry::Result<()> {
    match call {
        Call::Text => exec.query_drop(sql.idempotent()).await.map(drop),
        Call::Prepared => exec.exec_drop(sql.idempotent(), ()).await.map(drop),
        Call::Batch => exec.exec_batch(sql.idempotent(), vec![(); 3]).await,
        Call::Stream => exec.query_stream::<mysql_async::Row, _>(sql.idempotent()).await.map(drop),
        Call::Ping => exec.ping().await,
        Call::Loan => exec.connection().await.map(drop),
    }
}

/// A call and the silence that it meets.
struct Scene<'s> {
    call: Call,
    sql: &'s str,
    /// On a connection that was used before.
    kept: bool,
    silence: Vec<(When, Place)>,
    /// What goes wrong before the silence.
    before: Vec<Rule>,
}

/// Plays the scene: again and again while the machine is too slow for the call to meet the silence in time.
async fn play(scene: &Scene<'_>, policy: &RetryPolicy) {
    let Scene { call, sql, kept, silence, before } = scene;
    let what = format!("{call:?} {silence:?} {policy:?}");
    loop {
        let proxy = Proxy::start(shared().await).await;
        let exec = exec_of_one(&proxy, policy);
        if *kept {
            connected(&exec).await;
        }
        let silence = silence.iter().map(|(when, place)| Rule::new(when.clone(), *place, Fault::Silence).times(1_000));
        proxy.rules(before.iter().cloned().chain(silence));
        let (result, took) = timed(run(&exec, *call, sql)).await;
        let met = proxy.fired() > before.len();
        // preparing sends something, and executes nothing
        let prepares = *kept && matches!(call, Call::Prepared | Call::Batch);
        took.assert_within(if prepares { DEADLINE + ATTEMPT } else { limit(&result) }, &what);
        assert_usable(&proxy, &exec).await;
        if met {
            match result {
                // after a ping without an answer the call may still get another connection
                Ok(()) => assert!(scene.silence.iter().any(|(when, _)| *when == When::Command(Kind::Ping)), "{what}"),
                Err(error) => assert!(error.is_disconnect(), "{what}: {error}"),
            }
            return;
        }
    }
}

async fn play_all(scenes: &[Scene<'_>]) {
    for policy in policies() {
        in_time(join_all(scenes.iter().map(|scene| play(scene, &policy)))).await;
    }
}

#[tokio::test]
async fn a_call_that_cannot_get_a_connection_ends_on_time() {
    let silences = [
        (When::Connect, Place::Request(0)),
        (When::Greeting, Place::Reply(0)),
        (When::Greeting, Place::Reply(20)),
        (When::Login, Place::Request(0)),
        (When::Login, Place::AfterRequest),
        (When::text("GET_LOCK"), Place::Request(0)),
        (When::text("GET_LOCK"), Place::AfterRequest),
        (When::text("GET_LOCK"), Place::Reply(60)),
    ];
    let scenes = silences.into_iter().zip(ALL.into_iter().cycle()).map(|(silence, call)| Scene {
        call,
        sql: "SELECT 7",
        kept: false,
        silence: vec![silence],
        before: Vec::new(),
    });
    play_all(&scenes.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_call_on_a_connection_that_has_fallen_silent_ends_on_time() {
    let scenes = ALL.map(|call| Scene {
        call,
        sql: "SELECT 7",
        kept: true,
        silence: vec![(When::Command(Kind::Ping), Place::AfterRequest), (When::Connect, Place::Request(0))],
        before: Vec::new(),
    });
    play_all(&scenes).await;
}

#[tokio::test]
async fn a_call_whose_statement_meets_silence_ends_on_time() {
    let ledger = Ledger::new(shared().await).await;
    ledger.fill(3_000).await;
    let sql = format!("SELECT id, n FROM {} ORDER BY id", ledger.table);
    let insert = ledger.insert();
    let text = [Place::Request(0), Place::Request(7), Place::AfterRequest, Place::Reply(1), Place::Reply(9_000)];
    let text = text.map(|place| (Call::Text, sql.as_str(), When::text(&sql), place));
    let prepare = [Place::Request(3), Place::AfterRequest, Place::Reply(5)]
        .map(|place| (Call::Prepared, sql.as_str(), When::text(&sql), place));
    let execute = [Place::Request(0), Place::AfterRequest, Place::Reply(30), Place::Reply(9_000)]
        .map(|place| (Call::Prepared, sql.as_str(), When::executes(&sql), place));
    let others = [
        (Call::Batch, insert.as_str(), When::executes(&insert), Place::AfterRequest),
        (Call::Stream, sql.as_str(), When::text(&sql), Place::AfterRequest),
        (Call::Stream, sql.as_str(), When::text(&sql), Place::Reply(50)),
    ];
    let all = text.into_iter().chain(prepare).chain(execute).chain(others);
    let scenes = all.map(|(call, sql, when, place)| Scene {
        call,
        sql,
        kept: true,
        silence: vec![(when, place)],
        before: Vec::new(),
    });
    play_all(&scenes.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_call_whose_lost_attempt_cannot_be_asked_after_ends_on_time() {
    let ledger = Ledger::new(shared().await).await;
    ledger.fill(1).await;
    let (read, write) = (unique("read"), unique("write"));
    // still running when the fence asks, so that it has to be killed
    let read = format!("SELECT SLEEP(600), '{read}'");
    let write = format!("UPDATE {} SET n = (SELECT SLEEP(600)) WHERE id = 1 AND '{write}' <> ''", ledger.table);
    let questions = [
        ("IS_USED_LOCK", Place::Request(0)),
        ("IS_USED_LOCK", Place::AfterRequest),
        ("IS_USED_LOCK", Place::Reply(20)),
        ("KILL ", Place::Request(0)),
    ];
    let scenes = [&read, &write].into_iter().flat_map(|sql| {
        questions.map(|(question, place)| Scene {
            call: Call::Text,
            sql,
            kept: true,
            silence: vec![(When::text(question), place)],
            before: vec![cut(sql)],
        })
    });
    play_all(&scenes.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_call_that_waits_for_a_connection_of_a_full_pool_ends_on_time() {
    let proxy = Proxy::start(shared().await).await;
    for policy in policies() {
        let exec = exec_of_one(&proxy, &policy);
        let busy = in_time(exec.with_policy(&RetryPolicy::default()).connection()).await.expect("a connection");
        for call in ALL {
            let result = on_time("a full pool", DEADLINE, run(&exec, call, "SELECT 7")).await;
            assert!(result.expect_err("there was none").is_deadline());
        }
        drop(busy);
        assert_usable(&proxy, &exec).await;
    }
}

#[tokio::test]
async fn a_call_that_waits_for_a_connection_that_is_being_reset_ends_on_time() {
    let resets =
        [(When::Command(Kind::ResetConnection), Place::AfterRequest), (When::text("SELECT GET_LOCK"), Place::Reply(0))];
    for policy in policies() {
        for (when, place) in resets.clone() {
            // again and again while the machine is too slow for the call to meet the silence in time
            loop {
                let proxy = Proxy::start(shared().await).await;
                let exec = exec_of_one(&proxy, &policy);
                connected(&exec).await;
                proxy.rule(Rule::new(when.clone(), place, Fault::Silence).times(1_000));
                in_time(exec.with_policy(&RetryPolicy::default()).query_drop("SET @left_behind = 1"))
                    .await
                    .expect("set");
                // during the call the reset may be given up, and another connection made
                let (result, took) = timed(run(&exec, Call::Text, "SELECT 7")).await;
                took.assert_within(limit(&result), "a reset");
                let met = proxy.fired() > 0;
                proxy.heal().await;
                assert_usable(&proxy, &exec).await;
                if met {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_plain_statement_that_meets_silence_ends_after_its_attempt_time_out() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let insert = ledger.insert();
    for policy in policies() {
        for place in [Place::Request(0), Place::Request(9), Place::AfterRequest, Place::Reply(4)] {
            let proxy = Proxy::start(server).await;
            // without a ping, so that the statement is sent at once
            let exec =
                Executor::builder().policy(policy.clone()).build(pool_of(1, proxy.opts())).expect("good options");
            connected(&exec).await;
            proxy.rule(Rule::new(When::text(&insert), place, Fault::Silence));
            let error = on_time("a plain statement", ATTEMPT, exec.query_drop(insert.as_str())).await.unwrap_err();
            assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
            assert_usable(&proxy, &exec).await;
        }
    }
}

#[tokio::test]
async fn silence_in_a_reset_holds_the_connection_no_longer_than_the_connect_time_out() {
    let server = shared().await;
    for place in [Place::Request(0), Place::AfterRequest] {
        let proxy = Proxy::start(server).await;
        let exec = exec_of_one(&proxy, &RetryPolicy::builder().connect_timeout(ms(500)).build().expect("valid"));
        let id = connected(&exec).await;
        proxy.rule(Rule::new(When::Command(Kind::ResetConnection), place, Fault::Silence).times(1_000));
        in_time(exec.query_drop("SET @left_behind = 1")).await.expect("set");
        proxy.wait_fired(1).await;
        let next = in_time(exec.with_policy(&RetryPolicy::default()).query_first("SELECT CONNECTION_ID()")).await;
        assert_ne!(next.expect("an answer"), Some(id));
        assert_usable(&proxy, &exec).await;
    }
}
