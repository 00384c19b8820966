//! The three outcomes of a statement, whichever way it takes: `Failed` is the server's answer, and nothing was lost.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::TryStreamExt as _;
use mysql_async::{Row, Value};
use mysql_retry::{Annotate as _, Builder, Error, Executor, Outcome, Reason, RetryPolicy, RetryPolicyBuilder, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When};

use crate::{
    support::hooks::ms,
    support::{Events, Told, executor, executor_of_one, executor_via, in_time, pool_of, shared, unique},
};

/// A table with a key, and the row 1.
async fn keyed(server: &Server) -> String {
    let table = unique("keyed");
    server.query_drop(format!("CREATE TABLE {table} (id INT PRIMARY KEY, n INT)")).await;
    server.query_drop(format!("INSERT INTO {table} VALUES (1, 1)")).await;
    table
}

async fn rows(server: &Server, table: &str) -> u64 {
    server.query_first(format!("SELECT COUNT(*) FROM {table}")).await.expect("a row")
}

/// Statements that a server says no to while it executes them, and the number that it says.
fn refused(table: &str) -> [(String, u16); 3] {
    [
        (format!("INSERT INTO {table} VALUES (1, 1)"), 1062),
        (format!("INSERT INTO {table} VALUES (2, 'no number')"), 1366),
        (format!("INSERT INTO {table} SELECT 3, EXP(n + 1000) FROM {table}"), 1690),
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
    let table = keyed(server).await;
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
    let table = keyed(server).await;
    let exec = executor(server);
    let mut session = exec.session().await.expect("a session");
    session.query_drop("SET @kept = 7").await.expect("a server");
    for (sql, code) in refused(&table) {
        assert_answered(&session.query_drop(&*sql).await.unwrap_err(), code, &sql);
        assert_answered(&session.exec_drop(&*sql, ()).await.unwrap_err(), code, &sql);
    }
    assert_eq!(session.query_first::<u8, _>("SELECT @kept").await.expect("the same connection"), Some(7));
}

/// An error of the caller's own.
#[derive(Debug)]
enum Own {
    Refused(u8),
    Of(Error),
}

impl From<Error> for Own {
    fn from(error: Error) -> Self {
        Own::Of(error)
    }
}

#[tokio::test]
async fn case_70_a_statement_of_a_transaction_has_failed_and_the_closure_decides_what_comes_of_it() {
    let server = shared().await;
    let table = keyed(server).await;
    let exec = executor(server);
    let (table, exec) = (&*table, &exec);
    for (sql, code) in refused(table) {
        let sql = &*sql;
        // its error is what the transaction returns
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
    // a closure may go on: the server has undone the statement alone
    let transaction = exec.transaction(TxOpts::default(), |mut tx| async move {
        assert_answered(&tx.query_drop(format!("INSERT INTO {table} VALUES (1, 1)")).await.unwrap_err(), 1062, "first");
        tx.query_drop(format!("INSERT INTO {table} VALUES (2, 1)")).await?;
        Ok::<_, Own>(())
    });
    match transaction.await {
        Ok(()) => {}
        Err(Own::Refused(_)) => unreachable!("the closure does not return it"),
        Err(Own::Of(error)) => panic!("{error}"),
    }
    assert_eq!(rows(server, table).await, 2);
    assert_eq!(exec.counters().losses, 0);
}

#[tokio::test]
async fn case_70_a_duplicate_key_after_a_lost_attempt_is_unknown() {
    let server = shared().await;
    let table = keyed(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let text = format!("INSERT INTO {table} VALUES (2, 1)");
    let prepared = format!("INSERT INTO {table} VALUES (?, 1)");
    let lose = |when| proxy.rule(Rule::new(when, Place::AfterRequestWhenAnswered, Fault::Fin));
    for _ in 0..2 {
        lose(When::text(&text));
        let error = in_time(exec.query_drop(text.clone().idempotent())).await.unwrap_err();
        assert_eq!((error.outcome(), error.code(), error.attempts()), (Outcome::Unknown, Some(1062), 2), "{error}");
        lose(When::executes(&prepared));
        let error = in_time(exec.exec_drop(prepared.clone().idempotent(), (3,))).await.unwrap_err();
        assert_eq!((error.outcome(), error.code(), error.attempts()), (Outcome::Unknown, Some(1062), 2), "{error}");
        assert!(error.to_string().contains("an earlier attempt was lost"), "{error}");
    }
    assert_eq!(rows(server, &table).await, 3);
    // nothing of this call was lost
    assert_answered(&in_time(exec.query_drop(text.idempotent())).await.unwrap_err(), 1062, "no fault");
}

// A loss that proves that nothing was executed takes nothing from the answer of the next attempt.
#[tokio::test]
async fn case_70_an_answer_after_an_attempt_that_was_proved_not_executed_has_failed() {
    let server = shared().await;
    let table = keyed(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_via(&proxy);
    let sql = format!("INSERT INTO {table} VALUES (?, 1)");
    proxy.rule(Rule::new(When::text(&sql), Place::Request(0), Fault::Fin));
    let error = in_time(exec.exec_drop(&*sql, (1,))).await.unwrap_err();
    assert_eq!((error.outcome(), error.code(), error.attempts()), (Outcome::Failed, Some(1062), 2), "{error}");
}

// What the server says that it rolled back, and did not: each statement of a procedure commits by itself.
#[tokio::test]
async fn case_70_stored_code_that_ends_as_rolled_back_has_failed_and_is_replayed_only_if_it_is_idempotent() {
    let server = shared().await;
    let (table, procedure) = (keyed(server).await, unique("rolled_back"));
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
    let told = events.told();
    assert!(matches!(told[1], Told::Scheduled { outcome: Outcome::Failed, attempt: 1, .. }), "{told:?}");
    assert!(matches!(told[2], Told::Replayed { attempt: 2, .. }), "{told:?}");
}

fn policy() -> RetryPolicyBuilder {
    RetryPolicy::builder().initial_delay(ms(1)).max_delay(ms(5))
}

#[tokio::test]
async fn case_92_the_resends_counter_counts_what_was_sent() {
    let server = shared().await;
    let table = keyed(server).await;
    let proxy = Proxy::start(server).await;
    let policy = policy().deadline(ms(600)).connect_timeout(ms(300)).build().expect("valid");
    let exec = Executor::builder().policy(policy).build(proxy.opts()).expect("good options");
    let sql = format!("INSERT INTO {table} VALUES (?, 1)");
    // lost while it was prepared, and nobody listens afterwards: there is nowhere to send it again
    proxy.rule(Rule::new(When::text(&sql), Place::Request(0), Fault::Refuse));
    let error = in_time(exec.exec_drop(&*sql, (2,))).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::Deadline), "{error}");
    assert!(error.attempts() > 1, "{error}");
    assert_eq!(exec.counters().resends, 0, "{error}");
    // and now there is
    proxy.refuse(false).await;
    proxy.rule(Rule::new(When::text(&sql), Place::Request(0), Fault::Fin).times(2));
    let patient = exec.with_policy(&RetryPolicy::default());
    in_time(patient.exec_drop(&*sql, (2,))).await.expect("a resend");
    assert_eq!((exec.counters().resends, exec.counters().replays), (2, 0));
    assert_eq!(rows(server, &table).await, 2);
}

#[tokio::test]
async fn case_92_only_what_a_time_out_ended_is_a_time_out() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let lost = |exec: Executor| async move { in_time(exec.query_drop("DO 92")).await.unwrap_err() };
    let of_one = |builder: Builder| builder.build(pool_of(1, proxy.opts())).expect("good options");
    let strikes = |fault| proxy.rule(Rule::new(When::text("DO 92"), Place::AfterRequestWhenAnswered, fault));

    strikes(Fault::Silence);
    let hasty = policy().attempt_timeout(ms(200)).build().expect("valid");
    let error = lost(of_one(Executor::builder().policy(hasty))).await;
    assert!(error.is_timeout(), "the attempt's: {error}");

    for fault in [Fault::Fin, Fault::Rst] {
        strikes(fault);
        let error = lost(of_one(Executor::builder())).await;
        assert!(error.is_disconnect() && !error.is_timeout(), "{error}");
    }

    // the session ends, and the watch finds that out
    strikes(Fault::ServerOnlyFin);
    let error = lost(of_one(Executor::builder().watch_after(ms(300)).give_up_after(ms(30_000)))).await;
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert!(error.to_string().contains("the server has lost the session"), "{error}");
    assert!(!error.is_timeout(), "{error}");

    proxy.refuse(true).await;
    let error = lost(of_one(Executor::builder().policy(policy().deadline(ms(300)).build().expect("valid")))).await;
    assert!(error.is_deadline() && !error.is_timeout(), "nobody listens: {error}");
    proxy.refuse(false).await;

    let error = executor(server).query_drop("SELECT nonsense").await.unwrap_err();
    assert!(!error.is_timeout(), "{error}");
}

/// What a classification of the user's was shown.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<String>>>);

impl Shown {
    fn policy(&self) -> RetryPolicyBuilder {
        let shown = self.0.clone();
        policy().classify_with(move |error, table| {
            shown.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
            table
        })
    }

    fn exec(&self, proxy: &Proxy) -> Executor {
        let policy = self.policy().build().expect("valid");
        Executor::builder().policy(policy).build(pool_of(1, proxy.opts())).expect("good options")
    }

    /// What it was shown since it was asked last.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tokio::test]
async fn case_92_a_users_classification_is_shown_each_error_of_the_driver_once() {
    let server = shared().await;
    let table = keyed(server).await;
    let proxy = Proxy::start(server).await;
    let shown = Shown::default();
    let exec = shown.exec(&proxy);
    let loses = |text: &str, times| {
        proxy.rule(Rule::new(When::text(text), Place::AfterRequestWhenAnswered, Fault::Fin).times(times));
    };

    in_time(exec.query_drop(format!("INSERT INTO {table} VALUES (1, 1)"))).await.unwrap_err();
    assert_eq!(shown.take().len(), 1, "a duplicate key");

    loses("SELECT 92", 2);
    in_time(exec.query_drop("SELECT 92".idempotent())).await.expect("replays");
    assert_eq!(shown.take().len(), 2, "two losses");

    // that of the closure's statement is also that of its transaction
    loses("UPDATE", 1);
    let update = &*format!("UPDATE {table} SET n = n + 1");
    let transaction = exec.transaction(TxOpts::default(), |mut tx| async move {
        tx.query_drop(update).await?;
        Ok::<_, Error>(())
    });
    in_time(transaction.into_future()).await.expect("run again");
    assert_eq!(shown.take().len(), 1, "a loss in a transaction");

    loses("COMMIT", 1);
    let transaction = exec.transaction(TxOpts::default(), |mut tx| async move {
        tx.query_drop(update).await?;
        Ok::<_, Error>(())
    });
    let error = in_time(transaction.into_future()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::CommitLost, "{error}");
    assert_eq!(shown.take().len(), 1, "the reply to COMMIT");
}

#[tokio::test]
async fn case_92_a_users_classification_is_shown_no_error_of_our_own_making() {
    let proxy = Proxy::start(shared().await).await;
    let shown = Shown::default();
    let exec = shown.exec(&proxy);
    in_time(exec.ping()).await.expect("a server");
    shown.take();

    let hasty = shown.policy().attempt_timeout(ms(200)).max_replays(1).build().expect("valid");
    let error = in_time(exec.with_policy(&hasty).query_drop("SELECT SLEEP(300)".idempotent())).await.unwrap_err();
    assert!(error.is_timeout() && error.attempts() == 2, "{error}");
    assert_eq!(shown.take(), Vec::<String>::new(), "an attempt time-out");

    let stream = in_time(exec.query_stream::<u8, _>("SELECT 1 UNION ALL SELECT 2")).await.expect("a stream");
    let brief = shown.policy().deadline(ms(200)).build().expect("valid");
    let error = in_time(exec.with_policy(&brief).query_drop("SELECT 7")).await.unwrap_err();
    assert!(error.is_busy(), "{error}");
    assert_eq!(shown.take(), Vec::<String>::new(), "a busy pool");
    drop(stream);

    // a session that misses what it had
    let mut session = in_time(exec.session()).await.expect("a session");
    in_time(session.query_drop("SET @kept = 7")).await.expect("a server");
    proxy.cut_all(Fault::Fin).await;
    let error = in_time(session.query_drop("SELECT @kept")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::StateLost, "{error}");
    let seen = shown.take();
    assert!(seen.len() <= 1 && !seen.iter().any(|it| it.contains("session")), "{seen:?}");
    drop(session);

    let in_an_outage = executor_of_one(proxy.opts());
    proxy.refuse(true).await;
    let impatient = shown.policy().deadline(ms(300)).build().expect("valid");
    let error = in_time(in_an_outage.with_policy(&impatient).query_drop("SELECT 7")).await.unwrap_err();
    assert!(error.is_deadline(), "{error}");
    let seen = shown.take();
    let attempts = usize::try_from(error.attempts()).expect("few");
    assert!((1..=attempts).contains(&seen.len()), "{attempts} attempts: {seen:?}");
    assert!(seen.iter().all(|it| it.contains("refused") || it.contains("No such file")), "{seen:?}");
}
