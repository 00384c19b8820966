//! A router between the executor and its server that moves statements between sessions.

use std::future::IntoFuture as _;

use mysql_retry::{Error, Executor, Outcome, TxOpts};
use mysql_retry_fixture::{GreetsAs, Routing, Server, SplittingRouter, in_time};

use crate::support::{Ledger, executor_with_guard, shared};

/// More than make a connection known well.
const MANY: usize = 24;

async fn through(server: &Server, holds: bool, greets_as: GreetsAs) -> (SplittingRouter, Executor) {
    let router = SplittingRouter::start_by(Routing::InTurn { holds }, server, server, greets_as).await;
    let exec = executor_with_guard(router.opts()).await;
    (router, exec)
}

/// Inserts `count` rows, and fails after that if told to.
async fn insert(
    exec: &Executor,
    ledger: &Ledger<'_>,
    count: usize,
    fails: bool,
    token: Option<String>,
) -> Result<(), Error> {
    let work = exec.transaction(TxOpts::default(), |mut tx| {
        let insert = ledger.insert();
        async move {
            for _ in 0..count {
                tx.query_drop(insert.as_str()).await?;
            }
            if fails {
                tx.query_drop("SELECT * FROM no_such_table").await?;
            }
            Ok::<_, Error>(())
        }
    });
    match token {
        Some(token) => in_time(work.exactly_once(token).into_future()).await.map(drop),
        None => in_time(work.into_future()).await,
    }
}

#[tokio::test]
async fn case_103_through_a_router_that_holds_transactions_they_are_whole() {
    let server = shared().await;
    for greets_as in [GreetsAs::Writer, GreetsAs::Itself(4_000_000_000)] {
        let (_router, exec) = through(server, true, greets_as).await;
        for round in 0..MANY {
            for token in [None, Some(format!("{greets_as:?} {round}"))] {
                let ledger = Ledger::new(server).await;
                let name = format!("{greets_as:?} {round} {token:?}");
                insert(&exec, &ledger, 3, false, token).await.expect(&name);
                assert_eq!(ledger.rows().await, 3, "{name}");
                let error = insert(&exec, &ledger, 3, true, None).await.expect_err("no such table");
                assert_eq!((error.code(), ledger.rows().await), (Some(1146), 3), "{name}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn case_103_through_a_router_that_tears_transactions_nothing_is_said_that_is_not_so() {
    let server = shared().await;
    for greets_as in [GreetsAs::Writer, GreetsAs::Itself(4_000_000_000)] {
        let (_router, exec) = through(server, false, greets_as).await;
        for count in [1, 2, 3] {
            for fails in [false, true] {
                for guarded in [false, true] {
                    let name = format!("{greets_as:?}, {count} rows, fails: {fails}, guarded: {guarded}");
                    let ledger = Ledger::new(server).await;
                    let result = insert(&exec, &ledger, count, fails, guarded.then(|| name.clone())).await;
                    let rows = ledger.rows().await;
                    match result {
                        Ok(()) => assert_eq!(rows, count as u64, "{name}"),
                        // whoever calls again with the token is not told that it was done, and does nothing twice
                        Err(error) if error.outcome() == Outcome::Unknown && guarded => {
                            let again = insert(&exec, &ledger, count, fails, Some(name.clone())).await;
                            let error = again.expect_err(&name);
                            assert_eq!((error.outcome(), ledger.rows().await), (Outcome::Unknown, rows), "{error}");
                        }
                        Err(error) if error.outcome() == Outcome::Unknown => {}
                        // it speaks of the statement that failed, and not of the transaction
                        Err(error) if error.code() == Some(1146) => {}
                        Err(error) => assert_eq!(rows, 0, "{name}: {error}"),
                    }
                }
            }
        }
    }
}
