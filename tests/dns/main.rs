//! A name that leads to another server from now on, or to none for a while: it is resolved anew for each connection.
//!
//! The names of these tests are resolved in this program, because no real resolver changes its answers on demand.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod resolver;

use mysql_async::OptsBuilder;
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Server, in_time, ms, pool_that_keeps, until_counters};

const FIRST: &str = "127.0.0.1";
const SECOND: &str = "127.0.0.2";
const POOL: usize = 3;

/// Two servers at the same port of two addresses, to which a name can lead one after the other. Each has a table of its own, and a
/// user whom `read_only` stops.
async fn two_servers() -> (Server, Server) {
    let first = Server::start().await;
    let port = format!("--port={}", first.port());
    let second = Server::builder().flag(format!("--bind-address={SECOND}")).flag(port).start().await;
    for server in [&first, &second] {
        server.query_drop("CREATE TABLE ledger (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)").await;
        server.create_user("app", "app-pass").await;
    }
    (first, second)
}

fn executor(name: &str, port: u16) -> Executor {
    let opts = OptsBuilder::default()
        .ip_or_hostname(name)
        .tcp_port(port)
        .user(Some("app"))
        .pass(Some("app-pass"))
        .db_name(Some("test"))
        .prefer_socket(false);
    let policy = RetryPolicy::builder().deadline(ms(50_000)).build().expect("valid");
    let builder = Executor::builder().policy(policy).probe_interval(ms(50));
    builder.build(pool_that_keeps(POOL, POOL, opts)).expect("good options")
}

const INSERT: &str = "INSERT INTO ledger (n) VALUES (1)";

async fn rows(server: &Server) -> u64 {
    server.query_first("SELECT COUNT(*) FROM ledger").await.expect("a row")
}

// case 36
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
    until_counters(&exec, |it| it.waiting == 1).await;
    // the name leads to the new server only later
    let probes = exec.counters().probes;
    until_counters(&exec, |it| it.probes > probes + 2).await;
    resolver::point(name, Some(SECOND));
    in_time(write).await.expect("no panic").expect("the second server");
    assert_eq!((rows(&first).await, rows(&second).await), (1, 1));
    // no connection leads to the first server any more
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
    until_counters(&exec, |it| it.waiting == 20).await;
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
    let hasty = exec.with_policy(&RetryPolicy::builder().deadline(ms(300)).build().expect("valid"));
    let error = in_time(hasty.query_drop(INSERT)).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::Deadline), "{error}");
    assert!(error.down_for().is_some() && error.to_string().contains(name), "{error}");
    let writing = exec.clone();
    let write = tokio::spawn(async move { writing.query_drop(INSERT).await });
    until_counters(&exec, |it| it.waiting == 1).await;
    resolver::point(name, Some(FIRST));
    in_time(write).await.expect("no panic").expect("a server");
    assert_eq!((rows(&first).await, exec.counters().outages), (1, 1));
}
