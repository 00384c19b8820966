//! The number of attempts is bounded, and the error says what is true for all of them.

use mysql_retry::{Annotate as _, Disconnect, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Fault, Flavour, Place, Proxy, Rule, Server, When, in_time, ms};

use crate::support::{Ledger, Losses, every, executor, executor_of_one, executor_via, is_nobody_there, shared};

// cases 15, 18
#[tokio::test]
async fn a_statement_that_loses_its_connection_each_time_is_sent_again_as_often_as_allowed_and_no_more() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    proxy.rule(Rule::reply_lost(When::text("INSERT")).times(100));
    let exec = executor_via(&proxy);
    let of = |replays| RetryPolicy::builder().max_replays(replays).build().expect("valid");
    let mut executed = 0;
    for (policy, replays) in [(RetryPolicy::default(), 3), (of(0), 0), (of(1), 1), (of(5), 5)] {
        let error = in_time(exec.with_policy(&policy).query_drop(ledger.insert().idempotent())).await.unwrap_err();
        executed += 1 + u64::from(replays);
        assert_eq!(ledger.rows().await, executed, "executions with {replays} replays allowed");
        assert_eq!(error.attempts(), 1 + replays);
        assert_eq!(error.reason(), Reason::ReplaysExhausted);
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert_eq!(error.disconnect(), Some(Disconnect::ServerLost));
        let text = error.to_string();
        let attempts =
            if replays == 0 { "(1 attempt in ".to_owned() } else { format!("({} attempts in ", 1 + replays) };
        assert!(text.contains(&attempts), "{text}");
        assert!(text.contains(&format!("{:.3} s", error.elapsed().as_secs_f64())), "{text}");
        assert!(text.contains("connection closed"), "the last cause is missing: {text}");
    }
}

// case 18
#[tokio::test]
async fn a_statement_that_takes_the_server_down_each_time_is_not_replayed_for_ever() {
    let server = Server::start().await;
    let exec = executor(&server);
    let policy = RetryPolicy::builder().max_replays(1).deadline(ms(60_000)).build().expect("valid");
    let handle = exec.with_policy(&policy);
    let call = handle.query_drop("SELECT SLEEP(300) /* crash */".idempotent());
    let crashes = async {
        for _ in 0..2 {
            server.wait_until_running("/* crash */").await;
            server.restart().await;
        }
    };
    let (result, ()) = in_time(async { tokio::join!(call, crashes) }).await;
    let error = result.unwrap_err();
    assert_eq!(error.reason(), Reason::ReplaysExhausted, "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(exec.counters().replays, 1);
}

// case 18: the statement itself ends its connection
#[tokio::test]
async fn a_statement_that_kills_its_own_connection_is_not_replayed_for_ever() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    for prepared in [false, true] {
        let sql = "KILL CONNECTION_ID()".idempotent();
        let call = async { if prepared { exec.exec_drop(sql, ()).await } else { exec.query_drop(sql).await } };
        let error = in_time(call).await.unwrap_err();
        // MariaDB reports a killed connection (1927), MySQL an interrupted statement (1317), which is no loss
        let (reason, attempts) = match server.flavour() {
            Flavour::MariaDb => (Reason::ReplaysExhausted, 4),
            Flavour::MySql => (Reason::NotALoss, 1),
        };
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, reason), "{error}");
        assert_eq!(error.attempts(), attempts, "{error}");
        // on another connection: the old one is about to be closed
        assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("the next statement"), Some(7));
    }
}

// `max_replays` bounds losses; the deadline bounds refusals
#[tokio::test]
async fn refusals_do_not_use_up_the_replays_of_a_later_loss() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    proxy.rule(Rule::new(When::text("INSERT"), Place::Request(0), Fault::read_only()).times(5));
    proxy.rule(Rule::reply_lost(When::text("INSERT")));
    let policy = RetryPolicy::builder().max_replays(1).build().expect("valid");
    // each probe finds that the server takes writes
    let builder = Executor::builder().policy(policy).probe_interval(ms(5));
    let exec = builder.build(proxy.opts()).expect("good options");
    in_time(exec.query_drop(ledger.insert().idempotent())).await.expect("the first loss is replayed");
    assert_eq!((proxy.rules_left(), exec.counters().replays), (vec![], 1));
    assert_eq!(ledger.rows().await, 2);
}

// cases 14, 16
#[tokio::test]
async fn one_unknown_attempt_makes_the_call_unknown_even_if_the_last_could_not_connect() {
    let server = Server::start().await;
    let exec = executor(&server);
    let policy = every(ms(1_000)).deadline(ms(3_900)).build().expect("valid");
    let handle = exec.with_policy(&policy);
    let call = handle.query_drop("SELECT SLEEP(300) /* mixed */".idempotent());
    let kill = async {
        server.wait_until_running("/* mixed */").await;
        server.kill().await;
    };
    let (result, ()) = in_time(async { tokio::join!(call, kill) }).await;
    let error = result.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert!(error.attempts() > 1, "{error}");
    assert!(is_nobody_there(&error), "{error}");
    assert!(error.is_deadline(), "{error}");
}

// case 16
#[tokio::test]
async fn attempts_that_could_not_connect_do_not_make_a_lost_write_certain() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    proxy.rule(Rule::reply_lost(When::text("INSERT")));
    proxy.refuse(true).await;
    let (hook, mut losses) = Losses::listen();
    let exec = Executor::builder().on_event(hook).build(proxy.opts()).expect("good options");
    let comes_back = async {
        losses.wait_for(2).await;
        proxy.refuse(false).await;
    };
    let (result, ()) = in_time(async { tokio::join!(exec.query_drop(ledger.insert()), comes_back) }).await;
    let error = result.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(error.reason(), Reason::NotIdempotent);
    // one that could not connect, and the one after the outage
    assert!(error.attempts() >= 2, "{error}");
    assert_eq!(ledger.rows().await, 1);
}
