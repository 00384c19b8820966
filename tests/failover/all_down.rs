//! No target is left, or a target refuses the login.

use mysql_retry::{Annotate as _, Disconnect, Executor, Outcome, RetryPolicy, Statement};
use mysql_retry_fixture::{
    Events, Pair, Proxy,
    failover::{in_time, until_true},
    ms,
};

use crate::support::builder;

const SECRET: &str = "hunter2-secret";

// case 32
#[tokio::test]
async fn when_all_targets_are_down_the_error_comes_in_time_and_names_them_without_the_password() {
    let pair = Pair::start().await;
    pair.first().query_drop(format!("CREATE USER other@'%' IDENTIFIED BY '{SECRET}'")).await;
    pair.first().query_drop("GRANT ALL ON test.* TO other@'%'").await;
    pair.catch_up(1).await;
    let opts = |number: usize| pair.opts(number).user(Some("other")).pass(Some(SECRET));
    let policy = RetryPolicy::builder().deadline(ms(1_900)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build_targets([opts(0), opts(1)]).expect("good options");
    exec.ping().await.expect("a server");
    pair.first().kill().await;
    pair.second().kill().await;
    for statement in ["INSERT INTO t VALUES (1)".idempotent(), Statement::new("DELETE FROM t")] {
        let error = in_time(exec.query_drop(statement)).await.expect_err("no server is up");
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        assert_eq!((error.disconnect(), error.code()), (Some(Disconnect::ServerGone), Some(2006)), "{error}");
        assert!(error.is_deadline() && error.down_for().is_some(), "{error}");
        assert!(error.elapsed().as_secs() < 20, "{:?}", error.elapsed());
        let shown = format!("{error} {error:?}");
        for server in pair.servers() {
            assert!(error.to_string().contains(&server.address()), "{shown}");
        }
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    pair.first().start_again().await;
    in_time(exec.ping()).await.expect("back");
}

// case 34, with several targets
#[tokio::test]
async fn a_target_with_a_wrong_password_is_not_asked_again_and_again_and_statements_go_to_the_next() {
    let pair = Pair::start().await;
    pair.first().query_drop("CREATE TABLE t (n INT NOT NULL)").await;
    pair.catch_up(1).await;
    let locked = Proxy::start(pair.second()).await;
    let events = Events::default();
    let wrong = pair.as_app(locked.opts()).pass(Some("wrong"));
    let exec = builder(&events).build_targets([pair.opts(0), wrong, pair.opts(1)]).expect("good options");
    exec.query_drop("INSERT INTO t VALUES (1)").await.expect("the primary");
    pair.catch_up(1).await;
    pair.first().kill().await;
    let call = exec.query_drop("INSERT INTO t VALUES (2)");
    let meanwhile = async {
        // a round of probes does not wait for a slow answer: the target may be asked more than once until it has answered
        until_true(async || exec.counters().probes > 30).await;
        let asked = locked.accepted();
        until_true(async || exec.counters().probes > 60).await;
        assert!(asked > 0 && locked.accepted() == asked, "{asked}, {}", locked.accepted());
        pair.promote(1).await;
    };
    let (written, ()) = in_time(async { tokio::join!(call, meanwhile) }).await;
    written.expect("the last target");
    assert_eq!(events.moves(), [(pair.first().address(), pair.second().address())]);
    assert_eq!(pair.second().query_first("SELECT COUNT(*) FROM t").await, Some(2));
}

#[tokio::test]
async fn a_wrong_password_of_the_target_in_use_surfaces_at_once() {
    let pair = Pair::start().await;
    let events = Events::default();
    let wrong = pair.opts(0).pass(Some("wrong"));
    let exec = builder(&events).build_targets([wrong, pair.opts(1)]).expect("good options");
    for _ in 0..3 {
        let error = in_time(exec.query_drop("SELECT 1".idempotent())).await.expect_err("the login is refused");
        assert_eq!((error.code(), error.attempts()), (Some(1045), 1), "{error}");
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    }
    assert_eq!((exec.counters().outages, exec.counters().probes), (0, 0));
}
