//! Transactions: run again as a whole where they were certainly rolled back, and nowhere else.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Annotate as _, Error, Executor, IsolationLevel, Outcome, Reason, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When};

use crate::{
    support::hooks::ms,
    support::{Ledger, executor, executor_via, in_time, pool_of, settle, shared, unique},
};

/// An error of the user's own.
#[derive(Debug)]
enum Own {
    Enough,
    #[allow(dead_code, reason = "it is printed")]
    Db(Error),
}

impl From<Error> for Own {
    fn from(error: Error) -> Self {
        Own::Db(error)
    }
}

fn opts() -> TxOpts {
    TxOpts::default()
}

#[tokio::test]
async fn what_the_closure_did_is_committed_and_its_value_returned() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let insert = ledger.insert();
    // it borrows its surroundings
    let value: Result<u64, Error> = exec
        .transaction(opts(), |mut tx| {
            let insert = &insert;
            async move {
                assert_eq!(tx.attempt(), 1);
                tx.query_drop(insert).await?;
                tx.exec_drop(insert, ()).await.map(|summary| summary.affected_rows())
            }
        })
        .await;
    assert_eq!(value.expect("committed"), 1);
    assert_eq!(ledger.rows().await, 2);
    // the connection went back without a reset
    assert_eq!(exec.counters().resets, 0);
}

#[tokio::test]
async fn a_transaction_can_run_on_a_task_of_its_own() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let insert = ledger.insert();
    let task = tokio::spawn(async move {
        exec.transaction(opts(), |mut tx| {
            let insert = insert.clone();
            async move { tx.query_drop(insert).await }
        })
        .await
    });
    task.await.expect("no panic").expect("committed");
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn the_closure_s_own_error_rolls_back_and_comes_back_untouched() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let runs = AtomicU32::new(0);
    let result: Result<(), Own> = exec
        .transaction(opts(), |mut tx| {
            runs.fetch_add(1, Relaxed);
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                Err(Own::Enough)
            }
        })
        .await;
    assert!(matches!(result, Err(Own::Enough)));
    assert_eq!((runs.load(Relaxed), ledger.rows().await), (1, 0));
}

#[tokio::test]
async fn a_panic_rolls_back_and_goes_on() {
    let server = shared().await;
    let exec = Executor::new(pool_of(1, server.opts())).expect("good options");
    let ledger = Ledger::new(server).await;
    let insert = ledger.insert();
    let of_task = exec.clone();
    let task = tokio::spawn(async move {
        of_task
            .transaction(opts(), |mut tx| {
                let insert = insert.clone();
                async move {
                    tx.query_drop(insert).await?;
                    panic!("on purpose");
                    #[allow(unreachable_code)]
                    Ok::<(), Error>(())
                }
            })
            .await
    });
    assert!(task.await.expect_err("a panic").is_panic());
    // the only slot of the pool is free, and the row's locks are gone
    in_time(exec.query_drop(format!("UPDATE {} SET n = 2", ledger.table))).await.expect("updated");
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn a_loss_at_any_statement_before_commit_runs_it_all_again() {
    let server = shared().await;
    let places = [
        (When::text("START TRANSACTION"), Place::Request(0)),
        (When::text("START TRANSACTION"), Place::AfterRequestWhenAnswered),
        (When::text("'first'"), Place::AfterRequest),
        (When::text("INSERT"), Place::Request(3)),
        (When::text("INSERT"), Place::AfterRequestWhenAnswered),
        (When::text("INSERT"), Place::AfterReply),
    ];
    for (when, place) in places {
        for keep_server in [false, true] {
            let proxy = Proxy::start(server).await;
            let exec = executor_via(&proxy);
            let ledger = Ledger::new(server).await;
            let runs = AtomicU32::new(0);
            exec.ping().await.expect("a connection");
            proxy.rule(Rule { keep_server, ..Rule::new(when.clone(), place, Fault::Fin) });
            let result: Result<(), Error> = in_time(
                exec.transaction(opts(), |mut tx| {
                    let run = runs.fetch_add(1, Relaxed) + 1;
                    let insert = ledger.insert();
                    async move {
                        assert!(tx.attempt() >= run);
                        tx.query_drop("SELECT 'first'").await?;
                        tx.query_drop(insert).await?;
                        tx.query_drop("SELECT 'last'").await.map(drop)
                    }
                })
                .into_future(),
            )
            .await;
            result.unwrap_or_else(|error| panic!("{when:?} {place:?}: {error}"));
            assert_eq!(ledger.rows().await, 1, "{when:?} {place:?} {keep_server}");
            assert!(proxy.rules_left().is_empty());
            let counters = exec.counters();
            assert_eq!((counters.losses, counters.recovered, counters.gave_up), (1, 1, 0), "{when:?} {place:?}");
        }
    }
}

use std::future::IntoFuture as _;

#[tokio::test]
async fn a_closure_that_takes_no_notice_of_the_loss_is_run_again_too() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    proxy.rule(Rule::new(When::text("INSERT"), Place::AfterRequestWhenAnswered, Fault::Fin));
    let result: Result<u32, Error> = exec
        .transaction(opts(), |mut tx| {
            let insert = ledger.insert();
            async move {
                let _ = tx.query_drop(insert.clone()).await;
                // nothing runs outside of the transaction
                let _ = tx.query_drop(insert).await;
                Ok(tx.attempt())
            }
        })
        .await;
    assert_eq!(result.expect("committed"), 2);
    assert_eq!(ledger.rows().await, 2);
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_unknown_and_not_run_again() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    let runs = AtomicU32::new(0);
    proxy.rule(Rule::new(When::text("COMMIT"), Place::AfterRequestWhenAnswered, Fault::Fin));
    let result: Result<(), Error> = exec
        .transaction(opts(), |mut tx| {
            runs.fetch_add(1, Relaxed);
            let insert = ledger.insert().idempotent();
            async move { tx.query_drop(insert).await.map(drop) }
        })
        .await;
    let error = result.expect_err("nobody knows");
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::CommitLost), "{error}");
    assert!(error.to_string().contains("the transaction may have been committed"), "{error}");
    assert_eq!((runs.load(Relaxed), ledger.rows().await), (1, 1));
}

