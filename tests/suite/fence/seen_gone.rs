//! A replay does not run beside its lost attempt: the session of the attempt is ended first, and seen gone.

use mysql_async::{Conn, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Executor};
use mysql_retry_fixture::{Proxy, Server, in_time, ms, pool_of};

use super::upsert;
use crate::support::{
    Losses, connection_id, cut, executor_of_one, executor_of_one_for_any_text, patient, register, settle, shared,
    unique, value,
};

/// A connection that holds a user-level lock.
async fn holder(server: &Server, lock: &str) -> Conn {
    let mut conn = server.connect().await;
    let got: Option<i32> = conn.query_first(format!("SELECT GET_LOCK('{lock}', 0)")).await.expect("an answer");
    assert_eq!(got, Some(1));
    conn
}

/// A write is lost while a lock holds it up, and replayed; another client writes a later value; then the lock is released. Asserts that
/// the later value stays.
async fn assert_the_later_value_stays(server: &Server, proxy: Proxy, exec: Executor, table: String) {
    let exec = exec.with_policy(&patient());
    let old = connection_id(&exec).await;
    let lock = unique("hold");
    let hold = holder(server, &lock).await;
    let sql = upsert(&table, old, &format!("GET_LOCK('{lock}', 600)"));
    proxy.rule(cut(&table));
    in_time(exec.query_drop(sql.idempotent())).await.expect("replayed");
    assert!(!server.connection_ids().await.contains(&old), "the lost session is still there");
    assert_eq!((exec.counters().replays, exec.counters().unfenced), (1, 0));
    server.query_drop(format!("UPDATE {table} SET v = 2 WHERE id = 1")).await;
    hold.disconnect().await.expect("a goodbye");
    settle(server, &proxy, exec).await;
    assert_eq!(value(server, &table).await, 2);
}

#[tokio::test]
async fn a_lost_update_that_waits_for_a_row_is_seen_gone_before_it_is_replayed() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts()).with_policy(&patient());
    let old = connection_id(&exec).await;
    let mut owner = server.lock_row(&table, 1).await;
    let update = format!("UPDATE {table} SET v = 1 WHERE id = 1");
    proxy.rule(cut(&update));
    let call = exec.query_drop(update.as_str().idempotent());
    let replayed = async {
        proxy.wait_fired(1).await;
        server.wait_gone(old).await;
        let new = server.wait_until_running(&update).await;
        assert_ne!(new, old);
        owner.query_drop("COMMIT").await.expect("the row is free");
    };
    let (result, ()) = in_time(async { tokio::join!(call, replayed) }).await;
    result.expect("replayed");
    let commands = proxy.commands();
    let (lost, replay) = match commands.iter().filter(|seen| seen.text.as_ref() == Some(&update)).collect::<Vec<_>>()[..]
    {
        [lost, replay] => (lost.connection, replay.connection),
        _ => panic!("not two copies: {commands:?}"),
    };
    assert_ne!(lost, replay);
    let before: Vec<&str> =
        commands.iter().filter(|seen| seen.connection == replay).filter_map(|seen| seen.text.as_deref()).collect();
    let at = |wanted: &str| before.iter().position(|text| text.starts_with(wanted));
    let last_look = before.iter().rposition(|text| text.starts_with("SELECT IS_USED_LOCK"));
    assert_eq!(before.iter().filter(|text| text.starts_with("KILL")).count(), 1, "{before:?}");
    assert!(before.contains(&format!("KILL {old}").as_str()), "{before:?}");
    assert!(at("SELECT IS_USED_LOCK") < at("KILL") && at("KILL") < last_look, "{before:?}");
    assert!(last_look < at("UPDATE"), "{before:?}");
    server.query_drop(format!("UPDATE {table} SET v = 2 WHERE id = 1")).await;
    settle(server, &proxy, exec).await;
    assert_eq!(value(server, &table).await, 2);
}

#[tokio::test]
async fn a_lost_write_that_would_run_after_a_later_one_never_does() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts());
    assert_the_later_value_stays(server, proxy, exec, table).await;
}

#[tokio::test]
async fn a_connection_that_was_reset_can_still_be_fenced() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts());
    let id = connection_id(&exec).await;
    exec.query_drop("SET @left_behind = 1").await.expect("set");
    drop(exec.connection().await.expect("a connection"));
    assert_eq!(connection_id(&exec).await, id);
    assert_eq!(exec.counters().resets, 2);
    assert_the_later_value_stays(server, proxy, exec, table).await;
}

#[tokio::test]
async fn a_user_without_any_global_privilege_can_fence() {
    let server = shared().await;
    let table = register(server).await;
    let user = unique("plain");
    server.query_drop(format!("CREATE USER {user}@'%' IDENTIFIED BY 'plain-pass'")).await;
    server.query_drop(format!("GRANT SELECT, INSERT, UPDATE ON test.{table} TO {user}@'%'")).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts().user(Some(user)).pass(Some("plain-pass")));
    assert_the_later_value_stays(server, proxy, exec, table).await;
}

#[tokio::test]
async fn a_lost_insert_that_commits_although_killed_does_so_before_the_replay() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts()).with_policy(&patient());
    let old = connection_id(&exec).await;
    proxy.rule(cut(&table));
    in_time(exec.query_drop(upsert(&table, old, "SLEEP(600)").idempotent())).await.expect("replayed");
    assert!(!server.connection_ids().await.contains(&old), "the lost session is still there");
    assert_eq!(value(server, &table).await, 1);
    server.query_drop(format!("UPDATE {table} SET v = 2 WHERE id = 1")).await;
    settle(server, &proxy, exec).await;
    assert_eq!(value(server, &table).await, 2);
}

#[tokio::test]
async fn a_write_under_which_the_server_froze_is_replayed_after_the_thaw() {
    let server = Server::start().await;
    let table = register(&server).await;
    let (hook, mut losses) = Losses::listen();
    let policy = patient().to_builder().attempt_timeout(ms(5_000)).build().expect("valid");
    let builder = Executor::builder().policy(policy).on_event(hook);
    let exec = builder.build(pool_of(1, server.opts())).expect("good options");
    let old = connection_id(&exec).await;
    let mut owner = server.lock_row(&table, 1).await;
    let call = exec.query_drop(format!("UPDATE {table} SET v = 1 WHERE id = 1").idempotent());
    let trouble = async {
        assert_eq!(server.wait_until_running(&table).await, old);
        server.freeze();
        losses.wait_for(1).await;
        server.thaw();
        server.wait_gone(old).await;
        owner.query_drop("COMMIT").await.expect("the row is free");
    };
    let (result, ()) = in_time(async { tokio::join!(call, trouble) }).await;
    result.expect("replayed");
    assert_eq!(value(&server, &table).await, 1);
    server.query_drop(format!("UPDATE {table} SET v = 2 WHERE id = 1")).await;
    exec.close().await.expect("closed");
    assert_eq!(value(&server, &table).await, 2);
}

#[tokio::test]
async fn a_lost_read_is_replayed_and_its_scan_is_ended() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts()).with_policy(&patient());
    let old = connection_id(&exec).await;
    let mark = unique("scan");
    let sql = format!("SELECT SLEEP(IF(CONNECTION_ID() = {old}, 600, 0)), '{mark}'");
    proxy.rule(cut(&mark));
    let row: Option<(i32, String)> = in_time(exec.query_first(sql.idempotent())).await.expect("replayed");
    assert_eq!(row, Some((0, mark)));
    server.wait_gone(old).await;
    assert_eq!((exec.counters().replays, exec.counters().unfenced), (1, 0));
}
