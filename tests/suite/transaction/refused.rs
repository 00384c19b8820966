//! Texts that would end the transaction are refused before they are sent.

use mysql_retry::{Error, Outcome, TxOpts};

use crate::support::{Ledger, executor, shared};

#[tokio::test]
async fn a_transaction_within_a_transaction_is_refused_before_it_commits_the_outer_one() {
    let server = shared().await;
    let exec = executor(server);
    let ledger = Ledger::new(server).await;
    let result: Result<(), Error> = exec
        .transaction(TxOpts::default(), |mut tx| {
            let insert = ledger.insert();
            async move {
                tx.query_drop(insert).await?;
                tx.query_drop("SAVEPOINT a").await?;
                tx.query_drop("ROLLBACK TO a").await?;
                tx.query_drop("BEGIN").await
            }
        })
        .await;
    let error = result.expect_err("refused");
    assert!(error.is_config() && error.to_string().contains("SAVEPOINT"), "{error}");
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
                .transaction(TxOpts::default(), |mut tx| {
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
