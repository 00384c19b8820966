//! The primary is killed, and the replica promoted in its place.

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Annotate as _, Unavailable};
use mysql_retry_fixture::{
    Events, Flavour, Pair, Recorded, Server,
    failover::{Call, in_time, until_counters, until_true, wait_moved_to},
    skip::skip,
};

use crate::support::{CALLERS, begin_load, over, settle};

/// Makes the primary answer a COMMIT only when the replica has it. False where the servers cannot do that.
async fn make_semi_synchronous(pair: &Pair) -> bool {
    let (first, second) = (pair.first(), pair.second());
    let (status, on_first, on_second): (&str, &[&str], &[&str]) = match first.flavour() {
        Flavour::MariaDb => (
            "Rpl_semi_sync_master_clients",
            &[
                "SET GLOBAL rpl_semi_sync_master_timeout = 600000",
                "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC",
                "SET GLOBAL rpl_semi_sync_master_enabled = ON",
            ],
            &["SET GLOBAL rpl_semi_sync_slave_enabled = ON", "STOP SLAVE IO_THREAD", "START SLAVE IO_THREAD"],
        ),
        Flavour::MySql => (
            "Rpl_semi_sync_source_clients",
            &[
                "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
                "SET GLOBAL rpl_semi_sync_source_timeout = 600000",
                "SET GLOBAL rpl_semi_sync_source_enabled = ON",
            ],
            &[
                "SET GLOBAL super_read_only = OFF",
                "INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'",
                "SET GLOBAL super_read_only = ON",
                "SET GLOBAL rpl_semi_sync_replica_enabled = ON",
                "STOP REPLICA IO_THREAD",
                "START REPLICA IO_THREAD",
            ],
        ),
    };
    for (server, statements) in [(first, on_first), (second, on_second)] {
        let mut conn = server.connect().await;
        for sql in statements {
            if let Err(error) = conn.query_drop(*sql).await {
                skip(&format!("no semi-synchronous replication: {sql}: {error}"));
                return false;
            }
        }
        conn.disconnect().await.expect("a goodbye");
    }
    until_true(async || {
        let sql = format!("SHOW STATUS LIKE '{status}'");
        first.query_first::<(String, u32)>(sql).await.is_some_and(|(_, clients)| clients > 0)
    })
    .await;
    true
}

// the kill meets statements, COMMITs and transactions half done
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_killed_under_load_is_left_for_the_promoted_replica_and_every_verdict_is_true() {
    let pair = Pair::start().await;
    if !make_semi_synchronous(&pair).await {
        return;
    }
    let events = Events::default();
    let exec = over(&pair, &events);
    let load = begin_load("killed-under-load", &pair, &exec).await;
    load.reach(200).await;
    pair.first().kill().await;
    until_counters(&exec, |it| it.waiting >= u64::from(CALLERS) / 2).await;
    let probes = exec.counters().probes;
    until_counters(&exec, |it| it.probes >= probes + 6).await;
    pair.promote(1).await;
    load.reach(300).await;
    let counters = exec.counters();
    assert_eq!((counters.outages, counters.moves), (1, 1), "{:?}", events.recorded());
    assert_eq!(events.moves(), [(pair.first().address(), pair.second().address())]);
    let books = load.close(pair.second()).await;
    books.assert_true();
    // plain INSERTs and plain transactions may fail, where their reply was lost
    books.assert_nothing_surfaced_to(&[Call::Set, Call::Read, Call::Guarded]);
}

/// How often the user `app` has asked whether a server takes writes.
async fn looks(server: &Server) -> u64 {
    let sql =
        "SELECT COUNT(*) FROM mysql.general_log WHERE user_host LIKE 'app%' AND argument LIKE '%innodb_read_only%'";
    server.query_first(sql).await.expect("a row")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_that_comes_back_as_a_replica_is_taken_again_only_when_it_is_the_primary() {
    let pair = Pair::start().await;
    let events = Events::default();
    let exec = over(&pair, &events);
    let load = begin_load("killed-and-back", &pair, &exec).await;
    load.reach(150).await;
    let pause = load.pause().await;
    pair.catch_up(1).await;
    // a read that is running when its server is killed
    let slow = {
        let exec = exec.clone();
        tokio::spawn(async move {
            exec.query_first::<u32, _>("SELECT SLEEP(IF(@@server_id = 1, 600, 0))".idempotent()).await
        })
    };
    pair.first().wait_until_running("SLEEP").await;
    pair.first().kill().await;
    settle().await;
    drop(pause);
    until_counters(&exec, |it| it.waiting >= u64::from(CALLERS) / 2).await;
    pair.promote(1).await;
    wait_moved_to(&events, pair.second()).await;
    load.reach(150).await;
    assert_eq!(in_time(slow).await.expect("no panic").expect("replayed"), Some(0));
    assert_eq!((exec.counters().outages, exec.counters().moves), (1, 1), "{:?}", events.recorded());

    pair.start_as_replica(0).await;
    pair.first().query_drop("SET GLOBAL log_output = 'TABLE'").await;
    pair.first().query_drop("SET GLOBAL general_log = ON").await;
    // it is probed again and again, and calls do not move to it
    until_true(async || looks(pair.first()).await >= 2).await;
    pair.first().query_drop("SET GLOBAL general_log = OFF").await;
    load.reach(100).await;
    assert_eq!(exec.counters().moves, 1, "{:?}", events.recorded());

    // the roles are switched while no caller writes, so that no refusal tells of it
    let pause = load.pause().await;
    pair.demote(1).await;
    pair.catch_up(0).await;
    pair.promote(0).await;
    wait_moved_to(&events, pair.first()).await;
    assert_eq!((exec.counters().outages, exec.counters().moves), (1, 2), "{:?}", events.recorded());
    drop(pause);
    load.reach(150).await;
    assert_eq!(exec.counters().moves, 2, "{:?}", events.recorded());
    assert!(!events.recorded().contains(&Recorded::Down { why: Unavailable::ReadOnly }), "{:?}", events.recorded());
    let books = load.close(pair.first()).await;
    books.assert_true();
    books.assert_nothing_surfaced();
}
