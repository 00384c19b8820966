//! A server hangs, and another one takes its place (case 39).

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, RetryPolicy, Unfenced};
use mysql_retry_fixture::{Events, Fault, Place, Proxy, Recorded, Rule, Server, When, in_time, ms, pool_of};

use crate::support::{connection_id, create_register, executor_of_one, register, shared, unique, value};

/// Cuts attempts soon, and leaves time for a new connection on a slow machine.
fn hasty() -> RetryPolicy {
    RetryPolicy::builder().attempt_timeout(ms(3_000)).deadline(ms(50_000)).build().expect("valid")
}

/// Freezes the first server while a statement with this text runs, and lets new connections lead to the second.
async fn hang_and_take_over(first: &Server, second: &Server, proxy: &Proxy, text: &str) {
    first.wait_until_running(text).await;
    first.freeze();
    proxy.point_at(second);
}

async fn two_servers() -> (Server, Server, String) {
    let (first, second) = tokio::join!(Server::start(), Server::start());
    let table = register(&first).await;
    create_register(&second, &table, 100).await;
    (first, second, table)
}

#[tokio::test]
async fn an_idempotent_read_leaves_a_server_that_hangs_for_the_one_that_took_over() {
    let (first, second, table) = two_servers().await;
    let proxy = Proxy::start(&first).await;
    let exec = executor_of_one(proxy.opts()).with_policy(&hasty());
    in_time(exec.with_policy(&RetryPolicy::default()).ping()).await.expect("a server");
    // on the first server the statement runs for ten minutes
    let sql = format!("SELECT v, SLEEP(IF(v = 0, 600, 0)) FROM {table}");
    let call = exec.query::<(i32, i32), _>(sql.as_str().idempotent());
    let trouble = hang_and_take_over(&first, &second, &proxy, &table);
    let (rows, ()) = in_time(async { tokio::join!(call, trouble) }).await;
    assert_eq!(rows.expect("the second server answers"), [(100, 0)]);
    assert_eq!(exec.counters().recovered, 1);
    first.thaw();
}

#[tokio::test]
async fn a_write_leaves_a_server_that_hangs_only_if_it_is_idempotent() {
    let (first, second, table) = two_servers().await;
    for idempotent in [false, true] {
        let proxy = Proxy::start(&first).await;
        let events = Events::default();
        let builder = Executor::builder().policy(hasty()).on_event(events.hook());
        let exec = builder.build(pool_of(1, proxy.opts())).expect("good options");
        in_time(exec.with_policy(&RetryPolicy::default()).ping()).await.expect("a server");
        let mark = unique("hung");
        let sql = format!("UPDATE {table} SET v = 7 WHERE id = 1 AND SLEEP(IF(v = 0, 600, 0)) = 0 /* {mark} */");
        let call = async {
            if idempotent {
                exec.query_drop(sql.as_str().idempotent()).await
            } else {
                exec.query_drop(sql.as_str()).await
            }
        };
        let trouble = hang_and_take_over(&first, &second, &proxy, &mark);
        let (result, ()) = in_time(async { tokio::join!(call, trouble) }).await;
        let unfenced = Recorded::Unfenced { why: Unfenced::OtherServer, attempt: 2 };
        if idempotent {
            result.expect("the second server has executed it");
            assert!(events.recorded().contains(&unfenced), "{:?}", events.recorded());
            assert_eq!(value(&second, &table).await, 7);
        } else {
            let error = result.expect_err("it may have been executed");
            assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::NotIdempotent), "{error}");
            assert!(error.is_timeout(), "{error}");
            assert_eq!(value(&second, &table).await, 100, "it was sent to both");
        }
        first.thaw();
    }
}

// the server answers, but not on this connection
#[tokio::test]
async fn an_idempotent_statement_leaves_a_connection_that_hangs_for_a_new_one() {
    let server = shared().await;
    let scene = async |place: Place| {
        let proxy = Proxy::start(server).await;
        let exec = executor_of_one(proxy.opts());
        let hasty = exec.with_policy(&hasty());
        let id = connection_id(&exec).await;
        let mark = unique("path");
        let sql = format!("SELECT CONNECTION_ID(), '{mark}'");
        proxy.rule(Rule::new(When::text(&sql), place, Fault::Silence).times(2));
        let plain = in_time(hasty.query_drop(sql.as_str())).await.unwrap_err();
        assert_eq!((plain.outcome(), plain.attempts()), (Outcome::Unknown, 1), "{place:?}: {plain}");
        let old = connection_id(&exec).await;
        assert_ne!(old, id);
        let row: Option<(u32, String)> =
            in_time(hasty.query_first(sql.as_str().idempotent())).await.expect("an answer");
        let (new, answer) = row.expect("a row");
        assert_eq!(answer, mark);
        assert!(new != old && new != id, "{place:?}");
        assert_eq!(exec.counters().recovered, 1);
        // the server has ended the sessions of both silent connections
        server.wait_gone(id).await;
        server.wait_gone(old).await;
    };
    let places = [Place::Request(0), Place::AfterRequest, Place::Reply(9)];
    join_all(places.map(scene)).await;
}
