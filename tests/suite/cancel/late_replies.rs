//! A call is dropped while it is answered, and its reply arrives later: no other call gets it (case 7).

use std::time::Duration;

use futures_util::future::join_all;
use mysql_async::prelude::Queryable as _;
use mysql_retry::{Connection, Executor};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When, in_time, ms};

use crate::support::{Ledger, connection_id, executor_of_one, shared};

/// A way to run something.
#[derive(Clone, Copy, Debug)]
enum Call {
    Query,
    QueryFirst,
    QueryDrop,
    QueryStream,
    Exec,
    ExecDrop,
    ExecBatch,
    ExecStream,
    Ping,
    /// On a borrowed connection, which outlives the future.
    Borrowed,
    BorrowedPrepared,
}

const ALL: [Call; 11] = [
    Call::Query,
    Call::QueryFirst,
    Call::QueryDrop,
    Call::QueryStream,
    Call::Exec,
    Call::ExecDrop,
    Call::ExecBatch,
    Call::ExecStream,
    Call::Ping,
    Call::Borrowed,
    Call::BorrowedPrepared,
];

/// The answer that no other call may get.
const OLD: &str = "SELECT 4711";

impl Call {
    async fn run(self, exec: &Executor, insert: &str, borrowed: &mut Option<Connection>) -> mysql_retry::Result<()> {
        if let Call::Borrowed | Call::BorrowedPrepared = self {
            let conn = borrowed.insert(exec.connection().await?);
            let first = match self {
                Call::BorrowedPrepared => conn.exec_first::<i32, _, _>(OLD, ()).await,
                _ => conn.query_first::<i32, _>(OLD).await,
            };
            first.expect("an answer");
            return Ok(());
        }
        match self {
            Call::Query => exec.query::<i32, _>(OLD).await.map(drop),
            Call::QueryFirst => exec.query_first::<i32, _>(OLD).await.map(drop),
            Call::QueryDrop => exec.query_drop(OLD).await.map(drop),
            Call::QueryStream => exec.query_stream::<i32, _>(OLD).await.map(drop),
            Call::Exec => exec.exec::<i32, _, _>(OLD, ()).await.map(drop),
            Call::ExecDrop => exec.exec_drop(OLD, ()).await.map(drop),
            Call::ExecBatch => exec.exec_batch(insert, [(1,), (2,), (3,)]).await,
            Call::ExecStream => exec.exec_stream::<i32, _, _>(OLD, ()).await.map(drop),
            Call::Ping | Call::Borrowed | Call::BorrowedPrepared => exec.ping().await,
        }
    }

    /// The command whose reply is late.
    fn command(self, insert: &str) -> When {
        match self {
            Call::Query | Call::QueryFirst | Call::QueryDrop | Call::QueryStream | Call::Borrowed => When::text(OLD),
            Call::Exec | Call::ExecDrop | Call::ExecStream | Call::BorrowedPrepared => When::executes(OLD),
            Call::ExecBatch => When::executes(insert),
            Call::Ping => When::Command(Kind::Ping),
        }
    }
}

/// Drops a call while its reply is on its way, by a time-out or by a `select!`, and asserts that the next calls get their own answers.
async fn dropped(call: Call, place: Place, time_out: Option<Duration>) {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    let id = connection_id(&exec).await;
    let insert = ledger.insert_param();
    proxy.rule(Rule::new(call.command(&insert), place, Fault::Silence));
    let mut borrowed = None;
    let running = call.run(&exec, &insert, &mut borrowed);
    match time_out {
        Some(limit) => {
            tokio::time::timeout(limit, running).await.expect_err("there is no answer");
        }
        None => tokio::select! {
            done = running => panic!("{call:?} was to be dropped: {done:?}"),
            () = proxy.wait_fired(1) => {}
        },
    }
    drop(borrowed);
    // now the reply arrives, if the connection still exists
    proxy.clear_rules();
    proxy.heal().await;
    for n in 0..3 {
        let text = in_time(exec.query::<i32, _>(format!("SELECT {n}"))).await;
        assert_eq!(text.expect("an answer"), [n], "after {call:?} at {place:?}");
        let prepared = in_time(exec.exec::<i32, _, _>("SELECT ?", (n,))).await;
        assert_eq!(prepared.expect("an answer"), [n], "after {call:?} at {place:?}");
    }
    assert_ne!(connection_id(&exec).await, id, "{call:?} at {place:?}: the connection was used again");
}

const PLACES: [Place; 3] = [Place::AfterRequest, Place::AfterRequestWhenAnswered, Place::Reply(5)];

#[tokio::test]
async fn whatever_a_lost_select_drops_the_next_statement_gets_its_own_answer() {
    for place in PLACES {
        in_time(join_all(ALL.map(|call| dropped(call, place, None)))).await;
    }
}

#[tokio::test]
async fn whatever_a_time_out_drops_the_next_statement_gets_its_own_answer() {
    for place in PLACES {
        in_time(join_all(ALL.map(|call| dropped(call, place, Some(ms(300)))))).await;
    }
}
