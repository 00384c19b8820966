//! The network of the primary is cut: it believes that it is the primary, and the others elect another one.

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Outcome};

use crate::{
    support::{DEADLINE, LIMIT, own_network_scene, timed},
    user::User,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_104_calls_to_a_primary_whose_network_is_cut_end_in_time_and_go_on_at_the_new_one() {
    let Some(scene) = own_network_scene().await else { return };
    let group = scene.group;
    let primary = group.primary().await;
    let [second, third] = group.others(primary);
    let targets = [primary, second, third].map(|number| group.as_app(group.node(number).unix_opts()));
    let user = User::new("cut", DEADLINE, targets);
    scene.table("cut").await;
    let warm = join_all((0..8).map(|_| user.exec.query_drop("SELECT SLEEP(0.2)"))).await;
    assert!(warm.iter().all(Result::is_ok), "{warm:?}");
    let insert =
        |n: u32| timed(format!("INSERT {n}"), user.exec.query_drop(format!("INSERT INTO cut (n) VALUES ({n})")));
    let sure = |n: u32| {
        let sql = format!("INSERT INTO cut (id, n) VALUES (100{n}, {n}) ON DUPLICATE KEY UPDATE n = {n}").idempotent();
        timed(format!("idempotent {n}"), async { user.exec.query_drop(sql).await })
    };

    group.cut(primary);
    let (unsure, sure) = tokio::join!(join_all((0..6).map(insert)), join_all((10..14).map(sure)));
    let later = insert(50).await;
    let elected = group.primary_after(primary).await;
    group.mend(primary);
    group.make_whole().await;

    println!("codes: {}", user.codes.line());
    for call in unsure.iter().chain(&sure) {
        assert!(call.took <= LIMIT, "{}", call.line());
    }
    for (n, call) in (0..).zip(&unsure) {
        assert!(matches!(call.outcome(), Some(Outcome::Unknown)), "{}", call.line());
        assert!(scene.count("cut", n).await <= 1, "{n} is there more than once");
    }
    for (n, call) in (10..).zip(&sure) {
        let is_there = scene.count("cut", n).await;
        assert!(is_there == 1 || call.outcome().is_some(), "{}", call.line());
    }
    assert!(later.took <= LIMIT && later.result.is_ok(), "{}", later.line());
    assert_eq!(scene.count("cut", 50).await, 1);
    assert_ne!(elected, primary);
}
