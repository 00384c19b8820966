//! The primary is switched or expelled.

use mysql_retry::Outcome;
use mysql_retry_fixture::{
    Events,
    failover::{Call, Ending, Load, until_counters},
    ms,
};

use crate::support::{Codes, DEADLINE, Rights, builder, lay_out, long_scene, scene, timed, with_deadline};

/// The callers that are at work at the same time.
const CALLERS: u32 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_96_what_a_primary_refuses_while_it_is_switched_waits() {
    let Some(scene) = long_scene().await else { return };
    let group = scene.group;
    let (events, codes) = (Events::default(), Codes::default());
    let first = group.primary().await;
    let exec = codes.record(with_deadline("switched", &events, ms(60_000)), ms(60_000));
    let exec = exec.build_targets(scene.targets(first, Rights::Informed)).expect("good options");
    lay_out(group, first, "switched", &exec, CALLERS).await;
    let load = Load::begin("switched", &exec, CALLERS, false);
    for _ in 0..4 {
        load.reach(100).await;
        let primary = group.primary().await;
        group.switch_primary(group.others(primary)[0], Some(1)).await.expect("switched");
        load.reach(100).await;
    }
    let primary = group.primary().await;
    let books = load.close(group.node(primary)).await;
    println!("codes: {}", codes.line());
    println!("longest: {:?}", books.longest());
    for (call, ending, message) in books.errors() {
        println!("{call:?} {ending:?}: {message}");
    }
    books.assert_true();
    assert!(codes.has(4094), "nothing was refused: {}", codes.line());
    let refused = books.errors().iter().filter(|(.., message)| message.contains("4094")).count();
    assert_eq!(refused, 0, "4094 reached callers");
    books.assert_nothing_surfaced_to(&[Call::Set, Call::Read, Call::Guarded]);
    assert!(books.errors().iter().all(|(_, ending, _)| *ending == Ending::Unknown), "refused, and not sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_97_a_node_in_offline_mode_is_not_ready_and_others_are_tried() {
    let Some(scene) = scene().await else { return };
    let group = scene.group;
    scene.table("offline").await;
    let expelled = group.primary().await;
    let over = |events: &Events, rights| {
        builder("offline", events).build_targets(scene.targets(expelled, rights)).expect("good options")
    };
    let events = Events::default();
    let old = over(&events, Rights::Ordinary);
    old.query_drop("INSERT INTO offline (n) VALUES (1)").await.expect("a row");
    group.expel_into_offline_mode(expelled).await;
    let next = group.primary_after(expelled).await;

    // 6400, since the node has put itself offline
    let mut calls = vec![timed("old executor", old.query_drop("INSERT INTO offline (n) VALUES (2)")).await];
    for (number, rights) in [(3, Rights::Ordinary), (4, Rights::Informed)] {
        let new = over(&Events::default(), rights);
        let insert = new.query_drop(format!("INSERT INTO offline (n) VALUES ({number})"));
        calls.push(timed(format!("new executor, {rights:?}"), insert).await);
    }
    println!("events: {:?}", events.recorded());
    let alone = builder("offline", &Events::default()).build(group.opts(expelled)).expect("good options");
    let alone = timed("that node alone", alone.query_drop("SELECT 1"));

    // 3032, since someone has put it offline
    group.node(next).query_drop("SET GLOBAL offline_mode = ON").await;
    let exec = builder("offline", &Events::default()).build(group.opts(next)).expect("good options");
    let waiting = timed("manually offline", exec.query_drop("INSERT INTO offline (n) VALUES (5)"));
    let let_in = async {
        let seen = tokio::time::timeout(ms(3_000), until_counters(&exec, |it| it.waiting > 0)).await;
        group.node(next).query_drop("SET GLOBAL offline_mode = OFF").await;
        seen
    };
    let (alone, manual, waited) = tokio::join!(alone, waiting, let_in);
    group.make_whole().await;

    for call in &calls {
        assert!(call.result.is_ok() && call.took < ms(3_000), "{}", call.line());
    }
    assert_eq!(alone.outcome(), Some(Outcome::NotExecuted), "{}", alone.line());
    assert!(alone.took >= DEADLINE - ms(500), "not waited for: {}", alone.line());
    assert!(manual.result.is_ok() && waited.is_ok(), "{}", manual.line());
    for n in 1..=5 {
        assert_eq!(scene.count("offline", n).await, 1, "{n}");
    }
}
