//! Error numbers of servers and proxies, answered by a relay in place of a real one.

use mysql_retry::{Annotate as _, Disconnect, Error, Executor, Outcome, Reason, RetryPolicy, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time, ms};

use crate::support::{Ledger, connection_id, executor_of_one, shared};

/// An INSERT is answered with this error and not executed.
fn in_place(code: u16, state: &str, message: &str) -> Rule {
    Rule::new(When::text("INSERT"), Place::Request(0), Fault::answer(code, state, message))
}

/// An INSERT is executed and answered with this error.
fn after(code: u16, state: &str, message: &str) -> Rule {
    Rule { place: Place::AfterRequestWhenAnswered, ..in_place(code, state, message) }
}

const READ_ONLY: [(u16, &str); 4] = [
    (1792, "Cannot execute statement in a READ ONLY transaction."),
    (1836, "Running in read-only mode"),
    (1874, "InnoDB is in read only mode."),
    (1036, "Table 'ledger' is read only"),
];

#[tokio::test]
async fn case_55_read_only_in_other_words_is_resent_on_another_connection() {
    let server = shared().await;
    for (code, message) in READ_ONLY {
        let (proxy, ledger) = (Proxy::start(server).await, Ledger::new(server).await);
        let exec = executor_of_one(proxy.opts());
        let before = connection_id(&exec).await;
        proxy.rule(in_place(code, "HY000", message));
        in_time(exec.query_drop(ledger.insert())).await.unwrap_or_else(|e| panic!("{code}: {e}"));
        assert_eq!((ledger.rows().await, exec.counters().outages), (1, 1), "{code}");
        assert_ne!(connection_id(&exec).await, before, "{code}");
        proxy.rule(in_place(code, "HY000", message));
        let error = in_time(exec.with_policy(&RetryPolicy::none()).query_drop(ledger.insert())).await.unwrap_err();
        assert_eq!((error.outcome(), error.is_refused()), (Outcome::NotExecuted, true), "{error}");
        assert_eq!(ledger.rows().await, 1, "{code}");
    }
}

#[tokio::test]
async fn case_56_a_statement_to_be_prepared_again_is_prepared_again_and_not_for_ever() {
    let server = shared().await;
    let (proxy, ledger) = (Proxy::start(server).await, Ledger::new(server).await);
    let exec = executor_of_one(proxy.opts());
    let reprepare = |times| {
        let fault = Fault::answer(1615, "HY000", "Prepared statement needs to be re-prepared");
        Rule::new(When::executes("INSERT"), Place::Request(0), fault).times(times)
    };
    proxy.rule(reprepare(1));
    in_time(exec.exec_drop(ledger.insert_param(), (1,))).await.expect("prepared again");
    assert_eq!(ledger.rows().await, 1);
    proxy.rule(reprepare(1_000));
    let error = in_time(exec.exec_drop(ledger.insert_param(), (1,))).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::ReplaysExhausted), "{error}");
    assert_eq!((error.code(), error.attempts()), (Some(1615), 4), "{error}");
    assert_eq!((ledger.rows().await, exec.counters().outages), (1, 0));
}

#[tokio::test]
async fn case_58_what_a_proxy_says_after_an_execution_proves_nothing() {
    let server = shared().await;
    for (code, message) in [
        (9001, "Max connect timeout reached while reaching hostgroup 0 after 10000ms"),
        (9006, "ProxySQL Error: connection is locked to hostgroup 1"),
        (2013, "Lost connection to MySQL server during query"),
        (9501, "Timed-out waiting to acquire database connection"),
    ] {
        let (proxy, ledger) = (Proxy::start(server).await, Ledger::new(server).await);
        let exec = executor_of_one(proxy.opts());
        proxy.rule(after(code, "HY000", message));
        let error = in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        assert_eq!(error.disconnect(), Some(Disconnect::ServerLost), "{error}");
        assert_eq!(ledger.rows().await, 1, "{code}: sent again");
        proxy.rule(after(code, "HY000", message));
        in_time(exec.query_drop(ledger.insert().idempotent())).await.expect("replayed");
        assert_eq!(ledger.rows().await, 3, "{code}");
    }
}

#[tokio::test]
async fn case_59_a_proxy_that_has_no_backend_at_login_is_waited_for() {
    let server = shared().await;
    for (code, state, message) in [
        (9501, "HY000", "Timed-out waiting to acquire database connection"),
        (9001, "HY000", "Max connect timeout reached"),
        (1815, "HY000", "Internal error"),
        (3168, "HY000", "Server isn't available"),
        (1105, "08S01", "vttablet: rpc error: code = Unavailable desc = connection error"),
        // case 60, at login
        (45_678, "08004", "of a stranger"),
    ] {
        let proxy = Proxy::start(server).await;
        let exec = Executor::builder().probe_interval(ms(20)).build(proxy.opts()).expect("good options");
        let fault = Fault::answer(code, state, message);
        proxy.rule(Rule::new(When::Login, Place::Reply(0), fault).times(3));
        let seven = in_time(exec.query_first::<u8, _>("SELECT 7")).await.unwrap_or_else(|e| panic!("{code}: {e}"));
        assert_eq!((seven, exec.counters().outages), (Some(7), 1), "{code}");
        assert!(proxy.rules_left().is_empty(), "{code}: {:?}", proxy.rules_left());
    }
}

