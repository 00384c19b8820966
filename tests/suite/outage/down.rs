//! Servers that are down, full, locked or not what they were (CASES.md 32 to 35, 38).

use std::time::Duration;

use mysql_async::{Conn, OptsBuilder};
use mysql_retry::{Annotate, Disconnect, Executor, Outcome};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, Transport, When};

use crate::{
    support::hooks::{Losses, every, is_nobody_there, ms},
    support::{Ledger, all_wait, connection_id, executor, in_time, shared, unique},
};

fn address(server: &Server) -> String {
    match server.transport() {
        Transport::Tcp => format!("127.0.0.1:{}", server.port()),
        Transport::Unix => server.socket().display().to_string(),
    }
}

// CASES.md 32
#[tokio::test]
async fn a_server_that_stays_down_is_an_error_in_time_that_names_it_without_the_password() {
    let server = Server::start().await;
    server.query_drop("CREATE USER app@'%' IDENTIFIED BY 'hunter2-secret'").await;
    let opts = server.opts().user(Some("app")).pass(Some("hunter2-secret")).db_name(None::<String>);
    let policy = every(ms(1_000)).deadline(ms(1_900)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(opts).expect("good options");
    exec.ping().await.expect("a server");
    server.kill().await;
    for statement in ["INSERT INTO t VALUES (1)".idempotent(), mysql_retry::Statement::new("DELETE FROM t")] {
        let error = in_time(exec.query_drop(statement)).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        assert_eq!((error.disconnect(), error.code()), (Some(Disconnect::ServerGone), Some(2006)), "{error}");
        assert!(error.is_deadline() && is_nobody_there(&error), "{error}");
        let down_for = error.down_for().expect("an outage");
        assert!(down_for > ms(900) && down_for < Duration::from_secs(40), "{error}");
        assert!(error.to_string().contains(&format!("(down for {:.3} s)", down_for.as_secs_f64())), "{error}");
        assert!(error.elapsed() < Duration::from_secs(20), "{:?}", error.elapsed());
        let shown = format!("{error} {error:?}");
        assert!(error.to_string().contains(&address(&server)), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

// CASES.md 33
#[tokio::test]
async fn statements_that_wait_for_a_killed_server_all_succeed_once_it_is_back() {
    const TASKS: u64 = 20;
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    // longer than the worst start of a server
    let policy = mysql_retry::RetryPolicy::builder().deadline(ms(50_000)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(server.opts()).expect("good options");
    exec.ping().await.expect("a server");
    server.kill().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let (exec, sql) = (exec.clone(), ledger.insert_param());
            tokio::spawn(async move { exec.exec_drop(sql, (n,)).await })
        })
        .collect();
    all_wait(&exec, TASKS).await;
    server.start_again().await;
    for task in tasks {
        let summary = in_time(task).await.expect("no panic").expect("the server is back");
        assert_eq!(summary.affected_rows(), 1);
    }
    let mut values = ledger.values().await;
    values.sort_unstable();
    assert_eq!(values, (0..20).collect::<Vec<_>>(), "each exactly once");
    assert_eq!(exec.counters().waiting, 0);
    // those that came after the first had nothing to recover from
    assert!((1..=TASKS).contains(&exec.counters().recovered), "{:?}", exec.counters());
}

#[tokio::test]
async fn idempotent_statements_that_run_while_the_server_is_stopped_succeed_once_it_is_back() {
    let server = Server::start().await;
    let policy = mysql_retry::RetryPolicy::builder().deadline(ms(50_000)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(server.opts()).expect("good options");
    let table = unique("slow");
    server.query_drop(format!("CREATE TABLE {table} (n INT)")).await;
    server.query_drop(format!("INSERT INTO {table} VALUES (1), (2), (3), (4), (5), (6)")).await;
    let tasks: Vec<_> = (0..5)
        .map(|task| {
            let exec = exec.clone();
            // each row takes a while, so that an interrupted scan is not a complete answer
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

// CASES.md 34
#[tokio::test]
async fn a_password_that_was_changed_surfaces_at_once_after_the_reconnect() {
    let server = shared().await;
    let user = unique("user");
    server.query_drop(format!("CREATE USER {user}@'%' IDENTIFIED BY 'old'")).await;
    server.query_drop(format!("GRANT ALL ON test.* TO {user}@'%'")).await;
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

/// A server of ten places.
async fn small_server() -> Server {
    Server::builder().flag("--max-connections=10").start().await
}

/// A user who has no place in reserve.
pub async fn app(server: &Server) -> OptsBuilder {
    server.query_drop("CREATE USER app@'%' IDENTIFIED BY 'app-pass'").await;
    server.query_drop("GRANT ALL ON test.* TO app@'%'").await;
    server.opts().user(Some("app")).pass(Some("app-pass"))
}

/// Takes all places, of which there are so many, for that user. The fixture has one, but may find it in use by a connection
/// that is on its way out: ask the server nothing until there is room.
pub async fn fill(opts: &OptsBuilder, places: usize) -> Vec<Conn> {
    let mut taken = Vec::new();
    // the fixture's own connections may still be on their way out
    let mut refusals = 0;
    while refusals < 3 || taken.len() < places {
        assert!(taken.len() <= places, "the server has more places than it was told");
        match in_time(Conn::new(opts.clone())).await {
            Ok(conn) => taken.push(conn),
            Err(mysql_async::Error::Server(error)) if error.code == 1040 => refusals += 1,
            Err(error) => panic!("{error}"),
        }
    }
    taken
}

// CASES.md 35
#[tokio::test]
async fn a_full_server_is_waited_for() {
    let server = small_server().await;
    let ledger = Ledger::new(&server).await;
    let opts = app(&server).await;
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

// CASES.md 35
#[tokio::test]
async fn a_server_that_stays_full_is_named_at_the_deadline() {
    let server = small_server().await;
    let opts = app(&server).await;
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
    assert!(text.contains(&address(&server)), "{text}");
    drop(taken);
}

// CASES.md 38
#[tokio::test]
async fn a_proxy_without_a_backend_counts_as_a_server_that_is_down() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    proxy.accept_and_close(true);
    let (hook, mut losses) = Losses::listen();
    let exec = Executor::builder().on_event(hook).build(proxy.opts()).expect("good options");
    let policy = every(ms(1_000)).deadline(ms(1_900)).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert_eq!(error.disconnect(), Some(Disconnect::ServerGone), "{error}");
    assert!(error.is_deadline() && error.attempts() > 1, "{error}");

    losses.wait_for(error.attempts().try_into().expect("few")).await;
    let backend = async {
        losses.wait_for(2).await;
        proxy.accept_and_close(false);
    };
    let (result, ()) = in_time(async { tokio::join!(exec.query_drop(ledger.insert()), backend) }).await;
    assert_eq!(result.expect("there is a backend").affected_rows(), 1);
    assert_eq!(ledger.rows().await, 1);
}

// CASES.md 38: each way in which a proxy says so, for every connection until there is a backend
#[tokio::test]
async fn a_proxy_that_says_that_it_has_no_backend_is_waited_for_until_it_has_one() {
    let server = shared().await;
    let says = |code: u16, state: Option<&str>, sequence| Fault::ErrPacket {
        code,
        state: state.map(str::to_owned),
        message: "Can't connect to MySQL server".into(),
        sequence,
    };
    let ways = [
        // MySQL Router
        (When::Greeting, Place::Reply(0), says(2003, None, Some(0))),
        (When::Greeting, Place::Reply(0), says(2003, Some("HY000"), Some(0))),
        // ProxySQL accepts the login, and then finds nobody
        (When::Login, Place::AfterRequest, says(9001, Some("HY000"), None)),
        (When::text("wait_timeout"), Place::Request(0), says(9001, Some("HY000"), None)),
        // those that forward bytes
        (When::Greeting, Place::Reply(0), Fault::Fin),
        (When::Greeting, Place::Reply(20), Fault::Fin),
        (When::Login, Place::Request(0), Fault::Rst),
    ];
    for (when, place, fault) in ways {
        let shown = format!("{when:?} {place:?} {fault:?}");
        let ledger = Ledger::new(server).await;
        let proxy = Proxy::start(server).await;
        proxy.rule(Rule::new(when, place, fault).times(1_000));
        let (hook, mut losses) = Losses::listen();
        let exec = Executor::builder().on_event(hook).build(proxy.opts()).expect("good options");
        let hasty = every(ms(1)).deadline(ms(1_000)).build().expect("valid");
        let error = in_time(exec.with_policy(&hasty).query_drop(ledger.insert())).await.unwrap_err();
        assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 2), "{shown}: {error}");
        assert_eq!(error.disconnect(), Some(Disconnect::ServerGone), "{shown}: {error}");
        assert!(error.is_deadline(), "{shown}: {error}");
        losses.wait_for(2).await;
        let backend = async {
            losses.wait_for(2).await;
            proxy.clear_rules();
        };
        let (result, ()) = in_time(async { tokio::join!(exec.query_drop(ledger.insert()), backend) }).await;
        assert_eq!(result.expect("there is a backend").affected_rows(), 1, "{shown}");
        assert_eq!(ledger.rows().await, 1, "{shown}");
    }
}

#[tokio::test]
async fn a_server_that_restarted_while_nothing_ran_is_found_without_a_loss() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    let exec = executor(&server);
    exec.ping().await.expect("a server");
    server.restart().await;
    in_time(exec.query_drop(ledger.insert())).await.expect("the server is back");
    assert_eq!(ledger.rows().await, 1);
    assert_eq!(exec.counters().losses, 0, "a dead connection was used");
}
