//! A server ends a transaction by itself: it rolls it back as a whole, or only reports that.
//!
//! All executors have one connection, so that the next caller gets it.

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mysql_retry::{Done, Error, Outcome, Reason, RetryPolicy, Tx, TxOpts};
use mysql_retry_fixture::{Flavour, Server, in_time, pool_of};
use tokio::sync::OnceCell;

use crate::support::{HeldRow, Ledger, executor_with_guard, shared, unique};

/// A server on which a lock wait time-out rolls back the whole transaction.
async fn impatient() -> &'static Server {
    static IMPATIENT: OnceCell<Server> = OnceCell::const_new();
    let flags = ["--innodb-rollback-on-timeout=ON", "--innodb-lock-wait-timeout=1", "--lock-wait-timeout=1"];
    let start = || flags.into_iter().fold(Server::builder(), |builder, flag| builder.flag(flag)).start();
    IMPATIENT.get_or_init(start).await
}

/// Runs a statement as text, or prepared.
async fn run(tx: &mut Tx, sql: &str, prepared: bool) -> Result<(), Error> {
    match prepared {
        true => tx.exec_drop(sql, ()).await,
        false => tx.query_drop(sql).await,
    }
}

#[tokio::test]
async fn case_41_a_snapshot_that_is_out_of_date_is_run_again() {
    let server = shared().await;
    if server.flavour() != Flavour::MariaDb || server.version() < (11, 8, 0) {
        return;
    }
    let exec = executor_with_guard(pool_of(1, server.opts())).await;
    let table = unique("counted");
    server.query_drop(format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT)")).await;
    server.query_drop(format!("INSERT INTO {table} VALUES (1, 0)")).await;
    for (round, (prepared, swallowed, token)) in
        [(false, false, None), (true, false, Some("t")), (false, true, None), (true, true, Some("u"))]
            .into_iter()
            .enumerate()
    {
        let ledger = Ledger::new(server).await;
        let work = |mut tx: Tx| {
            let (table, insert) = (&table, ledger.insert());
            async move {
                run(&mut tx, &insert, prepared).await?;
                tx.query_drop(format!("SELECT v FROM {table} WHERE id = 1")).await?;
                if tx.attempt() == 1 {
                    server.query_drop(format!("UPDATE {table} SET v = v + 10 WHERE id = 1")).await;
                }
                match run(&mut tx, &format!("UPDATE {table} SET v = v + 1 WHERE id = 1"), prepared).await {
                    Err(error) if !swallowed || error.code() != Some(1020) => return Err(error),
                    Ok(()) | Err(_) => {}
                }
                Ok::<_, Error>(tx.attempt())
            }
        };
        let transaction = exec.transaction(TxOpts::default(), work);
        let attempts = match token {
            Some(token) => in_time(transaction.exactly_once(token).into_future()).await.expect("run again").now(),
            None => Some(in_time(transaction.into_future()).await.expect("run again")),
        };
        assert_eq!(attempts, Some(2));
        assert_eq!(ledger.rows().await, 1);
        let value: Option<i32> = exec.query_first(format!("SELECT v FROM {table}")).await.expect("a value");
        assert_eq!(value, Some(11 * (i32::try_from(round).expect("small") + 1)));
    }
}

#[tokio::test]
async fn case_42_a_swallowed_error_that_rolled_everything_back_is_no_ok() {
    let server = impatient().await;
    for (prepared, swallowed) in [(false, true), (true, true), (false, false)] {
        let exec = executor_with_guard(pool_of(1, server.opts())).await.with_policy(&RetryPolicy::none());
        let ledger = Ledger::new(server).await;
        let row = HeldRow::new(server).await;
        let work = |mut tx: Tx| {
            let (insert, update) = (ledger.insert(), row.update());
            async move {
                run(&mut tx, &insert, prepared).await?;
                let updated = run(&mut tx, &update, prepared).await;
                if swallowed { Ok(()) } else { updated }
            }
        };
        let error =
            in_time(exec.transaction(TxOpts::default(), work).into_future()).await.expect_err("nothing is there");
        assert_eq!((error.outcome(), error.code()), (Outcome::NotExecuted, Some(1205)), "{error}");
        let error = in_time(exec.transaction(TxOpts::default(), work).exactly_once("t").into_future()).await;
        let error = error.expect_err("nothing is there");
        assert_eq!((error.outcome(), error.code()), (Outcome::NotExecuted, Some(1205)), "{error}");
        assert_eq!(ledger.rows().await, 0);
        row.release().await;
        let done = in_time(exec.transaction(TxOpts::default(), work).exactly_once("t").into_future()).await;
        assert_eq!(done.expect("the token is free"), Done::Now(()));
        assert_eq!(ledger.rows().await, 1);
    }
}

