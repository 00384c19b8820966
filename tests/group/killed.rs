//! The primary is killed, and another one elected.

use std::time::{Duration, Instant};

use mysql_retry::{Annotate as _, Executor};
use mysql_retry_fixture::{Events, Router, ms, skip::is_available};

use crate::support::{Rights, Scene, long_scene, with_deadline};

/// From the election to the first write: one probe, a login and a busy machine.
const LIMIT: Duration = ms(1_500);

/// Router looks at the group every 0.5 s, and was seen to need 0.6 s.
const ROUTER: Duration = ms(1_000);

/// Kills the primary; how long it took from the election to the first write of this executor.
async fn from_the_election_to_a_write(scene: &Scene, exec: &Executor) -> Duration {
    let group = scene.group;
    scene.table("killed").await;
    exec.query_drop("INSERT INTO killed (n) VALUES (1)").await.expect("a row");
    let primary = group.primary().await;
    group.node(primary).kill().await;
    let killed = Instant::now();
    let elected = async {
        let [one, other] = group.others(primary);
        loop {
            let (one, other) = tokio::join!(group.takes_writes(one), group.takes_writes(other));
            if one || other {
                return Instant::now();
            }
            tokio::time::sleep(ms(10)).await;
        }
    };
    let written = async {
        let replace = "REPLACE INTO killed (id, n) VALUES (77, 2)".idempotent();
        exec.query_drop(replace).await.expect("written in the end");
        Instant::now()
    };
    let (elected, written) = tokio::join!(elected, written);
    println!("elected after {:?}, written after {:?}", elected - killed, written - killed);
    group.make_whole().await;
    written.saturating_duration_since(elected)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_101_a_write_succeeds_within_one_probe_of_the_election() {
    let Some(scene) = long_scene().await else { return };
    for rights in [Rights::Ordinary, Rights::Informed] {
        let primary = scene.group.primary().await;
        let exec = with_deadline("killed", &Events::default(), ms(60_000));
        let exec = exec.build_targets(scene.targets(primary, rights)).expect("good options");
        let took = from_the_election_to_a_write(&scene, &exec).await;
        assert!(took < LIMIT, "{took:?} after the election");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_101_a_write_succeeds_within_one_probe_of_the_moment_in_which_router_leads_on() {
    let Some(scene) = long_scene().await else { return };
    if !is_available(Router::is_available(), "MYSQL_RETRY_GROUP") {
        return;
    }
    let router = Router::start(scene.group).await;
    let exec = with_deadline("killed", &Events::default(), ms(60_000));
    let exec = exec.build(scene.group.as_app(router.opts())).expect("good options");
    let took = from_the_election_to_a_write(&scene, &exec).await;
    assert!(took < LIMIT + ROUTER, "{took:?} after the election\n{}", router.log_tail());
}
