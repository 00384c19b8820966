//! The connect time-out ends the wait for a server that accepts and does not answer.

use std::{path::PathBuf, time::Duration};

use mysql_async::OptsBuilder;
use mysql_retry::{Executor, Outcome};
use mysql_retry_fixture::{Server, in_time, ms};
use tokio::net::{TcpListener, UnixListener};

use crate::support::{every, executor};

/// Asserts that there are several attempts within the deadline, which proves that the connect time-out ended the first ones.
async fn assert_connecting_is_bounded(exec: &Executor) {
    let policy = every(ms(50)).connect_timeout(ms(200)).deadline(ms(3_000)).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop("INSERT INTO t VALUES (1)")).await.unwrap_err();
    assert!(error.attempts() >= 2, "{error}");
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert!(error.is_timeout() && error.is_deadline(), "{error}");
    assert!(error.to_string().contains("no answer to connect within"), "{error}");
    assert!(error.elapsed() < Duration::from_secs(20), "{:?}", error.elapsed());
}

// case 39
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
    // without a connect time-out the deadline ends the wait
    let policy = every(ms(50)).connect_timeout(None).deadline(ms(500)).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop("INSERT INTO t VALUES (1)")).await.unwrap_err();
    assert_eq!((error.attempts(), error.outcome()), (1, Outcome::NotExecuted), "{error}");
    assert!(error.is_timeout() && error.is_deadline(), "{error}");
    silent.abort();
}

/// The path of a socket, which is removed when this is dropped.
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
