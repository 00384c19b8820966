//! An executor that accepts secondaries, while one of them starts and has not caught up.

use std::time::Instant;

use mysql_retry::Annotate as _;
use mysql_retry_fixture::{Events, ms};

use crate::support::{Rights, Scene, builder, long_scene};

/// What is written while the secondary is away: it takes a moment to apply.
const BACKLOG: u32 = 2_000;

async fn reads_never_go_back(scene: &Scene, rights: Rights) {
    let group = scene.group;
    scene.table("reading").await;
    let primary = group.primary().await;
    let [restarted, other] = group.others(primary);
    let server = group.node(primary);
    server.query_drop("INSERT INTO reading (n, v) VALUES (1, 0)").await;
    for number in 0..3 {
        group.catch_up(number).await;
    }
    let events = Events::default();
    let targets = [scene.opts(restarted, rights), scene.opts(other, rights)];
    let exec = builder("reading", &events).accept_read_only(true).build_targets(targets).expect("good options");
    let read = async || -> (u32, u16) {
        let sql = "SELECT v, @@port FROM reading WHERE n = 1".idempotent();
        exec.query_first(sql).await.expect("an answer").expect("a row")
    };
    assert_eq!(read().await, (0, group.node(restarted).port()));
    group.node(restarted).kill().await;
    group.until_members(primary, 2).await;
    let mut conn = server.connect().await;
    for n in 0..BACKLOG {
        use mysql_async::prelude::Queryable as _;
        conn.query_drop(format!("INSERT INTO reading (n, v) VALUES ({}, 0)", n + 10)).await.expect("a row");
    }
    drop(conn);
    server.query_drop("UPDATE reading SET v = 100 WHERE n = 1").await;
    group.catch_up(other).await;
    assert_eq!(read().await, (100, group.node(other).port()));

    group.node(restarted).launch_again();
    let begun = Instant::now();
    let (mut stale, mut used, mut online) = (Vec::new(), None, None);
    // two seconds beyond the moment in which it is a member again
    while online.is_none_or(|at: Instant| at.elapsed() < ms(2_000)) {
        let (value, port) = read().await;
        if value != 100 {
            stale.push((begun.elapsed(), value, port));
        }
        if port == group.node(restarted).port() && used.is_none() {
            used = Some((begun.elapsed(), group.state(restarted).await));
        }
        if online.is_none() && group.state(restarted).await.as_deref() == Some("ONLINE") {
            println!("ONLINE after {:?}", begun.elapsed());
            online = Some(Instant::now());
        }
        assert!(begun.elapsed() < ms(60_000), "it does not come back");
        tokio::time::sleep(ms(5)).await;
    }
    println!(
        "first used {used:?}; moves {:?}; {} stale reads, the first {:?}",
        events.moves(),
        stale.len(),
        stale.first()
    );
    group.make_whole().await;
    assert!(stale.is_empty(), "{} reads went back, the first {:?}", stale.len(), stale[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_99_a_reader_does_not_move_to_a_secondary_that_has_not_caught_up() {
    let Some(scene) = long_scene().await else { return };
    reads_never_go_back(&scene, Rights::Informed).await;
}
