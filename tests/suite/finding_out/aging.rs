//! Connections are retired by their age or their idle time, between statements and never under one.

use std::time::Duration;

use mysql_async::{OptsBuilder, PoolConstraints, PoolOpts};
use mysql_retry::{Executor, RetryPolicy};
use mysql_retry_fixture::{Server, in_time, ms, pool_of};

use crate::support::{connection_id, executor_of_one, shared};

/// Runs a statement that takes this many seconds, and returns the id of the connection that it ran on.
async fn busy_for(exec: &Executor, seconds: f32) -> u32 {
    let sql = format!("SELECT CONNECTION_ID(), SLEEP({seconds})");
    let (id, interrupted): (u32, u8) = in_time(exec.query_first(sql)).await.expect("it is not cut").expect("a row");
    assert_eq!(interrupted, 0);
    id
}

/// An executor without retries, which would hide the use of a dead connection.
fn aging(max_age: impl Into<Option<Duration>>, opts: OptsBuilder) -> Executor {
    Executor::builder().max_age(max_age).policy(RetryPolicy::none()).build(opts).expect("good options")
}

/// The options with a maximum age in the options of the driver's pool.
fn with_pools_age(age: Duration, opts: OptsBuilder) -> OptsBuilder {
    let constraints = PoolConstraints::new(1, 1).expect("one connection");
    opts.pool_opts(PoolOpts::default().with_constraints(constraints).with_abs_conn_ttl(Some(age)))
}

// case 31
#[tokio::test]
async fn a_connection_over_its_maximum_age_is_retired_after_its_statement_and_not_under_it() {
    let exec = aging(ms(1_000), pool_of(1, shared().await.opts()));
    let first = busy_for(&exec, 1.5).await;
    let second = busy_for(&exec, 1.5).await;
    assert_ne!(first, second, "it was used again at an age of 1.5 s");
    assert_ne!(second, connection_id(&exec).await, "it was used again at an age of 1.5 s");
    assert_eq!(exec.counters().losses, 0);
}

// case 31
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
    let young = aging(None, with_pools_age(ms(1_000), opts.clone()));
    let old = aging(ms(1_000), with_pools_age(ms(3_600_000), opts));
    let (from_young, from_old) = tokio::join!(busy_for(&young, 1.5), busy_for(&old, 1.5));
    assert_ne!(from_young, connection_id(&young).await, "the pool's own age was not kept to");
    assert_eq!(from_old, connection_id(&old).await, "the pool's own age was overridden");
}

/// A `wait_timeout` of 2 s leaves 1 s of idling. A connection of the control, without such a limit, is kept for the same time.
async fn assert_retired_before_the_server_does(exec: &Executor) {
    let control = executor_of_one(shared().await.opts());
    let (first, kept) = (connection_id(exec).await, connection_id(&control).await);
    tokio::time::sleep(ms(1_100)).await;
    assert_ne!(first, connection_id(exec).await, "it was used just before the server closes it");
    assert_eq!(kept, connection_id(&control).await);
    assert_eq!(exec.counters().losses, 0);
}

// cases 2, 31
#[tokio::test]
async fn the_idle_limit_follows_the_servers_own_wait_timeout() {
    let server = Server::builder().flag("--wait-timeout=2").start().await;
    assert_retired_before_the_server_does(&executor_of_one(server.opts())).await;
}

// case 31
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
