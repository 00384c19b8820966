//! Wherever an insert is cut, the verdict is true: `NotExecuted` is a proof.

use mysql_retry::Outcome;
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When};

use crate::support::{Ledger, executor_via, settle, shared};

// cases 11, 12 and 14
#[tokio::test]
async fn wherever_an_insert_is_cut_the_verdict_is_true() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let sql = ledger.insert();
    let whole = 4 + 1 + sql.len();
    let mut executed = 0;
    for fault in [Fault::Fin, Fault::Rst] {
        for place in (0..=whole).map(Place::Request).chain([Place::AfterRequest, Place::AfterReply]) {
            let proxy = Proxy::start(server).await;
            let exec = executor_via(&proxy);
            proxy.rule(Rule::new(When::text(&sql), place, fault.clone()));
            let result = exec.query_drop(&*sql).await;
            settle(server, &proxy, exec).await;
            let now = ledger.rows().await;
            let rows = now - executed;
            executed = now;
            let shown = format!("{place:?} {fault:?}: {rows} rows, {result:?}");
            match result.map_err(|error| error.outcome()) {
                Ok(_) => assert_eq!(rows, 1, "{shown}"),
                Err(Outcome::NotExecuted) => assert_eq!(rows, 0, "{shown}"),
                Err(Outcome::Unknown) => assert!(rows <= 1, "{shown}"),
                Err(Outcome::Failed) => panic!("nothing was said by a server: {shown}"),
            }
            // the cut was where the rule said
            if matches!(place, Place::Request(n) if n < whole) {
                assert!(rows == 0 || exec_was_resent(&proxy), "{shown}");
            }
        }
    }
    assert!(executed >= 2, "the cuts after the reply came too late to harm");
}

fn exec_was_resent(proxy: &Proxy) -> bool {
    proxy.count(Kind::Query) > 2 && proxy.accepted() > 1
}

// cases 11, 12 and 14
#[tokio::test]
async fn wherever_a_prepared_insert_is_cut_the_verdict_is_true() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let sql = ledger.insert_param();
    let places = (0..40).map(Place::Request).chain((0..12).map(Place::Reply)).chain([Place::AfterRequest]);
    let mut executed = 0;
    for place in places {
        for when in [When::text(&sql), When::executes(&sql)] {
            let proxy = Proxy::start(server).await;
            let exec = executor_via(&proxy);
            proxy.rule(Rule::new(when.clone(), place, Fault::Fin));
            let result = exec.exec_drop(&*sql, (1,)).await;
            settle(server, &proxy, exec).await;
            let now = ledger.rows().await;
            let rows = now - executed;
            executed = now;
            let shown = format!("{when:?} {place:?}: {rows} rows, {result:?}");
            assert!(result.is_ok() || when != When::text(&sql), "lost while preparing: {shown}");
            match result.map_err(|error| error.outcome()) {
                Ok(_) => assert_eq!(rows, 1, "{shown}"),
                Err(Outcome::NotExecuted) => assert_eq!(rows, 0, "{shown}"),
                Err(Outcome::Unknown) => assert!(rows <= 1, "{shown}"),
                Err(Outcome::Failed) => panic!("nothing was said by a server: {shown}"),
            }
        }
    }
}
