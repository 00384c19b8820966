//! A write that waits for the majority of its group cannot be ended, and the replay of it elsewhere says so.

use mysql_retry::{Annotate as _, Outcome, Reason, RetryPolicy, Unfenced};
use mysql_retry_fixture::{Events, Recorded, Server, ms};

use crate::support::{Rights, builder, long_scene, timed};

/// Loses an idempotent write on a primary that is cut off, and goes on at a server outside of the group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_93_a_write_that_waits_for_a_majority_is_not_fenced() {
    let Some(scene) = long_scene().await else { return };
    let elsewhere = Server::start().await;
    let primary = scene.group.primary().await;
    scene.table("unfenced").await;
    elsewhere.query_drop("CREATE TABLE unfenced (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)").await;
    for replays in [true, false] {
        let events = Events::default();
        let policy = RetryPolicy::builder().deadline(ms(30_000)).replay_unfenced(replays).build().expect("valid");
        let exec = builder("unfenced", &events).policy(policy);
        let exec = exec.build_targets([scene.opts(primary, Rights::Ordinary), elsewhere.opts()]).expect("good options");
        exec.query_drop("SELECT n FROM unfenced").await.expect("a connection to the primary");

        scene.group.freeze_majority(primary).await;
        let n = u32::from(replays);
        let insert = format!("INSERT INTO unfenced (n) VALUES ({n})").idempotent();
        let call = timed(format!("INSERT {n}"), async { exec.query_drop(insert).await.map(drop) }).await;
        let view = scene.group.members(primary).await;
        scene.group.thaw_all();
        scene.group.make_whole().await;

        let why = Unfenced::NoMajority;
        assert!(
            events.recorded().contains(&Recorded::Unfenced { why, attempt: 2 }),
            "{:?}, {}; the node saw {view:?}",
            events.recorded(),
            call.line()
        );
        let there: u32 =
            elsewhere.query_first(format!("SELECT COUNT(*) FROM unfenced WHERE n = {n}")).await.expect("a row");
        match call.result {
            Ok(()) => assert!(replays && there == 1, "{there}"),
            Err(error) => {
                assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Unfenced), "{error}");
                assert!(!replays && there == 0, "{there}");
            }
        }
        assert_eq!(scene.count("unfenced", n).await, 1, "the group committed what was killed");
    }
}
