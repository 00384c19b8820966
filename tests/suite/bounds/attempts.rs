//! What ends the loop: attempts, deadline, time-outs; and what the error then says (CASES.md 14 to 16, 18, 39).

use std::{
    io,
    time::{Duration, Instant},
};

use mysql_retry::{Annotate, Disconnect, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Fault, Flavour, Place, Proxy, Rule, Server, Transport, When};

use crate::{
    support::hooks::{Losses, blocking_until, every, io_kind, is_nobody_there, ms},
    support::{Ledger, connection_id, executor, executor_of_one, executor_via, in_time, shared},
};

fn answered_and_lost(text: &str) -> Rule {
    Rule::new(When::text(text), Place::AfterRequestWhenAnswered, Fault::Fin)
}

// CASES.md 15, 18
#[tokio::test]
async fn a_statement_that_loses_its_connection_each_time_is_sent_again_as_often_as_allowed_and_no_more() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    proxy.rule(answered_and_lost("INSERT").times(100));
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

// CASES.md 18
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

// CASES.md 18: it is the statement itself that ends its connection
#[tokio::test]
async fn a_statement_that_kills_its_own_connection_is_not_replayed_for_ever() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    for prepared in [false, true] {
        let sql = "KILL CONNECTION_ID()".idempotent();
        let call = async { if prepared { exec.exec_drop(sql, ()).await } else { exec.query_drop(sql).await } };
        let error = in_time(call).await.unwrap_err();
        // MariaDB says that it was killed (1927), MySQL that it was interrupted (1317), which is no loss
        let (reason, attempts) = match server.flavour() {
            Flavour::MariaDb => (Reason::ReplaysExhausted, 4),
            Flavour::MySql => (Reason::NotALoss, 1),
        };
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, reason), "{error}");
        assert_eq!(error.attempts(), attempts, "{error}");
        // not on a connection that is about to be closed
        assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("the next statement"), Some(7));
    }
}

// CASES.md 18, 15
#[tokio::test]
async fn with_any_number_of_replays_the_deadline_ends_a_statement_that_loses_its_connection_each_time() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(answered_and_lost("SELECT 7").times(1_000_000));
    let exec = executor_via(&proxy);
    // at once, then after 8, 64, 512 and 4096 ms; the next delay is longer than the deadline
    let policy = every(ms(1)).max_delay(ms(1_000_000)).multiplier(8.0).max_replays(u32::MAX).deadline(ms(30_000));
    let handle = exec.with_policy(&policy.build().expect("valid"));
    let error = in_time(handle.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Deadline), "{error}");
    assert_eq!(error.attempts(), 6, "{error}");
}

// CASES.md 14, 16
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

// CASES.md 16
#[tokio::test]
async fn attempts_that_could_not_connect_do_not_make_a_lost_write_certain() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    proxy.rule(answered_and_lost("INSERT"));
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
    // one that found nobody, and the one after the outage
    assert!(error.attempts() >= 2, "{error}");
    assert_eq!(ledger.rows().await, 1);
}

// CASES.md 15: the last cause, where the deadline passes between two attempts
#[tokio::test]
async fn a_deadline_that_passes_before_a_replay_keeps_the_loss_and_its_cause() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    proxy.rule(answered_and_lost("SELECT 7"));
    let until = Instant::now() + ms(3_000);
    let exec = Executor::builder().on_event(blocking_until(until)).build(proxy.opts()).expect("good options");
    let error = exec.with_deadline(until).query_drop("SELECT 7".idempotent()).await.unwrap_err();
    assert_eq!(error.attempts(), 1, "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(error.is_deadline());
    assert_eq!(io_kind(&error), Some(io::ErrorKind::UnexpectedEof), "the driver's error is gone: {error}");
    assert_eq!(error.code(), Some(2013), "{error}");
    let text = error.to_string();
    assert!(text.contains("connection closed"), "the last cause is missing: {text}");
    assert!(!text.contains("before the statement could be sent"), "it was sent: {text}");
}