#[tokio::test]
async fn a_commit_that_was_not_sent_is_run_again() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let result: Result<u32, Error> = in_time(
        exec.transaction(opts(), |mut tx| {
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                let attempt = tx.attempt();
                if attempt == 1 {
                    let id: Option<u32> = tx.query_first("SELECT CONNECTION_ID()").await?;
                    server.kill_connection(id.expect("a row")).await;
                    server.wait_gone(id.expect("a row")).await;
                    // long enough for the connection to be looked at
                    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
                    tx.query_drop("SELECT 1").await?;
                }
                Ok(attempt)
            }
        })
        .into_future(),
    )
    .await;
    assert_eq!(result.expect("committed"), 2);
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_deadlock_s_victim_is_run_again() {
    let server = shared().await;
    let table = unique("pair");
    server.query_drop(format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT)")).await;
    server.query_drop(format!("INSERT INTO {table} VALUES (1, 0), (2, 0)")).await;
    let exec = executor(server);
    let barrier = tokio::sync::Barrier::new(2);
    let both = async |first: u32, second: u32| {
        let (table, barrier) = (&table, &barrier);
        let result: Result<u32, Error> = in_time(
            exec.transaction(opts(), move |mut tx: Tx| async move {
                tx.exec_drop(format!("UPDATE {table} SET v = v + 1 WHERE id = ?"), (first,)).await?;
                if tx.attempt() == 1 {
                    barrier.wait().await;
                }
                tx.exec_drop(format!("UPDATE {table} SET v = v + 1 WHERE id = ?"), (second,)).await?;
                Ok(tx.attempt())
            })
            .into_future(),
        )
        .await;
        result.expect("committed")
    };
    let (one, other) = tokio::join!(both(1, 2), both(2, 1));
    assert_eq!(one.min(other), 1);
    assert_eq!(one.max(other), 2);
    let mut conn = server.connect().await;
    let values: Vec<i32> = conn.query(format!("SELECT v FROM {table} ORDER BY id")).await.expect("values");
    assert_eq!(values, [2, 2]);
    conn.disconnect().await.expect("a goodbye");
}

