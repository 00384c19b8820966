//! A name that stands for another server from now on, or for none for a while: it is looked up for each connection.
//!
//! No resolver that a test can have changes its mind on demand, so the names of these tests are resolved in this program.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod resolver;

use std::{future::Future, time::Duration};

use mysql_async::{OptsBuilder, PoolConstraints, PoolOpts};
use mysql_retry::{Annotate as _, Counters, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::Server;

const FIRST: &str = "127.0.0.1";
const SECOND: &str = "127.0.0.2";
const POOL: usize = 3;

/// Waits for what has to come, and fails instead of hanging for ever.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("a test that hangs")
}

async fn until(exec: &Executor, holds: impl Fn(&Counters) -> bool) {
    in_time(async {
        while !holds(&exec.counters()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A server, and another one at the same port of another address: what a name can lead to, one after the other. Each has a
/// table of its own, and a user whom `read_only` stops.
async fn two_servers() -> (Server, Server) {
    let first = Server::start().await;
    let port = format!("--port={}", first.port());
    let second = Server::builder().flag(format!("--bind-address={SECOND}")).flag(port).start().await;
    for server in [&first, &second] {
        server.query_drop("CREATE TABLE ledger (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)").await;
        server.query_drop("CREATE USER app@'%' IDENTIFIED BY 'app-pass'").await;
        server.query_drop("GRANT ALL ON test.* TO app@'%'").await;
    }
    (first, second)
}

fn executor(name: &str, port: u16) -> Executor {
    let constraints = PoolConstraints::new(POOL, POOL).expect("at least one connection");
    let opts = OptsBuilder::default()
        .ip_or_hostname(name)
        .tcp_port(port)
        .user(Some("app"))
        .pass(Some("app-pass"))
        .db_name(Some("test"))
        .prefer_socket(false)
        .pool_opts(PoolOpts::default().with_constraints(constraints));
    let policy = RetryPolicy::builder().deadline(Duration::from_secs(50)).build().expect("valid");
    let builder = Executor::builder().policy(policy).probe_interval(Duration::from_millis(50));
    builder.build(opts).expect("good options")
}

const INSERT: &str = "INSERT INTO ledger (n) VALUES (1)";

async fn rows(server: &Server) -> u64 {
    server.query_first("SELECT COUNT(*) FROM ledger").await.expect("a row")
}

// CASES.md 36
#[tokio::test]
async fn a_write_goes_to_the_server_that_the_name_stands_for_when_the_one_before_takes_no_writes_any_more() {
    let name = "switchover.test";
    let (first, second) = two_servers().await;
    resolver::point(name, Some(FIRST));
    let exec = executor(name, first.port());
    in_time(exec.query_drop(INSERT)).await.expect("the first server");
    first.query_drop("SET GLOBAL read_only = 1").await;
    let writing = exec.clone();
    let write = tokio::spawn(async move { writing.query_drop(INSERT).await });
    until(&exec, |it| it.waiting == 1).await;
    // the name follows later
    let probes = exec.counters().probes;
    until(&exec, |it| it.probes > probes + 2).await;
    resolver::point(name, Some(SECOND));
    in_time(write).await.expect("no panic").expect("the second server");
    assert_eq!((rows(&first).await, rows(&second).await), (1, 1));
    // nobody is left at the first
    for written in 2..=10_u64 {
        in_time(exec.query_drop(INSERT)).await.expect("the second server");
        let read: Option<u64> = in_time(exec.query_first("SELECT COUNT(*) FROM ledger")).await.expect("an answer");
        assert_eq!(read, Some(written));
    }
    assert_eq!((rows(&first).await, exec.counters().outages), (1, 1));
}

#[tokio::test]
async fn a_killed_server_is_replaced_by_the_one_that_the_name_stands_for_now() {
    let name = "killed.test";
    let (first, second) = two_servers().await;
    resolver::point(name, Some(FIRST));
    let exec = executor(name, first.port());
    in_time(exec.query_drop(INSERT)).await.expect("the first server");
    first.kill().await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let exec = exec.clone();
            tokio::spawn(async move { exec.query_drop(INSERT.idempotent()).await })
        })
        .collect();
    until(&exec, |it| it.waiting == 20).await;
    resolver::point(name, Some(SECOND));
    for call in calls {
        in_time(call).await.expect("no panic").expect("the second server");
    }
    assert_eq!((rows(&second).await, exec.counters().outages), (20, 1));
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_counts_as_a_server_that_is_down_until_it_can() {
    let name = "unresolved.test";
    let (first, _second) = two_servers().await;
    resolver::point(name, None);
    let exec = executor(name, first.port());
    let hasty = exec.with_policy(&RetryPolicy::builder().deadline(Duration::from_millis(300)).build().expect("valid"));
    let error = in_time(hasty.query_drop(INSERT)).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::Deadline), "{error}");
    assert!(error.down_for().is_some() && error.to_string().contains(name), "{error}");
    let writing = exec.clone();
    let write = tokio::spawn(async move { writing.query_drop(INSERT).await });
    until(&exec, |it| it.waiting == 1).await;
    resolver::point(name, Some(FIRST));
    in_time(write).await.expect("no panic").expect("a server");
    assert_eq!((rows(&first).await, exec.counters().outages), (1, 1));
}
