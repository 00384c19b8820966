//! A server that refuses writes for a while, and what takes its place behind the same address (CASES.md 36).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mysql_async::OptsBuilder;
use mysql_retry::{Event, Executor, Outcome, Reason, RetryPolicy, TxOpts, Unavailable};
use mysql_retry_fixture::{Proxy, Server};

use crate::{
    support::hooks::ms,
    support::{Events, Ledger, Told, all_wait, connection_id, in_time, pool_that_keeps, unique},
};

const POOL: usize = 3;
const INTERVAL: Duration = ms(50);

/// A user whom `read_only` stops.
async fn app(server: &Server) {
    server.query_drop("CREATE USER app@'%' IDENTIFIED BY 'app-pass'").await;
    server.query_drop("GRANT ALL ON test.* TO app@'%'").await;
}

fn as_app(opts: OptsBuilder) -> OptsBuilder {
    opts.user(Some("app")).pass(Some("app-pass"))
}

async fn read_only(server: &Server, on: bool) {
    server.query_drop(format!("SET GLOBAL read_only = {}", u8::from(on))).await;
}

fn listening(connections: usize, opts: OptsBuilder) -> (Executor, Events) {
    let events = Events::default();
    let policy = RetryPolicy::builder().deadline(ms(50_000)).build().expect("valid");
    let builder = Executor::builder().policy(policy).probe_interval(INTERVAL).on_event(events.hook());
    (builder.build(pool_that_keeps(connections, connections, opts)).expect("good options"), events)
}

/// The outages that were told of: how each began, and how many calls waited for its end.
fn outages(events: &Events) -> Vec<Told> {
    let of_outage = |told: &Told| matches!(told, Told::Down { .. } | Told::Back { .. });
    events.told().into_iter().filter(of_outage).collect()
}

/// All connections of the pool, by their ids.
async fn all_ids(exec: &Executor) -> Vec<u32> {
    let meeting =
        (0..POOL).map(|_| exec.query_first::<u32, _>("SELECT CONNECTION_ID() FROM (SELECT SLEEP(0.4)) AS nap"));
    let met = in_time(futures_util::future::join_all(meeting)).await;
    met.into_iter().map(|id| id.expect("an answer").expect("a row")).collect()
}

#[tokio::test]
async fn writes_wait_for_a_server_that_became_read_only_and_reads_go_on() {
    const WRITES: u64 = 6;
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    app(&server).await;
    let (exec, events) = listening(POOL, as_app(server.opts()));
    let before = all_ids(&exec).await;
    read_only(&server, true).await;
    let writes: Vec<_> = (0..WRITES)
        .map(|n| {
            let (exec, sql) = (exec.clone(), ledger.insert());
            tokio::spawn(async move {
                if n % 2 == 0 {
                    exec.query_drop(sql).await.map(drop)
                } else {
                    let work = |mut tx: mysql_retry::Tx| {
                        let sql = sql.clone();
                        async move { tx.query_drop(sql).await.map(drop) }
                    };
                    exec.transaction(TxOpts::default(), work).await
                }
            })
        })
        .collect();
    all_wait(&exec, WRITES).await;
    // what was connected before is not used any more, not even for reads
    for _ in 0..20 {
        let id = in_time(connection_id(&exec)).await;
        assert!(!before.contains(&id), "{id} of {before:?}");
    }
    assert_eq!(exec.counters().waiting, WRITES, "a read waits");
    assert_eq!(outages(&events), [Told::Down { why: Unavailable::ReadOnly }]);
    read_only(&server, false).await;
    for write in writes {
        in_time(write).await.expect("no panic").expect("it takes writes");
    }
    assert_eq!(outages(&events), [Told::Down { why: Unavailable::ReadOnly }, Told::Back { waiting: WRITES }]);
    assert_eq!((ledger.rows().await, exec.counters().waiting), (WRITES, 0));
    let after = all_ids(&exec).await;
    assert!(after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
}

#[tokio::test]
async fn a_write_goes_to_the_server_that_took_the_place_of_one_that_became_read_only() {
    let (first, second) = tokio::join!(Server::start(), Server::start());
    let ledger = Ledger::new(&first).await;
    second
        .query_drop(format!("CREATE TABLE {} (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)", ledger.table))
        .await;
    tokio::join!(app(&first), app(&second));
    let proxy = Proxy::start(&first).await;
    let (exec, events) = listening(POOL, as_app(proxy.opts()));
    all_ids(&exec).await;
    read_only(&first, true).await;
    let (writing, sql) = (exec.clone(), ledger.insert());
    let write = tokio::spawn(async move { writing.query_drop(sql).await });
    all_wait(&exec, 1).await;
    proxy.point_at(&second);
    in_time(write).await.expect("no panic").expect("the second server takes writes");
    let rows: Option<u64> = second.query_first(format!("SELECT COUNT(*) FROM {}", ledger.table)).await;
    assert_eq!((ledger.rows().await, rows), (0, Some(1)));
    assert_eq!(outages(&events), [Told::Down { why: Unavailable::ReadOnly }, Told::Back { waiting: 1 }]);
    // nobody is left at the first
    for write in 2..=10 {
        in_time(exec.query_drop(ledger.insert())).await.expect("a row");
        let rows: Option<u64> =
            in_time(exec.query_first(format!("SELECT COUNT(*) FROM {}", ledger.table))).await.expect("rows");
        assert_eq!(rows, Some(write));
    }
    assert_eq!(exec.counters().outages, 1);
}

#[tokio::test]
async fn a_policy_without_retries_does_not_wait_for_a_read_only_server() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    app(&server).await;
    read_only(&server, true).await;
    let (exec, _) = listening(POOL, as_app(server.opts()));
    let bare = exec.with_policy(&RetryPolicy::none());
    // by the server, and from then on by what is known of it
    for _ in 0..3 {
        let error = in_time(bare.query_drop(ledger.insert())).await.unwrap_err();
        assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::SwitchedOff), "{error}");
        assert!(error.is_refused() && !error.is_disconnect(), "{error}");
        assert_eq!((error.code(), error.attempts()), (Some(1290), 1), "{error}");
    }
    assert_eq!(in_time(bare.query_first("SELECT 7")).await.expect("a read"), Some(7));
    assert_eq!((ledger.rows().await, exec.counters().outages), (0, 1));
    read_only(&server, false).await;
    in_time(exec.query_drop(ledger.insert())).await.expect("it takes writes");
}

