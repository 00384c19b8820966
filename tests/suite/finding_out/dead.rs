//! A dead connection is found out before a statement is sent on it.

use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Annotate as _, Classification, Disconnect, Executor, Outcome, RetryPolicy};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, Server, When};

use crate::support::{
    Ledger, assert_no_loss, connection_id, executor_of_one, executor_via, fired, in_time, pool_of, shared, unique,
};

// case 1
#[tokio::test]
async fn a_connection_that_died_in_the_pool_is_noticed_before_an_insert_is_sent() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    for turn in 1..=2 {
        let id = connection_id(&exec).await;
        server.kill_connection(id).await;
        server.wait_gone(id).await;
        if turn == 1 {
            exec.query_drop(ledger.insert()).await.expect("an insert as text");
        } else {
            exec.exec_drop(ledger.insert_param(), (1,)).await.expect("a prepared insert");
        }
        assert_eq!(ledger.rows().await, turn);
    }
    assert_no_loss(&exec);
}

// case 1: the runtime had no chance to see the socket's end before the statement
#[tokio::test]
async fn a_connection_that_died_while_the_task_blocked_its_thread_is_noticed_before_an_insert_is_sent() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    for _ in 0..20 {
        tokio::task::yield_now().await; // the driver puts the connection into its pool
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                server.kill_connection(id).await;
                server.wait_gone(id).await;
            });
        });
    });
    exec.query_drop(ledger.insert()).await.expect("an insert that goes to a living connection");
    assert_eq!(ledger.rows().await, 1);
    assert_no_loss(&exec);
}

// case 2
#[tokio::test]
async fn an_executor_that_idled_past_wait_timeout_inserts_once_and_loses_nothing() {
    let server = Server::builder().flag("--wait-timeout=1").start().await;
    let ledger = Ledger::new(&server).await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    server.wait_gone(id).await;
    exec.query_drop(ledger.insert()).await.expect("an insert after the server's time-out");
    assert_eq!(ledger.rows().await, 1);

    // again, and nothing of this runtime sees the server close the connection
    let id = connection_id(&exec).await;
    std::thread::sleep(Duration::from_millis(2500));
    exec.exec_drop(ledger.insert_param(), (1,)).await.expect("an insert after a blocked thread");
    assert_eq!(ledger.rows().await, 2);
    assert_ne!(connection_id(&exec).await, id);
    assert_no_loss(&exec);
}

// case 3
#[tokio::test]
async fn a_connection_in_use_is_not_pinged() {
    let proxy = Proxy::start(shared().await).await;
    let exec = executor_of_one(proxy.opts());
    for n in 0..20 {
        let answer: Option<i32> = exec.exec_first("SELECT ?", (n,)).await.expect("an answer");
        assert_eq!(answer, Some(n));
    }
    assert_eq!(proxy.count(Kind::Execute), 20);
    assert_eq!((proxy.accepted(), proxy.count(Kind::Ping)), (1, 0));
}

// case 3
#[tokio::test]
async fn a_connection_that_idled_is_pinged_once_before_its_next_use() {
    let proxy = Proxy::start(shared().await).await;
    let exec = Executor::builder().ping_after(Duration::from_millis(20)).build(pool_of(1, proxy.opts())).unwrap();
    connection_id(&exec).await;
    assert_eq!(proxy.count(Kind::Ping), 0, "right after connecting");
    tokio::time::sleep(Duration::from_millis(50)).await;
    connection_id(&exec).await;
    assert_eq!((proxy.accepted(), proxy.count(Kind::Ping)), (1, 1));
}

// case 3
#[tokio::test]
async fn pings_can_be_had_always_or_never() {
    let proxy = Proxy::start(shared().await).await;
    let always = Executor::builder().ping_after(Duration::ZERO).build(pool_of(1, proxy.opts())).unwrap();
    for pings in 0..4 {
        connection_id(&always).await;
        assert_eq!(proxy.count(Kind::Ping), pings, "none right after connecting, then one each time");
    }
    let proxy = Proxy::start(shared().await).await;
    let never = Executor::builder().ping_after(None).build(pool_of(1, proxy.opts())).unwrap();
    for _ in 0..4 {
        connection_id(&never).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((proxy.accepted(), proxy.count(Kind::Ping)), (1, 0));
}

// case 3
#[tokio::test]
async fn a_ping_without_an_answer_replaces_the_connection() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let policy = RetryPolicy::builder().connect_timeout(Duration::from_secs(1)).build().unwrap();
    let exec = Executor::builder().policy(policy).ping_after(Duration::ZERO).build(pool_of(1, proxy.opts())).unwrap();
    let id = connection_id(&exec).await;
    proxy.rule(Rule::new(When::Command(Kind::Ping), Place::Request(0), Fault::Silence));
    in_time(exec.query_drop(ledger.insert())).await.expect("an insert on a new connection");
    assert_eq!(fired(&proxy, 1).await, 1);
    assert_eq!(ledger.rows().await, 1);
    assert_ne!(connection_id(&exec).await, id);
    assert_eq!(exec.counters().retired, 1);
}

