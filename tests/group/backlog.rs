//! A primary is elected that has not applied everything: it holds what begins a transaction until it has.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mysql_async::{Conn, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Error, Outcome, RetryPolicy, TxOpts};
use mysql_retry_fixture::{Group, Recorded, ms};

use crate::{
    support::{DEADLINE, LIMIT, Rights, Timed, long_scene, timed},
    user::User,
};

/// Rows that the new primary has heard of and cannot apply, as someone reads their table under a lock.
const BACKLOG: u32 = 50;

/// How long a statement may take.
const ATTEMPT: Duration = ms(3_000);

/// What calls have left behind is ended within this time.
const ENDING: Duration = Duration::from_secs(15);

/// Sessions that Group Replication keeps from beginning a transaction, by user and by what they wait to run.
const HELD: &str = "SELECT user, IFNULL(LEFT(info, 60), ''), COUNT(*) FROM performance_schema.processlist \
                    WHERE state LIKE 'Executing hook on transaction begin%' GROUP BY 1, 2";

type Held = Vec<(String, String, u32)>;

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

/// How many statements of a user's are held.
fn left(user: &User, held: &Held) -> usize {
    let own = held.iter().filter(|(_, text, _)| text.contains(&format!(" {} ", user.name)));
    own.map(|(.., count)| *count as usize).sum()
}

/// How many statements a user was told to be still at work.
fn unfenced(user: &User) -> usize {
    user.events.recorded().iter().filter(|it| matches!(it, Recorded::Unfenced { .. })).count()
}

fn sum(held: &Held) -> u32 {
    held.iter().map(|(.., count)| count).sum()
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
        // a session that is held is at work in the eyes of the watch, so that only this ends the wait
        let policy = RetryPolicy::builder().deadline(DEADLINE).attempt_timeout(ATTEMPT).build().expect("valid");
        User::with(name, DEADLINE, targets, |builder| builder.policy(policy).accept_read_only(reader))
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

    // a new connection would not be let in if what is held took all places
    let mut looker = group.node(new).connect().await;
    let mut held = Held::new();
    let look = async {
        loop {
            let now: Held = looker.query(HELD).await.expect("a list");
            if sum(&now) > sum(&held) {
                held = now;
            }
            tokio::time::sleep(ms(100)).await;
        }
    };
    let all = tokio::select! {
        all = join_all(users.iter().map(calls)) => all,
        () = look => unreachable!("it looks for ever"),
    };
    // what was left behind is ended beside the calls
    let mut after: Held = looker.query(HELD).await.expect("a list");
    let end = Instant::now() + ENDING;
    while users.iter().any(|user| left(user, &after) > unfenced(user)) && Instant::now() < end {
        tokio::time::sleep(ms(100)).await;
        after = looker.query(HELD).await.expect("a list");
    }
    println!("held at most {}: {held:#?}; {} when all calls have ended: {after:#?}", sum(&held), sum(&after));
    // each probe that is held ends after a second
    let probes: u32 = held.iter().chain(&after).filter(|(_, text, _)| text == "BEGIN").map(|(.., count)| count).sum();
    assert!(probes <= 60, "{probes} probes are held");
    looker.disconnect().await.expect("a goodbye");
    for lock in locks {
        lock.disconnect().await.expect("a goodbye");
    }
    group.make_whole().await;
    group.set_global("group_replication_flow_control_mode = 'QUOTA'").await;

    for (user, calls) in users.iter().zip(&all) {
        let (left, unfenced) = (left(user, &after), unfenced(user));
        println!("{}: left behind {left}, unfenced {unfenced}, moves {:?}", user.name, user.events.moves());
        assert!(left <= unfenced, "{}: {left} statements left behind, {unfenced} of them said", user.name);
        for call in calls {
            assert!(call.took <= LIMIT, "{}", call.line());
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
