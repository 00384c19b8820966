//! The three outcomes, whichever method sends the statement: `Failed` is the server's answer, and nothing was lost.

use futures_util::TryStreamExt as _;
use mysql_async::{Row, Value};
use mysql_retry::{
    Annotate as _, Error, Executor, ExecutorBuilder, Outcome, Reason, RetryPolicy, RetryPolicyBuilder, TxOpts,
};
use mysql_retry_fixture::{Events, Fault, Place, Proxy, Recorded, Rule, Server, When, in_time, ms, pool_of};

use crate::support::{Own, executor, executor_via, register, shared, unique};

async fn rows(server: &Server, table: &str) -> u64 {
    server.query_first(format!("SELECT COUNT(*) FROM {table}")).await.expect("a row")
}

/// Statements that a server refuses while it executes them, and its error number.
fn refused(table: &str) -> [(String, u16); 3] {
    [
        (format!("INSERT INTO {table} VALUES (1, 1)"), 1062),
        (format!("INSERT INTO {table} VALUES (2, 'no number')"), 1366),
        (format!("INSERT INTO {table} SELECT 3, EXP(v + 1000) FROM {table}"), 1690),
    ]
}

#[track_caller]
fn assert_answered(error: &Error, code: u16, shown: &str) {
    assert_eq!((error.outcome(), error.code()), (Outcome::Failed, Some(code)), "{shown}: {error}");
    assert_eq!((error.attempts(), error.reason()), (1, Reason::NotALoss), "{shown}: {error}");
    assert!(!error.is_disconnect() && !error.is_refused() && !error.is_timeout(), "{shown}: {error}");
}

#[tokio::test]
async fn case_70_what_the_server_says_no_to_has_failed_whichever_method_asked() {
    let server = shared().await;
    let table = register(server).await;
    let exec = executor(server);
    for (sql, code) in refused(&table) {
        let plain = &*sql;
        let statement = || plain.to_owned().idempotent();
        assert_answered(&exec.query_drop(plain).await.unwrap_err(), code, plain);
        assert_answered(&exec.query::<Row, _>(statement()).await.unwrap_err(), code, plain);
        assert_answered(&exec.query_first::<Row, _>(plain).await.unwrap_err(), code, plain);
        assert_answered(&exec.exec_drop(plain, ()).await.unwrap_err(), code, plain);
        assert_answered(&exec.exec_drop(statement(), ()).await.unwrap_err(), code, plain);
        assert_answered(&exec.exec::<Row, _, _>(plain, ()).await.unwrap_err(), code, plain);
        let stream = async { exec.query_stream::<Row, _>(plain).await?.try_collect::<Vec<_>>().await };
        assert_answered(&stream.await.unwrap_err(), code, plain);
        let stream = async { exec.exec_stream::<Row, _, _>(plain, ()).await?.try_collect::<Vec<_>>().await };
        assert_answered(&stream.await.unwrap_err(), code, plain);
    }
    let insert = format!("INSERT INTO {table} VALUES (?, ?)");
    let batch = exec.exec_batch(&*insert, [(1, Value::from(1))]).await;
    assert_answered(&batch.unwrap_err(), 1062, "a batch");
    let batch = exec.exec_batch(&*insert, [(4, Value::from("no number"))]).await;
    assert_answered(&batch.unwrap_err(), 1366, "a batch");
    assert_eq!(rows(server, &table).await, 1, "nothing of it is there");
    assert_eq!((exec.counters().losses, exec.counters().gave_up), (0, 0));
}

#[tokio::test]
async fn case_70_a_missing_table_is_refused_while_preparing_and_has_failed_as_text() {
    let exec = executor(shared().await);
    let sql = format!("INSERT INTO {} VALUES (1)", unique("nowhere"));
    assert_answered(&exec.query_drop(&*sql).await.unwrap_err(), 1146, &sql);
    assert_answered(&exec.query_drop(sql.clone().idempotent()).await.unwrap_err(), 1146, &sql);
    let error = exec.exec_drop(&*sql, ()).await.unwrap_err();
    assert_eq!((error.outcome(), error.code(), error.attempts()), (Outcome::NotExecuted, Some(1146), 1), "{error}");
}

