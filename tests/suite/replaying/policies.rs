//! Policies: none, one for a handle, a classification of the user's own, and statements that the server sends back
//! (CASES.md 8, 17, 36).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mysql_async::{OptsBuilder, prelude::Queryable as _};
use mysql_retry::{Annotate, Classification, Disconnect, Executor, Fault, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Place, Proxy, Rule, Server, When};

use crate::{
    support::hooks::{Losses, every, io_kind, is_nobody_there, ms},
    support::{Ledger, connection_id, executor, executor_of_one, executor_via, in_time, shared, unique},
};

fn answered_and_lost(text: &str) -> Rule {
    Rule::new(When::text(text), Place::AfterRequestWhenAnswered, mysql_retry_fixture::Fault::Fin)
}

// CASES.md 17
#[tokio::test]
async fn without_retries_a_loss_surfaces_at_once_and_classified() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(answered_and_lost("SELECT 7").times(2));
    let exec = executor_via(&proxy);
    let bare = exec.with_policy(&RetryPolicy::none());
    let error = in_time(bare.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!(error.disconnect(), Some(Disconnect::ServerLost), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!((error.attempts(), error.reason()), (1, Reason::SwitchedOff));
    assert_eq!(io_kind(&error), Some(std::io::ErrorKind::UnexpectedEof));
    // only that handle: the other one replays
    assert_eq!(in_time(exec.query_first("SELECT 7".idempotent())).await.expect("a replay"), Some(7));
    assert_eq!(proxy.rules_left(), [], "the second loss did not happen");
}

// CASES.md 17
#[tokio::test]
async fn without_retries_a_refused_connection_surfaces_at_once_and_classified() {
    let proxy = Proxy::start(shared().await).await;
    proxy.refuse(true).await;
    let exec = executor_via(&proxy).with_policy(&RetryPolicy::none());
    let error = in_time(exec.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!(error.disconnect(), Some(Disconnect::ServerGone), "{error}");
    assert_eq!(error.outcome(), Outcome::NotExecuted);
    assert_eq!((error.attempts(), error.reason()), (1, Reason::SwitchedOff));
    assert!(is_nobody_there(&error), "{error}");
}

#[tokio::test]
async fn handles_with_different_policies_share_the_pool_and_the_counters() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let bare = exec.with_policy(&RetryPolicy::none());
    assert_eq!(connection_id(&exec).await, connection_id(&bare).await);
    let call = bare.query_drop("SELECT SLEEP(300) /* handles */");
    let kill = async { server.kill_connection(server.wait_until_running("/* handles */").await).await };
    let (result, ()) = in_time(async { tokio::join!(call, kill) }).await;
    assert!(result.unwrap_err().is_disconnect());
    assert_eq!(exec.counters(), bare.counters());
    assert_eq!(exec.counters().losses, 1);
}

// CASES.md 8
#[tokio::test]
async fn a_users_classification_widens_the_table() {
    let server = shared().await;
    let table = unique("late");
    let (hook, mut losses) = Losses::listen();
    let policy = RetryPolicy::builder()
        .classify_with(|error, table| match error {
            // no such table: a migration is under way
            mysql_async::Error::Server(e) if e.code == 1146 => Classification::refused(Outcome::NotExecuted),
            _ => table,
        })
        .build()
        .expect("valid");
    let exec = Executor::builder().policy(policy).on_event(hook).build(server.opts()).expect("good options");
    let migration = async {
        losses.wait_for(2).await;
        server.query_drop(format!("CREATE TABLE {table} (n INT)")).await;
    };
    let call = exec.query_drop(format!("INSERT INTO {table} VALUES (1)"));
    let (result, ()) = in_time(async { tokio::join!(call, migration) }).await;
    assert_eq!(result.expect("the table is there").affected_rows(), 1);
    assert_eq!(server.query_first::<u8>(format!("SELECT COUNT(*) FROM {table}")).await, Some(1));
}

// CASES.md 8
#[tokio::test]
async fn a_users_classification_narrows_the_table() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(answered_and_lost("SELECT 7"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let policy = RetryPolicy::builder()
        .classify_with(move |_, table| {
            counter.fetch_add(1, Ordering::SeqCst);
            assert_eq!(table.fault(), Fault::Disconnect(Disconnect::ServerLost));
            Classification::other(table.outcome())
        })
        .build()
        .expect("valid");
    let exec = executor_via(&proxy);
    let error = in_time(exec.with_policy(&policy).query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(!error.is_disconnect(), "{error}");
    assert_eq!((error.attempts(), error.reason()), (1, Reason::NotALoss));
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(exec.counters().losses, 0);
    // whatever the user calls it, that connection is dead
    assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("another connection"), Some(7));
}

/// Makes one statement of an executor the victim of a deadlock; returns its result and the two values that it and
/// a transaction have both added to.
async fn deadlock(server: &Server, exec: &Executor) -> (mysql_retry::Result<mysql_retry::Summary>, Vec<i32>) {
    let ledger = Ledger::new(server).await;
    let table = &ledger.table;
    ledger.fill(200).await;
    let ids: Vec<i32> = {
        let mut conn = server.connect().await;
        let ids = conn.query(format!("SELECT id FROM {table} ORDER BY id LIMIT 2")).await.expect("the ids");
        conn.disconnect().await.expect("a goodbye");
        ids
    };
    let (first, second) = (ids[0], ids[1]);
    // it has changed more rows than the statement, which is therefore the victim
    let mut other = server.connect().await;
    other.query_drop("START TRANSACTION").await.expect("a transaction");
    other.query_drop(format!("UPDATE {table} SET n = n + 100 WHERE id >= {second}")).await.expect("many rows");
    let call = exec.query_drop(format!("UPDATE {table} SET n = n + 1 WHERE id <= {second} ORDER BY id"));
    let against = async {
        wait_for_lock_wait(server, table).await;
        other.query_drop(format!("UPDATE {table} SET n = n + 100 WHERE id = {first}")).await.expect("not the victim");
        other.query_drop("COMMIT").await.expect("not the victim");
        other.disconnect().await.expect("a goodbye");
    };
    let (result, ()) = in_time(async { tokio::join!(call, against) }).await;
    let values = ledger.values().await;
    (result, values[..2].to_vec())
}

/// Waits until an update of a table waits for a row lock.
async fn wait_for_lock_wait(server: &Server, table: &str) {
    let update = format!("UPDATE {table} SET n = n + 1");
    in_time(async {
        loop {
            // information_schema.innodb_trx shows nothing new to those who look more often than every 0.1 s
            let status: Option<(String, String, String)> = server.query_first("SHOW ENGINE INNODB STATUS").await;
            let (_, _, status) = status.expect("a row");
            let waits = |trx: &str| trx.contains("LOCK WAIT") && trx.contains(&update);
            if status.split("---TRANSACTION").any(waits) {
                return;
            }
            tokio::time::sleep(ms(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_statement_that_was_the_victim_of_a_deadlock_is_sent_again_and_executed_once() {
    let server = shared().await;
    let exec = executor(server);
    let (result, values) = deadlock(server, &exec).await;
    assert_eq!(result.expect("it was sent again").affected_rows(), 2);
    assert_eq!(values, [1 + 101, 2 + 101]);
    assert_eq!(exec.counters().resends, 1, "there was no deadlock");
}

#[tokio::test]
async fn a_deadlock_surfaces_where_the_policy_says_so() {
    let server = shared().await;
    let policy = RetryPolicy::builder().resend_rolled_back(false).build().expect("valid");
    let exec = executor(server).with_policy(&policy);
    let (result, values) = deadlock(server, &exec).await;
    let error = result.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (Some(1213), Outcome::NotExecuted), "{error}");
    assert_eq!((error.attempts(), error.reason()), (1, Reason::SwitchedOff));
    assert!(!error.is_disconnect());
    assert_eq!(values, [1 + 100, 2 + 100]);
}

#[tokio::test]
async fn a_statement_that_waited_too_long_for_a_lock_is_sent_again_and_executed_once() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    ledger.fill(1).await;
    let mut holder = server.connect().await;
    holder.query_drop("START TRANSACTION").await.expect("a transaction");
    holder.query_drop(format!("UPDATE {} SET n = n + 100", ledger.table)).await.expect("the lock");
    // the hook cannot be used here: a statement that was rolled back has lost nothing
    let (sender, mut timed_out) = tokio::sync::mpsc::unbounded_channel();
    let policy = RetryPolicy::builder().classify_with(move |error, table| {
        let _ = sender.send(error.to_string());
        table
    });
    let opts = server.opts().setup(vec!["SET SESSION innodb_lock_wait_timeout = 1"]);
    let exec = Executor::builder().policy(policy.build().expect("valid")).build(opts).expect("good options");
    let call = exec.query_drop(format!("UPDATE {} SET n = n + 1", ledger.table));
    let release = async {
        let error = timed_out.recv().await.expect("a time-out");
        assert!(error.contains("1205"), "{error}");
        holder.query_drop("COMMIT").await.expect("a commit");
        holder.disconnect().await.expect("a goodbye");
    };
    let (result, ()) = in_time(async { tokio::join!(call, release) }).await;
    assert_eq!(result.expect("it was sent again").affected_rows(), 1);
    assert_eq!(ledger.values().await, [102]);
}

/// A read-only server, and options of a user whom that stops.
async fn read_only_server(server: &Server) -> OptsBuilder {
    server.query_drop("CREATE USER app@'%' IDENTIFIED BY 'app-pass'").await;
    server.query_drop("GRANT ALL ON test.* TO app@'%'").await;
    server.query_drop("SET GLOBAL read_only = 1").await;
    server.opts().user(Some("app")).pass(Some("app-pass"))
}

// CASES.md 36, in part
#[tokio::test]
async fn a_write_refused_by_a_read_only_server_is_executed_once_it_takes_writes() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    let opts = read_only_server(&server).await;
    let (hook, mut losses) = Losses::listen();
    let exec = Executor::builder().on_event(hook).build(opts).expect("good options");
    let promotion = async {
        losses.wait_for(5).await;
        server.query_drop("SET GLOBAL read_only = 0").await;
    };
    let (result, ()) = in_time(async { tokio::join!(exec.query_drop(ledger.insert()), promotion) }).await;
    assert_eq!(result.expect("it takes writes").affected_rows(), 1);
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_server_that_stays_read_only_is_named_at_the_deadline() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    let opts = read_only_server(&server).await;
    let policy = every(ms(1_000)).deadline(ms(1_900)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(opts).expect("good options");
    let error = in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert_eq!(error.code(), Some(1290), "{error}");
    assert!(error.is_refused() && error.is_deadline() && !error.is_disconnect(), "{error}");
    assert!(error.attempts() > 1, "{error}");
    assert!(error.elapsed() < Duration::from_secs(20), "{:?}", error.elapsed());
    assert!(error.to_string().contains("refused the statement"), "{error}");
    assert_eq!(ledger.rows().await, 0);
}

// `max_replays` bounds losses; the deadline bounds refusals
#[tokio::test]
async fn refusals_do_not_use_up_the_replays_of_a_later_loss() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let message = "The MySQL server is running with the --read-only option so it cannot execute this statement";
    let refusal = mysql_retry_fixture::Fault::ErrPacket {
        code: 1290,
        state: Some("HY000".into()),
        message: message.into(),
        sequence: None,
    };
    proxy.rule(Rule::new(When::text("INSERT"), Place::Request(0), refusal).times(5));
    proxy.rule(answered_and_lost("INSERT"));
    let policy = RetryPolicy::builder().max_replays(1).build().expect("valid");
    // each probe finds that the server takes writes
    let builder = Executor::builder().policy(policy).probe_interval(ms(5));
    let exec = builder.build(proxy.opts()).expect("good options");
    in_time(exec.query_drop(ledger.insert().idempotent())).await.expect("the first loss is replayed");
    assert_eq!((proxy.rules_left(), exec.counters().replays), (vec![], 1));
    assert_eq!(ledger.rows().await, 2);
}
