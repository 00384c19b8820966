//! A primary is elected that has not applied everything: it holds what begins a transaction until it has.

use futures_util::future::join_all;
use mysql_async::{Conn, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Error, Outcome, TxOpts};
use mysql_retry_fixture::{Group, Recorded, ms};

use crate::{
    support::{DEADLINE, Rights, SLACK, Timed, WATCH, long_scene, timed},
    user::User,
};

/// Rows that the new primary has heard of and cannot apply, as someone reads their table under a lock.
const BACKLOG: u32 = 50;

/// What sessions do that Group Replication keeps from beginning a transaction.
const HELD: &str = "SELECT COUNT(*) FROM information_schema.processlist \
                    WHERE state LIKE 'Executing hook on transaction begin%' AND user IN ('app', 'informed')";

const SESSIONS: &str = "SELECT user, command, time, IFNULL(state, ''), IFNULL(LEFT(info, 60), '') \
                        FROM information_schema.processlist WHERE user IN ('app', 'informed') AND command <> 'Sleep'";

/// Keeps a secondary from applying changes of the table `backlog`.
async fn hold(group: &Group, number: usize) -> Conn {
    let mut conn = group.node(number).connect().await;
    conn.query_drop("LOCK TABLES test.backlog READ").await.expect("locked");
    conn
}

async fn insert(user: &User, n: u32) -> Timed<()> {
    let sql = format!("INSERT INTO {} (n) VALUES ({n})", user.name);
    timed(format!("{}: INSERT {n}", user.name), async { user.exec.query_drop(sql).await.map(drop) }).await
}

async fn update(user: &User, n: u32) -> Timed<()> {
    let sql = format!("REPLACE INTO {} (id, n) VALUES ({}, {n})", user.name, 1000 + n).idempotent();
    timed(format!("{}: REPLACE {n}", user.name), async { user.exec.query_drop(sql).await.map(drop) }).await
}

async fn transaction(user: &User, n: u32) -> Timed<()> {
    let table = user.name;
    let work = user.exec.transaction(TxOpts::default(), |mut tx| async move {
        tx.query_drop(format!("INSERT INTO {table} (n) VALUES ({n})")).await?;
        Ok::<_, Error>(())
    });
    timed(format!("{table}: transaction {n}"), async { work.await }).await
}

async fn read(user: &User, n: u32) -> Timed<()> {
    let sql = "SELECT COUNT(*) FROM backlog".idempotent();
    timed(format!("{}: read {n}", user.name), async {
        user.exec.query_first::<u32, _>(sql).await.map(|seen| println!("{}: sees {seen:?}", user.name))
    })
    .await
}

async fn calls(user: &User) -> Vec<Timed<()>> {
    let inserts = join_all((0..3).map(|n| insert(user, n)));
    let updates = join_all((10..13).map(|n| update(user, n)));
    let transactions = join_all((20..23).map(|n| transaction(user, n)));
    let reads = join_all((30..32).map(|n| read(user, n)));
    let (inserts, updates, transactions, reads) = tokio::join!(inserts, updates, transactions, reads);
    [inserts, updates, transactions, reads].into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_100_a_primary_with_a_backlog_holds_no_call_beyond_its_deadline() {
    let Some(scene) = long_scene().await else { return };
    let group = scene.group;
    group.set_global("group_replication_flow_control_mode = 'DISABLED'").await;
    let old = group.primary().await;
    let user = |name, rights, reader| {
        let [first, second, third] = scene.targets(old, rights);
        let targets = if reader { [second, third, first] } else { [first, second, third] };
        User::with(name, DEADLINE, targets, |builder| builder.accept_read_only(reader))
    };
    let users = [
        user("held", Rights::Informed, false),
        user("held_ordinary", Rights::Ordinary, false),
        user("held_reader", Rights::Informed, true),
        user("held_reader_ordinary", Rights::Ordinary, true),
    ];
    for user in &users {
        scene.table(user.name).await;
        user.exec.query_drop("SELECT 1").await.expect("connected");
    }
    scene.table("backlog").await;
    let [second, third] = group.others(old);
    let locks = [hold(group, second).await, hold(group, third).await];
    for n in 0..BACKLOG {
        group.node(old).query_drop(format!("INSERT INTO backlog (n) VALUES ({n})")).await;
    }
    group.node(old).kill().await;
    let new = group.primary_after(old).await;
    println!("the new primary takes writes: {}", group.takes_writes(new).await);

    let mut held = 0;
    let look = async {
        loop {
            let now: Option<u32> = group.node(new).query_first(HELD).await;
            held = held.max(now.unwrap_or_default());
            tokio::time::sleep(ms(100)).await;
        }
    };
    let all = tokio::select! {
        all = join_all(users.iter().map(calls)) => all,
        () = look => unreachable!("it looks for ever"),
    };
    let sessions: Vec<(String, String, i64, String, String)> =
        group.node(new).connect().await.query(SESSIONS).await.expect("a list");
    println!("held at most {held}; takes writes: {}; still there: {sessions:#?}", group.takes_writes(new).await);
    for lock in locks {
        lock.disconnect().await.expect("a goodbye");
    }
    group.make_whole().await;
    group.set_global("group_replication_flow_control_mode = 'QUOTA'").await;

    for (user, calls) in users.iter().zip(&all) {
        let unfenced = user.events.recorded().iter().filter(|it| matches!(it, Recorded::Unfenced { .. })).count();
        println!("{}: codes: {}, unfenced {unfenced}, moves {:?}", user.name, user.codes.line(), user.events.moves());
        for call in calls {
            assert!(call.took <= DEADLINE + 2 * WATCH + SLACK, "{}", call.line());
        }
        for (call, n) in calls.iter().zip([0, 1, 2, 10, 11, 12, 20, 21, 22]) {
            let there = scene.count(user.name, n).await;
            let right = match call.outcome() {
                None => there == 1,
                Some(Outcome::NotExecuted | Outcome::Failed) => there == 0,
                Some(Outcome::Unknown) => there <= 1,
            };
            assert!(right, "{there} times there: {}", call.line());
        }
    }
}
