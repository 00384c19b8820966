//! What the fence leaves alone, and what is reported where a lost session cannot be seen gone.

use mysql_async::{Conn, OptsBuilder, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, Unfenced};
use mysql_retry_fixture::{Events, Fault, Place, Proxy, Recorded, Rule, Server, When, in_time, ms, pool_of};

use super::upsert;
use crate::support::{
    connection_id, create_register, cut, every, executor_of_one, executor_of_one_for_any_text, patient, register,
    shared, value,
};

/// Uses up ids, so that the next connection has an id that other clients can still get elsewhere.
async fn advance(server: &Server) {
    for _ in 0..60 {
        server.connect().await.disconnect().await.expect("a goodbye");
    }
}

/// A client whose connection has this id.
async fn client_with_id(opts: OptsBuilder, id: u32) -> Conn {
    loop {
        let conn = in_time(Conn::new(opts.clone())).await.expect("a server");
        assert!(conn.id() <= id, "that id has been given out: {id}");
        if conn.id() == id {
            return conn;
        }
        conn.disconnect().await.expect("a goodbye");
    }
}

async fn assert_alive(client: &mut Conn, id: u32) {
    let answer: Option<u32> = in_time(client.query_first("SELECT CONNECTION_ID()")).await.expect("it was killed");
    assert_eq!(answer, Some(id));
}

#[tokio::test]
async fn after_a_restart_a_client_that_has_the_old_id_is_left_alone() {
    let server = Server::start().await;
    let table = register(&server).await;
    let proxy = Proxy::start(&server).await;
    advance(&server).await;
    let events = Events::default();
    let builder = Executor::builder().policy(patient()).on_event(events.hook());
    let exec = builder.build(pool_of(1, proxy.opts())).expect("good options");
    let old = connection_id(&exec).await;
    let call = exec.query_drop(upsert(&table, old, "SLEEP(600)").idempotent());
    let restart = async {
        server.wait_until_running(&table).await;
        proxy.refuse(true).await;
        server.restart().await;
        let client = client_with_id(server.opts(), old).await;
        proxy.refuse(false).await;
        client
    };
    let (result, mut client) = in_time(async { tokio::join!(call, restart) }).await;
    result.expect("replayed");
    assert_alive(&mut client, old).await;
    assert_eq!(value(&server, &table).await, 1);
    assert_eq!(
        exec.counters().unfenced,
        0,
        "a session of a server that has restarted is gone: {:?}",
        events.recorded()
    );
}

#[tokio::test]
async fn a_client_of_another_server_behind_the_same_address_is_left_alone() {
    let (first, second) = tokio::join!(Server::start(), Server::start());
    let table = register(&first).await;
    create_register(&second, &table, 0).await;
    advance(&first).await;
    for replays in [false, true] {
        advance(&first).await;
        let proxy = Proxy::start(&first).await;
        let events = Events::default();
        let policy = patient().to_builder().replay_unfenced(replays).build().expect("valid");
        let builder = Executor::builder().policy(policy).on_event(events.hook());
        let exec = builder.build(pool_of(1, proxy.opts())).expect("good options");
        let old = connection_id(&exec).await;
        let mut client = client_with_id(second.opts(), old).await;
        let update = format!("UPDATE {table} SET v = 1 WHERE id = 1");
        proxy.rule(cut(&update));
        proxy.point_at(&second);
        let result = in_time(exec.query_drop(update.idempotent())).await;
        assert_alive(&mut client, old).await;
        assert_eq!(value(&second, &table).await, i32::from(replays));
        let unfenced = Recorded::Unfenced { why: Unfenced::OtherServer, attempt: 2 };
        assert_eq!(events.recorded().iter().filter(|event| **event == unfenced).count(), 1, "{:?}", events.recorded());
        match result {
            Ok(_) => assert!(replays),
            Err(error) => {
                assert!(!replays, "{error}");
                assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Unfenced), "{error}");
            }
        }
    }
}

/// The server answers a statement with this error each time.
fn refused(text: &str, code: u16) -> Rule {
    Rule::new(When::text(text), Place::Request(0), Fault::err_packet(code, "no")).times(1000)
}

#[tokio::test]
async fn without_the_right_to_kill_a_write_is_replayed_unfenced_or_surfaces() {
    let why = Unfenced::NotAllowed;
    let server = shared().await;
    for replays in [false, true] {
        let table = register(server).await;
        let proxy = Proxy::start(server).await;
        proxy.rule(refused("KILL", 1095));
        let events = Events::default();
        let policy = patient().to_builder().replay_unfenced(replays).build().expect("valid");
        let builder = Executor::builder().policy(policy).on_event(events.hook());
        let exec = builder.build(pool_of(1, proxy.opts())).expect("good options");
        exec.ping().await.expect("a server");
        let update = format!("UPDATE {table} SET v = v + 1 WHERE id = 1");
        proxy.rule(Rule::reply_lost(When::text(&update)).keep_server());
        let result = in_time(exec.query_drop(update.idempotent())).await;
        assert_eq!(value(server, &table).await, 1 + i32::from(replays));
        let unfenced = Recorded::Unfenced { why, attempt: 2 };
        assert_eq!(events.recorded().iter().filter(|event| **event == unfenced).count(), 1, "{:?}", events.recorded());
        assert_eq!(exec.counters().unfenced, 1);
        match result {
            Ok(_) => assert!(replays),
            Err(error) => {
                assert!(!replays, "{error}");
                assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Unfenced), "{error}");
                assert!(error.to_string().contains(&why.to_string()), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_statement_that_releases_all_locks_cannot_be_overtaken_by_its_replay() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts()).with_policy(&patient());
    let old = connection_id(&exec).await;
    // the session's mark is released with the other locks, so that the session cannot be found
    let hold = "(RELEASE_ALL_LOCKS() * 0 + SLEEP(600))";
    let strict = patient().to_builder().replay_unfenced(false).build().expect("valid");
    proxy.rule(Rule::new(When::text(&table), Place::AfterRequest, Fault::Silence));
    let attempt_timeout = strict.to_builder().attempt_timeout(ms(3_000)).build().expect("valid");
    let result = in_time(exec.with_policy(&attempt_timeout).query_drop(upsert(&table, old, hold).idempotent())).await;
    match result {
        Ok(_) => assert!(!server.connection_ids().await.contains(&old), "replayed beside its first copy"),
        Err(error) => assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Unfenced), "{error}"),
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_ended_is_an_unknown_outcome_at_the_deadline() {
    let server = Server::start().await;
    let table = register(&server).await;
    let proxy = Proxy::start(&server).await;
    let policy = every(ms(100)).deadline(ms(3_000)).build().expect("valid");
    let exec = executor_of_one(proxy.opts()).with_policy(&policy);
    let old = connection_id(&exec).await;
    // a search that takes minutes, during which no server checks whether it was killed
    let hold = "LOCATE(CONCAT(REPEAT(_binary 'a', 1500000), _binary 'b'), REPEAT(_binary 'a', 3000000))";
    proxy.rule(cut(&table));
    let error = in_time(exec.query_drop(upsert(&table, old, hold).idempotent())).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::Deadline), "{error}");
    assert_eq!(exec.counters().replays, 0, "it was replayed beside its first copy");
    assert_eq!(value(&server, &table).await, 0);
    let mut still_there = server.connection_ids().await;
    still_there.retain(|id| *id == old);
    assert_eq!(still_there, [old], "the test is void: it could be ended");
}
