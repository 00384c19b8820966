//! A call that is dropped half-way, or cut by its time-out, leaves no statement running on the server.

use std::time::Duration;

use futures_util::{StreamExt as _, future::join_all};
use mysql_async::{Conn, OptsBuilder, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{
    Fault, Place, Proxy, Rule, Server, When, in_time, ms, pool_of,
    wait::{PATIENCE, until_true},
};

use crate::support::{HeldRow, Losses, connection_id, executor_of_one, shared, value};

/// A server with a statement whose last row never comes. A server of its own, because a statement that is not ended uses a processor.
struct Endless {
    server: Server,
}

impl Endless {
    /// The first rows fill the server's buffer, so that they are sent.
    const SELECT: &str =
        "SELECT id, BENCHMARK(IF(id < 4, 0, 1000000000000), SHA2(id, 256)), filler FROM streamed ORDER BY id";

    async fn new() -> Self {
        let server = Server::start().await;
        server.query_drop("CREATE TABLE streamed (id INT PRIMARY KEY, filler VARCHAR(12000) NOT NULL)").await;
        server.query_drop("INSERT INTO streamed SELECT 1, REPEAT('a', 12000)").await;
        server.query_drop("INSERT INTO streamed SELECT id + 1, filler FROM streamed").await;
        server.query_drop("INSERT INTO streamed SELECT id + 2, filler FROM streamed").await;
        Endless { server }
    }
}

/// An executor whose statements wait for a row longer than any test takes.
fn waiting(connections: usize, opts: OptsBuilder) -> Executor {
    Executor::new(waiting_opts(connections, opts)).expect("good options")
}

fn waiting_opts(connections: usize, opts: OptsBuilder) -> OptsBuilder {
    pool_of(connections, opts.setup(vec!["SET SESSION innodb_lock_wait_timeout = 100000"]))
}

#[tokio::test]
async fn a_statement_whose_caller_has_gone_away_is_ended() {
    let server = shared().await;
    let row = HeldRow::new(server).await;
    let exec = waiting(1, server.opts());
    for (prepared, sql) in [(false, row.read()), (true, row.read()), (false, row.update()), (true, row.update())] {
        let call = async { if prepared { exec.exec_drop(&*sql, ()).await } else { exec.query_drop(&*sql).await } };
        let id = tokio::select! {
            done = call => panic!("it was to be dropped: {done:?}"),
            id = server.wait_until_running(&row.table) => id,
        };
        server.wait_gone(id).await;
        assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
    }
    row.release().await;
    assert_eq!(value(server, &row.table).await, 0, "the statement that waited for the row was executed after all");
}

#[tokio::test]
async fn a_task_that_is_aborted_leaves_no_statement_behind() {
    let server = shared().await;
    let row = HeldRow::new(server).await;
    let exec = waiting(1, server.opts());
    let task = tokio::spawn({
        let (exec, sql) = (exec.clone(), row.update());
        async move { exec.query_drop(sql).await }
    });
    let id = server.wait_until_running(&row.table).await;
    task.abort();
    server.wait_gone(id).await;
    row.release().await;
    assert_eq!(value(server, &row.table).await, 0);
}

// else each time-out would leave an abandoned scan on the server
#[tokio::test]
async fn a_statement_that_its_attempt_time_out_cut_is_ended_though_it_is_not_replayed() {
    let server = shared().await;
    let policy = RetryPolicy::builder().attempt_timeout(ms(2_000)).build().expect("valid");
    let row = HeldRow::new(server).await;
    let exec = waiting(1, server.opts());
    let handle = exec.with_policy(&policy);
    let (error, id) = in_time(async {
        exec.ping().await.expect("a server");
        let id = connection_id(&exec).await;
        (handle.query_drop(row.read()).await.unwrap_err(), id)
    })
    .await;
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::NotIdempotent), "{error}");
    server.wait_gone(id).await;
}

#[tokio::test]
async fn a_statement_on_a_borrowed_connection_whose_future_was_dropped_is_ended() {
    let server = shared().await;
    let row = HeldRow::new(server).await;
    let exec = waiting(1, server.opts());
    for prepared in [false, true] {
        let mut conn = exec.connection().await.expect("a connection");
        let id = conn.id();
        let sql = row.update();
        let statement = async { if prepared { conn.exec_drop(sql, ()).await } else { conn.query_drop(sql).await } };
        tokio::select! {
            done = statement => panic!("it was to be dropped: {done:?}"),
            running = server.wait_until_running(&row.table) => assert_eq!(running, id),
        }
        drop(conn);
        server.wait_gone(id).await;
        assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
        assert_ne!(connection_id(&exec).await, id, "it was used again");
    }
    row.release().await;
    assert_eq!(value(server, &row.table).await, 0, "the statement that waited for the row was executed after all");
}

