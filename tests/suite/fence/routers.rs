//! What is known of a session is known of this very session: through routers by statement, and after its mark is gone.

use mysql_async::{OptsBuilder, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, RetryPolicyBuilder, Unfenced};
use mysql_retry_fixture::{
    Events, GreetsAs, Proxy, Recorded, Routing, Server, SplittingRouter, in_time, ms, pool_of, until_counters,
    wait::{PATIENCE, until_true},
};

use crate::support::{connection_id, cut, executor_of_one, patient, register, shared, unique, value};

async fn refuses_unfenced(events: &Events, opts: OptsBuilder) -> Executor {
    let policy: RetryPolicyBuilder = patient().to_builder().replay_unfenced(false);
    let builder = Executor::builder().policy(policy.build().expect("valid")).on_event(events.hook());
    builder.build(pool_of(1, opts)).expect("good options")
}

#[tokio::test]
async fn case_72_through_a_router_by_statement_a_lost_write_is_said_to_be_unfenced() {
    let (writer, reader) = tokio::join!(Server::start(), Server::start());
    // so that the connection ids of the two servers differ
    for _ in 0..30 {
        writer.connect().await.disconnect().await.expect("a goodbye");
    }
    for greets_as in [GreetsAs::Writer, GreetsAs::Itself(4_000_000_000), GreetsAs::Reader] {
        let table = register(&writer).await;
        let router = SplittingRouter::start(&writer, &reader, greets_as).await;
        let events = Events::default();
        let exec = refuses_unfenced(&events, router.opts()).await;
        in_time(exec.ping()).await.expect("a router");
        let mut owner = writer.lock_row(&table, 1).await;
        let update = format!("UPDATE {table} SET v = v + 1 WHERE id = 1");
        let lost = async {
            writer.wait_until_running(&update).await;
            router.cut_clients().await;
        };
        let (result, ()) = in_time(async { tokio::join!(exec.query_drop(update.as_str().idempotent()), lost) }).await;
        let error = result.expect_err("it may still run");
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Unfenced), "{greets_as:?}: {error}");
        let why = Recorded::Unfenced { why: Unfenced::Unmarked, attempt: 2 };
        assert!(events.recorded().contains(&why), "{greets_as:?}: {:?}", events.recorded());
        owner.query_drop("COMMIT").await.expect("committed");
        drop(router);
        until_true(PATIENCE, ms(2), async || value(&writer, &table).await == 1).await;
    }
}

#[tokio::test]
async fn case_103_a_lost_write_is_unfenced_where_clients_share_sessions() {
    let server = shared().await;
    for greets_as in [GreetsAs::Writer, GreetsAs::Reader, GreetsAs::Itself(4_000_000_000)] {
        let table = register(server).await;
        let router = SplittingRouter::start_by(Routing::InTurn { holds: true }, server, server, greets_as).await;
        let events = Events::default();
        let exec = refuses_unfenced(&events, router.opts()).await;
        in_time(exec.ping()).await.expect("a router");
        // whichever session has the mark, two statements in a row go to different ones
        for round in 1..=2 {
            let mut owner = server.lock_row(&table, 1).await;
            let update = format!("UPDATE {table} SET v = v + 1 WHERE id = 1 AND {round} = {round}");
            let lost = async {
                server.wait_until_running(&update).await;
                router.cut_clients().await;
            };
            let call = exec.query_drop(update.as_str().idempotent());
            let (result, ()) = in_time(async { tokio::join!(call, lost) }).await;
            let error = result.expect_err("it may still run");
            assert_eq!(
                (error.outcome(), error.reason()),
                (Outcome::Unknown, Reason::Unfenced),
                "{greets_as:?}: {error}"
            );
            owner.query_drop("COMMIT").await.expect("committed");
            until_true(PATIENCE, ms(2), async || value(server, &table).await == round).await;
            in_time(exec.query_drop("DO 1")).await.expect("a connection");
        }
    }
}

