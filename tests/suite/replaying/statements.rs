//! A connection is lost with a statement under way: the statement is sent again where that is allowed, and the verdict is true.

use mysql_retry::{Annotate as _, Disconnect, Error, Executor, Outcome, Reason};
use mysql_retry_fixture::{
    Events, Fault, Flavour, Place, Proxy, Recorded, Rule, Server, When, in_time, ms, pool_of,
    wait::{PATIENCE, until_true},
};

use crate::support::{Ledger, executor, executor_of_one, fired, recording, settle, shared, unique};

/// An executor of one connection behind a proxy, whose events are recorded.
async fn behind_proxy(server: &Server) -> (Proxy, Executor, Events) {
    let proxy = Proxy::start(server).await;
    let (exec, events) = recording(Executor::builder(), pool_of(1, proxy.opts()));
    (proxy, exec, events)
}

// case 9
#[tokio::test]
async fn an_idempotent_read_whose_reply_is_lost_is_answered_once() {
    for fault in [Fault::Fin, Fault::Rst, Fault::HalfClose, Fault::Corrupt] {
        let (proxy, exec, events) = behind_proxy(shared().await).await;
        proxy.rule(Rule::new(When::text("SELECT 7"), Place::AfterRequestWhenAnswered, fault.clone()));
        let answer: Vec<i32> = exec.query("SELECT 7".idempotent()).await.expect("an answer");
        assert_eq!(answer, [7], "{fault:?}");
        proxy.rule(Rule::new(When::executes("SELECT ?"), Place::AfterRequestWhenAnswered, fault.clone()));
        let answer: Vec<i32> = exec.exec("SELECT ?".idempotent(), (8,)).await.expect("an answer");
        assert_eq!(answer, [8], "{fault:?}");
        assert_eq!((exec.counters().replays, exec.counters().recovered), (2, 2), "{fault:?}");
        let recorded = events.recorded();
        assert!(
            matches!(
                recorded.get(..4),
                Some([
                    Recorded::Lost { attempt: 1, connection_id: Some(_), .. },
                    Recorded::Scheduled { outcome: Outcome::Unknown, attempt: 1, .. },
                    Recorded::Replayed { attempt: 2, .. },
                    Recorded::Recovered { attempts: 2 },
                ])
            ),
            "{recorded:?}"
        );
    }
}

// case 10
#[tokio::test]
async fn a_closure_sees_each_row_once_though_the_first_attempt_broke_in_the_middle() {
    const ROWS: i32 = 1500;
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    ledger.fill(1500).await;
    let (proxy, exec, _) = behind_proxy(server).await;
    let text = format!("SELECT n FROM {} ORDER BY id", ledger.table);
    let sql = || text.as_str().idempotent();
    let all: Vec<i32> = (1..=ROWS).collect();

    let break_text = || proxy.rule(Rule::new(When::text(&text), Place::Reply(9000), Fault::Fin));
    break_text();
    assert_eq!(exec.query::<i32, _>(sql()).await.unwrap(), all);
    let mut seen = Vec::new();
    break_text();
    let mapped = exec.query_map(sql(), |n: i32| {
        seen.push(n);
        n
    });
    assert_eq!(mapped.await.unwrap(), all);
    assert_eq!(seen, all);
    break_text();
    let folded: i32 = exec.query_fold(sql(), 0, |count, _: i32| count + 1).await.unwrap();
    assert_eq!(folded, ROWS);
    break_text();
    assert_eq!(exec.query_first::<i32, _>(sql()).await.unwrap(), Some(1));

    let break_execute = || proxy.rule(Rule::new(When::executes(&text), Place::Reply(9000), Fault::Fin));
    break_execute();
    assert_eq!(exec.exec::<i32, _, _>(sql(), ()).await.unwrap(), all);
    seen.clear();
    break_execute();
    let mapped = exec.exec_map(sql(), (), |n: i32| {
        seen.push(n);
        n
    });
    assert_eq!(mapped.await.unwrap(), all);
    assert_eq!(seen, all);
    break_execute();
    let folded: i32 = exec.exec_fold(sql(), (), 0, |count, _: i32| count + 1).await.unwrap();
    assert_eq!(folded, ROWS);
    assert_eq!((fired(&proxy, 7).await, exec.counters().replays), (7, 7));
}

// case 11
#[tokio::test]
async fn an_insert_whose_reply_is_lost_surfaces_as_unknown_and_ran_once() {
    let server = shared().await;
    for fault in [Fault::Fin, Fault::Rst, Fault::HalfClose, Fault::Corrupt] {
        for prepared in [false, true] {
            let ledger = Ledger::new(server).await;
            let (proxy, exec, events) = behind_proxy(server).await;
            let sql = ledger.insert();
            let when = if prepared { When::executes(&sql) } else { When::text(&sql) };
            proxy.rule(Rule::new(when, Place::AfterRequestWhenAnswered, fault.clone()));
            let result = if prepared { exec.exec_drop(&*sql, ()).await } else { exec.query_drop(&*sql).await };
            let error = result.expect_err("a lost reply");
            assert_lost(&error);
            assert!(
                matches!(events.recorded()[..], [Recorded::Lost { .. }, Recorded::GaveUp]),
                "{:?}",
                events.recorded()
            );
            settle(server, &proxy, exec).await;
            assert_eq!(ledger.rows().await, 1, "{fault:?}, prepared: {prepared}");
        }
    }
}

