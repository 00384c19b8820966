//! What the tests of the suite share: the server, executors, tables that count what the server executed.

mod losses;
mod secrets;
mod tables;

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use mysql_async::OptsBuilder;
use mysql_retry::{Error, Executor, ExecutorBuilder, RetryPolicy, RetryPolicyBuilder, Session};
use mysql_retry_fixture::{Events, Fault, Place, Proxy, Rule, Server, When, in_time, ms, pool_of, until_counters};
use tokio::sync::OnceCell;

pub use self::{
    losses::{Losses, blocking_until},
    secrets::{PARAMETER, PASSWORD, assert_keeps_nothing_in_debug, assert_keeps_secrets},
    tables::{HeldRow, Ledger, create_register, register, value},
};

/// The server of all tests that do not disturb their server. Each test has tables of its own on it.
pub async fn shared() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    // tests that make a hundred connections at once run beside others, which are not to find the server full
    SHARED.get_or_init(|| Server::builder().flag("--max-connections=1000").flag("--back-log=1000").start()).await
}

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An executor on a server, over the transport of this run.
pub fn executor(server: &Server) -> Executor {
    Executor::new(server.opts()).expect("good options")
}

/// An executor that reaches its server through a proxy.
pub fn executor_via(proxy: &Proxy) -> Executor {
    Executor::new(proxy.opts()).expect("good options")
}

/// An executor with one connection, so that the next caller gets the connection of the caller before.
pub fn executor_of_one(opts: OptsBuilder) -> Executor {
    Executor::new(pool_of(1, opts)).expect("good options")
}

/// The same, for texts that an executor refuses by default because they need a session.
pub fn executor_of_one_for_any_text(opts: OptsBuilder) -> Executor {
    Executor::builder().allow_session_text(true).build(pool_of(1, opts)).expect("good options")
}

/// An executor with a guard table of its own.
pub async fn executor_with_guard(opts: OptsBuilder) -> Executor {
    let exec = Executor::builder().guard_table(unique("guard")).build(opts).expect("good options");
    exec.create_guard_table().await.expect("created");
    exec
}

/// An executor whose events are recorded.
pub fn recording(builder: ExecutorBuilder, opts: OptsBuilder) -> (Executor, Events) {
    let events = Events::default();
    let exec = builder.on_event(events.hook()).build(opts).expect("good options");
    (exec, events)
}

/// A session of an executor.
pub async fn session(exec: &Executor) -> Session {
    in_time(exec.session()).await.expect("a session")
}

/// The default policy with a deadline that outlives a slow machine and a server that restarts.
pub fn patient() -> RetryPolicy {
    RetryPolicy::builder().deadline(ms(50_000)).build().expect("valid")
}

/// A policy whose delays are all equal, so that a test knows when the attempts come.
///
/// With a deadline of 1.9 delays there are two attempts, and the deadline cuts neither, unless the machine stands still for most of
/// a delay.
pub fn every(delay: Duration) -> RetryPolicyBuilder {
    RetryPolicy::builder().initial_delay(delay).max_delay(delay).jitter(0.0)
}

/// A rule for a statement that reaches the server, while the client loses the connection and the server does not notice that.
pub fn cut(text: &str) -> Rule {
    Rule::new(When::text(text), Place::AfterRequest, Fault::Fin).keep_server()
}

/// The server's id of a connection of the executor: of the only one, if its pool has one.
pub async fn connection_id(exec: &Executor) -> u32 {
    let id = exec.query_first("SELECT CONNECTION_ID()").await.expect("an answer");
    id.expect("a row")
}

/// The ids of `connections` connections that are in use at the same time.
pub async fn connection_ids(exec: &Executor, connections: usize) -> Vec<u32> {
    let meeting = "SELECT CONNECTION_ID() FROM (SELECT SLEEP(0.4)) AS nap";
    let met = in_time(join_all((0..connections).map(|_| exec.query_first::<u32, _>(meeting)))).await;
    met.into_iter().map(|id| id.expect("an answer").expect("a row")).collect()
}

/// Asserts that nothing was lost, and that nothing had to be sent twice.
pub fn assert_no_loss(exec: &Executor) {
    let counters = exec.counters();
    assert_eq!((counters.losses, counters.resends, counters.replays), (0, 0, 0), "{counters:?}");
}

/// Waits until this many calls wait for the end of an outage.
pub async fn until_waiting(exec: &Executor, calls: u64) {
    until_counters(exec, |counters| counters.waiting == calls).await;
}

/// Closes the executor, and waits until no session that it had through the proxy is left: nothing that it sent can still run.
pub async fn settle(server: &Server, proxy: &Proxy, exec: Executor) {
    exec.close().await.expect("closed");
    for (_, id) in proxy.server_ids() {
        server.wait_gone(id).await;
    }
}

/// Waits until at least this many faults have happened, and returns their number. (A client may see a fault before it is counted.)
pub async fn fired(proxy: &Proxy, at_least: usize) -> usize {
    proxy.wait_fired(at_least).await;
    proxy.fired()
}

/// The kind of the I/O error that the last attempt ended with.
pub fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    let Some(mysql_async::Error::Io(mysql_async::IoError::Io(io))) = error.driver_error() else {
        return None;
    };
    Some(io.kind())
}

/// Whether the error says that nothing listens there: connection refused, or no such socket.
pub fn is_nobody_there(error: &Error) -> bool {
    matches!(io_kind(error), Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound))
}

/// An error type of the caller's own, for closures of transactions.
#[derive(Debug)]
pub enum Own {
    Refused(u8),
    #[allow(dead_code, reason = "it is printed")]
    Library(Error),
}

impl From<Error> for Own {
    fn from(error: Error) -> Self {
        Own::Library(error)
    }
}