// CASES.md 15, 32: the same with a server that is down
#[tokio::test]
async fn a_deadline_that_passes_while_the_server_is_down_says_which_server_is_gone() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    proxy.refuse(true).await;
    let until = Instant::now() + ms(1_000);
    let exec = Executor::builder()
        .policy(every(ms(10)).build().expect("valid"))
        .on_event(blocking_until(until))
        .build(proxy.opts())
        .expect("good options");
    let error = exec.with_deadline(until).query_drop("SELECT 7").await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert!(error.is_deadline() && is_nobody_there(&error), "{error}");
    assert_eq!(error.code(), Some(2006), "{error}");
    let address = match server.transport() {
        Transport::Tcp => format!("127.0.0.1:{}", proxy.port()),
        Transport::Unix => proxy.socket().display().to_string(),
    };
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn the_deadline_does_not_cut_a_running_statement() {
    let exec = executor(shared().await);
    let policy = RetryPolicy::builder().deadline(ms(1_000)).build().expect("valid");
    exec.ping().await.expect("a server");
    let begun = Instant::now();
    let slept: Option<u8> = in_time(exec.with_policy(&policy).query_first("SELECT SLEEP(2.5)")).await.expect("success");
    assert_eq!(slept, Some(0));
    assert!(begun.elapsed() >= ms(2_400), "it was cut after {:?}", begun.elapsed());
}

#[tokio::test]
async fn an_attempt_time_out_cuts_a_plain_statement_and_does_not_send_it_again() {
    let exec = executor(shared().await);
    let policy = RetryPolicy::builder().attempt_timeout(ms(300)).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop("SELECT SLEEP(300)")).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(error.reason(), Reason::NotIdempotent);
    assert_eq!(error.attempts(), 1);
    assert!(error.is_timeout() && error.is_disconnect(), "{error}");
    assert!(error.elapsed() >= ms(300), "{:?}", error.elapsed());
    assert!(error.to_string().contains("no answer within 300ms"), "{error}");
    assert_eq!(exec.query_first::<u8, _>("SELECT 7").await.expect("the next statement"), Some(7));
}

#[tokio::test]
async fn attempt_time_outs_replay_an_idempotent_statement_as_often_as_allowed() {
    let exec = executor(shared().await);
    let policy = RetryPolicy::builder().attempt_timeout(ms(200)).max_replays(2).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop("SELECT SLEEP(300)".idempotent())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ReplaysExhausted, "{error}");
    assert_eq!((error.attempts(), exec.counters().replays), (3, 2));
    assert!(error.is_timeout(), "{error}");
    assert_eq!(exec.query_first::<u8, _>("SELECT 7").await.expect("the next statement"), Some(7));
}

// CASES.md 39
#[tokio::test]
async fn a_frozen_server_is_left_when_the_attempt_time_out_strikes_and_used_again_when_it_thaws() {
    let server = Server::start().await;
    let exec = executor(&server);
    exec.ping().await.expect("a server");
    let policy = every(ms(100)).attempt_timeout(ms(300)).connect_timeout(ms(300)).deadline(ms(2_000));
    server.freeze();
    let handle = exec.with_policy(&policy.build().expect("valid"));
    let error = in_time(handle.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    server.thaw();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert!(error.is_timeout() && error.is_deadline(), "{error}");
    assert!(error.attempts() > 1, "{error}");
    assert!(error.elapsed() < Duration::from_secs(20), "{:?}", error.elapsed());
    assert_eq!(in_time(exec.query_first::<u8, _>("SELECT 7")).await.expect("a thawed server"), Some(7));
}

// CASES.md 14, 39: what a frozen server finds when it wakes up
#[tokio::test]
async fn a_time_out_is_certain_only_for_a_write_that_was_not_prepared_yet() {
    let server = Server::start().await;
    let (unprepared, sent) = (Ledger::new(&server).await, Ledger::new(&server).await);
    let exec = executor_of_one(server.opts());
    let policy = every(ms(100)).attempt_timeout(ms(300)).connect_timeout(ms(300)).deadline(ms(1_500));
    let handle = exec.with_policy(&policy.build().expect("valid"));
    let mut ids = Vec::new();
    for prepare in [true, false] {
        ids.push(connection_id(&exec).await);
        server.freeze();
        let error = if prepare {
            in_time(handle.exec_drop(unprepared.insert_param(), (1,))).await.unwrap_err()
        } else {
            in_time(handle.query_drop(sent.insert())).await.unwrap_err()
        };
        server.thaw();
        assert!(error.is_timeout(), "{error}");
        let (outcome, reason) =
            if prepare { (Outcome::NotExecuted, Reason::Deadline) } else { (Outcome::Unknown, Reason::NotIdempotent) };
        assert_eq!((error.outcome(), error.reason()), (outcome, reason), "{error}");
    }
    for id in ids {
        server.wait_gone(id).await;
    }
    assert_eq!(unprepared.rows().await, 0, "NotExecuted was wrong");
    assert!(sent.rows().await <= 1);
}
