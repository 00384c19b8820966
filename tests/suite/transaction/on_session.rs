//! A transaction on a session has the state of that session, and is lost with it.

use std::future::IntoFuture as _;

use mysql_retry::{Error, Outcome, Reason, TxOpts};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When, in_time, ms};

use crate::support::{Ledger, Own, executor, executor_via, shared};

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
                .transaction(TxOpts::default(), |mut tx| {
                    let sql = sql.clone();
                    async move { tx.query_drop(sql).await }
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
        let slow = session.transaction(TxOpts::default(), |mut tx| async move {
            let slow = tx.query_drop("SELECT SLEEP(100)");
            if dropped_inside {
                let _ = tokio::time::timeout(ms(50), slow).await;
                return Err(Own::Refused(7));
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
async fn a_transaction_on_a_session_that_has_one_open_is_refused() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let mut session = exec.session().await.expect("a session");
    session.query_drop("BEGIN").await.expect("begun");
    session.query_drop(ledger.insert()).await.expect("inserted");
    let result: Result<(), Error> = session.transaction(TxOpts::default(), |_| async move { Ok(()) }).await;
    assert!(result.expect_err("one is open").is_config());
    session.query_drop("ROLLBACK").await.expect("rolled back");
    assert_eq!(ledger.rows().await, 0);
}
