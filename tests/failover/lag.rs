//! What asynchronous replication loses, which no client can mend, and the guard detects.

use std::future::IntoFuture as _;

use mysql_retry::{Done, Error, Executor, TxOpts};
use mysql_retry_fixture::Pair;

use crate::{
    load::{Kind, Load},
    support::{CALLERS, Events, in_time, over, settle},
};

async fn pay(exec: &Executor, order: u64) -> Result<Done<()>, Error> {
    let payment = exec.transaction(TxOpts::default(), |mut tx| async move {
        tx.query_drop(format!("INSERT INTO payment VALUES ({order})")).await?;
        Ok::<_, Error>(())
    });
    in_time(payment.exactly_once(order).into_future()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_exactly_what_the_promoted_replica_never_had_and_the_token_is_gone_with_the_work() {
    const BEFORE: u64 = 5_000_001;
    const LAGGING: u64 = 5_000_002;
    let pair = Pair::start().await;
    let events = Events::default();
    let exec = over(&pair, &events);
    pair.first().query_drop("CREATE TABLE payment (n INT NOT NULL)").await;
    Load::lay_out("lag", pair.first(), &exec, CALLERS).await;
    assert_eq!(pay(&exec, BEFORE).await.expect("paid"), Done::Now(()));
    // reads see less after the failover than before it
    let load = Load::begin("lag", &exec, CALLERS, false);
    load.reach(150).await;
    let pause = load.pause().await;
    pair.catch_up(1).await;
    pair.stop_replication(1).await;
    drop(pause);
    load.reach(100).await;
    let pause = load.pause().await;
    assert_eq!(pay(&exec, LAGGING).await.expect("paid"), Done::Now(()));
    let [row, _, _, transfer] = crate::load::tables("lag");
    let sql = |table: &str| format!("SELECT COALESCE(GROUP_CONCAT(n ORDER BY n), '') FROM {table}");
    let numbers = async |table: &str, number: usize| -> Vec<u32> {
        let server = pair.server(number);
        server.query_drop("SET GLOBAL group_concat_max_len = 1000000").await;
        let all: String = server.query_first(sql(table)).await.expect("a row");
        all.split(',').filter_map(|n| n.parse().ok()).collect()
    };
    let mut never_had = Vec::new();
    for table in [&row, &transfer] {
        let there = numbers(table, 1).await;
        never_had.extend(numbers(table, 0).await.into_iter().filter(|n| !there.contains(n)));
    }
    assert!(!never_had.is_empty(), "nothing was written while the replica lagged");
    pair.first().kill().await;
    settle().await;
    drop(pause);
    pair.promote(1).await;
    load.reach(200).await;
    // what is there tells what was done
    assert_eq!(pay(&exec, BEFORE).await.expect("found"), Done::Before { payload: None });
    assert_eq!(pay(&exec, LAGGING).await.expect("paid again"), Done::Now(()));
    let paid: Option<(u32, u32)> = pair.second().query_first("SELECT COUNT(*), COUNT(DISTINCT n) FROM payment").await;
    assert_eq!(paid, Some((2, 2)));

    let books = load.close(pair.second()).await;
    books.assert_true_but_for_the_lost();
    books.assert_nothing_surfaced();
    let mut lost: Vec<u32> = books.lost().iter().filter(|(kind, _)| *kind != Kind::Set).map(|(_, n)| *n).collect();
    lost.sort_unstable();
    never_had.sort_unstable();
    assert_eq!(lost, never_had);
}
