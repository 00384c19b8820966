//! Set-up statements run on each new connection before the caller's statement, and again where a reset undoes them.

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Annotate as _, Executor, Outcome};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When, in_time, pool_of};

use crate::support::{Ledger, connection_id, executor_of_one_for_any_text, session, shared};

#[tokio::test]
async fn what_is_declared_runs_on_each_new_connection_before_the_statement() {
    let server = shared().await;
    // the driver runs its set-up statements in reverse order
    let declared = ["SET @a = 1", "SET @b = 2"];
    for way in ["the executor's set-up", "the driver's init", "the driver's setup"] {
        let proxy = Proxy::start(server).await;
        let opts = pool_of(1, proxy.opts());
        let builder = Executor::builder().allow_session_text(true);
        let exec = match way {
            "the driver's init" => builder.build(opts.init(declared.to_vec())),
            "the driver's setup" => builder.build(opts.setup(declared.to_vec())),
            _ => builder.setup([declared[0], "SET @b = @a + 1"]).build(opts),
        };
        let exec = exec.expect("good options");
        let read = "SELECT @a, @b".idempotent();
        assert_eq!(exec.query_first(&read).await.expect("an answer"), Some((1, 2)), "{way}");
        // also after a reset
        exec.query_drop("SET @b = 9").await.expect("set");
        assert_eq!(in_time(exec.query_first(&read)).await.expect("an answer"), Some((1, 2)), "{way}");
        // and on the connection that replaces a lost one
        let mut session = session(&exec).await;
        proxy.rule(Rule::new(When::text("SELECT @a"), Place::AfterRequest, Fault::Fin));
        assert_eq!(in_time(session.query_first(&read)).await.expect("an answer"), Some((1, 2)), "{way}");
        assert!(proxy.rules_left().is_empty());
    }
}

#[tokio::test]
async fn a_statement_does_not_run_where_the_set_up_fails() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = Executor::builder().setup(["DO 0", "SET no_such_variable = 'secret'"]).build(server.opts());
    let error = exec.expect("good options").query_drop(ledger.insert()).await.expect_err("the set-up fails");
    assert_eq!((error.outcome(), error.code(), error.attempts()), (Outcome::NotExecuted, Some(1193), 1), "{error}");
    assert!(error.to_string().contains("set-up statement 2 of 2 failed"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(ledger.rows().await, 0);
}

/// Reads twice what the set-up has set, with another caller in between who sets something else.
async fn tags(exec: &Executor) -> [Option<String>; 2] {
    const TAG: &str = "SELECT @tag";
    let first = in_time(exec.query_first(TAG)).await.expect("an answer");
    in_time(exec.query_drop("SET @tag = 'of another caller'")).await.expect("another caller");
    let second = in_time(exec.query_first(TAG)).await.expect("an answer");
    [first.expect("a row"), second.expect("a row")]
}

fn both(tag: &str) -> [Option<String>; 2] {
    [Some(tag.to_owned()), Some(tag.to_owned())]
}

// the driver's reset runs it again
#[tokio::test]
async fn a_setup_statement_holds_for_every_caller_on_a_connection_that_is_reset() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts().setup(vec!["SET @tag = 'setup'"]));
    assert_eq!(tags(&exec).await, both("setup"));
    connection_id(&exec).await;
    assert_eq!((proxy.accepted(), proxy.count(Kind::ResetConnection)), (1, 3));
}

// the driver's reset does not run it again
#[tokio::test]
async fn an_init_statement_holds_for_every_caller_because_connections_are_replaced() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts().init(vec!["SET @tag = 'init'"]));
    assert_eq!(tags(&exec).await, both("init"));
    connection_id(&exec).await;
    assert_eq!((proxy.accepted(), proxy.count(Kind::ResetConnection)), (4, 0));
    for _ in 0..3 {
        exec.query_drop("SELECT 1").await.expect("an answer");
    }
    assert_eq!(proxy.accepted(), 4, "and stay where nothing was left");
}

#[tokio::test]
async fn an_after_connect_callback_holds_for_every_caller_because_connections_are_replaced() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let opts = proxy.opts().after_connect(|conn| Box::pin(async move { conn.query_drop("SET @tag = 'hook'").await }));
    let exec = executor_of_one_for_any_text(opts);
    assert_eq!(tags(&exec).await, both("hook"));
    connection_id(&exec).await;
    assert_eq!((proxy.accepted(), proxy.count(Kind::ResetConnection)), (4, 0));
}
