//! Batches: one call, several commands on MySQL, one on MariaDB.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mysql_async::params;
use mysql_retry::{Annotate as _, Classification, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Fault, Flavour, Kind, Place, Proxy, Rule, Server, When};

use crate::support::{Ledger, connection_id, executor_of_one, fired, shared, unique};

/// An executor of one connection behind a proxy.
async fn behind_proxy(server: &Server) -> (Proxy, Executor) {
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    (proxy, exec)
}

/// A rule for the command that executes the row of a batch with this index. On MariaDB all rows are one command.
fn at_row(server: &Server, ledger: &Ledger<'_>, row: usize, place: Place, fault: Fault) -> Rule {
    let skip = match server.flavour() {
        Flavour::MariaDb => 0,
        Flavour::MySql => row,
    };
    Rule::new(When::executes(&ledger.table), place, fault).skip(skip)
}

// case 21
#[tokio::test]
async fn a_batch_executes_each_of_its_rows_once() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let (proxy, exec) = behind_proxy(server).await;
    exec.exec_batch(ledger.insert_param(), (1..=5).map(|n| (n,))).await.expect("a batch");
    let executes = (proxy.count(Kind::Execute), proxy.count(Kind::BulkExecute));
    match server.flavour() {
        Flavour::MariaDb => assert_eq!(executes, (0, 1)),
        Flavour::MySql => assert_eq!(executes, (5, 0)),
    }
    let named = format!("INSERT INTO {} (n) VALUES (:n)", ledger.table);
    exec.exec_batch(named, [params! { "n" => 6 }, params! { "n" => 7 }]).await.expect("a batch");
    exec.exec_batch(ledger.insert_param(), Vec::<(i32,)>::new()).await.expect("an empty batch");
    assert_eq!(ledger.values().await, [1, 2, 3, 4, 5, 6, 7]);
}

// case 21: on MySQL each row is a command, so that the rows before it are there; on MariaDB all rows are one command
#[tokio::test]
async fn a_plain_batch_that_is_lost_in_the_middle_surfaces_as_unknown() {
    let server = shared().await;
    for (place, on_mysql, on_mariadb) in [(Place::AfterRequestWhenAnswered, 3, 5), (Place::Request(0), 2, 0)] {
        let ledger = Ledger::new(server).await;
        let (proxy, exec) = behind_proxy(server).await;
        proxy.rule(at_row(server, &ledger, 2, place, Fault::Fin));
        let error = exec.exec_batch(ledger.insert_param(), (1..=5).map(|n| (n,))).await.expect_err("lost");
        assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
        assert_eq!((error.code(), error.reason()), (Some(2013), Reason::NotIdempotent), "{error}");
        let there = match server.flavour() {
            Flavour::MariaDb => on_mariadb,
            Flavour::MySql => on_mysql,
        };
        assert_eq!(ledger.rows().await, there, "{place:?}");
    }
}

// case 21: a refusal is a proof at the first command of a call, not at the third
#[tokio::test]
async fn a_batch_that_is_refused_in_the_middle_is_unknown() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let (proxy, exec) = behind_proxy(server).await;
    proxy.rule(at_row(server, &ledger, 2, Place::Request(0), Fault::read_only()));
    let result = exec.exec_batch(ledger.insert_param(), (1..=5).map(|n| (n,))).await;
    match server.flavour() {
        Flavour::MySql => {
            let error = result.expect_err("refused at its third row");
            assert!(error.is_refused(), "{error}");
            assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
            assert_eq!(ledger.rows().await, 2);
        }
        // All rows were refused at once. The driver does not tell how many commands it sent, so that the call may fail.
        Flavour::MariaDb => match result {
            Ok(()) => assert_eq!(ledger.rows().await, 5),
            Err(error) => {
                assert!(error.is_refused(), "{error}");
                assert_eq!((error.attempts(), ledger.rows().await), (1, 0), "{error}");
            }
        },
    }
}

// case 21
#[tokio::test]
async fn a_batch_that_is_refused_at_its_first_row_was_not_executed() {
    let server = shared().await;
    // on MariaDB a batch of one row: of several rows in one command it is not known which one was refused
    let rows: &[(i32,)] = match server.flavour() {
        Flavour::MariaDb => &[(1,)],
        Flavour::MySql => &[(1,), (2,), (3,)],
    };
    let ledger = Ledger::new(server).await;
    let (proxy, exec) = behind_proxy(server).await;
    proxy.rule(at_row(server, &ledger, 0, Place::Request(0), Fault::read_only()).times(2));
    let none = exec.with_policy(&RetryPolicy::none());
    let error = none.exec_batch(ledger.insert_param(), rows.to_vec()).await.expect_err("refused");
    assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 1), "{error}");
    exec.exec_batch(ledger.insert_param(), rows.to_vec()).await.expect("sent again to another connection");
    assert_eq!(fired(&proxy, 2).await, 2);
    assert_eq!(ledger.rows().await, rows.len() as u64);
}

// case 21
#[tokio::test]
async fn a_batch_that_is_lost_while_it_is_prepared_is_sent_again() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let (proxy, exec) = behind_proxy(server).await;
    proxy.rule(Rule::new(When::Command(Kind::Prepare), Place::AfterRequest, Fault::Fin));
    exec.exec_batch(ledger.insert_param(), (1..=5).map(|n| (n,))).await.expect("a batch");
    assert_eq!((fired(&proxy, 1).await, exec.counters().resends), (1, 1));
    assert_eq!(ledger.rows().await, 5);
}

