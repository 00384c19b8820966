//! Batches and LOCAL INFILE: calls that are more than one command.

use std::path::PathBuf;

use mysql_async::{WhiteListFsHandler, params};
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Fault, Flavour, Kind, Place, Proxy, Rule, Server, When};

use crate::support::{Ledger, connection_id, executor_of_one, fired, shared, unique};

/// A proxy before the shared server, and an executor of one connection.
async fn through_a_proxy(server: &Server) -> (Proxy, Executor) {
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    (proxy, exec)
}

/// A rule for the command that executes a batch's row with this index; on MariaDB all rows are one command.
fn at_row(server: &Server, ledger: &Ledger<'_>, row: usize, place: Place, fault: Fault) -> Rule {
    let skip = match server.flavour() {
        Flavour::MariaDb => 0,
        Flavour::MySql => row,
    };
    Rule::new(When::executes(&ledger.table), place, fault).skip(skip)
}

fn read_only() -> Fault {
    let message = "The MySQL server is running with the --read-only option so it cannot execute this statement";
    Fault::ErrPacket { code: 1290, state: Some("HY000".into()), message: message.into(), sequence: None }
}

// case 21
#[tokio::test]
async fn a_batch_executes_each_of_its_rows_once() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let (proxy, exec) = through_a_proxy(server).await;
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