#[tokio::test]
async fn case_70_a_statement_of_a_session_has_failed_and_the_session_goes_on() {
    let server = shared().await;
    let table = register(server).await;
    let exec = executor(server);
    let mut session = exec.session().await.expect("a session");
    session.query_drop("SET @kept = 7").await.expect("a server");
    for (sql, code) in refused(&table) {
        assert_answered(&session.query_drop(&*sql).await.unwrap_err(), code, &sql);
        assert_answered(&session.exec_drop(&*sql, ()).await.unwrap_err(), code, &sql);
    }
    assert_eq!(session.query_first::<u8, _>("SELECT @kept").await.expect("the same connection"), Some(7));
}

#[tokio::test]
async fn case_70_a_statement_of_a_transaction_has_failed_and_the_closure_decides_what_comes_of_it() {
    let server = shared().await;
    let table = register(server).await;
    let exec = executor(server);
    let (table, exec) = (&*table, &exec);
    for (sql, code) in refused(table) {
        let sql = &*sql;
        // the transaction returns the statement's error
        let transaction = exec.transaction(TxOpts::default(), |mut tx| async move {
            tx.query_drop(format!("INSERT INTO {table} VALUES (10, 1)")).await?;
            tx.query_drop(sql).await
        });
        assert_answered(&transaction.await.unwrap_err(), code, sql);
        assert_eq!(rows(server, table).await, 1, "{sql}: rolled back");
        // the closure's own error is returned as it is
        let transaction = exec.transaction(TxOpts::default(), |mut tx| async move {
            tx.query_drop(format!("INSERT INTO {table} VALUES (10, 1)")).await?;
            assert_answered(&tx.exec_drop(sql, ()).await.unwrap_err(), code, sql);
            Err::<(), _>(Own::Refused(7))
        });
        match transaction.await.unwrap_err() {
            Own::Refused(7) => {}
            other => panic!("{sql}: {other:?}"),
        }
        assert_eq!(rows(server, table).await, 1, "{sql}: rolled back");
    }
    // the closure may go on: the server has undone the statement alone
    let transaction = exec.transaction(TxOpts::default(), |mut tx| async move {
        assert_answered(&tx.query_drop(format!("INSERT INTO {table} VALUES (1, 1)")).await.unwrap_err(), 1062, "first");
        tx.query_drop(format!("INSERT INTO {table} VALUES (2, 1)")).await?;
        Ok::<_, Own>(())
    });
    match transaction.await {
        Ok(()) => {}
        Err(Own::Refused(_)) => unreachable!("the closure does not return it"),
        Err(Own::Library(error)) => panic!("{error}"),
    }
    assert_eq!(rows(server, table).await, 2);
    assert_eq!(exec.counters().losses, 0);
}

#[tokio::test]
async fn case_70_a_duplicate_key_after_a_lost_attempt_is_unknown() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let text = format!("INSERT INTO {table} VALUES (2, 1)");
    let prepared = format!("INSERT INTO {table} VALUES (?, 1)");
    let lose = |when| proxy.rule(Rule::reply_lost(when));
    let assert_after_loss = |error: &Error| {
        assert_eq!((error.outcome(), error.code(), error.attempts()), (Outcome::Unknown, Some(1062), 2), "{error}");
        assert!(error.to_string().contains("an earlier attempt was lost"), "{error}");
        assert!(!error.is_disconnect(), "{error}");
    };
    // annotated wrongly: the second execution meets the row of the first
    for _ in 0..2 {
        lose(When::text(&text));
        let error = in_time(exec.query_drop(text.clone().idempotent())).await.unwrap_err();
        assert_after_loss(&error);
        lose(When::executes(&prepared));
        let error = in_time(exec.exec_drop(prepared.clone().idempotent(), (3,))).await.unwrap_err();
        assert_after_loss(&error);
    }
    assert_eq!(rows(server, &table).await, 3);
    // nothing of this call was lost
    assert_answered(&in_time(exec.query_drop(text.idempotent())).await.unwrap_err(), 1062, "no fault");
}

