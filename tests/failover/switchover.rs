//! A planned switchover: the primary is demoted, then the replica is promoted (case 36).

use std::future::IntoFuture as _;

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Annotate as _, Done, Error, TxOpts, Unavailable};
use mysql_retry_fixture::{
    Events, Pair,
    failover::{in_time, until_counters, wait_moved_to},
};
use tokio::sync::Semaphore;

use crate::support::{begin_load, over, shorten_lock_waits, wait_down};

/// Demotes one server, and promotes the other when it has all commits.
async fn switch_over(pair: &Pair, from: usize, to: usize) {
    pair.demote(from).await;
    pair.catch_up(to).await;
    pair.promote(to).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_caller_notices_a_switchover_under_load_there_and_back() {
    let pair = Pair::start().await;
    shorten_lock_waits(&pair).await;
    let events = Events::default();
    let exec = over(&pair, &events);
    let load = begin_load("switchover", &pair, &exec).await;
    load.reach(150).await;
    pair.demote(0).await;
    until_counters(&exec, |it| it.waiting > 0).await;
    pair.catch_up(1).await;
    pair.promote(1).await;
    load.reach(150).await;
    let (first, second) = (pair.first().address(), pair.second().address());
    assert_eq!(events.moves(), [(first.clone(), second.clone())]);
    assert_eq!(exec.counters().outages, 1, "{:?}", events.recorded());
    wait_down(&events, Unavailable::ReadOnly).await;

    pair.follow(0).await;
    pair.catch_up(0).await;
    switch_over(&pair, 1, 0).await;
    wait_moved_to(&events, pair.first()).await;
    load.reach(150).await;
    assert_eq!(events.moves(), [(first.clone(), second.clone()), (second, first)]);
    let books = load.close(pair.first()).await;
    books.assert_true();
    books.assert_nothing_surfaced();
}

// a server rolls back what it refuses to commit, so that a second COMMIT would succeed and commit nothing
#[tokio::test]
async fn a_transaction_whose_commit_is_refused_is_run_again_on_the_new_primary() {
    for guarded in [false, true] {
        let pair = Pair::start().await;
        let events = Events::default();
        let exec = over(&pair, &events);
        pair.first().query_drop("CREATE TABLE t (n INT NOT NULL)").await;
        exec.create_guard_table().await.expect("created");
        let (written, demoted) = (Semaphore::new(0), Semaphore::new(0));
        let (has_written, is_demoted) = (&written, &demoted);
        let work = exec.transaction(TxOpts::default(), move |mut tx| async move {
            tx.query_drop("INSERT INTO t VALUES (1)").await?;
            has_written.add_permits(1);
            is_demoted.acquire().await.expect("open").forget();
            Ok::<_, Error>(tx.attempt())
        });
        let call = async {
            match guarded {
                true => work.exactly_once("t").await.map(Done::now),
                false => work.into_future().await.map(Some),
            }
        };
        let trouble = async {
            written.acquire().await.expect("open").forget();
            pair.demote(0).await;
            // one for the run that is refused, one for the next run
            demoted.add_permits(2);
            pair.catch_up(1).await;
            pair.promote(1).await;
        };
        let (done, ()) = in_time(async { tokio::join!(call, trouble) }).await;
        assert_eq!(done.expect("run again"), Some(2), "guarded: {guarded}");
        assert_eq!(pair.second().query_first("SELECT COUNT(*) FROM t").await, Some(1), "guarded: {guarded}");
        assert_eq!(pair.first().query_first("SELECT COUNT(*) FROM t").await, Some(0), "guarded: {guarded}");
    }
}

#[tokio::test]
async fn reads_go_on_at_a_demoted_primary_while_writes_wait() {
    let pair = Pair::start().await;
    let events = Events::default();
    let exec = over(&pair, &events);
    pair.first().query_drop("CREATE TABLE t (n INT NOT NULL)").await;
    exec.query_drop("INSERT INTO t VALUES (1)").await.expect("the primary");
    pair.catch_up(1).await;
    pair.demote(0).await;
    let call = exec.query_drop("INSERT INTO t VALUES (2)");
    let meanwhile = async {
        until_counters(&exec, |it| it.waiting == 1).await;
        for _ in 0..20 {
            let row: Option<(u32, u32)> =
                exec.query_first("SELECT n, @@server_id FROM t".idempotent()).await.expect("reads go on");
            assert_eq!(row, Some((1, 1)));
        }
        assert_eq!(exec.counters().waiting, 1, "the write waits");
        let mut conn = exec.connection().await.expect("a connection, for whatever");
        conn.query_drop("SELECT 1").await.expect("it works");
        drop(conn);
        pair.promote(1).await;
    };
    let (written, ()) = in_time(async { tokio::join!(call, meanwhile) }).await;
    written.expect("the promoted replica");
    let row: Option<(u32, u32)> =
        exec.query_first("SELECT COUNT(*), @@server_id FROM t".idempotent()).await.expect("an answer");
    assert_eq!(row, Some((2, 2)), "reads have moved too");
}
