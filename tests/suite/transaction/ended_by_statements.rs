//! A statement of the transaction ends it: an implicit commit, several statements in one text, stored code.

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mysql_retry::{Annotate as _, Error, Outcome, Reason, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Flavour, Place, Proxy, Rule, Server, When, in_time, pool_of};

use crate::support::{Ledger, executor, executor_of_one, executor_via, executor_with_guard, settle, shared, unique};

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
            .transaction(TxOpts::default(), |mut tx| {
                runs.fetch_add(1, Relaxed);
                let (insert, table) = (ledger.insert(), &table);
                async move {
                    tx.query_drop(insert).await?;
                    tx.query_drop(format!("CREATE TABLE IF NOT EXISTS {table} (a INT)")).await?;
                    tx.query_drop("SELECT 1").await
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
async fn what_commits_in_several_statements_is_noticed_before_commit() {
    let server = shared().await;
    let exec = executor(server);
    // the server's flags say all the time that a transaction is open
    for text in ["COMMIT AND CHAIN; SELECT 1", "COMMIT; BEGIN", "SELECT 1; ROLLBACK; START TRANSACTION"] {
        let ledger = Ledger::new(server).await;
        let runs = AtomicU32::new(0);
        let result: Result<(), Error> = exec
            .transaction(TxOpts::default(), |mut tx| {
                runs.fetch_add(1, Relaxed);
                let insert = ledger.insert();
                async move {
                    tx.query_drop(&insert).await?;
                    tx.query_drop(text).await?;
                    tx.query_drop(&insert).await
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
        .transaction(TxOpts::default(), |mut tx| {
            runs.fetch_add(1, Relaxed);
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                // the server's flags say all the time that a transaction is open
                tx.query_drop("COMMIT AND CHAIN; SELECT 1").await?;
                tx.query_drop("SELECT 'after it'").await
            }
        })
        .await;
    let error = result.expect_err("a part is committed");
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::InTransaction), "{error}");
    assert_eq!((runs.load(Relaxed), ledger.rows().await), (1, 1));
}

#[tokio::test]
async fn case_45_a_role_that_was_set_has_committed_what_came_before() {
    let server = shared().await;
    let (user, role) = (unique("user"), unique("role"));
    server.query_drop(format!("CREATE USER {user}")).await;
    server.query_drop(format!("CREATE ROLE {role}")).await;
    server.query_drop(format!("GRANT {role} TO {user}")).await;
    let set = match server.flavour() {
        Flavour::MariaDb => {
            server.query_drop(format!("GRANT {role} TO CURRENT_USER WITH ADMIN OPTION")).await;
            format!("SET DEFAULT ROLE {role} FOR {user}")
        }
        Flavour::MySql => format!("SET DEFAULT ROLE {role} TO {user}"),
    };
    for lost in [true, false] {
        let proxy = Proxy::start(server).await;
        let exec = executor_via(&proxy);
        let ledger = Ledger::new(server).await;
        let runs = AtomicU32::new(0);
        if lost {
            proxy.rule(Rule::reply_lost(When::text("SET DEFAULT")));
        }
        let work = |mut tx: Tx| {
            runs.fetch_add(1, Relaxed);
            let (insert, set) = (ledger.insert(), set.clone());
            async move {
                tx.query_drop(insert).await?;
                let set = tx.query_drop(set).await;
                if lost { set.map(drop) } else { Ok::<_, Error>(()) }
            }
        };
        let error =
            in_time(exec.transaction(TxOpts::default(), work).into_future()).await.expect_err("a part is committed");
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        assert_eq!((runs.load(Relaxed), ledger.rows().await), (1, 1));
    }
}

#[tokio::test]
async fn case_45_ddl_in_a_closure_is_no_ok() {
    let server = shared().await;
    for fails in [false, true] {
        let exec = executor_of_one(server.opts());
        let ledger = Ledger::new(server).await;
        let table = unique("ddl");
        if fails {
            server.query_drop(format!("CREATE TABLE {table} (a INT)")).await;
        }
        let runs = AtomicU32::new(0);
        let work = |mut tx: Tx| {
            runs.fetch_add(1, Relaxed);
            let (insert, create) = (ledger.insert(), format!("CREATE TABLE {table} (a INT)"));
            async move {
                tx.query_drop(insert).await?;
                assert_eq!(tx.query_drop(create).await.is_err(), fails);
                Ok::<_, Error>(())
            }
        };
        let error =
            in_time(exec.transaction(TxOpts::default(), work).into_future()).await.expect_err("a part is committed");
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::TransactionEnded), "{error}");
        assert!(error.to_string().contains("check its effect"), "{error}");
        assert_eq!((runs.load(Relaxed), ledger.rows().await), (1, 1));
    }
}

/// A procedure with this body.
pub async fn procedure(server: &Server, body: &str) -> String {
    let name = unique("proc");
    server.query_drop(format!("CREATE PROCEDURE {name}() BEGIN {body} END")).await;
    name
}

#[tokio::test]
async fn case_46_a_procedure_that_ends_the_transaction_is_never_done() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let (insert, fail) = (ledger.insert(), "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no';");
    let handler = format!("DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; {insert}; {fail}");
    let bodies = [
        format!("START TRANSACTION; {insert}; ROLLBACK;"),
        format!(
            "DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; START TRANSACTION; {insert}; {fail}"
        ),
        format!("START TRANSACTION; {insert}; {fail}"),
        format!("{insert}; COMMIT; START TRANSACTION;"),
        "ROLLBACK; START TRANSACTION;".to_owned(),
        "ROLLBACK;".to_owned(),
        handler,
        format!("{insert}; COMMIT;"),
    ];
    for body in bodies {
        let name = procedure(server, &body).await;
        let call = format!("CALL {name}()");
        for prepared in [false, true] {
            let exec = executor_with_guard(pool_of(2, server.opts())).await;
            let before = ledger.rows().await;
            let statement = call.clone().exactly_once("t");
            let first = match prepared {
                true => in_time(exec.exec_drop(statement.clone(), ())).await,
                false => in_time(exec.query_drop(statement.clone())).await,
            };
            let error = first.expect_err(&body);
            assert_ne!(error.outcome(), Outcome::NotExecuted, "{body}: {error}");
            let after = ledger.rows().await;
            let error = in_time(exec.query_drop(statement)).await.expect_err(&body);
            assert_eq!(
                (error.outcome(), error.reason()),
                (Outcome::Unknown, Reason::TransactionEnded),
                "{body}: {error}"
            );
            assert!(error.to_string().contains("delete the row of the token"), "{error}");
            assert_eq!(ledger.rows().await, after, "{body}: it ran again");
            assert!(after <= before + 1);
        }
        // the same without a token, with other statements around it
        let exec = executor_of_one(server.opts());
        let around = Ledger::new(server).await;
        let work = |mut tx: Tx| {
            let (insert, call) = (around.insert(), call.clone());
            async move {
                tx.query_drop(&insert).await?;
                let _ = tx.query_drop(call).await;
                let _ = tx.query_drop(&insert).await;
                Ok::<_, Error>(())
            }
        };
        let error = in_time(exec.transaction(TxOpts::default(), work).into_future()).await.expect_err(&body);
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::TransactionEnded), "{body}: {error}");
        assert!(around.rows().await < 2, "{body}");
    }
}
