//! The server is down and comes back, or stays down.

use std::time::Duration;

use mysql_retry::{Annotate as _, Disconnect, Executor, Outcome, Statement};
use mysql_retry_fixture::{Server, in_time, ms};

use crate::support::{Ledger, every, is_nobody_there, patient, unique, until_waiting};

// case 32
#[tokio::test]
async fn a_server_that_stays_down_is_an_error_in_time_that_names_it_without_the_password() {
    let server = Server::start().await;
    server.query_drop("CREATE USER app@'%' IDENTIFIED BY 'hunter2-secret'").await;
    let opts = server.opts().user(Some("app")).pass(Some("hunter2-secret")).db_name(None::<String>);
    let policy = every(ms(1_000)).deadline(ms(1_900)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(opts).expect("good options");
    exec.ping().await.expect("a server");
    server.kill().await;
    for statement in ["INSERT INTO t VALUES (1)".idempotent(), Statement::new("DELETE FROM t")] {
        let error = in_time(exec.query_drop(statement)).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        assert_eq!((error.disconnect(), error.code()), (Some(Disconnect::ServerGone), Some(2006)), "{error}");
        assert!(error.is_deadline() && is_nobody_there(&error), "{error}");
        let down_for = error.down_for().expect("an outage");
        assert!(down_for > ms(900) && down_for < Duration::from_secs(40), "{error}");
        assert!(error.to_string().contains(&format!("(down for {:.3} s)", down_for.as_secs_f64())), "{error}");
        assert!(error.elapsed() < Duration::from_secs(20), "{:?}", error.elapsed());
        let shown = format!("{error} {error:?}");
        assert!(error.to_string().contains(&server.address()), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

// case 33
#[tokio::test]
async fn statements_that_wait_for_a_killed_server_all_succeed_once_it_is_back() {
    const TASKS: u64 = 20;
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    let exec = Executor::builder().policy(patient()).build(server.opts()).expect("good options");
    exec.ping().await.expect("a server");
    server.kill().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let (exec, sql) = (exec.clone(), ledger.insert_param());
            tokio::spawn(async move { exec.exec_drop(sql, (n,)).await })
        })
        .collect();
    until_waiting(&exec, TASKS).await;
    server.start_again().await;
    for task in tasks {
        let summary = in_time(task).await.expect("no panic").expect("the server is back");
        assert_eq!(summary.affected_rows(), 1);
    }
    let mut values = ledger.values().await;
    values.sort_unstable();
    assert_eq!(values, (0..20).collect::<Vec<_>>(), "each exactly once");
    assert_eq!(exec.counters().waiting, 0);
    // calls that began during the outage had nothing to recover from
    assert!((1..=TASKS).contains(&exec.counters().recovered), "{:?}", exec.counters());
}

#[tokio::test]
async fn idempotent_statements_that_run_while_the_server_is_stopped_succeed_once_it_is_back() {
    let server = Server::start().await;
    let exec = Executor::builder().policy(patient()).build(server.opts()).expect("good options");
    let table = unique("slow");
    server.query_drop(format!("CREATE TABLE {table} (n INT)")).await;
    server.query_drop(format!("INSERT INTO {table} VALUES (1), (2), (3), (4), (5), (6)")).await;
    let tasks: Vec<_> = (0..5)
        .map(|task| {
            let exec = exec.clone();
            // each row takes a while, so that an interrupted scan is no complete answer
            let sql = format!("SELECT n, SLEEP(0.3) FROM {table} /* task {task} */").idempotent();
            tokio::spawn(async move { exec.query_map(sql, |(n, _): (u32, u32)| n).await })
        })
        .collect();
    for task in 0..5 {
        server.wait_until_running(&format!("/* task {task} */")).await;
    }
    server.stop().await;
    server.start_again().await;
    for task in tasks {
        let rows = in_time(task).await.expect("no panic").expect("the server is back");
        assert_eq!(rows, [1, 2, 3, 4, 5, 6]);
    }
    assert!(exec.counters().recovered > 0, "no statement was interrupted: {:?}", exec.counters());
}