#[tokio::test]
async fn the_isolation_level_and_the_access_mode_hold_on_each_run() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let mut opts = opts();
    opts.with_isolation_level(IsolationLevel::Serializable).with_readonly(true);
    let ledger = Ledger::new(server).await;
    proxy.rule(Rule::new(When::text("'once'"), Place::AfterRequest, Fault::Fin));
    let result: Result<u32, Error> = exec
        .transaction(opts, |mut tx| {
            let insert = ledger.insert();
            async move {
                tx.query_drop("SELECT 'once'").await?;
                let error = tx.query_drop(insert).await.expect_err("read only");
                assert_eq!(error.code(), Some(1792), "{error}");
                Ok(tx.attempt())
            }
        })
        .await;
    assert_eq!(result.expect("committed"), 2);
    let begins = proxy.commands().into_iter().filter(|seen| {
        let text = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION READ ONLY; SAVEPOINT ";
        seen.text.as_ref().is_some_and(|sent| sent.starts_with(text))
    });
    assert_eq!(begins.count(), 2);
}

#[tokio::test]
async fn after_an_implicit_commit_nothing_is_run_again() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    let table = unique("ddl");
    let runs = AtomicU32::new(0);
    for fault in [None, Some(Fault::Fin)] {
        if let Some(fault) = fault.clone() {
            proxy.rule(Rule::new(When::text("CREATE TABLE"), Place::AfterRequestWhenAnswered, fault));
        }
        let result: Result<(), Error> = exec
            .transaction(opts(), |mut tx| {
                runs.fetch_add(1, Relaxed);
                let (insert, table) = (ledger.insert(), &table);
                async move {
                    tx.query_drop(insert).await?;
                    tx.query_drop(format!("CREATE TABLE IF NOT EXISTS {table} (a INT)")).await?;
                    tx.query_drop("SELECT 1").await.map(drop)
                }
            })
            .await;
        let error = result.expect_err("it is over");
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::InTransaction), "{error}");
    }
    assert_eq!(runs.load(Relaxed), 2);
    assert_eq!(ledger.rows().await, 2);
    settle(server, &proxy, exec).await;
}

#[tokio::test]
async fn a_transaction_within_a_transaction_is_refused_before_it_commits_the_outer_one() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let result: Result<(), Error> = exec
        .transaction(opts(), |mut tx| {
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                tx.query_drop("SAVEPOINT a").await?;
                tx.query_drop("ROLLBACK TO a").await?;
                tx.query_drop("BEGIN").await.map(drop)
            }
        })
        .await;
    let error = result.expect_err("refused");
    assert!(error.is_config() && error.to_string().contains("SAVEPOINT"), "{error}");
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn a_transaction_on_a_session_sees_its_state_and_is_not_run_again_without_it() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    let mut session = exec.session().await.expect("a session");
    session.query_drop("SET @n = 7").await.expect("set");
    for lost in [false, true] {
        if lost {
            proxy.rule(Rule::new(When::Command(Kind::Query), Place::AfterRequest, Fault::Fin).skip(1));
        }
        let sql = format!("INSERT INTO {} (n) SELECT @n", ledger.table);
        let result: Result<(), Error> = in_time(
            session
                .transaction(opts(), |mut tx| {
                    let sql = sql.clone();
                    async move { tx.query_drop(sql).await.map(drop) }
                })
                .into_future(),
        )
        .await;
        if lost {
            let error = result.expect_err("the variable is gone");
            assert_eq!((error.reason(), error.outcome()), (Reason::StateLost, Outcome::NotExecuted), "{error}");
        } else {
            result.expect("committed");
        }
    }
    assert_eq!(ledger.values().await, [7]);
}

#[tokio::test]
async fn a_transaction_that_was_dropped_takes_the_state_of_its_session_along_and_says_so() {
    let exec = executor(shared().await);
    let mut session = exec.session().await.expect("a session");
    for dropped_inside in [false, true] {
        session.query_drop("SET @n = 7").await.expect("set");
        let slow = session.transaction(opts(), |mut tx| async move {
            let slow = tx.query_drop("SELECT SLEEP(100)");
            if dropped_inside {
                let _ = tokio::time::timeout(ms(50), slow).await;
                return Err(Own::Enough);
            }
            slow.await?;
            Ok(())
        });
        let ended = tokio::time::timeout(ms(300), slow.into_future()).await;
        assert_eq!(ended.is_ok(), dropped_inside);
        let error = session.query_drop("SELECT @n").await.expect_err("the variable is gone");
        assert_eq!((error.reason(), error.outcome()), (Reason::StateLost, Outcome::NotExecuted), "{error}");
    }
}

