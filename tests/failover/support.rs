//! Pairs of servers with callers on them, and what the executor tells of its outages.

use std::{env, future::Future, io, io::Write as _, sync::Arc, time::Duration};

use mysql_async::OptsBuilder;
use mysql_retry::{Builder, Event, Executor, RetryPolicy, Unavailable, Unfenced};
use mysql_retry_fixture::{Haproxy, Pair, Proxy, Server, Transport};
use tokio::{sync::watch, time::timeout};

/// Longer than anything in these tests takes; only a test that would hang for ever meets it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// So many callers are at work at the same time.
pub const CALLERS: u32 = 12;

/// Waits for what has to come, and fails instead of hanging for ever.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("a test that hangs")
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Outlives every outage of these tests.
pub fn patient() -> RetryPolicy {
    RetryPolicy::builder().deadline(ms(90_000)).max_replays(30).build().expect("valid")
}

/// An executor that probes often, so that a test does not take long, and tells what it sees.
pub fn builder(events: &Events) -> Builder {
    Executor::builder().policy(patient()).probe_interval(ms(50)).on_event(events.hook())
}

/// An executor over both servers of a pair, in their order.
pub fn over(pair: &Pair, events: &Events) -> Executor {
    builder(events).build_targets([pair.opts(0), pair.opts(1)]).expect("good options")
}

/// The same, for an old primary that lives and cannot be reached through this proxy, until its calls have moved away from it.
/// With pauses between two probes that are longer than a slow machine takes for a test, so that it is not taken again.
pub fn builder_that_opens(proxy: &Arc<Proxy>, events: &Events) -> Builder {
    let (tell, path) = (events.hook(), proxy.clone());
    let hook = move |event: &Event<'_>| {
        tell(event);
        if let Event::Moved { .. } = event {
            path.accept_and_close(false);
        }
    };
    builder(events).on_event(hook).probe_interval(ms(30_000))
}

/// Lets nobody wait for a row for long.
///
/// A server that is to be read-only waits for the statements that run, and lets no other begin to write. One that waits for a row
/// of a transaction whose next statement may not begin waits for ever: until its time-out, which is 50 s where nobody changes it
/// (seen on MariaDB 10.11).
pub async fn shorten_lock_waits(pair: &Pair) {
    for server in pair.servers() {
        server.query_drop("SET GLOBAL innodb_lock_wait_timeout = 1").await;
    }
}

/// Whether there is haproxy; the reason why not has been printed.
pub fn has_haproxy() -> bool {
    let Err(reason) = Haproxy::is_available() else { return true };
    let required = env::var("MYSQL_RETRY_HAPROXY").is_ok_and(|value| value == "required");
    assert!(!required, "{reason}");
    skip(&reason);
    false
}

/// Prints why a test is not run: not by a macro, whose words the harness keeps to itself.
pub fn skip(reason: &str) {
    let _ = writeln!(io::stderr(), "skipped: {reason}");
}

/// How a server is named in messages.
pub fn address(server: &Server) -> String {
    match server.transport() {
        Transport::Tcp => format!("127.0.0.1:{}", server.port()),
        Transport::Unix => server.socket().display().to_string(),
    }
}

/// The options with a pool of at most so many connections.
pub fn pool_of(connections: usize, opts: OptsBuilder) -> OptsBuilder {
    let constraints = mysql_async::PoolConstraints::new(1, connections).expect("at least one connection");
    opts.pool_opts(mysql_async::PoolOpts::default().with_constraints(constraints))
}

/// An [`Event`] of an outage, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Down(String, Unavailable),
    Back(String),
    Moved { from: String, to: String },
    Unfenced(Unfenced),
}

/// Writes down the events of an executor.
#[derive(Clone)]
pub struct Events(watch::Sender<Vec<Seen>>);

impl Default for Events {
    fn default() -> Self {
        Events(watch::Sender::new(Vec::new()))
    }
}

impl Events {
    pub fn hook(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let all = self.0.clone();
        move |event| {
            let seen = match *event {
                Event::Down { address, why, .. } => Seen::Down(address.into(), why),
                Event::Back { address, .. } => Seen::Back(address.into()),
                Event::Moved { from, to, .. } => Seen::Moved { from: from.into(), to: to.into() },
                Event::Unfenced { why, .. } => Seen::Unfenced(why),
                _ => return,
            };
            all.send_modify(|all| all.push(seen));
        }
    }

    pub fn all(&self) -> Vec<Seen> {
        self.0.borrow().clone()
    }

    /// Waits until the last move was one to this server.
    pub async fn wait_moved_to(&self, server: &Server) {
        let wanted = address(server);
        self.wait(|seen| matches!(seen, Seen::Moved { to, .. } if *to == wanted)).await;
    }

    /// Waits until the server was down for this reason.
    pub async fn wait_down(&self, why: Unavailable) {
        self.wait(|seen| matches!(seen, Seen::Down(_, told) if *told == why)).await;
    }

    async fn wait(&self, wanted: impl Fn(&Seen) -> bool) {
        let mut all = self.0.subscribe();
        let found = timeout(PATIENCE, all.wait_for(|all| all.iter().any(&wanted))).await.is_ok();
        assert!(found, "{:?}", self.all());
    }

    pub fn moves(&self) -> Vec<(String, String)> {
        let all = self.all();
        all.into_iter()
            .filter_map(|seen| if let Seen::Moved { from, to } = seen { Some((from, to)) } else { None })
            .collect()
    }
}

/// Waits until this holds of the executor's counters.
pub async fn until(exec: &Executor, holds: impl Fn(&mysql_retry::Counters) -> bool) {
    until_true(async || holds(&exec.counters())).await;
}

/// Asks again until it is true.
pub async fn until_true(mut ask: impl AsyncFnMut() -> bool) {
    in_time(async {
        while !ask().await {
            tokio::time::sleep(ms(5)).await;
        }
    })
    .await;
}

/// Lets the runtime see that the sockets of a server that was killed are closed: what is used in that very moment may be lost.
pub async fn settle() {
    tokio::time::sleep(ms(50)).await;
}
