//! What asynchronous replication loses in a failover: no client can prevent it, and the guard detects it.

use std::{future::IntoFuture as _, sync::Arc};

use mysql_retry::{Done, Error, Executor, Outcome, Reason, TxOpts};
use mysql_retry_fixture::{
    Events, Fault, Pair, Place, Proxy, Rule, When,
    failover::{Call, Load, in_time, tables},
};

use crate::support::{CALLERS, builder, builder_that_opens, over, settle};

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
    // after the failover a read may see an older value than before
    let load = Load::begin("lag", &exec, CALLERS, false);
    load.reach(150).await;
    let pause = load.pause().await;
    pair.catch_up(1).await;
    pair.stop_replication(1).await;
    drop(pause);
    load.reach(100).await;
    let pause = load.pause().await;
    assert_eq!(pay(&exec, LAGGING).await.expect("paid"), Done::Now(()));
    let [row, _, _, transfer] = tables("lag");
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
    // the token tells which payment the promoted replica has
    let found = pay(&exec, BEFORE).await;
    assert!(matches!(found, Ok(Done::Before { payload: None, .. })), "{found:?}");
    assert_eq!(pay(&exec, LAGGING).await.expect("paid again"), Done::Now(()));
    let paid: Option<(u32, u32)> = pair.second().query_first("SELECT COUNT(*), COUNT(DISTINCT n) FROM payment").await;
    assert_eq!(paid, Some((2, 2)));

    let books = load.close(pair.second()).await;
    books.assert_true_but_for_the_lost();
    books.assert_nothing_surfaced();
    let mut lost: Vec<u32> = books.lost().iter().filter(|(call, _)| *call != Call::Set).map(|(_, n)| *n).collect();
    lost.sort_unstable();
    never_had.sort_unstable();
    assert_eq!(lost, never_had);
}

/// A payment whose first COMMIT is lost and whose second run fails, at a replica that has not heard of the first one. Returns its
/// error.
async fn fail_to_pay_again(pair: &Pair, exec: &Executor) -> Error {
    let payment = exec.transaction(TxOpts::default(), |mut tx| async move {
        let table = if tx.attempt() == 1 { "payment" } else { "no_such_table" };
        tx.query_drop(format!("INSERT INTO {table} VALUES (1)")).await?;
        Ok::<_, Error>(())
    });
    let error = in_time(payment.exactly_once("t").into_future()).await.expect_err("no such table");
    let paid: Option<u32> = pair.first().query_first("SELECT COUNT(*) FROM payment").await;
    assert_eq!(paid, Some(1), "the lost COMMIT took effect");
    let text = error.to_string();
    assert!(text.contains("call again with the same token") && !text.contains("with a token (exactly_once)"), "{text}");
    error
}

/// Makes the tables, stops replication, and promotes the second server.
async fn lagging(exec: &Executor, pair: &Pair) {
    exec.create_guard_table().await.expect("created");
    pair.first().query_drop("CREATE TABLE payment (n INT NOT NULL)").await;
    pair.catch_up(1).await;
    pair.stop_replication(1).await;
    pair.promote(1).await;
}

/// The session of the lost COMMIT is seen gone at the old primary. Even so, that the token is free at the new one proves nothing
/// about the old one.
#[tokio::test]
async fn a_rerun_at_a_replica_that_lags_does_not_say_that_nothing_was_done_at_the_old_primary() {
    let pair = Pair::start().await;
    let proxy = Arc::new(Proxy::start(pair.first()).await);
    let events = Events::default();
    let exec = builder_that_opens(&proxy, &events)
        .build_targets([pair.as_app(proxy.opts()), pair.opts(1)])
        .expect("good options");
    lagging(&exec, &pair).await;
    proxy.rule(Rule::new(When::text("COMMIT"), Place::LastResult, Fault::AcceptAndClose));
    let error = fail_to_pay_again(&pair, &exec).await;
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::CommitLost), "{error}");
    assert_eq!((exec.counters().moves, exec.counters().unfenced), (1, 0), "{:?}", events.recorded());
}

/// The same where a rerun has already begun at the old primary, which then refuses it.
#[tokio::test]
async fn a_rerun_that_is_refused_at_the_old_primary_does_not_say_elsewhere_that_nothing_was_done() {
    let pair = Pair::start().await;
    let proxy = Proxy::start(pair.first()).await;
    let events = Events::default();
    let exec = builder(&events).build_targets([pair.as_app(proxy.opts()), pair.opts(1)]).expect("good options");
    lagging(&exec, &pair).await;
    let begins = || Rule::new(When::text("START TRANSACTION"), Place::Request(0), Fault::Silence);
    proxy.rules([Rule::reply_lost(When::text("COMMIT")), begins().skip(1)]);
    let demotes = async {
        proxy.wait_fired(2).await;
        pair.demote(0).await;
        proxy.heal().await;
    };
    let (error, ()) = tokio::join!(fail_to_pay_again(&pair, &exec), demotes);
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::CommitLost), "{error}");
    assert_eq!((exec.counters().moves, exec.counters().unfenced), (1, 0), "{:?}", events.recorded());
}