#[tokio::test]
async fn case_60_an_unknown_number_is_told_by_the_class_of_its_sqlstate() {
    let server = shared().await;
    let (proxy, ledger) = (Proxy::start(server).await, Ledger::new(server).await);
    let exec = executor_of_one(proxy.opts());

    proxy.rule(after(45_678, "08S01", "of a stranger"));
    let error = in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!((error.outcome(), error.is_disconnect()), (Outcome::Unknown, true), "{error}");
    assert_eq!(ledger.rows().await, 1);

    proxy.rule(in_place(45_678, "08S01", "of a stranger"));
    in_time(exec.query_drop(ledger.insert().idempotent())).await.expect("replayed");
    assert_eq!(ledger.rows().await, 2);

    let work = |mut tx: Tx| {
        let sql = ledger.insert();
        async move {
            tx.query_drop(sql).await?;
            Ok::<u32, Error>(tx.attempt())
        }
    };
    proxy.rule(in_place(45_678, "40003", "of a stranger"));
    let run = in_time(async { exec.transaction(TxOpts::default(), work).await }).await.expect("run again");
    assert_eq!((run, ledger.rows().await), (2, 3));

    proxy.rule(in_place(45_678, "23000", "of a stranger"));
    let error = in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!((error.outcome(), error.code()), (Outcome::Failed, Some(45_678)), "{error}");
}

#[tokio::test]
async fn case_61_a_quota_as_the_answer_to_a_statement_is_a_proof() {
    let server = shared().await;
    let quotas = [
        (1226, "42000", "User 'app' has exceeded the 'max_questions' resource (current value: 10)", false),
        (1203, "42000", "User app already has more than 'max_user_connections' active connections", true),
        (1040, "08004", "Too many connections", true),
    ];
    for (code, state, message, resent) in quotas {
        let (proxy, ledger) = (Proxy::start(server).await, Ledger::new(server).await);
        let exec = executor_of_one(proxy.opts());
        proxy.rule(in_place(code, state, message));
        let error = in_time(exec.with_policy(&RetryPolicy::none()).query_drop(ledger.insert())).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        assert_eq!(error.server_error().map(|it| it.code), Some(code), "{error}");
        proxy.rule(in_place(code, state, message));
        assert_eq!(in_time(exec.query_drop(ledger.insert())).await.is_ok(), resent, "{code}");
        assert_eq!(ledger.rows().await, u64::from(resent), "{code}");
    }
}

#[tokio::test]
async fn case_63_a_host_that_one_target_does_not_let_in_goes_to_the_other() {
    let server = shared().await;
    for (code, message) in [(1129, "Host '10.0.0.1' is blocked"), (1130, "Host '10.0.0.1' is not allowed to connect")] {
        let (closed, open, ledger) =
            (Proxy::start(server).await, Proxy::start(server).await, Ledger::new(server).await);
        let refusal = Fault::ErrPacket { code, state: None, message: message.into(), sequence: None };
        closed.rule(Rule::new(When::Greeting, Place::Request(0), refusal.clone()).times(1_000));
        let builder = Executor::builder().probe_interval(ms(20));
        let exec = builder.build_targets([closed.opts(), open.opts()]).expect("good options");
        in_time(exec.query_drop(ledger.insert())).await.unwrap_or_else(|e| panic!("{code}: {e}"));
        assert_eq!((ledger.rows().await, exec.counters().moves), (1, 1), "{code}");
        // without another target the error surfaces at once
        let alone = Executor::new(closed.opts()).expect("good options");
        let error = in_time(alone.query_drop(ledger.insert())).await.unwrap_err();
        assert_eq!((error.code(), error.attempts()), (Some(code), 1), "{error}");
    }
}

#[tokio::test]
async fn case_64_offline_mode_at_a_statement_is_waited_for() {
    let server = shared().await;
    for code in [3032, 6400] {
        let (proxy, ledger) = (Proxy::start(server).await, Ledger::new(server).await);
        let exec = executor_of_one(proxy.opts());
        proxy.rule(in_place(code, "HY000", "The server is currently in offline mode"));
        in_time(exec.query_drop(ledger.insert())).await.unwrap_or_else(|e| panic!("{code}: {e}"));
        assert_eq!((ledger.rows().await, exec.counters().outages), (1, 1), "{code}");
    }
}