/// Asserts the error of a plain statement that was sent once and may have been executed.
fn assert_lost(error: &Error) {
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(error.disconnect(), Some(Disconnect::ServerLost), "{error}");
    assert_eq!((error.code(), error.attempts()), (Some(2013), 1), "{error}");
    assert_eq!(error.reason(), Reason::NotIdempotent, "{error}");
    assert!(std::error::Error::source(error).is_some(), "{error}");
}

// case 11, without a proxy. MySQL commits the row although the connection was killed, MariaDB rolls it back.
#[tokio::test]
async fn an_insert_that_is_killed_while_it_runs_surfaces_as_unknown() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor(server);
    let mark = unique("killed");
    let sql = format!("INSERT INTO {} (n) SELECT SLEEP(3) /* {mark} */", ledger.table);
    let (result, id) = tokio::join!(exec.query_drop(sql), async {
        let id = server.wait_until_running(&mark).await;
        // both makers' servers call it so; one that is killed before that may write no row
        let asleep = format!("SELECT 1 FROM information_schema.processlist WHERE id = {id} AND state = 'User sleep'");
        until_true(PATIENCE, ms(1), async || server.query_first::<u8>(&asleep).await.is_some()).await;
        server.kill_connection(id).await;
        id
    });
    assert_lost(&result.expect_err("killed"));
    server.wait_gone(id).await;
    let rows = ledger.rows().await;
    match server.flavour() {
        Flavour::MariaDb => assert_eq!(rows, 0),
        Flavour::MySql => assert_eq!(rows, 1),
    }
}

// case 12
#[tokio::test]
async fn an_insert_that_found_no_connection_is_sent_again_and_runs_once() {
    let server = shared().await;
    for when in [When::Connect, When::Greeting, When::Login] {
        for fault in [Fault::Fin, Fault::Rst, Fault::err_packet(1040, "Too many connections")] {
            let ledger = Ledger::new(server).await;
            let (proxy, exec, _) = behind_proxy(server).await;
            proxy.rule(Rule::new(when.clone(), Place::Request(0), fault.clone()).times(2));
            in_time(exec.query_drop(ledger.insert())).await.expect("the server is back");
            assert_eq!(fired(&proxy, 2).await, 2, "{when:?} {fault:?}");
            // the second fault meets a probe; on a slow machine the next probe may not be the one that succeeds
            let counters = exec.counters();
            assert_eq!((counters.losses, counters.outages), (1, 1), "{when:?} {fault:?}");
            assert!(counters.probes >= 2, "{when:?} {fault:?}: {counters:?}");
            assert_eq!(ledger.rows().await, 1, "{when:?} {fault:?}");
        }
    }
}

// case 12: preparing executes nothing
#[tokio::test]
async fn an_insert_that_is_lost_while_it_is_prepared_is_sent_again_and_runs_once() {
    let server = shared().await;
    for place in [Place::Request(0), Place::Request(7), Place::AfterRequestWhenAnswered, Place::Reply(3)] {
        for cache in [32, 0] {
            let ledger = Ledger::new(server).await;
            let proxy = Proxy::start(server).await;
            let exec = executor_of_one(proxy.opts().stmt_cache_size(cache));
            proxy.rule(Rule::new(When::text(&ledger.table), place, Fault::Fin));
            exec.exec_drop(ledger.insert_param(), (1,)).await.expect("prepared on the second connection");
            assert_eq!((fired(&proxy, 1).await, exec.counters().resends), (1, 1), "{place:?}, cache {cache}");
            assert_eq!(ledger.rows().await, 1, "{place:?}, cache {cache}");
        }
    }
}

// case 12, the other side: the loss of a statement that was prepared before is no loss while preparing
#[tokio::test]
async fn an_insert_that_is_lost_while_it_is_executed_is_unknown_prepared_before_or_just_now() {
    let server = shared().await;
    for before in [false, true] {
        for cache in [32, 0] {
            let ledger = Ledger::new(server).await;
            let proxy = Proxy::start(server).await;
            let exec = executor_of_one(proxy.opts().stmt_cache_size(cache));
            if before {
                exec.exec_drop(ledger.insert_param(), (1,)).await.expect("a first one");
            }
            proxy.rule(Rule::reply_lost(When::executes(&ledger.table)));
            let error = exec.exec_drop(ledger.insert_param(), (1,)).await.expect_err("a lost reply");
            assert_lost(&error);
            assert_eq!(ledger.rows().await, 1 + u64::from(before));
        }
    }
}

// case 13
#[tokio::test]
async fn an_idempotent_write_whose_reply_is_lost_is_replayed() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let (proxy, exec, _) = behind_proxy(server).await;
    let table = &ledger.table;
    let upsert = format!("INSERT INTO {table} (id, n) VALUES (1, 7) ON DUPLICATE KEY UPDATE n = 7");
    proxy.rule(Rule::reply_lost(When::text(&upsert)));
    exec.query_drop(upsert.idempotent()).await.expect("a replay");
    let replace = format!("REPLACE INTO {table} (id, n) VALUES (2, ?)");
    proxy.rule(Rule::new(When::executes(&replace), Place::AfterRequestWhenAnswered, Fault::Rst));
    exec.exec_drop(replace.idempotent(), (8,)).await.expect("a replay");
    assert_eq!(exec.counters().replays, 2);
    assert_eq!(ledger.values().await, [7, 8]);
}
