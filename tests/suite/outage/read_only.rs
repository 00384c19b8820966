//! A read-only server: writes wait for it, or for the server that takes its place behind the same address.

use std::time::{Duration, Instant};

use mysql_async::{OptsBuilder, prelude::Queryable as _};
use mysql_retry::{Executor, Tx, TxOpts, Unavailable};
use mysql_retry_fixture::{Events, Flavour, Proxy, Recorded, Server, in_time, ms, pool_that_keeps, until_counters};

use super::{as_app, create_app, most_probes, set_read_only};
use crate::support::{Ledger, Losses, connection_id, connection_ids, patient, recording, until_waiting};

const POOL: usize = 3;

const INTERVAL: Duration = ms(50);

/// An executor of several connections, which probes often; its events are recorded.
fn recording_probes(opts: OptsBuilder) -> (Executor, Events) {
    let builder = Executor::builder().policy(patient()).probe_interval(INTERVAL);
    recording(builder, pool_that_keeps(POOL, POOL, opts))
}

/// The beginnings and ends of outages among the events.
fn outages(events: &Events) -> Vec<Recorded> {
    let of_outage = |event: &Recorded| matches!(event, Recorded::Down { .. } | Recorded::Back { .. });
    events.recorded().into_iter().filter(of_outage).collect()
}

#[tokio::test]
async fn writes_wait_for_a_server_that_became_read_only_and_reads_go_on() {
    const WRITES: u64 = 6;
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    create_app(&server).await;
    let (exec, events) = recording_probes(as_app(server.opts()));
    let before = connection_ids(&exec, POOL).await;
    set_read_only(&server, true).await;
    let writes: Vec<_> = (0..WRITES)
        .map(|n| {
            let (exec, sql) = (exec.clone(), ledger.insert());
            tokio::spawn(async move {
                if n % 2 == 0 {
                    exec.query_drop(sql).await.map(drop)
                } else {
                    let work = |mut tx: Tx| {
                        let sql = sql.clone();
                        async move { tx.query_drop(sql).await }
                    };
                    exec.transaction(TxOpts::default(), work).await
                }
            })
        })
        .collect();
    until_waiting(&exec, WRITES).await;
    // connections that were made before are not used any more, not even for reads
    for _ in 0..20 {
        let id = in_time(connection_id(&exec)).await;
        assert!(!before.contains(&id), "{id} of {before:?}");
    }
    assert_eq!(exec.counters().waiting, WRITES, "a read waits");
    assert_eq!(outages(&events), [Recorded::Down { why: Unavailable::ReadOnly }]);
    set_read_only(&server, false).await;
    for write in writes {
        in_time(write).await.expect("no panic").expect("it takes writes");
    }
    assert_eq!(outages(&events), [Recorded::Down { why: Unavailable::ReadOnly }, Recorded::Back { waiting: WRITES }]);
    assert_eq!((ledger.rows().await, exec.counters().waiting), (WRITES, 0));
    let after = connection_ids(&exec, POOL).await;
    assert!(after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
}

#[tokio::test]
async fn a_write_goes_to_the_server_that_took_the_place_of_one_that_became_read_only() {
    let (first, second) = tokio::join!(Server::start(), Server::start());
    let ledger = Ledger::new(&first).await;
    ledger.create_on(&second).await;
    tokio::join!(create_app(&first), create_app(&second));
    let proxy = Proxy::start(&first).await;
    let (exec, events) = recording_probes(as_app(proxy.opts()));
    connection_ids(&exec, POOL).await;
    set_read_only(&first, true).await;
    let (writing, sql) = (exec.clone(), ledger.insert());
    let write = tokio::spawn(async move { writing.query_drop(sql).await });
    until_waiting(&exec, 1).await;
    proxy.point_at(&second);
    in_time(write).await.expect("no panic").expect("the second server takes writes");
    assert_eq!((ledger.rows().await, ledger.rows_on(&second).await), (0, 1));
    assert_eq!(outages(&events), [Recorded::Down { why: Unavailable::ReadOnly }, Recorded::Back { waiting: 1 }]);
    // no connection leads to the first server any more
    for write in 2..=10 {
        in_time(exec.query_drop(ledger.insert())).await.expect("a row");
        let rows: Option<u64> =
            in_time(exec.query_first(format!("SELECT COUNT(*) FROM {}", ledger.table))).await.expect("rows");
        assert_eq!(rows, Some(write));
    }
    assert_eq!(exec.counters().outages, 1);
}

// case 36, in part
#[tokio::test]
async fn a_write_refused_by_a_read_only_server_is_executed_once_it_takes_writes() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    create_app(&server).await;
    set_read_only(&server, true).await;
    let opts = as_app(server.opts());
    let (hook, mut losses) = Losses::listen();
    let exec = Executor::builder().on_event(hook).build(opts).expect("good options");
    let promotion = async {
        losses.wait_for(5).await;
        set_read_only(&server, false).await;
    };
    let (result, ()) = in_time(async { tokio::join!(exec.query_drop(ledger.insert()), promotion) }).await;
    assert_eq!(result.expect("it takes writes").affected_rows(), 1);
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn case_55_transactions_that_are_read_only_by_default_are_waited_for() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    let variable = match (server.flavour(), server.version()) {
        (Flavour::MariaDb, (..=10, _, _)) => "tx_read_only",
        _ => "transaction_read_only",
    };
    server.query_drop(format!("SET GLOBAL {variable} = 1")).await;
    let builder = Executor::builder().policy(patient()).probe_interval(ms(30));
    let exec = builder.build(server.opts()).expect("good options");
    let insert = tokio::spawn({
        let (exec, sql) = (exec.clone(), ledger.insert());
        async move { exec.query_drop(sql).await }
    });
    until_waiting(&exec, 1).await;
    assert_eq!(in_time(exec.query_first::<u8, _>("SELECT 7")).await.expect("a read goes on"), Some(7));
    let mut conn = server.connect().await;
    conn.query_drop("SET SESSION TRANSACTION READ WRITE").await.expect("for this connection");
    conn.query_drop(format!("SET GLOBAL {variable} = 0")).await.expect("writable");
    in_time(insert).await.expect("no panic").expect("written");
    assert_eq!(ledger.rows().await, 1);
}

// Each probe finds that the server is read-only: nothing new, so no reason to ask again at once.
#[tokio::test]
async fn servers_that_stay_read_only_are_probed_with_pauses() {
    let servers = tokio::join!(Server::start(), Server::start());
    let servers = [&servers.0, &servers.1];
    for server in servers {
        create_app(server).await;
        set_read_only(server, true).await;
    }
    for targets in 1..=2 {
        let builder = Executor::builder().policy(patient()).probe_interval(INTERVAL);
        let exec = builder.build_targets(servers[..targets].iter().map(|it| as_app(it.opts()))).expect("good options");
        let writing = exec.clone();
        let began = Instant::now();
        let write = tokio::spawn(async move { writing.query_drop("DELETE FROM test.nothing").await });
        until_counters(&exec, |it| it.probes >= 20).await;
        // read before the clock: by then there may be more, not fewer
        let (counters, length) = (exec.counters(), began.elapsed());
        let most = most_probes(ms(50), length) * targets as u64;
        assert!(counters.probes <= most, "{targets} servers, {length:?}: {counters:?}");
        assert_eq!((counters.waiting, counters.outages), (1, 1), "{targets} servers: {counters:?}");
        write.abort();
    }
}
