//! The primary is killed, and another one elected.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mysql_retry::Annotate as _;
use mysql_retry_fixture::{Router, ms, skip::is_available};

use crate::{
    support::{Rights, long_scene},
    user::User,
};

/// From the election to the first write: one probe, a login and a busy machine.
const LIMIT: Duration = ms(1_500);

/// Router looks at the group every 0.5 s, and was seen to need 0.6 s.
const ROUTER: Duration = ms(1_000);

const DEADLINE: Duration = ms(60_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_101_and_102_a_write_succeeds_within_one_probe_of_the_election_also_through_router() {
    let Some(scene) = long_scene().await else { return };
    let group = scene.group;
    let primary = group.primary().await;
    let router = match is_available(Router::is_available(), "MYSQL_RETRY_GROUP") {
        true => Some(Router::start(group).await),
        false => None,
    };
    let mut users = vec![
        (User::new("killed", DEADLINE, scene.targets(primary, Rights::Informed)), LIMIT),
        (User::new("killed_ordinary", DEADLINE, scene.targets(primary, Rights::Ordinary)), LIMIT),
    ];
    if let Some(router) = &router {
        users.push((User::new("killed_router", DEADLINE, [group.as_app(router.opts())]), LIMIT + ROUTER));
    }
    for (user, _) in &users {
        scene.table(user.name).await;
        user.exec.query_drop(format!("INSERT INTO {} (n) VALUES (1)", user.name)).await.expect("a row");
    }

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
    let written = join_all(users.iter().map(async |(user, _)| {
        let replace = format!("REPLACE INTO {} (id, n) VALUES (77, 2)", user.name).idempotent();
        user.exec.query_drop(replace).await.expect("written in the end");
        Instant::now()
    }));
    let (elected, written) = tokio::join!(elected, written);
    println!("elected after {:?}", elected - killed);
    group.make_whole().await;
    for ((user, limit), written) in users.iter().zip(written) {
        println!("{}: written after {:?}", user.name, written - killed);
        let took = written.saturating_duration_since(elected);
        let log = router.as_ref().map(Router::log_tail).unwrap_or_default();
        assert!(took < *limit, "{}: {took:?} after the election\n{log}", user.name);
    }
}