#[tokio::test]
async fn case_42_the_default_policy_runs_it_again_whatever_the_closure_made_of_the_error() {
    let server = impatient().await;
    for (prepared, token) in [(false, None), (true, Some("t"))] {
        let exec = executor_with_guard(pool_of(1, server.opts())).await;
        let ledger = Ledger::new(server).await;
        let row = HeldRow::new(server).await;
        let work = |mut tx: Tx| {
            let (insert, update, row) = (ledger.insert(), row.update(), &row);
            async move {
                run(&mut tx, &insert, prepared).await?;
                let _ = run(&mut tx, &update, prepared).await;
                row.release().await;
                Ok::<_, Error>(tx.attempt())
            }
        };
        let transaction = exec.transaction(TxOpts::default(), work);
        let attempts = match token {
            Some(token) => in_time(transaction.exactly_once(token).into_future()).await.expect("run again").now(),
            None => Some(in_time(transaction.into_future()).await.expect("run again")),
        };
        assert_eq!((attempts, ledger.rows().await), (Some(2), 1));
    }
}

#[tokio::test]
async fn case_43_what_comes_after_the_rollback_does_not_run_by_itself() {
    let server = impatient().await;
    for (prepared, policy) in [(false, RetryPolicy::none()), (true, RetryPolicy::none())] {
        let exec = executor_with_guard(pool_of(1, server.opts())).await.with_policy(&policy);
        let (a, b) = (Ledger::new(server).await, Ledger::new(server).await);
        let row = HeldRow::new(server).await;
        let work = |mut tx: Tx| {
            let (a, b, update) = (a.insert(), b.insert(), row.update());
            async move {
                run(&mut tx, &a, prepared).await?;
                let _ = run(&mut tx, &update, prepared).await;
                let refused = run(&mut tx, &b, prepared).await.expect_err("it is over");
                assert_eq!((refused.outcome(), refused.reason()), (Outcome::NotExecuted, Reason::InTransaction));
                Ok::<_, Error>(())
            }
        };
        let error =
            in_time(exec.transaction(TxOpts::default(), work).into_future()).await.expect_err("nothing is there");
        assert_eq!((error.outcome(), error.code()), (Outcome::NotExecuted, Some(1205)), "{error}");
        let done = in_time(exec.transaction(TxOpts::default(), work).exactly_once("t").into_future()).await;
        assert_eq!(done.expect_err("nothing is there").outcome(), Outcome::NotExecuted);
        assert_eq!((a.rows().await, b.rows().await), (0, 0));
        row.release().await;
    }
}

/// A ledger whose trigger signals a deadlock for negative values of n, and rolls nothing back.
async fn signalling(server: &Server) -> Ledger<'_> {
    let ledger = Ledger::new(server).await;
    let body = "IF NEW.n < 0 THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'a signal'; END IF";
    server.query_drop(format!("CREATE TRIGGER {0}_t BEFORE INSERT ON {0} FOR EACH ROW {body}", ledger.table)).await;
    ledger
}

