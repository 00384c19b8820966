//! Transactions that a statement of theirs ends: an implicit commit, stored code.

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mysql_retry::{Annotate as _, Done, Error, Executor, Outcome, Reason, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Flavour, Place, Proxy, Rule, Server, When};

use crate::support::{Ledger, executor_via, in_time, pool_of, shared, unique};

/// An executor with a guard's table of its own.
async fn guarded(opts: mysql_async::OptsBuilder) -> Executor {
    let exec = Executor::builder().guard_table(unique("guard")).build(pool_of(2, opts)).expect("good options");
    exec.create_guard_table().await.expect("created");
    exec
}

/// A procedure with this body.
async fn procedure(server: &Server, body: &str) -> String {
    let name = unique("proc");
    server.query_drop(format!("CREATE PROCEDURE {name}() BEGIN {body} END")).await;
    name
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
            proxy.rule(Rule::new(When::text("SET DEFAULT"), Place::AfterRequestWhenAnswered, Fault::Fin));
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
        let exec = Executor::new(pool_of(1, server.opts())).expect("good options");
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
            let exec = guarded(server.opts()).await;
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
        // the same without a token, with work around it
        let exec = Executor::new(pool_of(1, server.opts())).expect("good options");
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

#[tokio::test]
async fn case_46_a_procedure_that_leaves_the_transaction_alone_is_done_once() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let good = procedure(server, &format!("{};", ledger.insert())).await;
    let proxy = Proxy::start(server).await;
    let exec = guarded(proxy.opts()).await;
    for (number, lost) in [None, Some(Place::AfterRequestWhenAnswered), Some(Place::Request(0))].into_iter().enumerate()
    {
        if let Some(place) = lost {
            proxy.rule(Rule::new(When::text("COMMIT"), place, Fault::Fin));
        }
        let token = format!("t{number}");
        let call = format!("CALL {good}()").exactly_once(token.as_str());
        assert!(!in_time(exec.query_drop(call.clone())).await.expect("done").was_done_before(), "{lost:?}");
        assert!(in_time(exec.exec_drop(call, ())).await.expect("done").was_done_before(), "{lost:?}");
        assert_eq!(ledger.rows().await, number as u64 + 1, "{lost:?}");
    }
    // one that fails without ending anything leaves its token free
    let body = format!("{}; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no';", ledger.insert());
    let bad = procedure(server, &body).await;
    for _ in 0..2 {
        let error = in_time(exec.query_drop(format!("CALL {bad}()").exactly_once("bad"))).await.expect_err("no");
        assert_eq!(error.code(), Some(1644), "{error}");
    }
    assert_eq!(ledger.rows().await, 3);
}

#[tokio::test]
async fn case_46_work_that_touches_the_row_of_its_token_is_not_done() {
    let server = shared().await;
    let guard = unique("guard");
    let exec = Executor::builder().guard_table(&guard).build(server.opts()).expect("good options");
    exec.create_guard_table().await.expect("created");
    for (number, (text, is_good)) in [
        (format!("DELETE FROM {guard}"), false),
        (format!("UPDATE {guard} SET token = 'another'"), false),
        (format!("SELECT * FROM {guard}"), true),
        ("ROLLBACK TO mysql_retry_begun".to_owned(), false),
    ]
    .into_iter()
    .enumerate()
    {
        let ledger = Ledger::new(server).await;
        let work = |mut tx: Tx| {
            let (insert, text) = (ledger.insert(), text.clone());
            async move {
                tx.query_drop(insert).await?;
                tx.query_drop(text).await.map(drop)
            }
        };
        let transaction = exec.transaction(TxOpts::default(), work).exactly_once(format!("t{number}"));
        let done = in_time(transaction.into_future()).await;
        match done {
            Ok(done) => assert_eq!((done, is_good), (Done::Now(()), true), "{text}"),
            Err(error) => assert_eq!((error.outcome(), is_good), (Outcome::NotExecuted, false), "{text}: {error}"),
        }
        assert_eq!(ledger.rows().await, u64::from(is_good), "{text}");
    }
}

#[tokio::test]
async fn case_54_an_error_before_commit_is_that_error() {
    let server = shared().await;
    let guard = unique("guard");
    let exec = Executor::builder().guard_table(&guard).build(pool_of(1, server.opts())).expect("good options");
    exec.create_guard_table().await.expect("created");
    let database = unique("other");
    server.query_drop(format!("CREATE DATABASE {database}")).await;
    let ledger = Ledger::new(server).await;
    // `USE` in the closure leads no statement of the guard elsewhere
    for token in ["one", "two"] {
        let work = |mut tx: Tx| {
            let (insert, using) = (ledger.insert(), format!("USE {database}"));
            async move {
                tx.query_drop(insert).await?;
                tx.query_drop(using).await.map(drop)
            }
        };
        let done = exec.transaction(TxOpts::default(), work).exactly_once(token).payload(|_| b"x".to_vec());
        assert_eq!(in_time(done.into_future()).await.expect("done"), Done::Now(()));
    }
    assert_eq!(ledger.rows().await, 2);
    let before = |result: Result<Done<()>, Error>| match result.expect("done before") {
        Done::Before { payload } => payload,
        Done::Now(()) => panic!("done again"),
    };
    let nothing = |_: Tx| async { Ok::<_, Error>(()) };
    assert_eq!(before(exec.transaction(TxOpts::default(), nothing).exactly_once("one").await), Some(b"x".to_vec()));

    // an answer in place of the note of the payload: 1142, 1146
    for (code, state) in [(1142, "42000"), (1146, "42S02")] {
        let proxy = Proxy::start(server).await;
        let exec = guarded(proxy.opts()).await;
        let ledger = Ledger::new(server).await;
        let runs = AtomicU32::new(0);
        let message = "no".to_owned();
        let answer = Fault::Answer { code, state: Some(state.into()), message };
        proxy.rule(Rule::new(When::text("SET payload"), Place::Request(0), answer).times(9));
        let work = |mut tx: Tx| {
            runs.fetch_add(1, Relaxed);
            let insert = ledger.insert();
            async move { tx.query_drop(insert).await.map(drop) }
        };
        let done = exec.transaction(TxOpts::default(), work).exactly_once("t").payload(|_| b"x".to_vec());
        let error = in_time(done.into_future()).await.expect_err("an error");
        assert_eq!((error.outcome(), error.code()), (Outcome::NotExecuted, Some(code)), "{error}");
        assert_eq!((runs.load(Relaxed), ledger.rows().await), (1, 0), "{error}");
    }
}
