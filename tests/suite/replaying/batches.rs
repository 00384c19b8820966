//! Batches: one call, several commands on MySQL, one on MariaDB.

use mysql_async::params;
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Fault, Flavour, Kind, Place, Proxy, Rule, Server, When};

use crate::support::{Ledger, connection_id, executor_of_one, fired, shared};

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
