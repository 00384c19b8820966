//! A bug of the caller's is no lost connection: one attempt, and the executor goes on.

use mysql_async::{Params, params};
use mysql_retry::{Annotate as _, Error, Executor, Outcome, Reason};

use crate::support::{Ledger, PARAMETER, assert_keeps_secrets, assert_no_loss, connection_id, executor_of_one, shared};

/// Asserts that there was one attempt, and no loss.
pub(super) fn assert_surfaced_at_once(error: &Error, exec: &Executor) {
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
    let wrong: [(&str, Params); 8] = [
        (&insert, (1, 2).into()),
        (&insert, Params::Empty),
        (&insert, params! { "n" => 1 }),
        (&named, params! { "m" => 1 }),
        ("SELECT ?", (PARAMETER, PARAMETER).into()),
        ("SELECT ?, ?", (PARAMETER,).into()),
        ("SELECT :wanted", params! { "given" => PARAMETER }),
        ("SELECT :wanted, ?", params! { "wanted" => PARAMETER }),
    ];
    for (sql, params) in wrong {
        let shown = format!("{sql} {params:?}");
        let error = exec.exec_drop(sql.idempotent(), params.clone()).await.expect_err(&shown);
        assert_surfaced_at_once(&error, &exec);
        assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::NotALoss), "{shown}: {error}");
        assert!(matches!(error.driver_error(), Some(mysql_async::Error::Driver(_))), "{shown}: {error}");
        assert!(!error.is_conversion(), "{shown}: {error}");
        assert_keeps_secrets(&error);
        // the connection goes on
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
async fn a_row_that_does_not_fit_names_the_type_and_not_the_value() {
    let exec = executor_of_one(shared().await.opts());
    let id = connection_id(&exec).await;
    let sql = "SELECT CAST(? AS CHAR)".idempotent();
    let errors = [
        (exec.exec_first::<u32, _, _>(sql, (PARAMETER,)).await.unwrap_err(), "u32"),
        (exec.exec::<u32, _, _>(sql, (PARAMETER,)).await.unwrap_err(), "u32"),
        (exec.exec_map(sql, (PARAMETER,), |n: u32| n).await.unwrap_err(), "u32"),
        (exec.query_first::<u32, _>(format!("SELECT '{PARAMETER}'").idempotent()).await.unwrap_err(), "u32"),
        (exec.query::<u8, _>("SELECT 'x'".idempotent()).await.unwrap_err(), "u8"),
        (exec.exec_first::<(i32, i32), _, _>("SELECT 1", ()).await.unwrap_err(), "(i32, i32)"),
    ];
    for (error, wanted) in errors {
        assert_surfaced_at_once(&error, &exec);
        assert!(error.is_conversion(), "{error}");
        assert_eq!(error.outcome(), Outcome::Unknown);
        let text = error.to_string();
        assert!(text.contains("the statement was executed") && text.contains(wanted), "{text}");
        assert_keeps_secrets(&error);
    }
    assert_eq!(connection_id(&exec).await, id, "the connection was not kept");
}
