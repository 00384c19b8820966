//! Behind haproxy, which sees that a server is dead and not that it is read-only.

use mysql_retry::Unavailable;
use mysql_retry_fixture::{Haproxy, Pair};

use crate::{
    load::{Kind, Load},
    support::{CALLERS, Events, builder, has_haproxy, settle, until},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_until_the_backup_that_haproxy_turned_to_is_promoted() {
    if !has_haproxy() {
        return;
    }
    let pair = Pair::start().await;
    let haproxy = Haproxy::start(&pair.servers()).await;
    let events = Events::default();
    let exec = builder(&events).build(pair.as_app(haproxy.opts())).expect("good options");
    Load::lay_out("haproxy-backup", pair.first(), &exec, CALLERS).await;
    let load = Load::begin("haproxy-backup", &exec, CALLERS, true);
    load.reach(150).await;
    let pause = load.pause().await;
    pair.catch_up(1).await;
    pair.first().kill().await;
    haproxy.wait_until_down(0).await;
    settle().await;
    drop(pause);
    // a replica answers at the address now
    events.wait_down(Unavailable::ReadOnly).await;
    until(&exec, |it| it.waiting > 0).await;
    pair.promote(1).await;
    load.reach(200).await;
    let books = load.close(pair.second()).await;
    books.assert_true();
    books.assert_nothing_surfaced();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_while_haproxy_has_no_server_at_all() {
    if !has_haproxy() {
        return;
    }
    let pair = Pair::start().await;
    let haproxy = Haproxy::start(&pair.servers()).await;
    let events = Events::default();
    let exec = builder(&events).build(pair.as_app(haproxy.opts())).expect("good options");
    Load::lay_out("haproxy-all-down", pair.first(), &exec, CALLERS).await;
    let load = Load::begin("haproxy-all-down", &exec, CALLERS, true);
    load.reach(150).await;
    pair.second().kill().await;
    haproxy.wait_until_down(1).await;
    pair.first().kill().await;
    haproxy.wait_until_down(0).await;
    // it accepts connections, and closes them
    events.wait_down(Unavailable::Unreachable).await;
    until(&exec, |it| it.waiting >= u64::from(CALLERS) / 2).await;
    let probes = exec.counters().probes;
    until(&exec, |it| it.probes >= probes + 6).await;
    pair.first().start_again().await;
    load.reach(200).await;
    let books = load.close(pair.first()).await;
    books.assert_true();
    books.assert_nothing_surfaced_to(&[Kind::Set, Kind::Read, Kind::Guarded]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_idempotent_notices_that_haproxy_cuts_all_sessions_at_once() {
    if !has_haproxy() {
        return;
    }
    let pair = Pair::start().await;
    let haproxy = Haproxy::start(&pair.servers()).await;
    let events = Events::default();
    let exec = builder(&events).build(pair.as_app(haproxy.opts())).expect("good options");
    Load::lay_out("haproxy-sessions", pair.first(), &exec, CALLERS).await;
    let load = Load::begin("haproxy-sessions", &exec, CALLERS, true);
    load.reach(100).await;
    for _ in 0..5 {
        haproxy.begin_shutdown_sessions(0).await;
        load.reach(60).await;
    }
    assert!(exec.counters().losses > 0, "{:?}", exec.counters());
    assert_eq!(exec.counters().unfenced, 0, "{:?}", events.all());
    let books = load.close(pair.first()).await;
    books.assert_true();
    books.assert_nothing_surfaced_to(&[Kind::Set, Kind::Read, Kind::Guarded]);
}
