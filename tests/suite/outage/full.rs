//! The server takes no more connections.

use mysql_async::{Conn, OptsBuilder};
use mysql_retry::{Executor, Outcome, Unavailable};
use mysql_retry_fixture::{Events, Recorded, Server, in_time, ms, pool_that_keeps};

use super::{as_app, create_app};
use crate::support::{Ledger, Losses, connection_ids, every, patient};

/// A server of ten places.
async fn small_server() -> Server {
    Server::builder().flag("--max-connections=10").start().await
}

/// Takes all places of the server for the user of the options.
///
/// An earlier connection of the fixture's may still be closing. The fixture has a place of its own, which such a connection may occupy:
/// ask the server nothing until there is room.
pub async fn fill(opts: &OptsBuilder, places: usize) -> Vec<Conn> {
    let mut taken = Vec::new();
    let mut refusals = 0;
    while refusals < 3 || taken.len() < places {
        assert!(taken.len() <= places, "the server has more places than its flag says");
        match in_time(Conn::new(opts.clone())).await {
            Ok(conn) => taken.push(conn),
            Err(mysql_async::Error::Server(error)) if error.code == 1040 => refusals += 1,
            Err(error) => panic!("{error}"),
        }
    }
    taken
}

// case 35
#[tokio::test]
async fn a_full_server_is_waited_for() {
    let server = small_server().await;
    let ledger = Ledger::new(&server).await;
    create_app(&server).await;
    let opts = as_app(server.opts());
    let mut taken = fill(&opts, 10).await;
    let (hook, mut losses) = Losses::listen();
    let exec = Executor::builder().on_event(hook).build(opts).expect("good options");
    let leaves = async {
        losses.wait_for(2).await;
        taken.pop().expect("a connection").disconnect().await.expect("a goodbye");
    };
    let (result, ()) = in_time(async { tokio::join!(exec.query_drop(ledger.insert()), leaves) }).await;
    assert_eq!(result.expect("there is a place").affected_rows(), 1);
    for conn in taken {
        conn.disconnect().await.expect("a goodbye");
    }
    assert_eq!(ledger.rows().await, 1);
}

// case 35
#[tokio::test]
async fn a_server_that_stays_full_is_named_at_the_deadline() {
    let server = small_server().await;
    create_app(&server).await;
    let opts = as_app(server.opts());
    let taken = fill(&opts, 10).await;
    let policy = every(ms(1_000)).deadline(ms(1_900)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(opts).expect("good options");
    let error = in_time(exec.query_drop("INSERT INTO t VALUES (1)")).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert_eq!(error.server_error().map(|e| e.code), Some(1040), "{error}");
    assert!(error.is_disconnect() && error.is_deadline(), "{error}");
    assert!(error.attempts() > 1, "{error}");
    let text = error.to_string();
    assert!(text.contains("1040") && text.contains("Too many connections"), "{text}");
    assert!(text.contains(&server.address()), "{text}");
    drop(taken);
}

// case 35
#[tokio::test]
async fn idle_connections_serve_all_calls_while_the_server_takes_no_more() {
    let server = Server::builder().flag("--max-connections=10").start().await;
    let ledger = Ledger::new(&server).await;
    create_app(&server).await;
    let opts = as_app(server.opts());
    let events = Events::default();
    let policy = patient();
    let builder = Executor::builder().policy(policy).on_event(events.hook());
    let exec = builder.build(pool_that_keeps(2, 10, opts.clone())).expect("good options");
    connection_ids(&exec, 2).await;
    let taken = fill(&opts, 8).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (exec, sql) = (exec.clone(), ledger.insert());
            tokio::spawn(async move { exec.query_drop(sql).await })
        })
        .collect();
    for call in calls {
        in_time(call).await.expect("no panic").expect("one of the two connections");
    }
    let recorded = events.recorded();
    assert!(recorded.contains(&Recorded::Down { why: Unavailable::Full }), "{recorded:?}");
    assert!(!recorded.iter().any(|event| matches!(event, Recorded::Back { .. })), "there was a place: {recorded:?}");
    drop(taken);
    // as soon as one waits
    let calls = (0..4).map(|_| exec.query_drop("SELECT SLEEP(1)"));
    let back = events.wait_for(|event| matches!(event, Recorded::Back { .. }));
    let (calls, ()) = in_time(async { tokio::join!(futures_util::future::join_all(calls), back) }).await;
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    assert_eq!(ledger.rows().await, 50);
}
