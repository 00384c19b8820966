//! A write that waits for the majority of its group cannot be ended, and the replay of it elsewhere says so.

use mysql_retry::{Annotate as _, Outcome, Reason, RetryPolicy, Unfenced};
use mysql_retry_fixture::{Events, Recorded, Server, ms};

use crate::support::{Rights, Scene, builder, long_scene, timed};

/// So many writes are tried.
const TURNS: u32 = 5;

/// Loses an idempotent write on a primary that is cut off, and goes on at a server outside of the group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_93_a_write_that_waits_for_a_majority_is_not_fenced() {
    let Some(scene) = long_scene().await else { return };
    let elsewhere = Server::start().await;
    let primary = scene.group.primary().await;
    scene.table("unfenced").await;
    elsewhere.query_drop("CREATE TABLE unfenced (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)").await;
    for replays in [true, false] {
        let mut waited = false;
        for turn in 0..TURNS {
            waited = one_write(&scene, primary, &elsewhere, replays, 2 * turn + u32::from(replays)).await;
            if waited {
                break;
            }
        }
        assert!(waited, "no write of {TURNS} has waited for a majority");
    }
}

/// Sends the number `n` to a primary whose majority is frozen. Returns whether that was lost, and as it has to be.
///
/// Now and then such a primary goes on committing, and sees all members (seen on MySQL 9.7). Then the write is there.
async fn one_write(scene: &Scene, primary: usize, elsewhere: &Server, replays: bool, n: u32) -> bool {
    let events = Events::default();
    let policy = RetryPolicy::builder().deadline(ms(30_000)).replay_unfenced(replays).build().expect("valid");
    let exec = builder("unfenced", &events).policy(policy);
    let exec = exec.build_targets([scene.opts(primary, Rights::Ordinary), elsewhere.opts()]).expect("good options");
    exec.query_drop("SELECT n FROM unfenced").await.expect("a connection to the primary");

    scene.group.freeze_majority(primary).await;
    let insert = format!("INSERT INTO unfenced (n) VALUES ({n})").idempotent();
    let call = timed(format!("INSERT {n}"), async { exec.query_drop(insert).await.map(drop) }).await;
    let view = scene.group.members(primary).await;
    scene.group.thaw_all();
    scene.group.make_whole().await;

    let recorded = events.recorded();
    println!("{}: {recorded:?}; the node saw {view:?}", call.line());
    assert_eq!(scene.count("unfenced", n).await, 1, "the group has committed what was killed, or acknowledged");
    if recorded.is_empty() {
        call.result.expect("nothing was lost");
        return false;
    }
    let why = Unfenced::NoMajority;
    assert!(recorded.contains(&Recorded::Unfenced { why, attempt: 2 }), "{recorded:?}, {}", call.line());
    let there: u32 =
        elsewhere.query_first(format!("SELECT COUNT(*) FROM unfenced WHERE n = {n}")).await.expect("a row");
    match call.result {
        Ok(()) => assert!(replays && there == 1, "{there}"),
        Err(error) => {
            assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Unfenced), "{error}");
            assert!(!replays && there == 0, "{there}");
        }
    }
    true
}
