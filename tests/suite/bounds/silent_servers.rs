//! Servers that accept and do not answer, or are not there: with an attempt time-out calls end on time.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Executor, Outcome, RetryPolicy};
use mysql_retry_fixture::{Proxy, Server, ms, pool_of};

use super::{
    lateness::on_time,
    silence::{ATTEMPT, DEADLINE, assert_usable, connected, policies},
};
use crate::support::{Losses, shared, unique};

fn exec_of_one(proxy: &Proxy, policy: &RetryPolicy) -> Executor {
    Executor::builder().policy(policy.clone()).build(pool_of(1, proxy.opts())).expect("good options")
}

#[tokio::test]
async fn a_call_to_a_black_hole_ends_on_time() {
    let proxy = Proxy::start(shared().await).await;
    for policy in policies() {
        let exec = exec_of_one(&proxy, &policy);
        proxy.black_hole(true);
        let call = exec.query_drop("INSERT INTO nowhere VALUES (1)");
        let error = on_time("a black hole", DEADLINE, call).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        assert!(error.is_deadline() && error.is_timeout(), "{error}");
        // with the deadline alone
        let bare = RetryPolicy::builder().deadline(DEADLINE).connect_timeout(None).build().expect("valid");
        let error = on_time("no time-outs", DEADLINE, exec.with_policy(&bare).ping()).await.unwrap_err();
        assert!(error.is_deadline() && error.is_timeout(), "{error}");
        // with a deadline for this call
        let exec = exec.with_policy(&policy.to_builder().deadline(ms(60_000)).build().expect("valid"));
        let until = Instant::now() + ms(300);
        let error = on_time("a deadline", ms(300), exec.with_deadline(until).ping()).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        proxy.heal().await;
        assert_usable(&proxy, &exec).await;
    }
}

#[tokio::test]
async fn a_call_whose_connections_all_went_dark_ends_on_time() {
    const POOL: usize = 5;
    let proxy = Proxy::start(shared().await).await;
    for policy in policies() {
        let builder = Executor::builder().policy(policy.clone()).ping_after(Duration::ZERO);
        let exec = builder.build(pool_of(POOL, proxy.opts())).expect("good options");
        let patient = exec.with_policy(&RetryPolicy::default());
        let loans = join_all((0..POOL).map(|_| patient.connection())).await;
        drop(loans.into_iter().collect::<Result<Vec<_>, _>>().expect("connections"));
        proxy.go_dark().await;
        let error = on_time("a dark pool", DEADLINE + ATTEMPT, exec.query_drop("SELECT 7".idempotent())).await;
        assert_eq!(error.unwrap_err().outcome(), Outcome::NotExecuted);
        assert_usable(&proxy, &exec).await;
    }
}

#[tokio::test]
async fn a_call_to_a_frozen_server_ends_on_time() {
    let server = Server::start().await;
    let proxy = Proxy::start(&server).await;
    for policy in policies() {
        for stage in ["connect", "ping", "statement", "running"] {
            let what = format!("frozen: {stage}, {policy:?}");
            let (hook, mut losses) = Losses::listen();
            let ping_after = (stage == "ping").then_some(Duration::ZERO);
            let builder = Executor::builder().policy(policy.clone()).ping_after(ping_after).on_event(hook);
            let exec = builder.build(pool_of(1, proxy.opts())).expect("good options");
            if stage != "connect" {
                connected(&exec).await;
            }
            let mark = unique("frozen");
            let freeze = async {
                if stage == "running" {
                    // on a machine that is too slow for that the attempt ends first
                    tokio::select! {
                        _ = server.wait_until_running(&mark) => {}
                        () = losses.wait_for(1) => {}
                    }
                }
                server.freeze();
            };
            let sql = format!("SELECT SLEEP(600), '{mark}'").idempotent();
            let call = async {
                if stage != "running" {
                    freeze.await;
                    on_time(&what, DEADLINE + ATTEMPT, exec.query_drop(sql)).await
                } else {
                    tokio::join!(on_time(&what, DEADLINE + ATTEMPT, exec.query_drop(sql)), freeze).0
                }
            };
            let error = call.await.unwrap_err();
            assert!(error.is_timeout(), "{what}: {error}");
            let sent = matches!(stage, "statement" | "running") && error.attempts() > 0;
            let outcome = if sent { Outcome::Unknown } else { Outcome::NotExecuted };
            assert_eq!(error.outcome(), outcome, "{what}: {error}");
            server.thaw();
            assert_usable(&proxy, &exec).await;
        }
    }
}

#[tokio::test]
async fn a_call_to_a_server_that_is_down_ends_on_time() {
    let proxy = Proxy::start(shared().await).await;
    for policy in policies() {
        let exec = exec_of_one(&proxy, &policy);
        proxy.refuse(true).await;
        on_time("refused", DEADLINE, exec.ping()).await.unwrap_err();
        proxy.refuse(false).await;
        proxy.accept_and_close(true);
        on_time("closed", DEADLINE, exec.ping()).await.unwrap_err();
        proxy.accept_and_close(false);
        assert_usable(&proxy, &exec).await;
    }
}