// The deadline cuts short the wait for another connection, which says nothing of why one was needed.
#[tokio::test]
async fn a_refusal_is_what_is_told_where_no_other_connection_was_had_in_time() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    app(&server).await;
    read_only(&server, true).await;
    let proxy = Arc::new(Proxy::start(&server).await);
    let policy = RetryPolicy::builder().deadline(ms(500)).build().expect("valid");
    let path = proxy.clone();
    let hook = move |event: &Event<'_>| {
        if let Event::Back { .. } = event {
            path.black_hole(true);
        }
    };
    let builder = Executor::builder().policy(policy).accept_read_only(true).on_event(hook);
    let exec = builder.build(as_app(proxy.opts())).expect("good options");
    let error = in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::Deadline), "{error}");
    assert!(error.is_refused() && !error.is_disconnect() && error.code() == Some(1290), "{error}");
    assert!(error.attempts() > 1 && error.to_string().contains("refused the statement"), "{error}");
}

/// The most probes that so long a wait is worth: each delay is the interval less a fifth at least, but for the first two (20
/// and 40 ms), which come sooner; and one at each end.
fn most_probes(length: Duration) -> u64 {
    (length.as_secs_f64() / INTERVAL.mul_f64(0.8).as_secs_f64()) as u64 + 2 + 2
}

// That a server is read-only is all that each probe finds: no news, so no reason to ask again at once.
#[tokio::test]
async fn servers_that_stay_read_only_are_probed_with_pauses() {
    let servers = tokio::join!(Server::start(), Server::start());
    let servers = [&servers.0, &servers.1];
    for server in servers {
        app(server).await;
        read_only(server, true).await;
    }
    for targets in 1..=2 {
        let policy = RetryPolicy::builder().deadline(ms(50_000)).build().expect("valid");
        let builder = Executor::builder().policy(policy).probe_interval(INTERVAL);
        let exec = builder.build_targets(servers[..targets].iter().map(|it| as_app(it.opts()))).expect("good options");
        let writing = exec.clone();
        let began = Instant::now();
        let write = tokio::spawn(async move { writing.query_drop("DELETE FROM test.nothing").await });
        in_time(async {
            while exec.counters().probes < 20 {
                tokio::time::sleep(ms(5)).await;
            }
        })
        .await;
        // looked at before the clock is: there may be more by then, not fewer
        let (counters, length) = (exec.counters(), began.elapsed());
        let most = most_probes(length) * targets as u64;
        assert!(counters.probes <= most, "{targets} servers, {length:?}: {counters:?}");
        assert_eq!((counters.waiting, counters.outages), (1, 1), "{targets} servers: {counters:?}");
        write.abort();
    }
}

// 1290 stands for other options as well, which say nothing about the server's use for others
#[tokio::test]
async fn a_statement_that_another_option_forbids_is_no_outage() {
    let server = Server::builder().flag("--secure-file-priv=/usr").start().await;
    let (exec, events) = listening(1, server.opts());
    let before = in_time(connection_id(&exec)).await;
    let file = std::env::temp_dir().join(unique("mysql-retry-outfile"));
    let error = in_time(exec.query_drop(format!("SELECT 1 INTO OUTFILE '{}'", file.display()))).await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Some(1290), Reason::NotALoss), "{error}");
    assert_eq!((events.told(), exec.counters().outages), (vec![], 0));
    assert_eq!(in_time(connection_id(&exec)).await, before, "its connection was dropped");
}
