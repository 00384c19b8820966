//! A connection that has idled is pinged before a statement is sent on it.

use std::time::Duration;

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Executor, RetryPolicy, Unavailable};
use mysql_retry_fixture::{
    Events, Fault, Kind, Place, Proxy, Recorded, Rule, When, in_time, ms, pool_of, pool_that_keeps,
};

use crate::support::{Ledger, connection_id, connection_ids, executor_of_one, fired, shared};

// case 3
#[tokio::test]
async fn a_connection_in_use_is_not_pinged() {
    let proxy = Proxy::start(shared().await).await;
    let exec = executor_of_one(proxy.opts());
    for n in 0..20 {
        let answer: Option<i32> = exec.exec_first("SELECT ?", (n,)).await.expect("an answer");
        assert_eq!(answer, Some(n));
    }
    assert_eq!(proxy.count(Kind::Execute), 20);
    assert_eq!((proxy.accepted(), proxy.count(Kind::Ping)), (1, 0));
}

// case 3
#[tokio::test]
async fn a_connection_that_idled_is_pinged_once_before_its_next_use() {
    let proxy = Proxy::start(shared().await).await;
    let exec = Executor::builder().ping_after(ms(20)).build(pool_of(1, proxy.opts())).unwrap();
    connection_id(&exec).await;
    assert_eq!(proxy.count(Kind::Ping), 0, "right after connecting");
    tokio::time::sleep(ms(50)).await;
    connection_id(&exec).await;
    assert_eq!((proxy.accepted(), proxy.count(Kind::Ping)), (1, 1));
}

// case 3
#[tokio::test]
async fn pings_can_be_had_always_or_never() {
    let proxy = Proxy::start(shared().await).await;
    let always = Executor::builder().ping_after(Duration::ZERO).build(pool_of(1, proxy.opts())).unwrap();
    for pings in 0..4 {
        connection_id(&always).await;
        assert_eq!(proxy.count(Kind::Ping), pings, "none right after connecting, then one each time");
    }
    let proxy = Proxy::start(shared().await).await;
    let never = Executor::builder().ping_after(None).build(pool_of(1, proxy.opts())).unwrap();
    for _ in 0..4 {
        connection_id(&never).await;
        tokio::time::sleep(ms(10)).await;
    }
    assert_eq!((proxy.accepted(), proxy.count(Kind::Ping)), (1, 0));
}

// case 3
#[tokio::test]
async fn a_ping_without_an_answer_replaces_the_connection() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let policy = RetryPolicy::builder().connect_timeout(ms(1_000)).build().unwrap();
    let exec = Executor::builder().policy(policy).ping_after(Duration::ZERO).build(pool_of(1, proxy.opts())).unwrap();
    let id = connection_id(&exec).await;
    proxy.rule(Rule::new(When::Command(Kind::Ping), Place::Request(0), Fault::Silence));
    in_time(exec.query_drop(ledger.insert())).await.expect("an insert on a new connection");
    assert_eq!(fired(&proxy, 1).await, 1);
    assert_eq!(ledger.rows().await, 1);
    assert_ne!(connection_id(&exec).await, id);
    assert_eq!(exec.counters().retired, 1);
}

// case 39
#[tokio::test]
async fn connections_that_idled_through_a_silent_outage_are_asked_before_a_write_is_sent_on_them() {
    const POOL: usize = 4;
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let policy = RetryPolicy::builder().deadline(ms(50_000)).connect_timeout(ms(1_000)).build().expect("valid");
    let builder = Executor::builder().policy(policy).watch_after(ms(500)).give_up_after(ms(500)).ping_after(None);
    let events = Events::default();
    let exec = builder.on_event(events.hook()).build(pool_that_keeps(POOL, POOL, proxy.opts())).expect("good options");
    connection_ids(&exec, POOL).await;
    proxy.go_dark().await;
    let read = exec.query_first::<u8, _>("SELECT 7".idempotent());
    let path = async {
        events.wait_for(|event| *event == Recorded::Down { why: Unavailable::Silent }).await;
        // new connections work again; the old ones stay dead, and nothing tells so
        proxy.black_hole(false);
    };
    let (answer, ()) = in_time(async { tokio::join!(read, path) }).await;
    assert_eq!(answer.expect("a replay"), Some(7));
    let writes = (0..POOL * 2).map(|_| exec.query_drop(ledger.insert()));
    for written in in_time(join_all(writes)).await {
        written.expect("on a connection that answers");
    }
    assert_eq!(ledger.rows().await, POOL as u64 * 2);
    assert!(exec.counters().retired > 0, "{:?}", exec.counters());
}