#[tokio::test]
async fn case_72_no_strangers_session_is_killed_through_a_router() {
    let (writer, reader) = tokio::join!(Server::start(), Server::start());
    let table = register(&writer).await;
    let router = SplittingRouter::start(&writer, &reader, GreetsAs::Reader).await;
    let exec = executor_of_one(router.opts()).with_policy(&patient());
    in_time(exec.ping()).await.expect("a router");
    let before = (writer.connection_ids().await, reader.connection_ids().await);
    let mut owner = writer.lock_row(&table, 1).await;
    let update = format!("UPDATE {table} SET v = 7 WHERE id = 1");
    let lost = async {
        writer.wait_until_running(&update).await;
        router.cut_clients().await;
    };
    // replayed unfenced, as the policy allows: the replay waits until the row is free
    let call = exec.query_drop(update.as_str().idempotent());
    let freed = async {
        lost.await;
        until_counters(&exec, |it| it.unfenced != 0).await;
        owner.query_drop("COMMIT").await.expect("committed");
    };
    let (result, ()) = in_time(async { tokio::join!(call, freed) }).await;
    result.expect("replayed");
    let after = (writer.connection_ids().await, reader.connection_ids().await);
    assert!(before.0.iter().all(|id| after.0.contains(id)), "{before:?} {after:?}");
    assert!(before.1.iter().all(|id| after.1.contains(id)), "{before:?} {after:?}");
}

#[tokio::test]
async fn case_72_a_fence_without_a_router_is_one() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let events = Events::default();
    let exec = refuses_unfenced(&events, proxy.opts()).await;
    for _ in 0..2 {
        proxy.rule(cut(&table));
        in_time(exec.query_drop(format!("UPDATE {table} SET v = 1 WHERE id = 1").idempotent())).await.expect("fenced");
    }
    assert_eq!((exec.counters().replays, exec.counters().unfenced), (2, 0));
}

#[tokio::test]
async fn case_73_a_mark_that_was_released_earlier_fences_nothing() {
    let server = shared().await;
    let releases = releasing_procedure(server).await;
    for release in ["DO RELEASE_ALL_LOCKS()", "SELECT RELEASE_ALL_LOCKS()", releases.as_str()] {
        let table = register(server).await;
        let proxy = Proxy::start(server).await;
        let events = Events::default();
        let exec = refuses_unfenced(&events, proxy.opts()).await;
        let mut session = in_time(exec.session()).await.expect("a session");
        session.on_reconnect(|mut session| async move { session.query_drop("SELECT 1").await });
        session.query_drop(release).await.expect("released");
        let update = format!("UPDATE {table} SET v = v + 1 WHERE id = 1");
        proxy.rule(cut(&update));
        let error = in_time(session.query_drop(update.as_str().idempotent())).await.expect_err("not fenced");
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Unfenced), "{release}: {error}");
        assert!(
            events.recorded().contains(&Recorded::Unfenced { why: Unfenced::Unmarked, attempt: 2 }),
            "{:?}",
            events.recorded()
        );
    }
}

#[tokio::test]
async fn case_73_a_connection_is_marked_again_when_it_has_been_reset() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let events = Events::default();
    let exec = refuses_unfenced(&events, proxy.opts()).await;
    let old = connection_id(&exec).await;
    let releases = releasing_procedure(server).await;
    in_time(exec.session()).await.expect("a session").query_drop("DO RELEASE_ALL_LOCKS()").await.expect("released");
    in_time(exec.query_drop(releases)).await.expect("released");
    assert_eq!(connection_id(&exec).await, old, "it was reset, not closed");
    proxy.rule(cut(&table));
    in_time(exec.query_drop(format!("UPDATE {table} SET v = 1 WHERE id = 1").idempotent())).await.expect("fenced");
    assert_eq!((exec.counters().replays, exec.counters().unfenced), (1, 0));
}

/// A call of a procedure that releases all locks.
async fn releasing_procedure(server: &Server) -> String {
    let name = unique("releases");
    server.query_drop(format!("CREATE PROCEDURE {name}() DO RELEASE_ALL_LOCKS()")).await;
    format!("CALL {name}()")
}
