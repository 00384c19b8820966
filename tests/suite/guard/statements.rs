//! What guarded work may contain.

use std::future::IntoFuture as _;

use mysql_retry::{Annotate as _, Done, Error, Executor, Outcome, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Flavour, Place, Proxy, Rule, When, in_time, pool_of};

use crate::support::{Ledger, executor_with_guard, shared, unique};
use crate::transaction::ended_by_statements::procedure;

#[tokio::test]
async fn case_53_statements_that_do_not_commit_have_a_place_in_exactly_once_work() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let guard = unique("guard");
    let exec = Executor::builder().guard_table(&guard).build(pool_of(1, server.opts())).expect("good options");
    exec.create_guard_table().await.expect("created");
    let mut texts: Vec<String> = [
        "/* traceparent=00-ab-cd-01 */ INSERT INTO LEDGER (n) VALUES (1)",
        "-- x\nINSERT INTO LEDGER (n) VALUES (1)",
        "# x\nINSERT INTO LEDGER (n) VALUES (1)",
        "(SELECT 1) UNION (SELECT 2)",
        "CREATE TEMPORARY TABLE case_53 (a INT)",
        "DROP TEMPORARY TABLE case_53",
        "HANDLER LEDGER OPEN",
        "HANDLER LEDGER CLOSE",
        "PREPARE s FROM 'DO 1'",
        "DEALLOCATE PREPARE s",
        "CHECKSUM TABLE LEDGER",
        "SET NAMES utf8mb4",
        "SET SESSION TRANSACTION READ WRITE",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
    ]
    .map(|text| text.replace("LEDGER", &ledger.table))
    .into();
    if server.flavour() == Flavour::MariaDb {
        texts.push(format!("SET STATEMENT max_statement_time = 9 FOR INSERT INTO {} (n) VALUES (1)", ledger.table));
        texts.push("ANALYZE SELECT 1".into());
    }
    let texts = &texts;
    let work = |mut tx: Tx| async move {
        for text in texts {
            tx.query_drop(text.as_str()).await?;
        }
        Ok::<_, Error>(())
    };
    let done = exec.transaction(TxOpts::default(), work).exactly_once("case 53").await;
    done.expect("none of them commits");
    assert_eq!(ledger.rows().await, 3 + u64::from(server.flavour() == Flavour::MariaDb));
}

#[tokio::test]
async fn case_46_a_procedure_that_leaves_the_transaction_alone_is_done_once() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let good = procedure(server, &format!("{};", ledger.insert())).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_with_guard(proxy.opts()).await;
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
    // a procedure that fails without ending the transaction leaves its token free
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
                tx.query_drop(text).await
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