// case 4
#[tokio::test]
async fn the_statement_after_a_kill_runs_on_another_connection() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    assert_eq!(connection_id(&exec).await, id);
    server.kill_connection(id).await;
    server.wait_gone(id).await;
    assert_ne!(connection_id(&exec).await, id);
    assert_no_loss(&exec);
}

// case 5: MySQL says 4031 before it closes, MariaDB closes without a word. The trigger lowers the time-out where the
// executor cannot know of it.
#[tokio::test]
async fn a_connection_on_which_the_server_said_goodbye_is_replaced_before_an_insert() {
    let server = shared().await;
    let (ledger, hasty) = (Ledger::new(server).await, Ledger::new(server).await);
    let trigger = unique("hasty");
    let set = "SET SESSION wait_timeout = 1";
    let sql = format!("CREATE TRIGGER {trigger} BEFORE INSERT ON {} FOR EACH ROW {set}", hasty.table);
    server.query_drop(sql).await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    exec.query_drop(hasty.insert()).await.expect("an insert with a trigger");
    server.wait_gone(id).await;
    exec.query_drop(ledger.insert()).await.expect("an insert after the goodbye");
    assert_eq!(ledger.rows().await, 1);
    assert_no_loss(&exec);
}

// case 5: the same packet on every server
#[tokio::test]
async fn unread_bytes_on_an_idle_connection_mean_that_it_is_dead() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    let goodbye = Fault::ErrPacket {
        code: 4031,
        state: Some("HY000".into()),
        message: "The client was disconnected by the server because of inactivity.".into(),
        sequence: Some(0),
    };
    proxy.rule(Rule::new(When::text("last one"), Place::AfterReply, goodbye));
    exec.query_drop("SELECT 'last one'").await.expect("a whole reply");
    proxy.wait_fired(1).await;
    exec.query_drop(ledger.insert()).await.expect("an insert on a new connection");
    assert_eq!(ledger.rows().await, 1);
    assert_eq!(proxy.accepted(), 2);
    assert_no_loss(&exec);
}

// case 8
#[tokio::test]
async fn a_classification_of_ones_own_adds_a_server_code() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let procedure = unique("flaky");
    let (insert, table) = (ledger.insert(), &ledger.table);
    let body = format!(
        "BEGIN {insert}; IF (SELECT COUNT(*) FROM {table}) < 3 THEN \
         SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1644; END IF; END"
    );
    server.query_drop(format!("CREATE PROCEDURE {procedure}() {body}")).await;
    let sql = format!("CALL {procedure}()");
    let exec = executor_of_one(server.opts());
    let error = exec.query_drop(sql.as_str().idempotent()).await.expect_err("the table has no 1644");
    assert_eq!((error.code(), error.attempts()), (Some(1644), 1));

    let policy = RetryPolicy::builder()
        .classify_with(|error, table| {
            let added = matches!(error, mysql_async::Error::Server(e) if e.code == 1644);
            if added { Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown) } else { table }
        })
        .build()
        .unwrap();
    let exec = exec.with_policy(&policy);
    let error = exec.query_drop(sql.as_str()).await.expect_err("not idempotent");
    assert_eq!((error.code(), error.outcome(), error.attempts()), (Some(2013), Outcome::Unknown, 1));
    server.query_drop(format!("DELETE FROM {}", ledger.table)).await;
    exec.query_drop(sql.idempotent()).await.expect("the third run succeeds");
    assert_eq!(ledger.rows().await, 3);
    assert_eq!(exec.counters().replays, 2);
}

// case 8
#[tokio::test]
async fn a_classification_of_ones_own_takes_an_error_away() {
    let proxy = Proxy::start(shared().await).await;
    let policy = RetryPolicy::builder()
        .classify_with(|error, table| {
            let taken_away = matches!(error, mysql_async::Error::Io(_));
            if taken_away { Classification::other(Outcome::Unknown) } else { table }
        })
        .build()
        .unwrap();
    let exec = executor_via(&proxy);
    let narrow = exec.with_policy(&policy);
    let lost = || Rule::new(When::text("SELECT 7"), Place::AfterRequestWhenAnswered, Fault::Fin);
    proxy.rule(lost());
    assert_eq!(exec.query_first("SELECT 7".idempotent()).await.expect("a replay"), Some(7));
    proxy.rule(lost());
    let error = narrow.query_drop("SELECT 7".idempotent()).await.expect_err("taken away");
    assert_eq!((error.attempts(), error.is_disconnect()), (1, false), "{error}");
    assert_eq!(narrow.query_first("SELECT 7").await.expect("another connection"), Some(7));
}

// how a connection of one's own is got, too
#[tokio::test]
async fn a_borrowed_connection_is_alive() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    server.kill_connection(id).await;
    server.wait_gone(id).await;
    let mut conn = exec.connection().await.expect("a connection");
    assert_eq!(conn.query_first("SELECT 7").await.unwrap(), Some(7));
    assert_ne!(conn.id(), id);
    assert_no_loss(&exec);
}
