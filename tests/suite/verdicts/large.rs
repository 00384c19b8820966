//! Statements of several packets, which are written in many steps: wherever one is cut, the verdict is true (case 14).

use mysql_retry::{Executor, Outcome};
use mysql_retry_fixture::{Fault, Flavour, Place, Proxy, Rule, Server, Transport, When, in_time};

use crate::support::{Ledger, executor_of_one, settle};

/// The size of the largest packet; a larger statement is sent as several packets.
const PACKET: usize = 0xFF_FFFF;

const HEADER: usize = 4;

async fn roomy_server() -> Server {
    Server::builder().flag("--max-allowed-packet=64M").start().await
}

/// An insert of two packets, and the number of bytes that are sent for it.
fn large(insert: &str) -> (String, usize) {
    let sql = format!("{insert} /* {} */", "x".repeat(PACKET + (4 << 20)));
    let length = 2 * HEADER + 1 + sql.len();
    (sql, length)
}

async fn run(server: &Server, sql: &str, rules: &[Rule]) -> (mysql_retry::Result<()>, Executor, Proxy) {
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    in_time(exec.ping()).await.expect("a server");
    proxy.rules(rules.iter().cloned());
    let result = in_time(exec.query_drop(sql)).await.map(drop);
    (result, exec, proxy)
}

#[tokio::test]
async fn wherever_an_insert_of_two_packets_is_cut_the_verdict_is_true() {
    let server = roomy_server().await;
    let ledger = Ledger::new(&server).await;
    let (sql, whole) = large(&ledger.insert());
    let second = HEADER + PACKET;
    let places = [0, HEADER + 1, 1 << 20, second - 1, second, second + 2, second + HEADER, second + 100_000, whole - 1];
    let places = places.into_iter().map(Place::Request).chain([Place::AfterRequest, Place::AfterRequestWhenAnswered]);
    // not cut, it is executed
    let (result, _, _) = run(&server, &sql, &[]).await;
    result.expect("an insert");
    let mut executed = ledger.rows().await;
    assert_eq!(executed, 1);
    for place in places {
        for fault in [Fault::Fin, Fault::Rst] {
            let rule = Rule::new(When::text(&ledger.table), place, fault.clone());
            let (result, exec, proxy) = run(&server, &sql, &[rule]).await;
            proxy.wait_fired(1).await;
            settle(&server, &proxy, exec).await;
            let now = ledger.rows().await;
            let rows = now - executed;
            executed = now;
            let shown = format!("{place:?} {fault:?}: {rows} rows, {result:?}");
            let complete = !matches!(place, Place::Request(_));
            match result.map_err(|error| error.outcome()) {
                // proved not executed, and sent again
                Ok(()) => assert!(rows == 1 && proxy.accepted() == 2 && !complete, "{shown}"),
                Err(Outcome::NotExecuted) => assert_eq!(rows, 0, "{shown}"),
                // a part of a command is not executed, even if it ends with a whole packet
                Err(Outcome::Unknown) => assert!(rows == 0 || rows == 1 && complete, "{shown}"),
                Err(other) => panic!("{other:?} {shown}"),
            }
        }
    }
}

// The unix socket is closed during the write, so that the driver knows that not all was written. (Over TCP it sees a reset, which may
// also come after all was written.)
#[tokio::test]
async fn an_insert_whose_write_failed_is_sent_again_and_runs_once() {
    let server = roomy_server().await;
    if server.transport() != Transport::Unix {
        return;
    }
    let ledger = Ledger::new(&server).await;
    let (sql, _) = large(&ledger.insert());
    for place in [0, 1 << 20, HEADER + PACKET] {
        let before = ledger.rows().await;
        let rule = Rule::new(When::text(&ledger.table), Place::Request(place), Fault::Rst);
        let (result, exec, proxy) = run(&server, &sql, &[rule]).await;
        result.expect("sent again");
        assert_eq!((exec.counters().resends, proxy.accepted()), (1, 2));
        assert_eq!(ledger.rows().await, before + 1);
    }
}

// the client sees EOF while it writes, and what it goes on to write may be executed
#[tokio::test]
async fn an_insert_whose_connection_was_closed_on_one_side_only_is_unknown() {
    let server = roomy_server().await;
    let ledger = Ledger::new(&server).await;
    let (sql, _) = large(&ledger.insert());
    for (n, place) in (1..).zip([1 << 20, HEADER + PACKET]) {
        let end = Rule::new(When::text(&ledger.table), Place::Request(place), Fault::HalfClose);
        // and the session is not killed before it has executed the insert
        let kill = Rule::new(When::text("KILL "), Place::Request(0), Fault::Fin).times(1_000);
        let (result, exec, proxy) = run(&server, &sql, &[end, kill]).await;
        let error = result.expect_err("its reply was lost");
        assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
        settle(&server, &proxy, exec).await;
        match server.flavour() {
            Flavour::MariaDb => assert_eq!(ledger.rows().await, n),
            Flavour::MySql => assert!(ledger.rows().await <= n),
        }
    }
}
