//! One address behind which the server changes; the executor knows no other.

use mysql_retry::Annotate as _;
use mysql_retry_fixture::{
    Events, Pair, Proxy,
    failover::{in_time, until_counters},
};

use crate::support::{begin_load, builder, shorten_lock_waits};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_caller_notices_that_the_address_leads_to_the_promoted_replica_from_now_on() {
    let pair = Pair::start().await;
    shorten_lock_waits(&pair).await;
    let proxy = Proxy::start(pair.first()).await;
    let events = Events::default();
    let exec = builder(&events).build(pair.as_app(proxy.opts())).expect("good options");
    let load = begin_load("one-address", &pair, &exec).await;
    load.reach(150).await;
    pair.demote(0).await;
    until_counters(&exec, |it| it.waiting > 0).await;
    pair.catch_up(1).await;
    pair.promote(1).await;
    // the address leads to the new primary only later
    let probes = exec.counters().probes;
    until_counters(&exec, |it| it.probes > probes + 2).await;
    proxy.point_at(pair.second());
    load.reach(200).await;
    let books = load.close(pair.second()).await;
    books.assert_true();
    books.assert_nothing_surfaced();
    assert!(exec.counters().outages >= 1 && events.moves().is_empty(), "{:?}", events.recorded());
}

/// The read began at the old primary, and returns its connection after the new one has executed a write.
#[tokio::test]
async fn a_connection_of_a_read_that_began_at_the_old_primary_is_not_used_after_the_next_write() {
    let pair = Pair::start().await;
    pair.first().query_drop("CREATE TABLE t (n INT NOT NULL)").await;
    let proxy = Proxy::start(pair.first()).await;
    let events = Events::default();
    let exec = builder(&events).build(pair.as_app(proxy.opts())).expect("good options");
    exec.query_drop("INSERT INTO t VALUES (1)").await.expect("the primary");
    pair.catch_up(1).await;
    pair.demote(0).await;
    let call = exec.query_drop("INSERT INTO t VALUES (2)");
    let meanwhile = async {
        until_counters(&exec, |it| it.waiting == 1).await;
        let slow = {
            let exec = exec.clone();
            tokio::spawn(async move {
                let read = "SELECT SLEEP(2), COUNT(*) FROM t".idempotent();
                exec.query_first::<(u32, u32), _>(read).await
            })
        };
        pair.first().wait_until_running("SLEEP").await;
        pair.promote(1).await;
        proxy.point_at(pair.second());
        slow.await.expect("no panic")
    };
    let (written, slow) = in_time(async { tokio::join!(call, meanwhile) }).await;
    written.expect("the new primary");
    assert!(slow.expect("a read goes on").is_some());
    for _ in 0..5 {
        let row: Option<(u32, u32)> =
            exec.query_first("SELECT COUNT(*), @@server_id FROM t".idempotent()).await.expect("an answer");
        assert_eq!(row, Some((2, 2)), "it was read from the old primary");
    }
}
