//! What the fence asks on the connection of the replay, and answers that are late, missing or stale.

use mysql_retry::{Annotate as _, Outcome, RetryPolicy};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time, ms};

use crate::support::{
    connection_id, cut, executor_of_one, executor_of_one_for_any_text, executor_via, patient, register, shared, value,
};

#[tokio::test]
async fn a_fence_without_an_answer_by_the_deadline_does_not_leave_its_answer_to_the_statement() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one_for_any_text(proxy.opts());
    for sql in ["SELECT 'mine'", "SELECT 'mine' FROM (SELECT GET_LOCK('nobody_elses', 0)) AS got"] {
        proxy.clear_rules();
        in_time(exec.ping()).await.expect("a server");
        proxy.rule(cut("mine"));
        proxy.rule(Rule::new(When::text("IS_USED_LOCK"), Place::AfterRequest, Fault::Delay(ms(4_000))));
        let policy = RetryPolicy::builder().deadline(ms(2_000)).attempt_timeout(ms(20_000)).build().expect("valid");
        let result = in_time(exec.with_policy(&policy).query::<mysql_async::Row, _>(sql.idempotent())).await;
        let error = result.expect_err("no answer");
        assert!(error.is_deadline(), "{error}");
        assert_eq!(error.outcome(), Outcome::Unknown);
        let own: Option<String> = in_time(exec.query_first(sql)).await.expect("an answer");
        assert_eq!(own.as_deref(), Some("mine"));
    }
}

#[tokio::test]
async fn a_connection_that_falls_silent_under_the_fence_is_replaced_by_another() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let table = register(server).await;
    let policy = RetryPolicy::builder().deadline(ms(50_000)).connect_timeout(ms(300)).build().expect("valid");
    let exec = executor_via(&proxy).with_policy(&policy);
    for question in ["IS_USED_LOCK", "KILL"] {
        in_time(exec.ping()).await.expect("a server");
        proxy.rule(cut(&table));
        proxy.rule(Rule::new(When::text(question), Place::Request(0), Fault::Silence));
        let update = format!("UPDATE {table} SET v = v + SLEEP(1) * 0 + 1 WHERE id = 1");
        in_time(exec.query_drop(update.idempotent())).await.unwrap_or_else(|error| panic!("{question}: {error}"));
        assert!(proxy.rules_left().is_empty(), "{question}");
    }
    assert!(value(server, &table).await >= 2);
    assert_eq!(exec.counters().unfenced, 0);
}

#[tokio::test]
async fn a_session_that_ends_between_the_question_and_the_kill_is_fenced() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let table = register(server).await;
    let exec = executor_of_one(proxy.opts()).with_policy(&patient());
    let old = connection_id(&exec).await;
    proxy.rule(cut(&table));
    proxy.rule(Rule::new(When::text("KILL"), Place::Request(0), Fault::Silence));
    let sql = format!("UPDATE {table} SET v = 1 WHERE id = 1 AND IF(CONNECTION_ID() = {old}, SLEEP(100), 0) = 0");
    let ended = async {
        proxy.wait_fired(2).await;
        server.kill_connection(old).await;
        server.wait_gone(old).await;
        proxy.heal().await;
    };
    let (replayed, ()) = in_time(async { tokio::join!(exec.query_drop(sql.idempotent()), ended) }).await;
    replayed.expect("replayed");
    assert_eq!((value(server, &table).await, exec.counters().unfenced), (1, 0));
}

#[tokio::test]
async fn a_read_does_not_wait_until_its_lost_copy_has_ended() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts()).with_policy(&patient());
    let old = connection_id(&exec).await;
    proxy.rule(cut("'copy'"));
    let sql = format!("SELECT IF(CONNECTION_ID() = {old}, SLEEP(100), 0), 'copy'");
    in_time(exec.query_drop(sql.idempotent())).await.expect("replayed");
    let asked = proxy
        .commands()
        .into_iter()
        .filter(|seen| seen.text.as_deref().is_some_and(|text| text.contains("IS_USED_LOCK")));
    assert_eq!(asked.count(), 1);
}