#[tokio::test]
async fn a_closure_that_drops_a_statement_and_goes_on_is_run_again() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let result: Result<u32, Error> = in_time(
        exec.transaction(opts(), |mut tx| {
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                if tx.attempt() == 1 {
                    let _ = tokio::time::timeout(ms(20), tx.query_drop("SELECT SLEEP(100)")).await;
                }
                Ok(tx.attempt())
            }
        })
        .into_future(),
    )
    .await;
    assert_eq!(result.expect("committed"), 2);
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_handle_that_outlives_its_transaction_does_nothing() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let result: Result<Tx, Error> = exec.transaction(opts(), |tx| async move { Ok(tx) }).await;
    let mut tx = result.expect("committed");
    let error = tx.query_drop(ledger.insert()).await.expect_err("it is over");
    assert_eq!((error.reason(), error.outcome()), (Reason::InTransaction, Outcome::NotExecuted), "{error}");
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn a_transaction_on_a_session_that_has_one_open_is_refused() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let mut session = exec.session().await.expect("a session");
    session.query_drop("BEGIN").await.expect("begun");
    session.query_drop(ledger.insert()).await.expect("inserted");
    let result: Result<(), Error> = session.transaction(opts(), |_| async move { Ok(()) }).await;
    assert!(result.expect_err("one is open").is_config());
    session.query_drop("ROLLBACK").await.expect("rolled back");
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn a_commit_or_rollback_sent_as_text_is_refused_before_it_ends_the_transaction() {
    let server = shared().await;
    let exec = executor(server);
    for text in ["COMMIT", "/* c */ commit work;", "COMMIT AND CHAIN", "ROLLBACK", "ROLLBACK AND CHAIN"] {
        for swallowed in [false, true] {
            let ledger = Ledger::new(server).await;
            let result: Result<(), Error> = exec
                .transaction(opts(), |mut tx| {
                    let insert = ledger.insert();
                    async move {
                        tx.query_drop(&insert).await?;
                        let refused = match tx.attempt() {
                            1 => tx.query_drop(text).await,
                            _ => tx.exec_drop(text, ()).await,
                        };
                        let error = refused.expect_err(text);
                        assert!(error.is_config() && error.to_string().contains("returns Ok"), "{error}");
                        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
                        if swallowed { Ok(()) } else { Err(error) }
                    }
                })
                .await;
            assert_eq!(result.is_ok(), swallowed, "{text}");
            assert_eq!(ledger.rows().await, u64::from(swallowed), "{text}");
        }
    }
}

#[tokio::test]
async fn what_commits_in_several_statements_is_noticed_before_commit() {
    let server = shared().await;
    let exec = executor(server);
    // the server's flags say all the time that a transaction is open
    for text in ["COMMIT AND CHAIN; SELECT 1", "COMMIT; BEGIN", "SELECT 1; ROLLBACK; START TRANSACTION"] {
        let ledger = Ledger::new(server).await;
        let runs = AtomicU32::new(0);
        let result: Result<(), Error> = exec
            .transaction(opts(), |mut tx| {
                runs.fetch_add(1, Relaxed);
                let insert = ledger.insert();
                async move {
                    tx.query_drop(&insert).await?;
                    tx.query_drop(text).await?;
                    tx.query_drop(&insert).await.map(drop)
                }
            })
            .await;
        let error = result.expect_err(text);
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::TransactionEnded), "{text}: {error}");
        assert_eq!(runs.load(Relaxed), 1);
        assert_eq!(ledger.rows().await, u64::from(text.starts_with("COMMIT")), "{text}");
    }
}

#[tokio::test]
async fn after_a_commit_that_begins_the_next_transaction_at_once_nothing_is_run_again() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let ledger = Ledger::new(server).await;
    proxy.rule(Rule::new(When::text("'after it'"), Place::AfterRequest, Fault::Fin));
    let runs = AtomicU32::new(0);
    let result: Result<(), Error> = exec
        .transaction(opts(), |mut tx| {
            runs.fetch_add(1, Relaxed);
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                // the server's flags say all the time that a transaction is open
                tx.query_drop("COMMIT AND CHAIN; SELECT 1").await?;
                tx.query_drop("SELECT 'after it'").await.map(drop)
            }
        })
        .await;
    let error = result.expect_err("a part is committed");
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::InTransaction), "{error}");
    assert_eq!((runs.load(Relaxed), ledger.rows().await), (1, 1));
}
