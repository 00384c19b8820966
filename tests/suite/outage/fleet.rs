//! Many executors, and one server that is away, or has no room for all of them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use futures_util::future::join_all;
use mysql_retry::{Event, Executor};
use mysql_retry_fixture::{
    Fault, Place, Proxy, Rule, Server, When, in_time, ms, pool_of, pool_that_keeps, until, until_counters,
};
use tokio::task::JoinHandle;

use super::{as_app, create_app, full::fill, storm::most};
use crate::support::{connection_ids, every, patient, shared, until_waiting};

#[tokio::test]
async fn case_105_on_a_server_with_too_little_room_for_a_fleet_each_executor_is_served() {
    const EXECUTORS: usize = 25;
    const POOL: usize = 5;
    let server = Server::builder().flag("--max-connections=100").start().await;
    create_app(&server).await;
    let opts = as_app(server.opts());
    let policy = every(ms(50)).deadline(ms(12_000)).build().expect("valid");
    let executors: Vec<_> = (0..EXECUTORS)
        .map(|_| {
            let builder = Executor::builder().policy(policy.clone());
            builder.build(pool_of(POOL, opts.clone())).expect("good options")
        })
        .collect();
    for exec in &executors {
        exec.query_drop("DO 0").await.expect("there is room");
    }
    server.kill().await;
    let answers = Arc::new(AtomicUsize::new(0));
    let call = |exec: &Executor| {
        let (exec, answers) = (exec.clone(), answers.clone());
        tokio::spawn(async move {
            let first = exec.query_drop("SELECT 7").await;
            answers.fetch_add(1, Relaxed);
            // it goes on until all have an answer, so that no executor gives up what it has got
            while answers.load(Relaxed) < EXECUTORS * POOL && exec.query_drop("SELECT SLEEP(0.02)").await.is_ok() {}
            first
        })
    };
    let calls: Vec<_> = executors.iter().flat_map(|exec| [exec; POOL]).map(call).collect();
    for exec in &executors {
        until_waiting(exec, POOL as u64).await;
    }
    server.start_again().await;
    let mut failed = Vec::new();
    for call in calls {
        failed.extend(in_time(call).await.expect("no panic").err().map(|error| error.to_string()));
    }
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), EXECUTORS * POOL, failed.first());
}

/// Holds each place of a server for the pool's minimum, and needs one of them.
async fn holder_of_all(server: &Server, places: usize) -> (Executor, JoinHandle<mysql_retry::Result<()>>) {
    create_app(server).await;
    let builder = || Executor::builder().policy(every(ms(50)).deadline(ms(15_000)).build().expect("valid"));
    let exec = loop {
        let exec = builder().build(pool_that_keeps(places, places, as_app(server.opts()))).expect("good options");
        connection_ids(&exec, places).await;
        if exec.counters().outages == 0 {
            break exec;
        }
        // the server had not done with a connection of the fixture's, and refused the last one
        exec.close().await.expect("closed");
        tokio::time::sleep(ms(200)).await;
    };
    let works = tokio::spawn({
        let exec = exec.clone();
        async move {
            loop {
                exec.query_drop("DO 0").await?;
                tokio::time::sleep(ms(20)).await;
            }
        }
    });
    (exec, works)
}

#[tokio::test]
async fn case_105_an_executor_that_has_all_places_of_a_server_gives_back_those_that_it_does_not_use() {
    const PLACES: usize = 10;
    let server = Server::builder().flag(format!("--max-connections={PLACES}")).start().await;
    let (holder, works) = holder_of_all(&server, PLACES).await;
    let policy = every(ms(250)).deadline(ms(15_000)).build().expect("valid");
    let late = Executor::builder().policy(policy).build(as_app(server.opts())).expect("good options");
    let answer = in_time(late.query_first::<u32, _>("SELECT 7")).await;
    assert_eq!(answer.expect("a place was given back"), Some(7));
    assert_eq!(holder.counters().outages, 0, "it has seen no refusal");
    assert!(!works.is_finished(), "it is served all the time");
    works.abort();
}

