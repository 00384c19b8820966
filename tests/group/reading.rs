//! An executor that accepts secondaries, while one of them starts and has not caught up.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;
use mysql_retry::Annotate as _;
use mysql_retry_fixture::ms;

use crate::{
    support::{DEADLINE, Rights, long_scene},
    user::User,
};

/// What is written while the secondary is away: it takes a moment to apply.
const BACKLOG: u32 = 2_000;

/// What a user reads, and from where.
#[derive(Debug, Default)]
struct Reads {
    /// Values of the past.
    stale: Vec<(Duration, u32, u16)>,
    /// When the restarted node was used for the first time, and its state then.
    used: Option<(Duration, Option<String>)>,
}

async fn read(user: &User) -> (u32, u16) {
    let sql = "SELECT v, @@port FROM reading WHERE n = 1".idempotent();
    user.exec.query_first(sql).await.expect("an answer").expect("a row")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_99_and_102_a_reader_does_not_move_to_a_secondary_that_has_not_caught_up() {
    let Some(scene) = long_scene().await else { return };
    let group = scene.group;
    scene.table("reading").await;
    let primary = group.primary().await;
    let [restarted, other] = group.others(primary);
    let server = group.node(primary);
    server.query_drop("INSERT INTO reading (n, v) VALUES (1, 0)").await;
    for number in 0..3 {
        group.catch_up(number).await;
    }
    let users = [("reading", Rights::Informed), ("reading_ordinary", Rights::Ordinary)].map(|(name, rights)| {
        let targets = [scene.opts(restarted, rights), scene.opts(other, rights)];
        User::with(name, DEADLINE, targets, |builder| builder.accept_read_only(true))
    });
    for user in &users {
        assert_eq!(read(user).await, (0, group.node(restarted).port()));
    }
    group.node(restarted).kill().await;
    group.until_members(primary, 2).await;
    let mut conn = server.connect().await;
    for n in 0..BACKLOG {
        conn.query_drop(format!("INSERT INTO reading (n, v) VALUES ({}, 0)", n + 10)).await.expect("a row");
    }
    drop(conn);
    server.query_drop("UPDATE reading SET v = 100 WHERE n = 1").await;
    group.catch_up(other).await;
    for user in &users {
        assert_eq!(read(user).await, (100, group.node(other).port()));
    }

    group.node(restarted).launch_again();
    let begun = Instant::now();
    let mut all = [Reads::default(), Reads::default()];
    let mut online = None;
    // two seconds beyond the moment in which it is a member again
    while online.is_none_or(|at: Instant| at.elapsed() < ms(2_000)) {
        for (user, reads) in users.iter().zip(&mut all) {
            let (value, port) = read(user).await;
            if value != 100 {
                reads.stale.push((begun.elapsed(), value, port));
            }
            if port == group.node(restarted).port() && reads.used.is_none() {
                reads.used = Some((begun.elapsed(), group.state(restarted).await));
            }
        }
        if online.is_none() && group.state(restarted).await.as_deref() == Some("ONLINE") {
            println!("ONLINE after {:?}", begun.elapsed());
            online = Some(Instant::now());
        }
        assert!(begun.elapsed() < ms(60_000), "it does not come back");
        tokio::time::sleep(ms(5)).await;
    }
    for (user, Reads { stale, used }) in users.iter().zip(&all) {
        let (name, moves, first) = (user.name, user.events.moves(), stale.first());
        println!("{name}: first used {used:?}; moves {moves:?}; {} stale reads, the first {first:?}", stale.len());
    }
    group.make_whole().await;
    for (user, Reads { stale, .. }) in users.iter().zip(&all) {
        assert!(stale.is_empty(), "{}: {} reads went back, the first {:?}", user.name, stale.len(), stale[0]);
    }
}