#[tokio::test]
async fn a_borrowed_connection_that_is_dropped_in_the_middle_of_its_rows_leaves_no_statement_behind() {
    let endless = Endless::new().await;
    // the remaining rows cannot be read within this time
    let policy = RetryPolicy::builder().connect_timeout(ms(300)).build().expect("valid");
    let patient = RetryPolicy::default();
    let exec = Executor::builder().policy(policy).build(pool_of(1, endless.server.opts())).expect("good options");
    let mut conn = in_time(exec.with_policy(&patient).connection()).await.expect("a connection");
    let id = conn.id();
    let mut rows = in_time(conn.query_iter(Endless::SELECT)).await.expect("rows");
    in_time(rows.next()).await.expect("a row").expect("the first");
    assert_eq!(endless.server.wait_until_running("BENCHMARK").await, id);
    drop(rows);
    drop(conn);
    endless.server.wait_gone(id).await;
    assert_eq!(in_time(exec.with_policy(&patient).query_first("SELECT 7")).await.expect("an answer"), Some(7));
}

#[tokio::test]
async fn a_call_that_is_dropped_between_its_loss_and_its_replay_leaves_no_statement_behind() {
    let server = shared().await;
    let row = HeldRow::new(server).await;
    let proxy = Proxy::start(server).await;
    let (hook, mut losses) = Losses::listen();
    let exec = Executor::builder().on_event(hook).build(waiting_opts(1, proxy.opts())).expect("good options");
    let id = connection_id(&exec).await;
    proxy.rule(Rule::new(When::text("UPDATE"), Place::AfterRequest, Fault::Fin).keep_server());
    proxy.black_hole(true);
    tokio::select! {
        done = exec.query_drop(row.update().idempotent()) => panic!("it was to be dropped: {done:?}"),
        () = losses.wait_for(1) => {}
    }
    proxy.black_hole(false);
    assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
    server.wait_gone(id).await;
    row.release().await;
    assert_eq!(value(server, &row.table).await, 0, "the statement that waited for the row was executed after all");
}

#[tokio::test]
async fn a_stream_that_is_dropped_while_it_reads_leaves_no_statement_behind() {
    let Endless { server } = Endless::new().await;
    let exec = executor_of_one(server.opts());
    let mut stream = in_time(exec.query_stream::<(u32, u32, String), _>(Endless::SELECT)).await.expect("rows");
    assert_eq!(in_time(stream.next()).await.expect("a row").expect("the first").0, 1);
    let id = server.wait_until_running("BENCHMARK").await;
    drop(stream);
    server.wait_gone(id).await;
}

#[tokio::test]
async fn a_thousand_cancelled_calls_leave_the_pool_at_full_size_and_nothing_running() {
    const POOL: usize = 4;
    let server = shared().await;
    let row = HeldRow::new(server).await;
    let exec = waiting(POOL, server.opts());
    // a client that is none of the executor's, and a statement of another executor
    let other = waiting(1, server.opts());
    let others_row = HeldRow::new(server).await;
    let others = tokio::spawn({
        let (other, sql) = (other.clone(), others_row.update());
        async move { other.query_drop(sql).await }
    });
    let others_id = server.wait_until_running(&others_row.table).await;
    let mut client = Conn::new(server.opts()).await.expect("a server");
    for n in 0..1_000_u64 {
        // dropped at another point each time: in the pool, while connecting, while the statement runs
        let after = Duration::from_micros((n % 40) * 100);
        let _ = tokio::time::timeout(after, exec.query_drop(row.read())).await;
    }
    // all at once, so that each has a connection of its own
    let meeting = "SELECT CONNECTION_ID() FROM (SELECT SLEEP(2)) AS nap";
    let answers = in_time(join_all((0..POOL).map(|_| exec.query_first::<u32, _>(meeting)))).await;
    let mut ids: Vec<u32> = answers.into_iter().map(|id| id.expect("an answer").expect("a row")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), POOL, "a slot of the pool was lost");
    let running = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%{}%' AND id <> CONNECTION_ID()",
        row.table
    );
    until_true(PATIENCE, ms(20), async || server.query_first::<u32>(&running).await == Some(0)).await;
    assert_eq!(server.wait_until_running(&others_row.table).await, others_id);
    assert!(!others.is_finished(), "a statement of another executor was ended");
    assert_eq!(client.query_first::<i32, _>("SELECT 7").await.expect("it was killed"), Some(7));
    others_row.release().await;
    in_time(others).await.expect("no panic").expect("it has got its row");
}

#[tokio::test]
async fn case_108_the_sessions_of_cancelled_calls_stay_within_the_pool() {
    const POOL: u64 = 16;
    const ROUNDS: u64 = 63;
    let server = Server::builder().flag("--max-connections=1000").start().await;
    let exec = Executor::new(pool_of(POOL as usize, server.opts())).expect("good options");
    let calls = (0..POOL).map(|task| {
        let exec = exec.clone();
        async move {
            for n in 0..ROUNDS {
                // nearly all are dropped while their statement runs
                let after = ms(5 + (task * 7 + n) % 20);
                let _ = tokio::time::timeout(after, exec.query_drop("SELECT SLEEP(20)")).await;
            }
        }
    });
    in_time(join_all(calls)).await;
    let (_, most): (String, u64) =
        server.query_first("SHOW GLOBAL STATUS LIKE 'Max_used_connections'").await.expect("a status");
    // that which ends them, that of the test, and what a busy machine closes late
    assert!(most <= POOL * 3, "{most} sessions at a time");
}
