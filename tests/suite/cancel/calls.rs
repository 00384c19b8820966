//! A call that is dropped half-way leaves nothing behind that another call could meet.

use std::time::Duration;

use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time, pool_of};

use crate::support::{Ledger, executor_of_one, shared};

// case 7
#[tokio::test]
async fn a_call_that_is_dropped_in_the_middle_of_its_rows_leaves_no_rows_behind() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    ledger.fill(2000).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    let sql = format!("SELECT id, n FROM {}", ledger.table);
    proxy.rule(Rule::new(When::text(&sql), Place::Reply(6000), Fault::Silence));
    tokio::select! {
        done = exec.query::<(i32, i32), _>(sql.as_str()) => panic!("it was to be cancelled: {done:?}"),
        () = proxy.wait_fired(1) => {}
    }
    let answer: Option<i32> = in_time(exec.query_first("SELECT 7")).await.expect("an answer");
    assert_eq!(answer, Some(7));
    assert_eq!(proxy.accepted(), 2);
}

// case 7
#[tokio::test]
async fn two_hundred_cancelled_calls_do_not_exhaust_a_pool_of_two() {
    let server = shared().await;
    let exec = mysql_retry::Executor::new(pool_of(2, server.opts())).unwrap();
    for n in 0..200_u32 {
        // dropped at another point each time: in the pool, while connecting, while waiting for the reply
        let after = Duration::from_micros(u64::from(n % 50) * 100);
        let slow = exec.query_first::<i32, _>("SELECT SLEEP(0.1)");
        let _ = tokio::time::timeout(after, slow).await;
        if n % 10 == 0 {
            assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
        }
    }
    let both = || exec.query_first::<u32, _>("SELECT CONNECTION_ID() FROM (SELECT SLEEP(0.3)) AS nap");
    let (one, other) = in_time(async { tokio::join!(both(), both()) }).await;
    assert_ne!(one.expect("an answer"), other.expect("an answer"), "both connections can be had");
}