// After a loss that proves that nothing was executed, the answer to the next attempt counts alone.
#[tokio::test]
async fn case_70_an_answer_after_an_attempt_that_was_proved_not_executed_has_failed() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let sql = format!("INSERT INTO {table} VALUES (?, 1)");
    proxy.rule(Rule::new(When::text(&sql), Place::Request(0), Fault::Fin));
    let error = in_time(exec.exec_drop(&*sql, (1,))).await.unwrap_err();
    assert_eq!((error.outcome(), error.code(), error.attempts()), (Outcome::Failed, Some(1062), 2), "{error}");
}

// The server reports a rollback that it did not make: each statement of a procedure commits by itself.
#[tokio::test]
async fn case_70_stored_code_that_ends_as_rolled_back_has_failed_and_is_replayed_only_if_it_is_idempotent() {
    let server = shared().await;
    let (table, procedure) = (register(server).await, unique("rolled_back"));
    server
        .query_drop(format!(
            "CREATE PROCEDURE {procedure}() BEGIN
               INSERT INTO {table} SELECT COUNT(*) + 1, 1 FROM {table};
               IF (SELECT COUNT(*) FROM {table}) < 4 THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END IF;
             END"
        ))
        .await;
    let events = Events::default();
    let exec = Executor::builder().on_event(events.hook()).build(server.opts()).expect("good options");
    let call = format!("CALL {procedure}()");
    let error = in_time(exec.query_drop(&*call)).await.unwrap_err();
    assert_eq!((error.outcome(), error.code(), error.attempts()), (Outcome::Failed, Some(1213), 1), "{error}");
    assert_eq!(error.reason(), Reason::NotIdempotent, "{error}");
    assert_eq!((rows(server, &table).await, exec.counters().gave_up), (2, 1));
    in_time(exec.query_drop(call.idempotent())).await.expect("a replay");
    assert_eq!(rows(server, &table).await, 4);
    let counters = exec.counters();
    assert_eq!((counters.replays, counters.resends, counters.recovered), (1, 0, 1), "{counters:?}");
    let recorded = events.recorded();
    assert!(matches!(recorded[1], Recorded::Scheduled { outcome: Outcome::Failed, attempt: 1, .. }), "{recorded:?}");
    assert!(matches!(recorded[2], Recorded::Replayed { attempt: 2, .. }), "{recorded:?}");
}

/// Short delays, so that the test is quick.
fn quick() -> RetryPolicyBuilder {
    RetryPolicy::builder().initial_delay(ms(1)).max_delay(ms(5))
}

#[tokio::test]
async fn case_92_only_what_a_time_out_ended_is_a_time_out() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let lost = |exec: Executor| async move { in_time(exec.query_drop("DO 92")).await.unwrap_err() };
    let of_one = |builder: ExecutorBuilder| builder.build(pool_of(1, proxy.opts())).expect("good options");
    let strikes = |fault| proxy.rule(Rule::new(When::text("DO 92"), Place::AfterRequestWhenAnswered, fault));

    strikes(Fault::Silence);
    let hasty = quick().attempt_timeout(ms(200)).build().expect("valid");
    let error = lost(of_one(Executor::builder().policy(hasty))).await;
    assert!(error.is_timeout(), "the attempt's: {error}");

    for fault in [Fault::Fin, Fault::Rst] {
        strikes(fault);
        let error = lost(of_one(Executor::builder())).await;
        assert!(error.is_disconnect() && !error.is_timeout(), "{error}");
    }

    // the session ends, and the watch finds out
    strikes(Fault::ServerOnlyFin);
    let error = lost(of_one(Executor::builder().watch_after(ms(300)).give_up_after(ms(30_000)))).await;
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert!(error.to_string().contains("the server has lost the session"), "{error}");
    assert!(!error.is_timeout(), "{error}");

    proxy.refuse(true).await;
    let error = lost(of_one(Executor::builder().policy(quick().deadline(ms(300)).build().expect("valid")))).await;
    assert!(error.is_deadline() && !error.is_timeout(), "nobody listens: {error}");
    proxy.refuse(false).await;

    let error = executor(server).query_drop("SELECT nonsense").await.unwrap_err();
    assert!(!error.is_timeout(), "{error}");
}
