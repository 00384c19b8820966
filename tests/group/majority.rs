//! The nodes that make the majority do not answer: what was to be committed waits for them.

use std::{future::IntoFuture as _, time::Duration};

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Error, Executor, Outcome, TxOpts, Unavailable};
use mysql_retry_fixture::{Events, Recorded, ms};

use crate::support::{Codes, DEADLINE, Rights, SLACK, Scene, Timed, WATCH, builder, long_scene, timed, with_deadline};

/// When a majority comes back that calls should not have waited for.
const FROZEN: Duration = ms(30_000);

/// The longest that a call may take.
const LIMIT: Duration = ms(DEADLINE.as_millis() as u64 + 2 * WATCH.as_millis() as u64 + SLACK.as_millis() as u64);

/// Rows that are updated have ids from here on.
const UPDATED: u32 = 1000;

/// The table with a row for each call that updates one: no call waits for the lock of another.
fn values(table: &str) -> String {
    format!("{table}_value")
}

async fn insert(exec: &Executor, table: &str, n: u32) -> Timed<()> {
    timed(format!("INSERT {n}"), async {
        exec.query_drop(format!("INSERT INTO {table} (n) VALUES ({n})")).await.map(drop)
    })
    .await
}

async fn update(exec: &Executor, table: &str, n: u32) -> Timed<()> {
    timed(format!("UPDATE {n}"), async {
        exec.query_drop(format!("UPDATE {} SET v = 7 WHERE id = {n}", values(table)).idempotent()).await.map(drop)
    })
    .await
}

async fn transaction(exec: &Executor, table: &str, n: u32, guarded: bool) -> Timed<()> {
    let work = exec.transaction(TxOpts::default(), |mut tx| async move {
        tx.query_drop(format!("INSERT INTO {table} (n) VALUES ({n})")).await?;
        tx.query_drop(format!("UPDATE {} SET v = v + 1 WHERE id = {n}", values(table))).await?;
        Ok::<_, Error>(())
    });
    match guarded {
        true => timed(format!("guarded {n}"), async { work.exactly_once(n.to_string()).await.map(drop) }).await,
        false => timed(format!("transaction {n}"), work.into_future()).await,
    }
}

/// A table with rows to update, and open connections to the primary.
async fn prepare(scene: &Scene, exec: &Executor, table: &str) {
    scene.table(table).await;
    let primary = scene.group.node(scene.group.primary().await);
    let values = values(table);
    primary.query_drop(format!("DROP TABLE IF EXISTS {values}")).await;
    primary.query_drop(format!("CREATE TABLE {values} (id INT PRIMARY KEY, v INT NOT NULL)")).await;
    let ids: Vec<String> = (10..30).chain(UPDATED..UPDATED + 8).map(|id| format!("({id}, 0)")).collect();
    primary.query_drop(format!("INSERT INTO {values} VALUES {}", ids.join(", "))).await;
    exec.create_guard_table().await.expect("the guard's table");
    let warm = join_all((0..20).map(|_| exec.query_drop("SELECT SLEEP(0.2)"))).await;
    assert!(warm.iter().all(Result::is_ok), "{warm:?}");
}

