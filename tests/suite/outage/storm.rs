//! Many tasks and one outage: the load on the server depends on how long it lasts, not on how many tasks wait (case 40).

use std::time::{Duration, Instant};

use mysql_async::OptsBuilder;
use mysql_retry::{Annotate as _, Executor, Summary};
use mysql_retry_fixture::{Fault, Proxy, Server, in_time, ms, pool_that_keeps, until, until_counters};
use tokio::task::JoinHandle;

use super::most_probes;
use crate::support::{Ledger, connection_ids, patient, shared, until_waiting};

const INTERVAL: Duration = ms(100);

/// The most connections that an executor makes at the same time.
const HANDSHAKES: u64 = 16;

fn executor(opts: OptsBuilder) -> Executor {
    let builder = Executor::builder().policy(patient()).probe_interval(INTERVAL);
    builder.build(opts).expect("good options")
}

/// Tasks that insert one row each.
fn inserts(exec: &Executor, ledger: &Ledger<'_>, tasks: u64) -> Vec<JoinHandle<mysql_retry::Result<Summary>>> {
    let one = |_| {
        let (exec, sql) = (exec.clone(), ledger.insert());
        tokio::spawn(async move { exec.query_drop(sql).await })
    };
    (0..tasks).map(one).collect()
}

async fn assert_all_succeed(tasks: Vec<JoinHandle<mysql_retry::Result<Summary>>>) {
    for task in tasks {
        in_time(task).await.expect("no panic").expect("the server is back");
    }
}

#[tokio::test]
async fn connection_attempts_do_not_grow_with_the_number_of_tasks() {
    let server = shared().await;
    for tasks in [10, 100] {
        let ledger = Ledger::new(server).await;
        let proxy = Proxy::start(server).await;
        let exec = executor(proxy.opts());
        proxy.accept_and_close(true);
        let began = Instant::now();
        let calls = inserts(&exec, &ledger, tasks);
        until_waiting(&exec, tasks).await;
        until_counters(&exec, |it| it.probes >= 20).await;
        // read before the clock: by then there may be more, not fewer
        let (accepted, counters) = (proxy.accepted() as u64, exec.counters());
        let length = began.elapsed();
        assert_eq!((counters.waiting, counters.outages), (tasks, 1), "{counters:?}");
        assert!(counters.losses <= HANDSHAKES, "{tasks} tasks: {counters:?}");
        let most = most_probes(ms(50), length) + HANDSHAKES;
        assert!(accepted <= most, "{tasks} tasks made {accepted} connections in {length:?}: {counters:?}");
        proxy.accept_and_close(false);
        assert_all_succeed(calls).await;
        assert_eq!(ledger.rows().await, tasks);
        assert_eq!(exec.counters().waiting, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_nobody_is_forgotten_outage_after_outage() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor(proxy.opts());
    for outage in 1..=5 {
        proxy.refuse(true).await;
        proxy.cut_all(Fault::Fin).await;
        // idempotent: another thread may not see at once that an idle connection was cut
        let one = |_| {
            let (exec, sql) = (exec.clone(), ledger.insert());
            tokio::spawn(async move { exec.query_drop(sql.idempotent()).await })
        };
        let calls: Vec<_> = (0..100).map(one).collect();
        until_counters(&exec, |it| it.waiting >= 100).await;
        proxy.refuse(false).await;
        assert_all_succeed(calls).await;
        assert_eq!(ledger.rows().await, outage * 100);
    }
}

#[tokio::test]
async fn a_killed_server_is_asked_by_probes_and_by_those_who_find_a_dead_connection_in_the_pool() {
    const POOL: usize = 10;
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    for tasks in [10, 100] {
        let exec = executor(pool_that_keeps(POOL, POOL, server.opts()));
        connection_ids(&exec, POOL).await;
        let rows = ledger.rows().await;
        server.kill().await;
        let began = Instant::now();
        let calls = inserts(&exec, &ledger, tasks);
        until_waiting(&exec, tasks).await;
        until_counters(&exec, |it| it.probes >= 15).await;
        let counters = exec.counters();
        let length = began.elapsed();
        assert_eq!(counters.waiting, tasks, "{counters:?}");
        assert!(counters.probes <= most_probes(ms(20), length), "{tasks} tasks, {length:?}: {counters:?}");
        assert!(counters.losses <= HANDSHAKES + POOL as u64, "{tasks} tasks: {counters:?}");
        server.start_again().await;
        assert_all_succeed(calls).await;
        assert_eq!(ledger.rows().await, rows + tasks);
    }
}

#[tokio::test]
async fn a_hundred_tasks_at_once_make_no_more_connections_at_a_time_than_a_server_can_greet() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor(proxy.opts());
    // no connection gets ready
    proxy.black_hole(true);
    let calls = inserts(&exec, &ledger, 100);
    assert_eq!(most(|| proxy.accepted(), HANDSHAKES as usize).await, HANDSHAKES as usize);
    proxy.heal().await;
    assert_all_succeed(calls).await;
    assert_eq!(ledger.rows().await, 100);
}

/// Waits until a count has reached this, and returns what it grows to in the time after.
pub async fn most(count: impl Fn() -> usize, at_least: usize) -> usize {
    until(|| count() >= at_least).await;
    // without a bound all would be there by now
    tokio::time::sleep(ms(300)).await;
    count()
}

#[tokio::test]
async fn calls_that_come_and_go_during_an_outage_make_no_attempts_of_their_own() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor(proxy.opts());
    proxy.accept_and_close(true);
    for _ in 0..10 {
        let until = Instant::now() + ms(200);
        let error = in_time(exec.with_deadline(until).query_drop("SELECT 7")).await.unwrap_err();
        assert!(error.is_deadline() && error.attempts() <= 2, "{error}");
    }
    let counters = exec.counters();
    assert_eq!((counters.losses, counters.outages, counters.waiting), (1, 1, 0), "{counters:?}");
    proxy.accept_and_close(false);
    in_time(exec.query_drop("SELECT 7")).await.expect("the server is back");
}