// case 21
#[tokio::test]
async fn an_annotated_batch_is_replayed_as_a_whole() {
    let server = shared().await;
    for cut in [0, 2, 4] {
        let ledger = Ledger::new(server).await;
        let (proxy, exec) = behind_proxy(server).await;
        proxy.rule(at_row(server, &ledger, cut, Place::AfterRequestWhenAnswered, Fault::Fin));
        let replace = format!("REPLACE INTO {} (id, n) VALUES (?, ?)", ledger.table);
        exec.exec_batch(replace.idempotent(), (1..=5).map(|n| (n, n * n))).await.expect("a replayed batch");
        assert_eq!((fired(&proxy, 1).await, exec.counters().replays), (1, 1));
        assert_eq!(ledger.values().await, [1, 4, 9, 16, 25]);
        let executes = (proxy.count(Kind::Execute), proxy.count(Kind::BulkExecute));
        match server.flavour() {
            Flavour::MariaDb => assert_eq!(executes, (0, 2)),
            Flavour::MySql => assert_eq!(executes, (cut + 1 + 5, 0), "from its first row"),
        }
    }
}

// case 21: an error of the statement is the server's own, and the connection goes on
#[tokio::test]
async fn a_duplicate_key_in_a_batch_surfaces_as_it_is() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let (_proxy, exec) = behind_proxy(server).await;
    let id = connection_id(&exec).await;
    let insert = format!("INSERT INTO {} (id, n) VALUES (?, ?)", ledger.table);
    let error = exec.exec_batch(insert.idempotent(), [(1, 1), (2, 2), (2, 3), (4, 4)]).await.expect_err("twice 2");
    assert_eq!((error.code(), error.attempts(), error.is_disconnect()), (Some(1062), 1, false), "{error}");
    assert_eq!(error.outcome(), Outcome::Failed, "as the driver would say it");
    assert_eq!(connection_id(&exec).await, id);
}

/// Rows with a kilobyte each, and how many of them were asked for.
fn many_rows(count: u32, asked: &AtomicU32) -> impl Iterator<Item = (u32, String)> + Send {
    let note = |_: &u32| {
        asked.fetch_add(1, Relaxed);
    };
    (1..=count).inspect(note).map(|n| (n, "x".repeat(1000)))
}

/// More than fit into one command.
const MANY: u32 = 20_000;

#[tokio::test]
async fn case_90_the_rows_of_a_batch_that_runs_once_are_taken_one_by_one() {
    let server = shared().await;
    let table = unique("wide");
    server.query_drop(format!("CREATE TABLE {table} (n INT PRIMARY KEY, text TEXT NOT NULL)")).await;
    let (proxy, exec) = behind_proxy(server).await;
    let insert = format!("INSERT INTO {table} (n, text) VALUES (?, ?)");
    let asked = AtomicU32::new(0);
    exec.exec_batch(insert.as_str(), many_rows(3000, &asked)).await.expect("a batch");
    let count = || server.query_first::<(u32, u32)>(format!("SELECT COUNT(*), MAX(n) FROM {table}"));
    assert_eq!((count().await, asked.load(Relaxed)), (Some((3000, 3000)), 3000));
    server.query_drop(format!("DELETE FROM {table}")).await;

    for (delivery, annotated) in [("once", false), ("annotated", true)] {
        let asked = AtomicU32::new(0);
        let upsert = format!("{insert} ON DUPLICATE KEY UPDATE text = ''");
        proxy.rule(Rule::new(When::executes(&table), Place::AfterRequestWhenAnswered, Fault::Fin));
        let rows = many_rows(MANY, &asked);
        let result = match annotated {
            true => exec.exec_batch(upsert.idempotent(), rows).await,
            false => exec.exec_batch(upsert.as_str(), rows).await,
        };
        match annotated {
            true => assert_eq!((result.map_err(|e| e.to_string()), asked.load(Relaxed)), (Ok(()), MANY), "{delivery}"),
            false => {
                let error = result.expect_err("lost in the middle");
                assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
                assert!(asked.load(Relaxed) < MANY, "all rows were asked for before the first was answered");
            }
        }
    }
    assert_eq!(count().await, Some((MANY, MANY)));
}

#[tokio::test]
async fn case_90_a_batch_that_is_partly_taken_is_not_sent_again_whatever_the_classification() {
    let server = shared().await;
    let table = unique("wide");
    server.query_drop(format!("CREATE TABLE {table} (n INT NOT NULL, text TEXT NOT NULL)")).await;
    let (proxy, exec) = behind_proxy(server).await;
    // untrue, and so that it is sent again
    let policy = RetryPolicy::builder().classify_with(|_, it| match it.fault() {
        mysql_retry::Fault::Disconnect(_) => Classification::refused(Outcome::NotExecuted),
        _ => it,
    });
    let policy = policy.build().expect("valid");
    proxy.rule(at_row_of(server, &table, 1500));
    let asked = AtomicU32::new(0);
    let insert = format!("INSERT INTO {table} (n, text) VALUES (?, ?)");
    let call = exec.with_policy(&policy).exec_batch(insert, many_rows(MANY, &asked)).await;
    let error = call.expect_err("a part of the rows is gone");
    assert!(error.to_string().contains("a part of the batch was sent"), "{error}");
}

/// Loses the command that has this row of a batch of wide rows.
fn at_row_of(server: &Server, table: &str, row: usize) -> Rule {
    let skip = match server.flavour() {
        // no command takes more than some thousands of these rows
        Flavour::MariaDb => 0,
        Flavour::MySql => row,
    };
    Rule::new(When::executes(table), Place::AfterRequestWhenAnswered, Fault::Fin).skip(skip)
}
