//! What the recorder of a program is told, as a Prometheus server would scrape it.
//!
//! A program of its own, because a process has one recorder.

use std::sync::OnceLock;

use futures_util::future::join_all;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use mysql_retry::{Annotate as _, Error, Executor, RetryPolicy, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When, in_time, ms, pool_of};

/// The page, with the recorder of this process.
fn page() -> String {
    static RECORDED: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDED.get_or_init(|| PrometheusBuilder::new().install_recorder().expect("the first recorder")).render()
}

/// The value of the one line that begins with this name and has all of these parts.
fn value(page: &str, name: &str, parts: &[&str]) -> Option<f64> {
    let is_it = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && parts.iter().all(|part| line.contains(part))
    };
    let lines: Vec<&str> = page.lines().filter(is_it).collect();
    assert!(lines.len() <= 1, "{lines:#?}");
    lines.first()?.rsplit(' ').next()?.parse().ok()
}

// one test, because its executors share the recorder
#[tokio::test]
async fn a_scrape_tells_of_calls_connections_and_losses() {
    page();
    let server = Server::start().await;
    let proxy = Proxy::start(&server).await;
    let exec = Executor::builder().build(pool_of(2, proxy.opts())).expect("good options");
    exec.query_drop("CREATE TABLE measured (id INT PRIMARY KEY)".idempotent()).await.expect("created");
    for id in 0..3 {
        exec.exec_drop("INSERT INTO measured (id) VALUES (?)", (id,)).await.expect("inserted");
    }
    exec.exec_drop("INSERT INTO measured (id) VALUES (?)", (1,)).await.expect_err("a duplicate key");
    exec.transaction(TxOpts::default(), |mut tx| async move {
        tx.query_drop("DELETE FROM measured WHERE id = 2").await?;
        Ok::<_, Error>(())
    })
    .await
    .expect("committed");
    proxy.rule(Rule::new(When::text("SELECT id"), Place::AfterRequest, Fault::Fin));
    let ids: Vec<u32> = in_time(exec.query("SELECT id FROM measured".idempotent())).await.expect("replayed");
    assert_eq!(ids, [0, 1]);

    let shown = page();
    let durations = |operation: &str, more: &[&str]| {
        let operation = format!("db_operation_name=\"{operation}\"");
        value(&shown, "db_client_operation_duration_count", &[&[&*operation], more].concat())
    };
    assert_eq!(durations("INSERT", &["error_type=\"1062\"", "db_response_status_code=\"1062\""]), Some(1.0), "{shown}");
    assert_eq!(durations("SELECT", &[]), Some(1.0), "one call, with both of its attempts: {shown}");
    assert_eq!(durations("DELETE", &[]), Some(1.0), "{shown}");
    assert_eq!(durations("TRANSACTION", &[]), Some(1.0), "{shown}");
    for (name, count) in [("losses", 1.0), ("replays", 1.0), ("recovered", 1.0)] {
        assert_eq!(value(&shown, &format!("mysql_retry_{name}"), &[]), Some(count), "{name}: {shown}");
    }
    assert!(value(&shown, "mysql_retry_budget_left", &["db_system_name=\"mysql\""]) > Some(0.0), "{shown}");
    let created = value(&shown, "db_client_connection_create_time_count", &[]);
    assert_eq!(created, Some(2.0), "the first one, and that after the loss: {shown}");

    let connections =
        |page: &str, state: &str| value(page, "db_client_connection_count", &[&format!("state=\"{state}\"")]);
    let session = exec.session().await.expect("a session");
    let held = page();
    assert_eq!((connections(&held, "used"), connections(&held, "idle")), (Some(1.0), Some(0.0)), "{held}");
    drop(session);
    let left = page();
    assert_eq!((connections(&left, "used"), connections(&left, "idle")), (Some(0.0), Some(1.0)), "{left}");

    // both connections are held, and nobody gives one back in time
    let sessions = join_all([exec.session(), exec.session()]).await;
    let impatient = exec.with_policy(&RetryPolicy::builder().deadline(ms(50)).build().expect("a policy"));
    assert!(impatient.query_drop("DO 1").await.expect_err("none is free").is_timeout());
    let waiting = async {
        tokio::time::sleep(ms(20)).await;
        let shown = page();
        drop(sessions);
        value(&shown, "db_client_connection_pending_requests", &[])
    };
    let (answer, pending) = tokio::join!(in_time(exec.query_drop("DO 1")), waiting);
    answer.expect("a session was dropped");
    let shown = page();
    assert_eq!(pending, Some(1.0), "{shown}");
    assert_eq!(value(&shown, "db_client_connection_pending_requests", &[]), Some(0.0), "{shown}");
    assert_eq!(value(&shown, "db_client_connection_timeouts", &[]), Some(1.0), "{shown}");
    assert!(value(&shown, "db_client_connection_wait_time_sum", &[]) >= Some(0.02), "{shown}");
}
