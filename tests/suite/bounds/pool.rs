//! Getting a connection: its time-outs, and the wait for a free one of the pool (CASES.md 15, 39).

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use mysql_async::OptsBuilder;
use mysql_retry::{Executor, Outcome};
use mysql_retry_fixture::{Proxy, Server};
use tokio::net::{TcpListener, UnixListener};

use crate::{
    support::hooks::{every, ms},
    support::{connection_id, executor, executor_of_one, in_time, shared},
};

/// Several attempts within the deadline prove that the connect time-out ended the first ones.
async fn assert_connecting_is_bounded(exec: &Executor) {
    let policy = every(ms(50)).connect_timeout(ms(200)).deadline(ms(3_000)).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop("INSERT INTO t VALUES (1)")).await.unwrap_err();
    assert!(error.attempts() >= 2, "{error}");
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert!(error.is_timeout() && error.is_deadline(), "{error}");
    assert!(error.to_string().contains("no answer to connect within"), "{error}");
    assert!(error.elapsed() < Duration::from_secs(20), "{:?}", error.elapsed());
}

// CASES.md 39
#[tokio::test]
async fn connecting_to_a_frozen_server_is_bounded_by_the_connect_time_out() {
    let server = Server::start().await;
    let exec = executor(&server);
    server.freeze();
    assert_connecting_is_bounded(&exec).await;
    server.thaw();
    in_time(exec.ping()).await.expect("a thawed server");
}

#[tokio::test]
async fn connecting_to_a_port_that_accepts_and_says_nothing_is_bounded_by_the_connect_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.expect("a client"));
        }
    });
    let exec = Executor::from_url(format!("mysql://root@127.0.0.1:{port}/")).expect("good options");
    assert_connecting_is_bounded(&exec).await;
    // without one the deadline is the bound
    let policy = every(ms(50)).connect_timeout(None).deadline(ms(500)).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop("INSERT INTO t VALUES (1)")).await.unwrap_err();
    assert_eq!((error.attempts(), error.outcome()), (1, Outcome::NotExecuted), "{error}");
    assert!(error.is_timeout() && error.is_deadline(), "{error}");
    silent.abort();
}

/// A path for a socket, removed at the end.
struct SocketPath(PathBuf);

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn connecting_to_a_socket_that_accepts_and_says_nothing_is_bounded_by_the_connect_time_out() {
    let path = SocketPath(std::env::temp_dir().join(format!("mysql-retry-silent-{}", std::process::id())));
    let listener = UnixListener::bind(&path.0).expect("a socket");
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.expect("a client"));
        }
    });
    let opts = OptsBuilder::default().user(Some("root")).socket(Some(path.0.display().to_string()));
    let exec = Executor::new(opts).expect("good options");
    assert_connecting_is_bounded(&exec).await;
    silent.abort();
}

// CASES.md 15
#[tokio::test]
async fn an_expired_deadline_sends_nothing() {
    let proxy = Proxy::start(shared().await).await;
    let exec = Executor::new(proxy.opts()).expect("good options");
    let late = || exec.with_deadline(Instant::now());
    let before_connecting = late().query_drop("INSERT INTO t VALUES (1)").await.unwrap_err();
    assert_eq!(proxy.accepted(), 0, "it connected");
    exec.ping().await.expect("a server");
    let (connections, commands) = (proxy.accepted(), proxy.commands());
    let errors = [
        before_connecting,
        late().query_drop("INSERT INTO t VALUES (1)").await.unwrap_err(),
        late().exec_drop("INSERT INTO t VALUES (?)", (1,)).await.unwrap_err(),
        late().ping().await.unwrap_err(),
        late().connection().await.unwrap_err(),
        // the earlier one of two counts
        late().with_deadline(Instant::now() + ms(60_000)).ping().await.unwrap_err(),
    ];
    assert_eq!(proxy.accepted(), connections, "it connected");
    assert_eq!(proxy.commands(), commands, "it sent something");
    for error in errors {
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        assert_eq!(error.attempts(), 0, "{error}");
        assert!(error.is_deadline() && !error.is_disconnect(), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("the deadline passed before the statement could be sent"), "{text}");
    }
}

// CASES.md 15
#[tokio::test]
async fn a_call_that_finds_no_free_connection_by_its_deadline_says_so() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let busy = exec.connection().await.expect("a connection");
    // the connect time-out is not for waiting in a queue
    let policy = every(ms(50)).connect_timeout(ms(50)).deadline(ms(500)).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop("INSERT INTO t VALUES (1)")).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert!(error.is_busy() && !error.is_disconnect(), "{error}");
    assert_eq!(error.attempts(), 1, "{error}");
    assert!(error.is_deadline() && error.is_timeout(), "{error}");
    assert!(error.elapsed() >= ms(500), "{:?}", error.elapsed());
    assert!(error.to_string().contains("all 1 connections were in use"), "{error}");
    drop(busy);
    assert_eq!(exec.query_first::<u8, _>("SELECT 7").await.expect("a free connection"), Some(7));
}

#[tokio::test]
async fn a_call_waits_for_a_busy_connection_and_gets_it() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let busy = exec.connection().await.expect("a connection");
    let id = busy.id();
    let mut waiting = std::pin::pin!(connection_id(&exec));
    assert!(waiting.as_mut().now_or_never().is_none(), "the pool has one connection");
    drop(busy);
    assert_eq!(in_time(waiting).await, id);
}

#[tokio::test]
async fn closing_an_executor_ends_the_wait_for_a_connection() {
    let exec = executor_of_one(shared().await.opts());
    let busy = exec.connection().await.expect("a connection");
    let other = exec.clone();
    let mut waiting = std::pin::pin!(other.query_drop("INSERT INTO t VALUES (1)"));
    assert!(waiting.as_mut().now_or_never().is_none(), "the pool has one connection");
    let mut closing = std::pin::pin!(exec.close());
    assert!(closing.as_mut().now_or_never().is_none(), "a connection is on loan");
    let error = in_time(waiting).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 1), "{error}");
    assert!(!error.is_deadline() && !error.is_disconnect(), "{error}");
    drop(busy);
    in_time(closing).await.expect("closed");
    assert_eq!(other.ping().await.unwrap_err().attempts(), 1);
}

#[tokio::test]
async fn many_callers_share_one_connection_in_turn() {
    let exec = executor_of_one(shared().await.opts());
    let calls: Vec<_> = (0..50_u32)
        .map(|n| {
            let exec = exec.clone();
            tokio::spawn(
                async move { (n, exec.exec_first::<(u32, u32), _, _>("SELECT ?, CONNECTION_ID()", (n,)).await) },
            )
        })
        .collect();
    let id = connection_id(&exec).await;
    for call in calls {
        let (n, row) = in_time(call).await.expect("no panic");
        assert_eq!(row.expect("an answer"), Some((n, id)));
    }
}
