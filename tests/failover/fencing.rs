//! A lost write still runs at the old primary while its replay is sent to the new one (law 5).

use std::sync::Arc;

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, Unfenced};
use mysql_retry_fixture::{
    Events, Fault, Pair, Place, Proxy, Recorded, Rule, Server, When, failover::in_time, ms, pool_of,
};

use crate::support::{builder, builder_that_opens, patient};

const SET: &str = "UPDATE t SET v = 1 WHERE id = 1";

/// A pair, both with a table `t (id, v)` that has the row (1, 0).
async fn pair() -> Pair {
    let pair = Pair::start().await;
    pair.first().query_drop("CREATE TABLE t (id INT PRIMARY KEY, v INT NOT NULL)").await;
    pair.first().query_drop("INSERT INTO t VALUES (1, 0)").await;
    pair.catch_up(1).await;
    pair
}

async fn value(server: &Server) -> Option<i32> {
    server.query_first("SELECT v FROM t WHERE id = 1").await
}

async fn connection_id(exec: &Executor) -> u32 {
    exec.query_first("SELECT CONNECTION_ID()").await.expect("an answer").expect("a row")
}

// On one thread, so that a call that waits for the move continues after the hook for the move has returned.
#[tokio::test]
async fn a_lost_write_that_waits_for_a_row_at_the_old_primary_is_gone_before_its_replay_runs_at_the_new_one() {
    let pair = pair().await;
    let proxy = Arc::new(Proxy::start(pair.first()).await);
    let events = Events::default();
    let exec = builder_that_opens(&proxy, &events)
        .build_targets([pool_of(1, pair.as_app(proxy.opts())), pool_of(1, pair.opts(1))])
        .expect("good options");
    let old = connection_id(&exec).await;
    let mut owner_there = pair.first().lock_row("t", 1).await;
    pair.promote(1).await;
    let mut owner_here = pair.second().lock_row("t", 1).await;
    proxy.rule(Rule::new(When::text(SET), Place::AfterRequest, Fault::Fin).keep_server());
    proxy.accept_and_close(true);
    let call = exec.query_drop(SET.idempotent());
    let replayed = async {
        pair.second().wait_until_running(SET).await;
        let there = pair.first().connection_ids().await;
        assert!(!there.contains(&old), "the lost write still runs beside its replay: {there:?}");
        owner_here.query_drop("COMMIT").await.expect("the row is free");
    };
    let (result, ()) = in_time(async { tokio::join!(call, replayed) }).await;
    result.expect("replayed");
    assert_eq!((exec.counters().replays, exec.counters().unfenced), (1, 0), "{:?}", events.recorded());
    owner_there.query_drop("COMMIT").await.expect("the row is free");
    exec.close().await.expect("closed");
    assert_eq!((value(pair.first()).await, value(pair.second()).await), (Some(0), Some(1)));
}

/// Freezes the old primary while a write waits for a row there.
async fn freeze_under_a_write(pair: &Pair, exec: &Executor) -> Result<(), mysql_retry::Error> {
    exec.ping().await.expect("the primary");
    let owner = pair.first().lock_row("t", 1).await;
    let call = exec.query_drop(SET.idempotent());
    let trouble = async {
        pair.first().wait_until_running(SET).await;
        pair.promote(1).await;
        pair.first().freeze();
    };
    let (result, ()) = in_time(async { tokio::join!(call, trouble) }).await;
    pair.first().thaw();
    drop(owner);
    result.map(drop)
}

fn is_unfenced(event: &Recorded) -> bool {
    matches!(event, Recorded::Unfenced { why: Unfenced::Unreachable, .. })
}

fn watchful(events: &Events) -> mysql_retry::ExecutorBuilder {
    builder(events).watch_after(ms(1_000)).give_up_after(ms(1_000))
}

#[tokio::test]
async fn a_write_lost_at_a_frozen_primary_is_replayed_and_said_to_be_unfenced() {
    let pair = pair().await;
    let events = Events::default();
    let exec = watchful(&events).build_targets([pair.opts(0), pair.opts(1)]).expect("good options");
    freeze_under_a_write(&pair, &exec).await.expect("replayed");
    assert_eq!(value(pair.second()).await, Some(1));
    let all = events.recorded();
    assert!(all.iter().any(is_unfenced), "{all:?}");
    assert_eq!(events.moves()[0], (pair.first().address(), pair.second().address()));
    assert_eq!((exec.counters().replays, exec.counters().unfenced), (1, 1), "{all:?}");
}

#[tokio::test]
async fn a_write_lost_at_a_frozen_primary_surfaces_where_it_must_be_fenced() {
    let pair = pair().await;
    let events = Events::default();
    let strict = patient().to_builder().replay_unfenced(false).build().expect("valid");
    let exec = watchful(&events).policy(strict).build_targets([pair.opts(0), pair.opts(1)]).expect("good options");
    let error = freeze_under_a_write(&pair, &exec).await.expect_err("its session may live on");
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Unfenced), "{error}");
    assert!(events.recorded().iter().any(is_unfenced), "{:?}", events.recorded());
    assert_eq!(value(pair.second()).await, Some(0), "it was replayed");
    assert_eq!(exec.counters().replays, 0);
}
