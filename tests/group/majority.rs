//! The nodes that make the majority do not answer: what was to be committed waits for them.

use std::{future::IntoFuture as _, pin::pin, time::Duration};

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Error, Outcome, TxOpts, Unavailable};
use mysql_retry_fixture::{Recorded, ms};

use crate::{
    support::{DEADLINE, LIMIT, Rights, Scene, Timed, long_scene, timed},
    user::User,
};

/// When a majority comes back that calls should not have waited for.
const FROZEN: Duration = ms(40_000);

/// Rows that are updated have ids from here on.
const UPDATED: u32 = 1000;

/// The table with a row for each call that updates one: no call waits for the lock of another.
fn values(table: &str) -> String {
    format!("{table}_value")
}

async fn insert(user: &User, n: u32) -> Timed<()> {
    let table = user.name;
    timed(format!("{table}: INSERT {n}"), async {
        user.exec.query_drop(format!("INSERT INTO {table} (n) VALUES ({n})")).await.map(drop)
    })
    .await
}

async fn update(user: &User, n: u32) -> Timed<()> {
    let sql = format!("UPDATE {} SET v = 7 WHERE id = {n}", values(user.name)).idempotent();
    timed(format!("{}: UPDATE {n}", user.name), async { user.exec.query_drop(sql).await.map(drop) }).await
}

async fn transaction(user: &User, n: u32, guarded: bool) -> Timed<()> {
    let table = user.name;
    let work = user.exec.transaction(TxOpts::default(), |mut tx| async move {
        tx.query_drop(format!("INSERT INTO {table} (n) VALUES ({n})")).await?;
        tx.query_drop(format!("UPDATE {} SET v = v + 1 WHERE id = {n}", values(table))).await?;
        Ok::<_, Error>(())
    });
    match guarded {
        true => {
            timed(format!("{table}: guarded {n}"), async { work.exactly_once(n.to_string()).await.map(drop) }).await
        }
        false => timed(format!("{table}: transaction {n}"), work.into_future()).await,
    }
}

/// A table with rows to update, and open connections to the primary.
async fn prepare(scene: &Scene, user: &User) {
    scene.table(user.name).await;
    let values = values(user.name);
    let ids: Vec<String> = (10..30).chain(UPDATED..UPDATED + 8).map(|id| format!("({id}, 0)")).collect();
    let primary = scene.group.node(scene.group.primary().await);
    for sql in [
        format!("DROP TABLE IF EXISTS {values}"),
        format!("CREATE TABLE {values} (id INT PRIMARY KEY, v INT NOT NULL)"),
        format!("INSERT INTO {values} VALUES {}", ids.join(", ")),
    ] {
        primary.query_drop(sql).await;
    }
    user.exec.create_guard_table().await.expect("the guard's table");
    let warm = join_all((0..20).map(|_| user.exec.query_drop("SELECT SLEEP(0.2)"))).await;
    assert!(warm.iter().all(Result::is_ok), "{warm:?}");
}

/// 16 calls without a majority, and one more when they have ended.
async fn calls_in_vain(user: &User) -> (Vec<Timed<()>>, Timed<()>) {
    let inserts = join_all((0..6).map(|n| insert(user, n)));
    let updates = join_all((UPDATED..UPDATED + 5).map(|n| update(user, n)));
    let transactions = join_all((10..15).map(|n| transaction(user, n, false)));
    let (inserts, updates, transactions) = tokio::join!(inserts, updates, transactions);
    let all = inserts.into_iter().chain(updates).chain(transactions).collect();
    (all, insert(user, 50).await)
}

