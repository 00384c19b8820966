//! Many tasks and one outage: what is asked of the server depends on how long it lasts, not on how many wait (CASES.md 40).

use std::time::{Duration, Instant};

use mysql_retry::{Annotate as _, Executor, Result, RetryPolicy, Summary};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When};
use tokio::task::JoinHandle;

use crate::{
    support::hooks::ms,
    support::{Events, Ledger, Told, all_wait, in_time, pool_that_keeps, shared, warm_up},
};

const INTERVAL: Duration = ms(100);
/// So many connections may be in the making at the same time.
const HANDSHAKES: u64 = 16;

fn patient() -> RetryPolicy {
    RetryPolicy::builder().deadline(ms(50_000)).build().expect("valid")
}

fn executor(opts: mysql_async::OptsBuilder) -> Executor {
    let builder = Executor::builder().policy(patient()).probe_interval(INTERVAL);
    builder.build(opts).expect("good options")
}

/// So many tasks that insert one row each.
fn inserts(exec: &Executor, ledger: &Ledger<'_>, tasks: u64) -> Vec<JoinHandle<Result<Summary>>> {
    let one = |_| {
        let (exec, sql) = (exec.clone(), ledger.insert());
        tokio::spawn(async move { exec.query_drop(sql).await })
    };
    (0..tasks).map(one).collect()
}

async fn assert_all_succeed(tasks: Vec<JoinHandle<Result<Summary>>>) {
    for task in tasks {
        in_time(task).await.expect("no panic").expect("the server is back");
    }
}

/// Waits until so many probes have been sent.
async fn probed(exec: &Executor, probes: u64) {
    in_time(async {
        while exec.counters().probes < probes {
            tokio::time::sleep(ms(5)).await;
        }
    })
    .await;
}

/// The most probes that an outage of this length is worth: each delay is the interval less a fifth at least, but for the
/// first ones (20, 40, 80 ms), which come sooner; and one at each end.
fn most_probes(length: Duration) -> u64 {
    let intervals = length.as_secs_f64() / INTERVAL.mul_f64(0.8).as_secs_f64();
    intervals as u64 + 3 + 2
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
        all_wait(&exec, tasks).await;
        probed(&exec, 20).await;
        // looked at before the clock is: there may be more by then, not fewer
        let (accepted, counters) = (proxy.accepted() as u64, exec.counters());
        let length = began.elapsed();
        assert_eq!((counters.waiting, counters.outages), (tasks, 1), "{counters:?}");
        assert!(counters.losses <= HANDSHAKES, "{tasks} tasks: {counters:?}");
        let most = most_probes(length) + HANDSHAKES;
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
        // idempotent: that an idle connection was cut may not be seen at once from another thread
        let one = |_| {
            let (exec, sql) = (exec.clone(), ledger.insert());
            tokio::spawn(async move { exec.query_drop(sql.idempotent()).await })
        };
        let calls: Vec<_> = (0..100).map(one).collect();
        in_time(async {
            while exec.counters().waiting < 100 {
                tokio::time::sleep(ms(2)).await;
            }
        })
        .await;
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
        warm_up(&exec, POOL).await;
        let rows = ledger.rows().await;
        server.kill().await;
        let began = Instant::now();
        let calls = inserts(&exec, &ledger, tasks);
        all_wait(&exec, tasks).await;
        probed(&exec, 15).await;
        let counters = exec.counters();
        let length = began.elapsed();
        assert_eq!(counters.waiting, tasks, "{counters:?}");
        assert!(counters.probes <= most_probes(length), "{tasks} tasks, {length:?}: {counters:?}");
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
    // each connection stays in the making
    proxy.black_hole(true);
    let calls = inserts(&exec, &ledger, 100);
    assert_eq!(most(|| proxy.accepted(), HANDSHAKES as usize).await, HANDSHAKES as usize);
    proxy.heal().await;
    assert_all_succeed(calls).await;
    assert_eq!(ledger.rows().await, 100);
}

#[tokio::test]
async fn a_server_that_is_back_is_not_met_by_all_tasks_at_once() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let events = Events::default();
    let builder = Executor::builder().policy(patient()).probe_interval(INTERVAL).on_event(events.hook());
    let exec = builder.build(proxy.opts()).expect("good options");
    proxy.accept_and_close(true);
    let calls = inserts(&exec, &ledger, 100);
    all_wait(&exec, 100).await;
    // the probe is greeted, the calls wait for it
    proxy.rule(Rule::new(When::Greeting, Place::Reply(0), Fault::Silence).skip(1).times(1_000));
    proxy.accept_and_close(false);
    let told_back = |told: &Told| matches!(told, Told::Back { waiting: 100 });
    in_time(async {
        while !events.told().iter().any(told_back) {
            tokio::time::sleep(ms(2)).await;
        }
    })
    .await;
    // besides those of the probes, and of the calls that found out
    let others = exec.counters().probes + exec.counters().losses;
    let in_the_making = || proxy.accepted() - others as usize;
    assert_eq!(most(in_the_making, HANDSHAKES as usize).await, HANDSHAKES as usize);
    proxy.clear_rules();
    proxy.heal().await;
    assert_all_succeed(calls).await;
    assert_eq!(ledger.rows().await, 100);
}

/// Waits until a count is at least so high, and what it grows to then.
async fn most(count: impl Fn() -> usize, at_least: usize) -> usize {
    in_time(async {
        while count() < at_least {
            tokio::time::sleep(ms(5)).await;
        }
    })
    .await;
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
    for _ in 0..30 {
        let until = Instant::now() + ms(30);
        let error = in_time(exec.with_deadline(until).query_drop("SELECT 7")).await.unwrap_err();
        assert!(error.is_deadline() && error.attempts() <= 2, "{error}");
    }
    let counters = exec.counters();
    assert_eq!((counters.losses, counters.outages, counters.waiting), (1, 1, 0), "{counters:?}");
    proxy.accept_and_close(false);
    in_time(exec.query_drop("SELECT 7")).await.expect("the server is back");
}