/// Cuts the primary off under 16 calls, makes one more call, and gives the majority back after 30 s at the latest.
async fn calls_end_in_time(scene: &Scene, rights: Rights, table: &str) {
    let group = scene.group;
    let primary = group.primary().await;
    let (events, codes) = (Events::default(), Codes::default());
    let exec = codes.record(builder(table, &events), DEADLINE);
    let exec = exec.build_targets(scene.targets(primary, rights)).expect("good options");
    prepare(scene, &exec, table).await;

    group.freeze_majority(primary);
    let calls = async {
        let inserts = join_all((0..6).map(|n| insert(&exec, table, n)));
        let updates = join_all((UPDATED..UPDATED + 5).map(|n| update(&exec, table, n)));
        let transactions = join_all((10..15).map(|n| transaction(&exec, table, n, false)));
        let (inserts, updates, transactions) = tokio::join!(inserts, updates, transactions);
        let all: Vec<Timed<()>> = inserts.into_iter().chain(updates).chain(transactions).collect();
        (all, insert(&exec, table, 50).await)
    };
    let give_back = async {
        tokio::time::sleep(FROZEN).await;
        group.thaw_all();
    };
    let ((all, later), ()) = tokio::join!(calls, give_back);
    group.make_whole().await;
    println!("codes: {}", codes.line());
    let downs: Vec<_> = events.recorded().into_iter().filter(|it| matches!(it, Recorded::Down { .. })).collect();
    println!("down: {downs:?}");
    let after = insert(&exec, table, 60).await;

    for call in &all {
        assert!(call.took <= LIMIT, "{}", call.line());
        assert_eq!(call.outcome(), Some(Outcome::Unknown), "{}", call.line());
    }
    assert!(later.took <= LIMIT, "{}", later.line());
    assert_eq!(later.outcome(), Some(Outcome::NotExecuted), "{}", later.line());
    assert!(downs.contains(&Recorded::Down { why: Unavailable::NotReady }), "{downs:?}");
    assert!(after.result.is_ok(), "{}", after.line());
    for n in (0..6).chain(10..15) {
        assert!(scene.count(table, n).await <= 1, "{n} is there more than once");
    }
    assert_eq!((scene.count(table, 50).await, scene.count(table, 60).await), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_93_calls_that_wait_for_a_majority_end_as_unknown_in_time() {
    let Some(scene) = long_scene().await else { return };
    calls_end_in_time(&scene, Rights::Informed, "frozen").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_102_they_do_so_for_a_user_who_may_not_look_at_the_group() {
    let Some(scene) = long_scene().await else { return };
    calls_end_in_time(&scene, Rights::Ordinary, "frozen_ordinary").await;
}

/// The node gives up by itself after 4 s (3100), and the group commits most of it later.
async fn what_is_given_up(scene: &Scene, rights: Rights, table: &str) {
    let group = scene.group;
    group.set_global("group_replication_unreachable_majority_timeout = 4").await;
    let primary = group.primary().await;
    let (events, codes) = (Events::default(), Codes::default());
    // the node's answer is wanted, not that of the watch
    let exec = codes.record(with_deadline(table, &events, ms(60_000)), ms(60_000)).watch_after(None);
    let exec = exec.build_targets(scene.targets(primary, rights)).expect("good options");
    prepare(scene, &exec, table).await;

    group.freeze_majority(primary);
    let calls = async {
        let inserts = join_all((0..4).map(|n| insert(&exec, table, n)));
        let updates = join_all((UPDATED..UPDATED + 4).map(|n| update(&exec, table, n)));
        let transactions = join_all((10..14).map(|n| transaction(&exec, table, n, false)));
        let guarded = join_all((20..24).map(|n| transaction(&exec, table, n, true)));
        tokio::join!(inserts, updates, transactions, guarded)
    };
    let give_back = async {
        tokio::time::sleep(ms(10_000)).await;
        group.thaw_all();
        group.make_whole().await;
    };
    let ((inserts, updates, transactions, guarded), ()) = tokio::join!(calls, give_back);
    println!("codes: {}", codes.line());
    let mut there = 0;
    for n in (0..4).chain(10..14) {
        let times = scene.count(table, n).await;
        assert!(times <= 1, "{n} is there more than once");
        there += times;
    }
    println!("{there} of 8 unresolved ones were committed");
    for call in inserts.iter().chain(&transactions) {
        assert_eq!(call.outcome(), Some(Outcome::Unknown), "{}", call.line());
    }
    for call in updates.iter().chain(&guarded) {
        assert!(call.result.is_ok(), "{}", call.line());
    }
    for n in 20..24 {
        assert_eq!(scene.count(table, n).await, 1, "guarded {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_94_a_commit_that_the_node_gives_up_is_unknown_and_replayed_if_that_does_no_harm() {
    let Some(scene) = long_scene().await else { return };
    what_is_given_up(&scene, Rights::Informed, "given_up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_102_a_commit_that_is_given_up_is_unknown_for_a_user_who_may_not_look_at_the_group() {
    let Some(scene) = long_scene().await else { return };
    what_is_given_up(&scene, Rights::Ordinary, "given_up_ordinary").await;
}