/// Each call had the right verdict in time, and the group holds nothing twice.
async fn assert_in_time(scene: &Scene, user: &User, (all, later): (Vec<Timed<()>>, Timed<()>)) {
    println!("{}: codes: {}", user.name, user.codes.line());
    let downs: Vec<_> = user.events.recorded().into_iter().filter(|it| matches!(it, Recorded::Down { .. })).collect();
    println!("{}: down: {downs:?}", user.name);
    let after = insert(user, 60).await;

    for call in &all {
        assert!(call.took <= LIMIT, "{}", call.line());
        assert_eq!(call.outcome(), Some(Outcome::Unknown), "{}", call.line());
    }
    assert!(later.took <= LIMIT, "{}", later.line());
    assert_eq!(later.outcome(), Some(Outcome::NotExecuted), "{}", later.line());
    assert!(downs.contains(&Recorded::Down { why: Unavailable::NotReady }), "{downs:?}");
    assert!(after.result.is_ok(), "{}", after.line());
    for n in (0..6).chain(10..15) {
        assert!(scene.count(user.name, n).await <= 1, "{n} is there more than once");
    }
    assert_eq!((scene.count(user.name, 50).await, scene.count(user.name, 60).await), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_93_and_102_calls_that_wait_for_a_majority_end_as_unknown_in_time() {
    let Some(scene) = long_scene().await else { return };
    let group = scene.group;
    let primary = group.primary().await;
    let user = |name, rights| User::new(name, DEADLINE, scene.targets(primary, rights));
    let [informed, ordinary] = [user("frozen", Rights::Informed), user("frozen_ordinary", Rights::Ordinary)];
    prepare(&scene, &informed).await;
    prepare(&scene, &ordinary).await;

    group.freeze_majority(primary).await;
    let mut calls = pin!(async { tokio::join!(calls_in_vain(&informed), calls_in_vain(&ordinary)) });
    let ended = match tokio::time::timeout(FROZEN, &mut calls).await {
        Ok(ended) => ended,
        Err(_) => {
            println!("the majority comes back while calls still wait");
            group.thaw_all();
            calls.await
        }
    };
    group.make_whole().await;
    assert_in_time(&scene, &informed, ended.0).await;
    assert_in_time(&scene, &ordinary, ended.1).await;
}

/// What was called while the node gave up, by kind.
struct GivenUp {
    inserts: Vec<Timed<()>>,
    updates: Vec<Timed<()>>,
    transactions: Vec<Timed<()>>,
    guarded: Vec<Timed<()>>,
}

async fn calls_given_up(user: &User) -> GivenUp {
    let inserts = join_all((0..4).map(|n| insert(user, n)));
    let updates = join_all((UPDATED..UPDATED + 4).map(|n| update(user, n)));
    let transactions = join_all((10..14).map(|n| transaction(user, n, false)));
    let guarded = join_all((20..24).map(|n| transaction(user, n, true)));
    let (inserts, updates, transactions, guarded) = tokio::join!(inserts, updates, transactions, guarded);
    GivenUp { inserts, updates, transactions, guarded }
}

async fn assert_given_up(scene: &Scene, user: &User, calls: GivenUp) {
    let table = user.name;
    println!("{table}: codes: {}", user.codes.line());
    let mut there = 0;
    for n in (0..4).chain(10..14) {
        let times = scene.count(table, n).await;
        assert!(times <= 1, "{n} is there more than once");
        there += times;
    }
    println!("{table}: {there} of 8 unresolved ones were committed");
    for call in calls.inserts.iter().chain(&calls.transactions) {
        assert_eq!(call.outcome(), Some(Outcome::Unknown), "{}", call.line());
    }
    for call in calls.updates.iter().chain(&calls.guarded) {
        assert!(call.result.is_ok(), "{}", call.line());
    }
    for n in 20..24 {
        assert_eq!(scene.count(table, n).await, 1, "guarded {n}");
    }
}

/// The node gives up by itself after 4 s (3100), and the group commits most of it later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_94_and_102_a_commit_that_the_node_gives_up_is_unknown_and_replayed_if_that_does_no_harm() {
    let Some(scene) = long_scene().await else { return };
    let group = scene.group;
    group.set_global("group_replication_unreachable_majority_timeout = 4").await;
    let primary = group.primary().await;
    let user = |name, rights| {
        // the node's answer is wanted, not that of the watch
        User::with(name, ms(60_000), scene.targets(primary, rights), |builder| builder.watch_after(None))
    };
    let [informed, ordinary] = [user("given_up", Rights::Informed), user("given_up_ordinary", Rights::Ordinary)];
    prepare(&scene, &informed).await;
    prepare(&scene, &ordinary).await;

    group.freeze_majority(primary).await;
    let give_back = async {
        tokio::time::sleep(ms(10_000)).await;
        group.thaw_all();
        group.make_whole().await;
    };
    let (of_informed, of_ordinary, ()) = tokio::join!(calls_given_up(&informed), calls_given_up(&ordinary), give_back);
    assert_given_up(&scene, &informed, of_informed).await;
    assert_given_up(&scene, &ordinary, of_ordinary).await;
}