#[tokio::test]
async fn case_44_a_signalled_deadlock_leaves_nothing_open_to_the_next_caller() {
    let server = shared().await;
    for (prepared, guarded) in [(false, false), (true, false), (false, true), (true, true)] {
        let exec = executor_with_guard(pool_of(1, server.opts())).await;
        let once = exec.with_policy(&RetryPolicy::none());
        let (a, b) = (Ledger::new(server).await, signalling(server).await);
        let work = |mut tx: Tx| {
            let (a, b) = (a.insert(), format!("INSERT INTO {} (n) VALUES (-1)", b.table));
            async move {
                run(&mut tx, &a, prepared).await?;
                run(&mut tx, &b, prepared).await
            }
        };
        let transaction = once.transaction(TxOpts::default(), work);
        let error = match guarded {
            true => in_time(transaction.exactly_once("t").into_future()).await.map(drop),
            false => in_time(transaction.into_future()).await,
        };
        let error = error.expect_err("the signal");
        assert_eq!((error.outcome(), error.code()), (Outcome::NotExecuted, Some(1213)), "{error}");
        // the next caller on the same connection
        in_time(exec.query_drop(a.insert())).await.expect("inserted");
        in_time(exec.close()).await.expect("closed");
        assert_eq!(a.rows().await, 1, "{prepared} {guarded}");
    }
}

#[tokio::test]
async fn case_44_a_signalled_deadlock_is_rolled_back_before_it_is_run_again() {
    let server = shared().await;
    for (prepared, swallowed, guarded) in
        [(false, false, false), (true, false, true), (false, true, false), (true, true, true)]
    {
        let exec = executor_with_guard(pool_of(1, server.opts())).await;
        let (a, b) = (Ledger::new(server).await, signalling(server).await);
        let runs = AtomicU32::new(0);
        let work = |mut tx: Tx| {
            let run_number = runs.fetch_add(1, Relaxed) + 1;
            let a = a.insert();
            let b = format!("INSERT INTO {} (n) VALUES ({})", b.table, if run_number == 1 { -1 } else { 1 });
            async move {
                run(&mut tx, &a, prepared).await?;
                let inserted = run(&mut tx, &b, prepared).await;
                if swallowed { Ok(()) } else { inserted }
            }
        };
        let transaction = exec.transaction(TxOpts::default(), work);
        match guarded {
            true => {
                let done = in_time(transaction.exactly_once("t").into_future()).await.expect("done");
                assert_eq!(done, Done::Now(()));
            }
            false => in_time(transaction.into_future()).await.expect("done"),
        }
        // where the closure ignores the error, the transaction is still open, and is committed
        let runs = runs.load(Relaxed);
        assert_eq!((runs, a.rows().await, b.rows().await), if swallowed { (1, 1, 0) } else { (2, 1, 1) });
    }
}

#[tokio::test]
async fn case_49_what_a_rollback_leaves_in_a_table_without_transactions_is_not_done_twice() {
    for by_the_server in [false, true] {
        let server = if by_the_server { impatient().await } else { shared().await };
        for swallowed in [false, true] {
            if swallowed && !by_the_server {
                continue;
            }
            let exec = executor_with_guard(pool_of(1, server.opts())).await;
            let plain = unique("plain");
            server.query_drop(format!("CREATE TABLE {plain} (n INT) ENGINE=MyISAM")).await;
            let row = HeldRow::new(server).await;
            let runs = AtomicU32::new(0);
            for guarded in [false, true] {
                let work = |mut tx: Tx| {
                    runs.fetch_add(1, Relaxed);
                    let (insert, update) = (format!("INSERT INTO {plain} VALUES (1)"), row.update());
                    async move {
                        tx.query_drop(insert).await?;
                        if !by_the_server {
                            tx.query_drop("SET innodb_lock_wait_timeout = 1").await?;
                        }
                        let updated = tx.query_drop(update).await;
                        if swallowed { Ok(()) } else { updated }
                    }
                };
                let transaction = exec.transaction(TxOpts::default(), work);
                let error = match guarded {
                    true => in_time(transaction.exactly_once("t").into_future()).await.map(drop),
                    false => in_time(transaction.into_future()).await,
                };
                let error = error.expect_err("not all of it could be rolled back");
                let seen = (error.outcome(), error.reason(), error.code());
                assert_eq!(seen, (Outcome::Unknown, Reason::NotRolledBack, Some(1205)), "{by_the_server} {error}");
            }
            assert_eq!(runs.load(Relaxed), 2);
            let rows: Option<u64> = server.query_first(format!("SELECT COUNT(*) FROM {plain}")).await;
            assert_eq!(rows, Some(2), "{by_the_server} {swallowed}");
            row.release().await;
        }
    }
}