#[tokio::test]
async fn an_executor_without_calls_leaves_a_full_server_to_others() {
    const PLACES: usize = 4;
    let server = Server::builder().flag(format!("--max-connections={PLACES}")).start().await;
    let (holder, works) = holder_of_all(&server, PLACES).await;
    works.abort();
    let policy = every(ms(250)).deadline(ms(20_000)).build().expect("valid");
    let others: Vec<_> = (0..PLACES)
        .map(|_| Executor::builder().policy(policy.clone()).build(as_app(server.opts())).expect("good options"))
        .collect();
    // each of them keeps its connection
    let answers = in_time(join_all(others.iter().map(|exec| exec.query_drop("DO 0")))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    // and the first one gets on with theirs
    drop(others);
    in_time(holder.query_drop("DO 0")).await.expect("there is room again");
}

#[tokio::test]
async fn case_106_an_executor_whose_callers_are_served_does_not_probe_a_full_server() {
    let server = Server::builder().flag("--max-connections=10").start().await;
    create_app(&server).await;
    let opts = as_app(server.opts());
    let builder = Executor::builder().policy(every(ms(100)).deadline(ms(500)).build().expect("valid"));
    let exec = builder.build(pool_that_keeps(2, 10, opts.clone())).expect("good options");
    connection_ids(&exec, 2).await;
    let _taken = fill(&opts, 8).await;
    // three callers and two connections: one asks for a third
    let calls = join_all((0..3).map(|_| exec.query_drop("SELECT SLEEP(0.1)"))).await;
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    assert_eq!(exec.counters().outages, 1);
    let before = exec.counters().probes;
    for _ in 0..20 {
        let calls = join_all((0..2).map(|_| exec.query_drop("SELECT SLEEP(0.03)"))).await;
        assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    }
    let counters = exec.counters();
    assert_eq!((counters.probes, counters.outages), (before, 1), "{counters:?}");
}

/// An executor whose server refuses connections, and a call that waits for it.
async fn call_that_waits() -> (Proxy, Executor, JoinHandle<mysql_retry::Result<Option<u32>>>) {
    let proxy = Proxy::start(shared().await).await;
    let exec = Executor::builder().policy(patient()).build(proxy.opts()).expect("good options");
    proxy.refuse(true).await;
    let call = tokio::spawn({
        let exec = exec.clone();
        async move { exec.query_first::<u32, _>("SELECT 7").await }
    });
    until_waiting(&exec, 1).await;
    (proxy, exec, call)
}

#[tokio::test]
async fn case_107_the_connection_of_the_probe_that_got_in_serves_the_call_that_waits() {
    let (proxy, exec, call) = call_that_waits().await;
    until_counters(&exec, |it| it.probes >= 3).await;
    proxy.refuse(false).await;
    let answer = in_time(call).await.expect("no panic").expect("the server is back");
    assert_eq!((answer, proxy.accepted()), (Some(7), 1));
}

#[tokio::test]
async fn case_107_after_an_outage_calls_share_what_is_open_and_one_connection_more_is_opened_at_first() {
    const CALLS: u64 = 8;
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = Executor::builder().policy(patient()).build(proxy.opts()).expect("good options");
    proxy.refuse(true).await;
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let exec = exec.clone();
            tokio::spawn(async move { exec.query_drop("SELECT SLEEP(0.2)").await })
        })
        .collect();
    until_waiting(&exec, CALLS).await;
    // the probe is greeted, who comes after it is not
    proxy.rule(Rule::new(When::Greeting, Place::Reply(0), Fault::Silence).skip(1).times(1_000));
    proxy.refuse(false).await;
    // one of those who wait for the first connection opens a second one
    assert_eq!(most(|| proxy.accepted(), 2).await, 2);
    proxy.clear_rules();
    proxy.heal().await;
    for call in calls {
        in_time(call).await.expect("no panic").expect("the server is back");
    }
}

