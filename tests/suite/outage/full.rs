//! Connections that idle in the pool while no other can be had: of use if the server is well, and not trusted otherwise.

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Executor, RetryPolicy, Unavailable};
use mysql_retry_fixture::{Proxy, Server};

use crate::{
    outage::down::{app, fill},
    support::hooks::ms,
    support::{Events, Ledger, Told, in_time, pool_that_keeps, shared, warm_up},
};

// CASES.md 35
#[tokio::test]
async fn idle_connections_serve_all_calls_while_the_server_takes_no_more() {
    let server = Server::builder().flag("--max-connections=10").start().await;
    let ledger = Ledger::new(&server).await;
    let opts = app(&server).await;
    let events = Events::default();
    let policy = RetryPolicy::builder().deadline(ms(50_000)).build().expect("valid");
    let builder = Executor::builder().policy(policy).on_event(events.hook());
    let exec = builder.build(pool_that_keeps(2, 10, opts.clone())).expect("good options");
    warm_up(&exec, 2).await;
    let taken = fill(&opts, 8).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (exec, sql) = (exec.clone(), ledger.insert());
            tokio::spawn(async move { exec.query_drop(sql).await })
        })
        .collect();
    for call in calls {
        in_time(call).await.expect("no panic").expect("one of the two connections");
    }
    let told = events.told();
    assert!(told.contains(&Told::Down { why: Unavailable::Full }), "{told:?}");
    assert!(!told.iter().any(|told| matches!(told, Told::Back { .. })), "there was a place: {told:?}");
    drop(taken);
    in_time(async {
        while !events.told().iter().any(|told| matches!(told, Told::Back { .. })) {
            tokio::time::sleep(ms(5)).await;
        }
    })
    .await;
    assert_eq!(ledger.rows().await, 50);
}

// CASES.md 39
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
    warm_up(&exec, POOL).await;
    proxy.go_dark().await;
    let read = exec.query_first::<u8, _>("SELECT 7".idempotent());
    let path = async {
        in_time(async {
            while !events.told().contains(&Told::Down { why: Unavailable::Silent }) {
                tokio::time::sleep(ms(5)).await;
            }
        })
        .await;
        // for new connections only: the old ones have nobody at their other end
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
