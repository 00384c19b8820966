//! Pairs of servers with callers on them.

use std::sync::Arc;

use mysql_retry::{Event, Executor, ExecutorBuilder, RetryPolicy, Unavailable};
use mysql_retry_fixture::{
    Events, Haproxy, Pair, Proxy, Recorded,
    failover::{Load, PATIENCE},
    ms,
    skip::is_available,
};

/// The callers that are at work at the same time.
pub const CALLERS: u32 = 12;

/// Outlives every outage of these tests.
pub fn patient() -> RetryPolicy {
    RetryPolicy::builder().deadline(ms(90_000)).max_replays(30).build().expect("valid")
}

/// Probes often, so that a test does not take long, and records its events.
pub fn builder(events: &Events) -> ExecutorBuilder {
    Executor::builder().policy(patient()).probe_interval(ms(50)).on_event(events.hook())
}

/// An executor over both servers of a pair, in their order.
pub fn over(pair: &Pair, events: &Events) -> Executor {
    builder(events).build_targets([pair.opts(0), pair.opts(1)]).expect("good options")
}

/// The same for an old primary that lives, and that this proxy makes unreachable until calls have moved away from it.
///
/// Two probes are further apart than a slow machine needs for a test, so that calls do not return to it.
pub fn builder_that_opens(proxy: &Arc<Proxy>, events: &Events) -> ExecutorBuilder {
    let (record, path) = (events.hook(), proxy.clone());
    let hook = move |event: &Event<'_>| {
        record(event);
        if let Event::Moved { .. } = event {
            path.accept_and_close(false);
        }
    };
    builder(events).on_event(hook).probe_interval(ms(30_000))
}

/// Lets callers begin on an executor whose primary is the first server.
pub async fn begin_load(scenario: &'static str, pair: &Pair, exec: &Executor) -> Load {
    Load::lay_out(scenario, pair.first(), exec, CALLERS).await;
    Load::begin(scenario, exec, CALLERS, true)
}

/// Ends each wait for a row after a second.
///
/// A server that is to become read-only waits for the running statements, and lets no other begin to write. A statement that waits
/// for a row of a transaction whose next statement may not begin waits until its time-out: 50 s by default (seen on MariaDB 10.11).
pub async fn shorten_lock_waits(pair: &Pair) {
    for server in pair.servers() {
        server.query_drop("SET GLOBAL innodb_lock_wait_timeout = 1").await;
    }
}

/// Whether there is haproxy; if not, the reason is printed.
pub fn has_haproxy() -> bool {
    is_available(Haproxy::is_available(), "MYSQL_RETRY_HAPROXY")
}

/// Waits until a server was down for this reason.
pub async fn wait_down(events: &Events, why: Unavailable) {
    events.wait_for_within(PATIENCE, |event| *event == Recorded::Down { why }).await;
}

/// Lets the runtime see that the sockets of a killed server are closed: a statement that is sent before that may be lost.
pub async fn settle() {
    tokio::time::sleep(ms(50)).await;
}
