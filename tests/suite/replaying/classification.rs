//! A user's own classification widens or narrows the built-in table.

use std::{
    future::IntoFuture as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use mysql_retry::{
    Annotate as _, Classification, Disconnect, Error, Executor, Outcome, Reason, RetryPolicy, RetryPolicyBuilder,
    TxOpts,
};
use mysql_retry_fixture::{Fault, Proxy, Rule, When, in_time, ms, pool_of};

use crate::support::{Ledger, Losses, executor_of_one, executor_via, register, shared, unique};

// case 8
#[tokio::test]
async fn a_users_classification_widens_the_table() {
    let server = shared().await;
    let table = unique("late");
    let (hook, mut losses) = Losses::listen();
    let policy = RetryPolicy::builder()
        .classify_with(|error, table| match error {
            // no such table: a migration is under way
            mysql_async::Error::Server(e) if e.code == 1146 => Classification::refused(Outcome::NotExecuted),
            _ => table,
        })
        .build()
        .expect("valid");
    let exec = Executor::builder().policy(policy).on_event(hook).build(server.opts()).expect("good options");
    let migration = async {
        losses.wait_for(2).await;
        server.query_drop(format!("CREATE TABLE {table} (n INT)")).await;
    };
    let call = exec.query_drop(format!("INSERT INTO {table} VALUES (1)"));
    let (result, ()) = in_time(async { tokio::join!(call, migration) }).await;
    assert_eq!(result.expect("the table is there").affected_rows(), 1);
    assert_eq!(server.query_first::<u8>(format!("SELECT COUNT(*) FROM {table}")).await, Some(1));
}

// case 8
#[tokio::test]
async fn a_classification_of_ones_own_adds_a_server_code() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let procedure = unique("flaky");
    let (insert, table) = (ledger.insert(), &ledger.table);
    let body = format!(
        "BEGIN {insert}; IF (SELECT COUNT(*) FROM {table}) < 3 THEN \
         SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1644; END IF; END"
    );
    server.query_drop(format!("CREATE PROCEDURE {procedure}() {body}")).await;
    let sql = format!("CALL {procedure}()");
    let exec = executor_of_one(server.opts());
    let error = exec.query_drop(sql.as_str().idempotent()).await.expect_err("the table has no 1644");
    assert_eq!((error.code(), error.attempts()), (Some(1644), 1));

    let policy = RetryPolicy::builder()
        .classify_with(|error, table| {
            let added = matches!(error, mysql_async::Error::Server(e) if e.code == 1644);
            if added { Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown) } else { table }
        })
        .build()
        .unwrap();
    let exec = exec.with_policy(&policy);
    let error = exec.query_drop(sql.as_str()).await.expect_err("not idempotent");
    assert_eq!((error.code(), error.outcome(), error.attempts()), (Some(2013), Outcome::Unknown, 1));
    server.query_drop(format!("DELETE FROM {}", ledger.table)).await;
    exec.query_drop(sql.idempotent()).await.expect("the third run succeeds");
    assert_eq!(ledger.rows().await, 3);
    assert_eq!(exec.counters().replays, 2);
}

// case 8
#[tokio::test]
async fn a_users_classification_narrows_the_table() {
    let proxy = Proxy::start(shared().await).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let policy = RetryPolicy::builder()
        .classify_with(move |error, table| {
            counter.fetch_add(1, Relaxed);
            assert!(matches!(error, mysql_async::Error::Io(_)), "{error}");
            assert_eq!(table.fault(), mysql_retry::Fault::Disconnect(Disconnect::ServerLost));
            Classification::other(table.outcome())
        })
        .build()
        .expect("valid");
    let exec = executor_via(&proxy);
    let narrow = exec.with_policy(&policy);
    proxy.rule(Rule::reply_lost(When::text("SELECT 7")));
    let error = in_time(narrow.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!(asked.load(Relaxed), 1);
    assert!(!error.is_disconnect(), "{error}");
    assert_eq!((error.attempts(), error.reason()), (1, Reason::NotALoss));
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(exec.counters().losses, 0);
    // whatever the user calls it, that connection is not used again
    assert_eq!(in_time(narrow.query_first("SELECT 7")).await.expect("another connection"), Some(7));
    // and the other handle has the built-in table
    proxy.rule(Rule::reply_lost(When::text("SELECT 7")));
    assert_eq!(in_time(exec.query_first("SELECT 7".idempotent())).await.expect("a replay"), Some(7));
}

/// The errors that a classification of the user's was called with.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<String>>>);

impl Shown {
    fn policy(&self) -> RetryPolicyBuilder {
        let shown = self.0.clone();
        let quick = RetryPolicy::builder().initial_delay(ms(1)).max_delay(ms(5));
        quick.classify_with(move |error, table| {
            shown.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
            table
        })
    }

    fn exec(&self, proxy: &Proxy) -> Executor {
        let policy = self.policy().build().expect("valid");
        Executor::builder().policy(policy).build(pool_of(1, proxy.opts())).expect("good options")
    }

    /// Takes the errors since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tokio::test]
async fn case_92_a_users_classification_is_shown_each_error_of_the_driver_once() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let shown = Shown::default();
    let exec = shown.exec(&proxy);
    let lose = |text: &str, times| proxy.rule(Rule::reply_lost(When::text(text)).times(times));

    in_time(exec.query_drop(format!("INSERT INTO {table} VALUES (1, 1)"))).await.unwrap_err();
    assert_eq!(shown.take().len(), 1, "a duplicate key");

    lose("SELECT 92", 2);
    in_time(exec.query_drop("SELECT 92".idempotent())).await.expect("replays");
    assert_eq!(shown.take().len(), 2, "two losses");

    // the error of the closure's statement is also that of its transaction
    lose("UPDATE", 1);
    let update = &*format!("UPDATE {table} SET v = v + 1");
    let transaction = exec.transaction(TxOpts::default(), |mut tx| async move {
        tx.query_drop(update).await?;
        Ok::<_, Error>(())
    });
    in_time(transaction.into_future()).await.expect("run again");
    assert_eq!(shown.take().len(), 1, "a loss in a transaction");

    lose("COMMIT", 1);
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

    // a session whose state is lost
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
