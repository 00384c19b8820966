//! Behind haproxy, which notices that a server is dead, but not that it is read-only.

use mysql_retry::{Executor, Unavailable};
use mysql_retry_fixture::{
    Events, Haproxy, Pair,
    failover::{Call, Load, until_counters},
};

use crate::support::{CALLERS, builder, has_haproxy, settle, wait_down};

/// A pair behind haproxy, with callers on it.
struct Scene {
    pair: Pair,
    haproxy: Haproxy,
    events: Events,
    exec: Executor,
    load: Load,
}

/// `None` where there is no haproxy.
async fn begin(scenario: &'static str) -> Option<Scene> {
    if !has_haproxy() {
        return None;
    }
    let pair = Pair::start().await;
    let haproxy = Haproxy::start(&pair.servers()).await;
    let events = Events::default();
    let exec = builder(&events).build(pair.as_app(haproxy.opts())).expect("good options");
    Load::lay_out(scenario, pair.first(), &exec, CALLERS).await;
    let load = Load::begin(scenario, &exec, CALLERS, true);
    Some(Scene { pair, haproxy, events, exec, load })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_until_the_backup_that_haproxy_turned_to_is_promoted() {
    let Some(Scene { pair, haproxy, events, exec, load }) = begin("haproxy-backup").await else { return };
    load.reach(150).await;
    let pause = load.pause().await;
    pair.catch_up(1).await;
    pair.first().kill().await;
    haproxy.wait_until_down(0).await;
    settle().await;
    drop(pause);
    // from now on a replica answers at the address
    wait_down(&events, Unavailable::ReadOnly).await;
    until_counters(&exec, |it| it.waiting > 0).await;
    pair.promote(1).await;
    load.reach(200).await;
    let books = load.close(pair.second()).await;
    books.assert_true();
    books.assert_nothing_surfaced();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_while_haproxy_has_no_server_at_all() {
    let Some(Scene { pair, haproxy, events, exec, load }) = begin("haproxy-all-down").await else { return };
    load.reach(150).await;
    pair.second().kill().await;
    haproxy.wait_until_down(1).await;
    pair.first().kill().await;
    haproxy.wait_until_down(0).await;
    // haproxy accepts connections and closes them
    wait_down(&events, Unavailable::Unreachable).await;
    until_counters(&exec, |it| it.waiting >= u64::from(CALLERS) / 2).await;
    let probes = exec.counters().probes;
    until_counters(&exec, |it| it.probes >= probes + 6).await;
    pair.first().start_again().await;
    load.reach(200).await;
    let books = load.close(pair.first()).await;
    books.assert_true();
    books.assert_nothing_surfaced_to(&[Call::Set, Call::Read, Call::Guarded]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_idempotent_notices_that_haproxy_cuts_all_sessions_at_once() {
    let Some(Scene { pair, haproxy, events, exec, load }) = begin("haproxy-sessions").await else { return };
    load.reach(100).await;
    for _ in 0..5 {
        haproxy.begin_shutdown_sessions(0).await;
        load.reach(60).await;
    }
    assert!(exec.counters().losses > 0, "{:?}", exec.counters());
    assert_eq!(exec.counters().unfenced, 0, "{:?}", events.recorded());
    let books = load.close(pair.first()).await;
    books.assert_true();
    books.assert_nothing_surfaced_to(&[Call::Set, Call::Read, Call::Guarded]);
}
