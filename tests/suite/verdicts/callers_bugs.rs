//! A bug of the caller is no lost connection: one attempt, and the executor goes on.

use std::time::{Duration, Instant};

use mysql_async::{Params, params};
use mysql_retry::{Annotate as _, Error, Executor, Outcome};
use mysql_retry_fixture::Server;

use crate::support::{
    Ledger, assert_no_loss, connection_id, executor_of_one, executor_of_one_for_any_text, in_time, shared,
};

fn assert_surfaced_at_once(error: &Error, exec: &Executor) {
    assert_eq!(error.attempts(), 1, "{error}");
    assert!(!error.is_disconnect(), "{error}");
    assert_no_loss(exec);
}

// case 6
#[tokio::test]
async fn parameters_that_do_not_fit_are_no_loss() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    let insert = ledger.insert_param();
    let named = format!("INSERT INTO {} (n) VALUES (:n)", ledger.table);
    let wrong: [(&str, Params); 4] = [
        (&insert, (1, 2).into()),
        (&insert, Params::Empty),
        (&insert, params! { "n" => 1 }),
        (&named, params! { "m" => 1 }),
    ];
    for (sql, params) in wrong {
        let shown = format!("{sql} {params:?}");
        let error = exec.exec_drop(sql.idempotent(), params.clone()).await.expect_err(&shown);
        assert_surfaced_at_once(&error, &exec);
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{shown}: {error}");
        // the connection elsewhere, and this one, answer as before
        assert_eq!(exec.query_first("SELECT 7").await.unwrap(), Some(7));
        let error = exec.exec_batch(sql, [params]).await.expect_err(&shown);
        assert_surfaced_at_once(&error, &exec);
    }
    assert_eq!(ledger.rows().await, 0);
    exec.exec_drop(named, params! { "n" => 1 }).await.expect("an insert that fits");
    assert_eq!(ledger.rows().await, 1);
}

// case 6
#[tokio::test]
async fn a_row_that_does_not_fit_the_type_is_no_loss() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    let error = exec.query::<u8, _>("SELECT 'x'".idempotent()).await.expect_err("no number");
    assert_surfaced_at_once(&error, &exec);
    assert!(error.is_conversion(), "{error}");
    let error = exec.exec_first::<(i32, i32), _, _>("SELECT 1", ()).await.expect_err("one column");
    assert_surfaced_at_once(&error, &exec);
    assert!(error.is_conversion(), "{error}");
    assert_eq!(connection_id(&exec).await, id, "the connection is as good as before");
}

// case 6
#[tokio::test]
async fn a_statement_over_the_clients_packet_limit_is_no_loss() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts().max_allowed_packet(Some(64 * 1024)));
    let sql = format!("{} /* {} */", ledger.insert(), "x".repeat(100 * 1024));
    let error = exec.query_drop(sql.as_str().idempotent()).await.expect_err("too large");
    assert_surfaced_at_once(&error, &exec);
    let error = exec.exec_drop(sql, ()).await.expect_err("too large");
    assert_surfaced_at_once(&error, &exec);
    assert_eq!(ledger.rows().await, 0);
    exec.query_drop(ledger.insert()).await.expect("a small insert");
    assert_eq!(ledger.rows().await, 1);
}

// case 6: the driver asks the server for its limit when it connects
#[tokio::test]
async fn a_statement_over_the_servers_packet_limit_is_not_even_sent() {
    let server = Server::builder().flag("--max-allowed-packet=1M").start().await;
    let ledger = Ledger::new(&server).await;
    let exec = executor_of_one(server.opts());
    for size in [1 << 20, 3 << 20] {
        let sql = format!("{} /* {} */", ledger.insert(), "x".repeat(size));
        let error = exec.query_drop(sql.as_str().idempotent()).await.expect_err("too large");
        assert_surfaced_at_once(&error, &exec);
        let error = exec.exec_drop(ledger.insert_param(), (vec![b'1'; size],)).await.expect_err("too large");
        assert_surfaced_at_once(&error, &exec);
        assert_eq!(ledger.rows().await, 0);
    }
    exec.query_drop(ledger.insert()).await.expect("a small insert");
    assert_eq!(ledger.rows().await, 1);
}

// case 6: with a limit of its own the driver does not ask for the server's. The server closes the connection while it is
// still being written to; whether its 1153 can be read is luck (FACTS.md).
#[tokio::test]
async fn a_statement_over_the_servers_packet_limit_that_was_sent_is_no_loss() {
    let server = Server::builder().flag("--max-allowed-packet=1M").start().await;
    let ledger = Ledger::new(&server).await;
    let exec = executor_of_one(server.opts().max_allowed_packet(Some(64 << 20)));
    for (done, size) in (0..).zip([1 << 20, 3 << 20, 20 << 20]) {
        let sql = format!("{} /* {} */", ledger.insert(), "x".repeat(size));
        let error = in_time(exec.query_drop(sql)).await.expect_err("too large");
        assert_surfaced_at_once(&error, &exec);
        assert_eq!(ledger.rows().await, done);
        // on a connection that is not about to be closed
        exec.query_drop(ledger.insert()).await.expect("a small insert");
    }
}

// case 6: 1243 means that a server forgot a statement only where the driver had prepared it
#[tokio::test]
async fn an_execute_of_a_name_that_was_never_prepared_is_no_refusal() {
    let exec = executor_of_one_for_any_text(shared().await.opts());
    let soon = exec.with_deadline(Instant::now() + Duration::from_secs(2));
    let error = soon.query_drop("EXECUTE nobody".idempotent()).await.expect_err("unknown");
    assert_eq!(error.server_error().map(|e| e.code), Some(1243), "{error}");
    assert_surfaced_at_once(&error, &exec);
}