#[tokio::test]
async fn case_107_calls_that_have_waited_for_the_server_share_the_connection_of_the_probe() {
    const CALLS: usize = 8;
    // on a busy machine a call may wait for so long that it opens a connection
    const TRIES: usize = 5;
    let server = shared().await;
    let mut opened = Vec::new();
    for _ in 0..TRIES {
        let proxy = Proxy::start(server).await;
        let exec = Executor::builder().policy(patient()).build(proxy.opts()).expect("good options");
        proxy.refuse(true).await;
        let calls = join_all((0..CALLS).map(|_| exec.query_drop("DO 0")));
        let server_comes_back = async {
            until_waiting(&exec, CALLS as u64).await;
            // longer than a call waits for the connection of another one
            tokio::time::sleep(ms(1_200)).await;
            proxy.refuse(false).await;
        };
        let (answers, ()) = in_time(async { tokio::join!(calls, server_comes_back) }).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        opened.push(proxy.accepted());
        if opened.last() == Some(&1) {
            return;
        }
    }
    panic!("connections that were opened for {CALLS} short calls: {opened:?}");
}

#[tokio::test]
async fn case_107_where_one_connection_would_take_long_for_all_who_wait_more_are_opened_soon() {
    const CALLS: u64 = 200;
    let proxy = Proxy::start(shared().await).await;
    let exec = Executor::builder().policy(patient()).build(proxy.opts()).expect("good options");
    let answers = Arc::new(AtomicUsize::new(0));
    proxy.refuse(true).await;
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let (exec, answers) = (exec.clone(), answers.clone());
            tokio::spawn(async move {
                exec.query_drop("SELECT SLEEP(0.01)").await.expect("the server is back");
                answers.fetch_add(1, Relaxed);
            })
        })
        .collect();
    until_waiting(&exec, CALLS).await;
    proxy.refuse(false).await;
    // one connection serves so many in half of the time that a call waits for the connections of others
    until(|| answers.load(Relaxed) >= 50).await;
    assert!(proxy.accepted() > 1, "one connection for {CALLS} calls");
    for call in calls {
        in_time(call).await.expect("an answer");
    }
}

/// How many probes of a fleet that loses its server come within each 25 ms, from its first one on.
async fn probes_of_a_fleet() -> Vec<usize> {
    const EXECUTORS: usize = 50;
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let probes = Arc::new(Mutex::new(Vec::new()));
    let executors: Vec<_> = (0..EXECUTORS)
        .map(|_| {
            let probes = probes.clone();
            let note = move |event: &Event<'_>| {
                if let Event::Probing { .. } = event {
                    probes.lock().expect("no panic").push(Instant::now());
                }
            };
            Executor::builder().policy(patient()).on_event(note).build(proxy.opts()).expect("good options")
        })
        .collect();
    proxy.refuse(true).await;
    let calls = join_all(executors.iter().map(|exec| exec.query_drop("SELECT 7")));
    let back = async {
        until(|| executors.iter().all(|exec| exec.counters().probes >= 20)).await;
        proxy.refuse(false).await;
    };
    let (answers, ()) = in_time(async { tokio::join!(calls, back) }).await;
    assert!(answers.iter().all(Result::is_ok));
    let probes = probes.lock().expect("no panic");
    let first = probes.iter().min().expect("probes");
    let mut bins = Vec::new();
    for probe in probes.iter() {
        let bin = (probe.duration_since(*first).as_millis() / 25) as usize;
        bins.resize(bins.len().max(bin + 1), 0);
        bins[bin] += 1;
    }
    bins
}

#[tokio::test]
async fn case_109_the_first_probes_of_a_fleet_are_spread() {
    // a machine that stands still for a moment lets what is due come at once
    let mut seen = Vec::new();
    for _ in 0..3 {
        let bins = probes_of_a_fleet().await;
        let (most, mean) = (bins.iter().copied().max().expect("probes"), bins.iter().sum::<usize>() / bins.len());
        if most < 4 * mean {
            return;
        }
        seen.push(format!("{most} within 25 ms, and {mean} in the mean: {bins:?}"));
    }
    panic!("{seen:#?}");
}

#[tokio::test]
async fn case_110_the_probe_of_a_server_that_is_slow_to_greet_is_waited_for() {
    let (proxy, _exec, call) = call_that_waits().await;
    proxy.rule(Rule::new(When::Greeting, Place::Reply(0), Fault::Delay(ms(1_000))));
    proxy.refuse(false).await;
    let answer = in_time(call).await.expect("no panic").expect("the server is back");
    assert_eq!((answer, proxy.accepted()), (Some(7), 1));
}
