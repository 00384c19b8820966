//! After an outage, or at the first connect, the server refuses the login.

use mysql_retry::{Annotate as _, Classification, Disconnect, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Fault, Proxy, Server, in_time, ms, until_counters};

use super::{as_app, create_app};
use crate::support::{connection_id, patient, shared, unique, until_waiting};

// case 34
#[tokio::test]
async fn who_is_not_let_in_after_an_outage_is_told_at_once_and_nobody_tries_again_and_again() {
    const CALLS: u64 = 20;
    let server = shared().await;
    for code in [1045, 1049] {
        let (name, proxy) = (unique("changed"), Proxy::start(server).await);
        server.query_drop(format!("CREATE DATABASE {name}")).await;
        server.create_user(&name, "old").await;
        server.query_drop(format!("GRANT ALL ON *.* TO {name}@'%'")).await;
        let opts = proxy.opts().user(Some(&name)).pass(Some("old")).db_name(Some(&name));
        let builder = Executor::builder().policy(patient()).probe_interval(ms(20));
        let exec = builder.build(opts).expect("good options");
        in_time(exec.ping()).await.expect("a server");
        proxy.accept_and_close(true);
        proxy.cut_all(Fault::Fin).await;
        let calls = (0..CALLS).map(|_| {
            let exec = exec.clone();
            tokio::spawn(async move { exec.query_drop("SELECT 7".idempotent()).await })
        });
        let calls: Vec<_> = calls.collect();
        until_waiting(&exec, CALLS).await;
        match code {
            1045 => server.query_drop(format!("ALTER USER {name}@'%' IDENTIFIED BY 'new'")).await,
            _ => server.query_drop(format!("DROP DATABASE {name}")).await,
        }
        let probes = exec.counters().probes;
        let accepted = proxy.accepted() as u64;
        proxy.accept_and_close(false);
        for call in calls {
            let error = in_time(call).await.expect("no panic").unwrap_err();
            assert_eq!((error.code(), error.outcome()), (Some(code), Outcome::NotExecuted), "{error}");
            assert_eq!(error.reason(), Reason::NotALoss, "{error}");
            assert!(!error.is_deadline() && error.attempts() <= 2, "{error}");
        }
        // one connection of each call, and those of the probes until one gets the error
        let attempts = proxy.accepted() as u64 - accepted;
        let probes = exec.counters().probes - probes;
        assert!(attempts <= CALLS + probes + 1, "{attempts} attempts, {probes} probes");
        let (after, counters) = (proxy.accepted(), exec.counters());
        tokio::time::sleep(ms(300)).await;
        assert_eq!((proxy.accepted(), exec.counters()), (after, counters), "something goes on");
        assert_eq!(counters.waiting, 0);
    }
}

// case 34
#[tokio::test]
async fn a_password_that_was_changed_surfaces_at_once_after_the_reconnect() {
    let server = shared().await;
    let user = unique("user");
    server.create_user(&user, "old").await;
    let opts = server.opts().user(Some(&user)).pass(Some("old"));
    let exec = Executor::new(opts).expect("good options");
    let id = connection_id(&exec).await;
    server.query_drop(format!("ALTER USER {user}@'%' IDENTIFIED BY 'new'")).await;
    server.kill_connection(id).await;
    server.wait_gone(id).await;
    let error = in_time(exec.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!((error.code(), error.attempts()), (Some(1045), 1), "{error}");
    assert_eq!(error.outcome(), Outcome::NotExecuted);
    assert!(!error.is_disconnect());
    assert_eq!(exec.counters().losses, 0);
    server.query_drop(format!("ALTER USER {user}@'%' IDENTIFIED BY 'old'")).await;
    assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("the right password again"), Some(7));
}

#[tokio::test]
async fn an_unknown_database_surfaces_at_once() {
    let server = shared().await;
    let exec = Executor::new(server.opts().db_name(Some("no_such_database"))).expect("good options");
    let error = in_time(exec.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!((error.code(), error.attempts()), (Some(1049), 1), "{error}");
    assert_eq!(error.outcome(), Outcome::NotExecuted);
    assert!(!error.is_disconnect());
}

#[tokio::test]
async fn case_62_a_broken_init_connect_surfaces_at_once() {
    let server = Server::start().await;
    create_app(&server).await;
    server.query_drop("SET GLOBAL init_connect = 'SELECT * FROM test.no_such_table'").await;
    let exec = Executor::new(as_app(server.opts())).expect("good options");
    let error = in_time(exec.query_drop("SELECT 1")).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 1), "{error}");
    assert!(error.to_string().contains("init_connect"), "{error}");
    assert_eq!((exec.counters().probes, exec.counters().outages), (0, 0));
}

#[tokio::test]
async fn case_65_what_a_user_calls_a_loss_at_connect_is_one_outage_for_all() {
    const TASKS: usize = 20;
    let server = shared().await;
    let user = unique("late");
    server.create_user(&user, "another").await;
    let proxy = Proxy::start(server).await;
    let policy = RetryPolicy::builder()
        .deadline(ms(40_000))
        .classify_with(|error, table| match error {
            mysql_async::Error::Server(error) if error.code == 1045 => {
                Classification::disconnect(Disconnect::ServerGone, Outcome::NotExecuted)
            }
            _ => table,
        })
        .build()
        .expect("valid");
    let opts = proxy.opts().user(Some(&user)).pass(Some("secret"));
    let exec = Executor::builder().policy(policy).probe_interval(ms(50)).build(opts).expect("good options");
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let exec = exec.clone();
            tokio::spawn(async move { exec.query_first::<u8, _>("SELECT 7").await })
        })
        .collect();
    until_waiting(&exec, TASKS as u64).await;
    let (before, probes) = (proxy.accepted(), exec.counters().probes);
    until_counters(&exec, |it| it.probes >= probes + 10).await;
    // waiting calls do not log in; one more probe may be under way
    let logins = (proxy.accepted() - before) as u64;
    assert!(logins <= exec.counters().probes - probes + 1, "{logins} logins, {:?}", exec.counters());
    assert_eq!((exec.counters().outages, exec.counters().waiting), (1, TASKS as u64));
    server.query_drop(format!("ALTER USER {user}@'%' IDENTIFIED BY 'secret'")).await;
    for task in tasks {
        assert_eq!(in_time(task).await.expect("no panic").expect("the user is there"), Some(7));
    }
}
