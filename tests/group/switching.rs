//! The primary is switched, expelled, or comes back and believes that it still is one.

use mysql_retry::{Event, Executor, Outcome};
use mysql_retry_fixture::{
    Events, Recorded,
    failover::{Call, Ending, Load, until_counters},
    ms,
};

use crate::support::{Codes, DEADLINE, Rights, SLACK, Scene, WATCH, builder, long_scene, scene, timed, with_deadline};

/// The callers that are at work at the same time.
const CALLERS: u32 = 16;

/// Callers on an executor over all nodes, the primary first.
async fn begin(scene: &Scene, scenario: &'static str, exec: &Executor) -> Load {
    let primary = scene.group.primary().await;
    Load::lay_out(scenario, scene.group.node(primary), exec, CALLERS).await;
    for number in 0..3 {
        scene.group.catch_up(number).await;
    }
    // a node that takes over may not have applied everything
    Load::begin(scenario, exec, CALLERS, false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_96_what_a_primary_refuses_while_it_is_switched_waits() {
    let Some(scene) = long_scene().await else { return };
    let group = scene.group;
    let (events, codes) = (Events::default(), Codes::default());
    let first = group.primary().await;
    let exec = codes.record(with_deadline("switched", &events, ms(60_000)), ms(60_000));
    let exec = exec.build_targets(scene.targets(first, Rights::Informed)).expect("good options");
    let load = begin(&scene, "switched", &exec).await;
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
    let alone = timed("that node alone", alone.query_drop("SELECT 1")).await;

    // 3032, since someone has put it offline
    group.node(next).query_drop("SET GLOBAL offline_mode = ON").await;
    let exec = builder("offline", &Events::default()).build(group.opts(next)).expect("good options");
    let waiting = timed("manually offline", exec.query_drop("INSERT INTO offline (n) VALUES (5)"));
    let let_in = async {
        let seen = tokio::time::timeout(ms(3_000), until_counters(&exec, |it| it.waiting > 0)).await;
        group.node(next).query_drop("SET GLOBAL offline_mode = OFF").await;
        seen
    };
    let (manual, waited) = tokio::join!(waiting, let_in);
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

/// The old primary believes in itself for some seconds after it thaws.
async fn stays_with_the_new_one(scene: &Scene, scenario: &'static str, rights: Rights) {
    let group = scene.group;
    let (events, codes) = (Events::default(), Codes::default());
    let old = group.primary().await;
    let deadline = ms(20_000);
    let address = group.node(old).address();
    let printed = {
        let (begun, hook) = (std::time::Instant::now(), events.hook());
        move |event: &Event<'_>| {
            if let Event::Moved { .. } | Event::Down { .. } | Event::Back { .. } = event {
                println!("{:?}: {event:?}", begun.elapsed());
            }
            hook(event);
        }
    };
    let exec = codes.record(with_deadline(scenario, &events, deadline), deadline).on_event(printed);
    let exec = exec.build_targets(scene.targets(old, rights)).expect("good options");
    let load = begin(scene, scenario, &exec).await;
    load.reach(150).await;
    group.node(old).freeze();
    tokio::time::sleep(ms(14_000)).await;
    let next = group.primary_after(old).await;
    load.reach(50).await;
    println!("thawing, moves so far: {:?}", events.moves());
    group.node(old).thaw();
    tokio::time::sleep(ms(8_000)).await;
    println!("8 s later, moves: {:?}, the old one is {:?}", events.moves(), group.state(old).await);
    group.make_whole().await;
    load.reach(100).await;
    let moves = events.moves();
    let books = load.close(group.node(next)).await;
    println!("codes: {}", codes.line());
    println!("longest: {:?}", books.longest());
    for (call, ending, message) in books.errors() {
        println!("{call:?} {ending:?}: {message}");
    }
    assert_eq!(group.primary().await, next);
    books.assert_true();
    assert!(moves.iter().all(|(_, to)| *to != address), "it went back: {moves:?}");
    let down = events.recorded().iter().filter(|event| matches!(event, Recorded::Down { .. })).count();
    assert!(down > 0, "the frozen primary was not noticed");
    assert!(books.longest() <= deadline + 2 * WATCH + SLACK, "a call took {:?}", books.longest());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_98_a_former_primary_that_thaws_is_not_used_while_another_one_is() {
    let Some(scene) = long_scene().await else { return };
    stays_with_the_new_one(&scene, "thawed", Rights::Informed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_102_nor_by_a_user_who_may_not_look_at_the_group() {
    let Some(scene) = long_scene().await else { return };
    stays_with_the_new_one(&scene, "thawed_ordinary", Rights::Ordinary).await;
}
