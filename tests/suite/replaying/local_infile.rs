//! LOAD DATA LOCAL INFILE: the statement, and the data that follow it as commands of their own.

use std::path::PathBuf;

use futures_util::{StreamExt as _, stream};
use mysql_async::{WhiteListFsHandler, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Executor, Outcome, Reason};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, Server, When};

use crate::support::{Ledger, connection_id, executor_of_one, fired, settle, shared, unique};

/// A file with the lines 1 to 5, which is removed when this is dropped.
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

/// An executor of one connection behind a proxy, which may read the file. MySQL asks for files only where `local_infile` is on.
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
        proxy.rule(Rule::reply_lost(When::Command(Kind::LocalData)));
        let load = lines.load_into(&ledger);
        let result = if annotated { exec.query_drop(load.idempotent()).await } else { exec.query_drop(load).await };
        let error = result.expect_err("a lost reply");
        assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
        let reason = if annotated { Reason::OnceOnly } else { Reason::NotIdempotent };
        assert_eq!((error.code(), error.reason()), (Some(2013), reason), "{error}");
        assert_eq!((fired(&proxy, 1).await, ledger.rows().await), (1, 5));
    }
}

// case 22: wherever the load is cut, it runs once at most, and the verdict is true
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
        settle(server, &proxy, exec).await;
        assert!([0, 5].contains(&ledger.rows().await), "{shown}");
    }
}

/// The data of a handler of its own can be read once, so there is nothing that could be run again: a connection of the driver has it.
#[tokio::test]
async fn a_handler_for_one_statement_is_set_on_a_borrowed_connection_and_does_not_stay_there() {
    let server = shared().await;
    server.query_drop("SET GLOBAL local_infile = 1").await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    let load = format!("LOAD DATA LOCAL INFILE 'anything' INTO TABLE {} (n)", ledger.table);
    let lines = || async { Ok(stream::iter(["1\n", "2\n"].map(|line| Ok(line.into()))).boxed()) };
    let mut conn = exec.connection().await.expect("a connection");
    conn.set_infile_handler(lines());
    conn.query_drop(&load).await.expect("loaded");
    assert_eq!(ledger.values().await, [1, 2]);
    // one that is not used
    conn.set_infile_handler(lines());
    drop(conn);
    let error = exec.query_drop(&load).await.expect_err("no handler");
    assert!(error.to_string().contains("Handler is not specified"), "{error}");
    assert_eq!(ledger.values().await, [1, 2]);
}