// case 21: on MySQL each row is a command, a prefix is there; on MariaDB all rows are one
#[tokio::test]
async fn a_plain_batch_that_is_lost_in_the_middle_surfaces_as_unknown() {
    let server = shared().await;
    for (place, on_mysql, on_mariadb) in [(Place::AfterRequestWhenAnswered, 3, 5), (Place::Request(0), 2, 0)] {
        let ledger = Ledger::new(server).await;
        let (proxy, exec) = through_a_proxy(server).await;
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

// case 21: what is a proof for a first command is none for the third
#[tokio::test]
async fn a_batch_that_is_refused_in_the_middle_is_unknown() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let (proxy, exec) = through_a_proxy(server).await;
    proxy.rule(at_row(server, &ledger, 2, Place::Request(0), read_only()));
    let result = exec.exec_batch(ledger.insert_param(), (1..=5).map(|n| (n,))).await;
    match server.flavour() {
        Flavour::MySql => {
            let error = result.expect_err("refused at its third row");
            assert!(error.is_refused(), "{error}");
            assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
            assert_eq!(ledger.rows().await, 2);
        }
        // All rows were refused at once. The driver does not tell how many commands there were, so that it may surface.
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
    // on MariaDB a batch of one row: of several in one command nobody knows which was refused
    let rows: &[(i32,)] = match server.flavour() {
        Flavour::MariaDb => &[(1,)],
        Flavour::MySql => &[(1,), (2,), (3,)],
    };
    let ledger = Ledger::new(server).await;
    let (proxy, exec) = through_a_proxy(server).await;
    proxy.rule(at_row(server, &ledger, 0, Place::Request(0), read_only()).times(2));
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
    let (proxy, exec) = through_a_proxy(server).await;
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
        let (proxy, exec) = through_a_proxy(server).await;
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
    let (_proxy, exec) = through_a_proxy(server).await;
    let id = connection_id(&exec).await;
    let insert = format!("INSERT INTO {} (id, n) VALUES (?, ?)", ledger.table);
    let error = exec.exec_batch(insert.idempotent(), [(1, 1), (2, 2), (2, 3), (4, 4)]).await.expect_err("twice 2");
    assert_eq!((error.code(), error.attempts(), error.is_disconnect()), (Some(1062), 1, false), "{error}");
    assert_eq!(error.outcome(), Outcome::Failed, "as the driver would say it");
    assert_eq!(connection_id(&exec).await, id);
}

/// A file with the lines 1 to 5, removed when dropped.
struct Lines(PathBuf);

impl Lines {
    fn new() -> Self {
        let name = format!("mysql-retry-{}-{}", std::process::id(), unique("lines"));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "1\n2\n3\n4\n5\n").expect("a temporary file");
        Lines(path)
    }

    fn load_into(&self, ledger: &Ledger<'_>) -> String {
        format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE {} (n)", self.0.display(), ledger.table)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A proxy and an executor that may read the file. MySQL has to be told to ask for files.
async fn reader_of(lines: &Lines, server: &Server) -> (Proxy, Executor) {
    server.query_drop("SET GLOBAL local_infile = 1").await;
    let proxy = Proxy::start(server).await;
    let handler = WhiteListFsHandler::new([&lines.0]);
    let exec = executor_of_one(proxy.opts().local_infile_handler(Some(handler)));
    (proxy, exec)
}

// case 22
#[tokio::test]
async fn a_local_file_is_loaded_also_after_the_connection_died_in_the_pool() {
    let server = shared().await;
    let (ledger, lines) = (Ledger::new(server).await, Lines::new());
    let (_proxy, exec) = reader_of(&lines, server).await;
    let id = connection_id(&exec).await;
    server.kill_connection(id).await;
    server.wait_gone(id).await;
    let summary = exec.query_drop(lines.load_into(&ledger)).await.expect("loaded");
    assert_eq!(summary.affected_rows(), 5);
    assert_eq!(ledger.values().await, [1, 2, 3, 4, 5]);
}

// case 22
#[tokio::test]
async fn a_load_that_is_lost_after_its_data_were_sent_surfaces_even_if_annotated() {
    let server = shared().await;
    let lines = Lines::new();
    for annotated in [false, true] {
        let ledger = Ledger::new(server).await;
        let (proxy, exec) = reader_of(&lines, server).await;
        proxy.rule(Rule::new(When::Command(Kind::LocalData), Place::AfterRequestWhenAnswered, Fault::Fin));
        let load = lines.load_into(&ledger);
        let result = if annotated { exec.query_drop(load.idempotent()).await } else { exec.query_drop(load).await };
        let error = result.expect_err("a lost reply");
        assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
        let reason = if annotated { Reason::OnceOnly } else { Reason::NotIdempotent };
        assert_eq!((error.code(), error.reason()), (Some(2013), reason), "{error}");
        assert_eq!((fired(&proxy, 1).await, ledger.rows().await), (1, 5));
    }
}

// case 22: wherever it is cut, it is loaded once at most, and the verdict is true
#[tokio::test]
async fn a_load_that_is_cut_is_not_replayed_even_if_annotated() {
    let server = shared().await;
    let lines = Lines::new();
    let cuts = [
        (When::text("LOAD DATA"), Place::Request(10), Fault::Fin),
        (When::text("LOAD DATA"), Place::AfterRequestWhenAnswered, Fault::Fin),
        (When::text("LOAD DATA"), Place::Reply(3), Fault::Fin),
        (When::text("LOAD DATA"), Place::AfterReply, Fault::Fin),
        (When::Command(Kind::LocalData), Place::Request(6), Fault::Fin),
        (When::Command(Kind::LocalData), Place::Request(6), Fault::Rst),
        (When::Command(Kind::LocalData), Place::Reply(3), Fault::Rst),
    ];
    for (when, place, fault) in cuts {
        let ledger = Ledger::new(server).await;
        let (proxy, exec) = reader_of(&lines, server).await;
        proxy.rule(Rule::new(when.clone(), place, fault.clone()));
        let result = exec.query_drop(lines.load_into(&ledger).idempotent()).await;
        let shown = format!("{when:?} {place:?} {fault:?}: {result:?}");
        let error = result.expect_err(&shown);
        assert_eq!((fired(&proxy, 1).await, error.outcome(), error.attempts()), (1, Outcome::Unknown, 1), "{shown}");
        exec.close().await.expect("closed");
        for (_, id) in proxy.server_ids() {
            server.wait_gone(id).await;
        }
        assert!([0, 5].contains(&ledger.rows().await), "{shown}");
    }
}
