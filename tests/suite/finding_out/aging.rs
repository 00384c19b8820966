//! Connections that are retired by their age or their idle time, between statements and never under one
//! (CASES.md 2, 31).

use std::time::Duration;

use mysql_async::{OptsBuilder, PoolConstraints, PoolOpts};
use mysql_retry::{Executor, RetryPolicy};
use mysql_retry_fixture::Server;

use crate::{
    support::hooks::ms,
    support::{connection_id, executor_of_one, in_time, pool_of, shared},
};

/// Runs a statement for so many seconds; returns the id of the connection that it ran on.
async fn busy_for(exec: &Executor, seconds: f32) -> u32 {
    let sql = format!("SELECT CONNECTION_ID(), SLEEP({seconds})");
    let (id, interrupted): (u32, u8) = in_time(exec.query_first(sql)).await.expect("it is not cut").expect("a row");
    assert_eq!(interrupted, 0);
    id
}

fn aging(max_age: impl Into<Option<Duration>>, opts: OptsBuilder) -> Executor {
    // nothing is repaired by trying again
    Executor::builder().max_age(max_age).policy(RetryPolicy::none()).build(opts).expect("good options")
}

fn one_of_age(age: Duration) -> PoolOpts {
    let constraints = PoolConstraints::new(1, 1).expect("one is a number");
    PoolOpts::default().with_constraints(constraints).with_abs_conn_ttl(Some(age))
}

// CASES.md 31
#[tokio::test]
async fn a_connection_over_its_maximum_age_is_retired_after_its_statement_and_not_under_it() {
    let exec = aging(ms(1_000), pool_of(1, shared().await.opts()));
    let first = busy_for(&exec, 1.5).await;
    let second = busy_for(&exec, 1.5).await;
    assert_ne!(first, second, "it was used again at an age of 1.5 s");
    assert_ne!(second, connection_id(&exec).await, "it was used again at an age of 1.5 s");
    assert_eq!(exec.counters().losses, 0);
}

// CASES.md 31
#[tokio::test]
async fn a_connection_that_was_idle_when_it_became_too_old_is_not_used_again() {
    let exec = aging(ms(1_000), pool_of(1, shared().await.opts()));
    let first = connection_id(&exec).await;
    tokio::time::sleep(ms(1_300)).await;
    assert_ne!(first, connection_id(&exec).await);
    assert_eq!(exec.counters().losses, 0);
}

#[tokio::test]
async fn without_a_maximum_age_a_connection_is_kept() {
    let exec = aging(None, pool_of(1, shared().await.opts()));
    let first = busy_for(&exec, 1.5).await;
    assert_eq!(first, connection_id(&exec).await);
}

#[tokio::test]
async fn a_maximum_age_in_the_pools_own_options_comes_first() {
    let opts = shared().await.opts();
    let young = aging(None, opts.clone().pool_opts(one_of_age(ms(1_000))));
    let old = aging(ms(1_000), opts.pool_opts(one_of_age(Duration::from_secs(3_600))));
    let (from_young, from_old) = tokio::join!(busy_for(&young, 1.5), busy_for(&old, 1.5));
    assert_ne!(from_young, connection_id(&young).await, "the pool's own age was not kept to");
    assert_eq!(from_old, connection_id(&old).await, "the pool's own age was overridden");
}

/// `wait_timeout` is 2 s, which leaves 1 s of idling; a connection in the control is kept for the same time.
async fn assert_retired_before_the_server_does(exec: &Executor) {
    let control = executor_of_one(shared().await.opts());
    let (first, kept) = (connection_id(exec).await, connection_id(&control).await);
    tokio::time::sleep(ms(1_100)).await;
    assert_ne!(first, connection_id(exec).await, "it was used though the server is about to close it");
    assert_eq!(kept, connection_id(&control).await);
    assert_eq!(exec.counters().losses, 0);
}

// CASES.md 2, 31
#[tokio::test]
async fn the_idle_limit_follows_the_servers_own_wait_timeout() {
    let server = Server::builder().flag("--wait-timeout=2").start().await;
    assert_retired_before_the_server_does(&executor_of_one(server.opts())).await;
}

// CASES.md 31
#[tokio::test]
async fn the_idle_limit_follows_a_wait_timeout_set_by_the_options() {
    let opts = || shared_opts_of_one();
    let setting = vec!["SET SESSION wait_timeout = 2"];
    let by_setup = Executor::new(opts().await.setup(setting.clone())).expect("good options");
    let by_init = Executor::new(opts().await.init(setting)).expect("good options");
    tokio::join!(assert_retired_before_the_server_does(&by_setup), assert_retired_before_the_server_does(&by_init));
}

async fn shared_opts_of_one() -> OptsBuilder {
    pool_of(1, shared().await.opts())
}

// CASES.md 2
#[tokio::test]
async fn a_write_after_the_wait_timeout_is_executed_once() {
    let server = Server::builder().flag("--wait-timeout=1").start().await;
    let ledger = crate::support::Ledger::new(&server).await;
    let exec = executor_of_one(server.opts());
    let first = connection_id(&exec).await;
    // past the server's limit, and past every margin
    server.wait_gone(first).await;
    in_time(exec.query_drop(ledger.insert())).await.expect("the write");
    assert_eq!(ledger.rows().await, 1);
    assert_eq!(exec.counters().losses, 0, "a dead connection was used");
}
